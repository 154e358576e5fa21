"""Load and lock items for a use case, and the checks that all of them share."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from governance.audit import log
from governance.kernel.actors import Actor, ActorKind
from governance.kernel.errors import Conflict, DomainError, NotFound
from identities.models import Credential, Grant, GrantVersion, Identity
from reviews.models import Campaign, ItemKind, ReviewItem
from reviews.states import CampaignState, ItemState

UNDECIDED = frozenset({ItemState.OPEN, ItemState.ATTESTED})
RELATED = (
    "campaign",
    "identity__source",
    "grant__source",
    "grant__identity",
    "grant_version",
    "credential__source",
    "credential__identity",
)


class NotAssigned(DomainError):
    """Only the person who is asked may answer."""

    code = "not-assigned"
    status = 403
    title = "You are not asked here"


class StaleItem(Conflict):
    """The item changed since the page was loaded: somebody else answered, or it went to another person."""

    code = "stale-item"


class AccessChanged(Conflict):
    """The access is no longer what the item shows, so an answer would be about something nobody looked at."""

    code = "access-changed"
    title = "The access changed since the review opened"


class CampaignNotOpen(Conflict):
    """The campaign is not open yet, or takes no more answers."""

    code = "campaign-not-open"
    title = "This review takes no answers"


def get_item(item_id: UUID) -> ReviewItem:
    """The item with everything that an answer needs, in one query. Raises NotFound."""
    return _with_objects(ReviewItem.objects.all(), item_id)


def lock_item(item_id: UUID) -> ReviewItem:
    """The same, locked until the transaction ends. Raises NotFound."""
    return _with_objects(ReviewItem.objects.select_for_update(of=("self",)), item_id)


def _with_objects(items: QuerySet[ReviewItem], item_id: UUID) -> ReviewItem:
    try:
        # `get` and not `first`: putting one row in order costs as much as half of the query over so many columns.
        return items.select_related(*RELATED).get(pk=item_id)
    except ReviewItem.DoesNotExist:
        raise NotFound("There is no such question.") from None


def read_items(item_ids: Iterable[UUID]) -> list[ReviewItem]:
    """Many items with everything that their answers need, as they are now; what does not exist is absent."""
    return _many(ReviewItem.objects.filter(pk__in=list(item_ids)))


def lock_items(item_ids: Iterable[UUID], *, is_kept: bool = False) -> list[ReviewItem]:
    """The same, locked until the transaction ends. Everybody who locks several does so in the order of their ids.

    is_kept: nothing will change at a source, so what only an order needs is left out (and read where it is asked for).
    """
    return _many(ReviewItem.objects.select_for_update().filter(pk__in=list(item_ids)).order_by("pk"), is_kept=is_kept)


def _many(items: QuerySet[ReviewItem], *, is_kept: bool = False) -> list[ReviewItem]:
    """What many of them share is read once and not with each."""
    found = list(items.defer("recommendation_reasons", "seen").prefetch_related(*(compared() if is_kept else RELATED)))
    _complete_ownership([item for item in found if item.kind == ItemKind.OWNERSHIP])
    return found


def compared() -> list[Any]:
    """What `drift_of` looks at, to be prefetched for many items: of their objects only that, and their campaigns."""
    return [
        "campaign",
        Prefetch("identity", Identity.objects.only("retired_at")),
        Prefetch("grant", Grant.objects.only("retired_at")),
        Prefetch("grant_version", GrantVersion.objects.only("grant", *CONTENT)),
        Prefetch("credential", Credential.objects.only("retired_at")),
    ]


def _complete_ownership(items: Sequence[ReviewItem]) -> None:
    """For these questions counts who was suggested, and that stands in what was seen."""
    if not items:
        return
    seen = dict(ReviewItem.objects.filter(pk__in=[item.pk for item in items]).values_list("pk", "seen"))
    for item in items:
        item.seen = seen[item.pk]


def require_open(campaign: Campaign, now: datetime) -> None:
    """Raise CampaignNotOpen unless answers count now."""
    if campaign.state != CampaignState.OPEN:
        raise CampaignNotOpen(f"“{campaign.name}” is {campaign.state}: it takes no answers.", state=campaign.state)
    if now >= campaign.deadline_at:
        raise CampaignNotOpen(
            f"The deadline of “{campaign.name}” has passed.", deadline=campaign.deadline_at.isoformat()
        )


def require_undecided(item: ReviewItem) -> None:
    """Raise StaleItem when the question has been answered for good."""
    if item.state not in UNDECIDED:
        raise StaleItem(f"This question is {item.state} already.", state=item.state, version=item.version)


def require_version(item: ReviewItem, version: int) -> None:
    """Raise StaleItem unless the caller saw the item as it is."""
    if item.version != version:
        raise StaleItem(
            "Somebody else changed this question while you looked at it. Load it again.",
            version=item.version,
            state=item.state,
        )


def require_assignee(item: ReviewItem, actor: Actor) -> UUID:
    """The person acting, if it is the one who is asked. Raises NotAssigned."""
    if actor.kind is not ActorKind.PERSON:
        raise NotAssigned("Only people decide; a program cannot.")
    if actor.person_id is None or item.assignee_id != actor.person_id:
        raise NotAssigned("This question is not assigned to you.")
    return actor.person_id


class Drift(StrEnum):
    """How the access differs from what the item was opened for."""

    GONE = "gone"
    CHANGED = "changed"


def drift_of(item: ReviewItem, current: GrantVersion | None) -> Drift | None:
    """Compare an item with the source as last read; `current` is the grant's open version, if any."""
    if item.kind == ItemKind.OWNERSHIP:
        return Drift.GONE if item.identity.retired_at else None
    if item.credential is not None:
        return Drift.GONE if item.credential.retired_at else None
    pinned = item.grant_version
    if item.grant is None or item.grant.retired_at is not None or current is None or pinned is None:
        return Drift.GONE
    return Drift.CHANGED if _content(current) != _content(pinned) else None


