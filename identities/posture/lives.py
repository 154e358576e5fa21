"""The life of an identity as the inventory and the last judgement tell it."""

from identities.models import Identity, IdentityStatus
from identities.posture.lifecycle import Life, LifeFacts, tell

DORMANT = "NHI1-C"


def life_of(identity: Identity) -> Life:
    """Its life by what is known now. `identity` comes with its posture loaded, where it has one."""
    posture = getattr(identity, "posture", None)
    is_dormant = None
    if posture is not None and DORMANT in (*posture.failed, *posture.passed):
        is_dormant = DORMANT in posture.failed
    return tell(
        LifeFacts(
            first_seen_at=identity.first_seen_at,
            registered_at=identity.registered_at,
            is_enabled=identity.status == IdentityStatus.ACTIVE,
            is_dormant=is_dormant,
            last_used_at=identity.last_seen_at,
            retired_at=identity.retired_at,
            expected_cadence_days=identity.expected_cadence_days,
        )
    )
