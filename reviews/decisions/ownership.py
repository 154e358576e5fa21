"""What the answers about ownership bring about, and who has said that something is not theirs."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from identities.models import IdentityVersion
from identities.services.ownership import note_owner, take_owner_back
from reviews.models import Answer, Decision, ReviewItem

Refusals = Mapping[UUID, Mapping[UUID, datetime]]


def settle_owner(item: ReviewItem, decision: Decision) -> None:
    """“It is mine”: whoever answered answers for the identity from now on. An inner step of the answer."""
    assert decision.decided_by is not None  # noqa: S101 - no policy says that something is its own
    note_owner(identity_id=item.identity_id, owner=decision.decided_by, now=decision.decided_at)


def unsettle_owner(item: ReviewItem, decision: Decision, now: datetime) -> None:
    """The same, taken back. What was before stands in the identity's history, at the moment of the answer."""
    if decision.answer != Answer.MINE or decision.decided_by_id is None:
        return
    before = IdentityVersion.objects.filter(identity=item.identity_id, seen_until=decision.decided_at).first()
    if before is None:
        # It was confirmed only, so nothing had changed.
        return
    take_owner_back(identity_id=item.identity_id, owner_id=decision.decided_by_id, before=before.owner_id, now=now)


def refusals_of(identity_ids: Collection[UUID]) -> Refusals:
    """Who said “not mine” about which identity and when last, unless they have said since that it is.

    Answers on access and credentials count as well: whoever does not know its access does not answer for it.
    """
    found: dict[UUID, dict[UUID, datetime]] = defaultdict(dict)
    said = Decision.objects.filter(
        item__identity__in=identity_ids,
        answer__in=[Answer.NOT_MINE, Answer.MINE],
        decided_by__isnull=False,
        recalls=None,
        recalled_by=None,
    )
    for identity, person, answer, at in said.order_by("decided_at", "pk").values_list(
        "item__identity_id", "decided_by_id", "answer", "decided_at"
    ):
        if answer == Answer.MINE:
            found[identity].pop(person, None)
        elif person is not None:
            found[identity][person] = at
    return found
