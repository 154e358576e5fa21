"""Questions about who answers for an identity: one per identity, with what speaks for whom."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from identities.models import Identity
from identities.selectors.suggested_owners import Suggestion, suggest_owners
from reviews.campaigns.snapshot import Frozen, seen_of_identity, source_facts
from reviews.decisions.independence import Parties, about_ownership, parties_of
from reviews.decisions.ownership import refusals_of
from reviews.decisions.resolution import Desk, resolve_all
from reviews.models import Campaign, ItemKind, ReviewItem

RULE_VERSION = "owners-1"
# Below this a suggestion is shown, but nobody is asked because of it.
ASKED_FROM = 30


def make_ownership_items(
    campaign: Campaign, identities: Sequence[Identity], desk: Desk, now: datetime
) -> list[ReviewItem]:
    """Unsaved items for these identities, with source loaded.

    Where nobody is accountable, the likeliest suggested person is asked before the fallback reviewer is.
    """
    suggested = _suggested(identities)
    parties = owning_parties(identities, suggested)
    sources = source_facts({each.source_id for each in identities})
    return [
        ReviewItem(
            campaign=campaign,
            kind=ItemKind.OWNERSHIP,
            identity=identity,
            assignee_id=resolution.assignee,
            resolution=resolution.trace,
            rule_version=RULE_VERSION,
            seen=_seen(identity, suggested[identity.pk], now) | sources[identity.source_id],
            escalated_at=now if resolution.is_nobody else None,
        )
        for identity, resolution in zip(identities, resolve_all(parties, desk), strict=True)
    ]


def owning_parties(
    identities: Sequence[Identity], suggested: Mapping[UUID, Sequence[Suggestion]] | None = None
) -> list[Parties]:
    """Who may be asked whose each of these identities is; a fixed number of queries. suggested: if known already."""
    known = _suggested(identities) if suggested is None else suggested
    return [
        about_ownership(each, [found.person for found in known[each.identity] if is_worth_asking(found)])
        for each in parties_of([(each.pk, None, False) for each in identities])
    ]


def _suggested(identities: Sequence[Identity]) -> Mapping[UUID, Sequence[Suggestion]]:
    return suggest_owners(identities, refusals=refusals_of([each.pk for each in identities]))


def is_worth_asking(suggestion: Suggestion) -> bool:
    """Whether a question may go to somebody for this suggestion alone."""
    return suggestion.refused_at is None and suggestion.score >= ASKED_FROM


def _seen(identity: Identity, suggested: Sequence[Suggestion], now: datetime) -> Frozen:
    seen = seen_of_identity(identity)
    seen["identity"] |= {
        "source_owner": identity.source_owner,
        "grants": identity.grant_count,
        "privileged": identity.privileged_count,
        # Also what logs of its access showed.
        "last_used_at": identity.last_seen_at.isoformat() if identity.last_seen_at else None,
    }
    return seen | {"suggested": [each.to_json() for each in suggested], "taken_at": now.isoformat()}
