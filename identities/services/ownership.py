"""What a review found out about who answers for an identity, written down onto it.

Inner steps: they run in the transaction of the review's use case, whose audit record covers them. They write what
people say and never what the source says.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from governance.people.models import User
from identities.models import Identity
from identities.services.identity_versions import write_versions_of


def lock_identities(identity_ids: Iterable[UUID]) -> None:
    """Lock identities whose owners are about to change, in one order: two who change many wait for each other."""
    rows = Identity.objects.select_for_update(of=("self",)).filter(pk__in=list(identity_ids)).order_by("pk")
    list(rows.values_list("pk"))


def note_owner(*, identity_id: UUID, owner: User, now: datetime) -> UUID | None:
    """This person answers for the identity from now on. Returns who did before; the same person means confirmed.

    Whoever was the backup and becomes the owner is the backup no longer.
    """
    identity = Identity.objects.select_for_update(of=("self",)).get(pk=identity_id)
    before = identity.owner_id
    if before == owner.pk:
        return before
    identity.owner = owner
    if identity.backup_owner_id == owner.pk:
        identity.backup_owner = None
    identity.version += 1
    identity.save(update_fields=["owner", "backup_owner", "version"])
    write_versions_of([identity.pk], at=now)
    return before


def take_owner_back(*, identity_id: UUID, owner_id: UUID, before: UUID | None, now: datetime) -> bool:
    """The answer that made `owner_id` the owner was taken back: who was before is it again, unless they left.

    Returns whether anything changed; where somebody has named another owner since, nothing does.
    """
    identity = Identity.objects.select_for_update(of=("self",)).get(pk=identity_id)
    if identity.owner_id != owner_id or before == owner_id:
        return False
    identity.owner = User.objects.filter(pk=before, left_at=None).first() if before else None
    identity.version += 1
    identity.save(update_fields=["owner", "version"])
    write_versions_of([identity.pk], at=now)
    return True