def current_versions(items: Iterable[ReviewItem]) -> dict[UUID, GrantVersion]:
    """What the source shows now of the grants that these items are about, by grant; gone ones are absent. One query."""
    grants = [item.grant_id for item in items if item.grant_id]
    if not grants:
        return {}
    open_ones = GrantVersion.objects.filter(grant__in=grants, seen_until=None)
    return {version.grant_id: version for version in open_ones.only("grant", *CONTENT)}


def require_no_drift(item: ReviewItem, current: GrantVersion | None) -> None:
    """Raise AccessChanged unless the source still shows what the item was opened for; `current`: what it shows now."""
    drift = drift_of(item, current)
    if drift is Drift.GONE:
        raise AccessChanged("This no longer exists at the source.", gone=True)
    if drift is Drift.CHANGED:
        raise AccessChanged(
            "This access changed at the source since the review opened. Look at what it is now, then answer.",
            gone=False,
        )


# What makes an access another one.
CONTENT = ("digest", "valid_from", "valid_until")


def _content(version: GrantVersion) -> tuple[bytes, datetime | None, datetime | None]:
    return bytes(version.digest), version.valid_from, version.valid_until


def item_subject(item: ReviewItem) -> log.Subject:
    """The item as the subject of an audit record."""
    return log.Subject("item", str(item.pk), f"{item.kind} item")


def item_context(item: ReviewItem) -> dict[str, str | None]:
    """What a record about an item says besides what changed: ids only, never names."""
    return {
        "campaign": str(item.campaign_id),
        "identity": str(item.identity_id),
        "grant": str(item.grant_id) if item.grant_id else None,
        "grant_version": str(item.grant_version_id) if item.grant_version_id else None,
        "digest": bytes(item.grant_version.digest).hex() if item.grant_version else None,
        "credential": str(item.credential_id) if item.credential_id else None,
    }
