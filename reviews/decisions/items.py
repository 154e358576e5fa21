"""Load and lock items for a use case, and the checks that all of them share."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import F, Model, QuerySet, prefetch_related_objects

from governance.audit import log
from governance.kernel.actors import Actor, ActorKind
from governance.kernel.errors import Conflict, DomainError, NotFound
from identities.models import Credential, Grant, GrantVersion
from reviews.decisions.loading import among, load, load_objects, with_objects
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
# What makes an access another one.
CONTENT = ("digest", "valid_from", "valid_until")
# What every answer is judged by, whatever it asks for.
JUDGED = (
    *("id", "campaign_id", "kind", "identity_id", "grant_id", "grant_version_id", "credential_id"),
    *("state", "stage", "round", "version", "assignee_id", "is_privileged"),
)
# Of an item's objects, what `current_versions` and `drift_of` look at.
_COMPARED: dict[str, tuple[type[Model], tuple[str, ...]]] = {
    "grant": (Grant, ("id", "retired_at")),
    "grant_version": (GrantVersion, ("id", "grant_id", "seen_until", *CONTENT)),
    "credential": (Credential, ("id", "retired_at")),
}


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
    try:
        # `get` and not `first`: putting one row in order costs as much as half of the query over so many columns.
        return ReviewItem.objects.select_related(*RELATED).get(pk=item_id)
    except ReviewItem.DoesNotExist:
        raise NotFound("There is no such question.") from None


def lock_item(item_id: UUID) -> ReviewItem:
    """The same, locked until the transaction ends, and read behind every wait. Raises NotFound."""
    ReviewItem.objects.select_for_update().filter(pk=item_id).values_list("pk", flat=True).first()
    return get_item(item_id)


def read_items(item_ids: Sequence[UUID]) -> list[ReviewItem]:
    """Many items with everything that their answers need, as they are now; what does not exist is absent."""
    return _complete(ReviewItem.objects.filter(pk__in=among(item_ids)), is_one=len(item_ids) == 1)


def lock_items(item_ids: Sequence[UUID], *, is_kept: bool = False) -> list[ReviewItem]:
    """The same, locked until the transaction ends. Everybody who locks several does so in the order of their ids.

    They are read once they are locked: what is joined to a row that was waited for is as it was before the wait.
    is_kept: nothing will change at a source, so what only an order needs is left out (and read where it is asked for).
    """
    items = ReviewItem.objects.filter(pk__in=among(item_ids)).order_by("pk")
    locked = items.select_for_update()
    if is_kept:
        return load_compared(locked, "resolution")
    list(locked.values_list("pk"))
    return _complete(items, is_one=len(item_ids) == 1)


def _complete(items: QuerySet[ReviewItem], *, is_one: bool) -> list[ReviewItem]:
    """What many of them share is read once and not with each; for one, a single query is cheaper."""
    items = items.defer("recommendation_reasons", "seen")
    found = list(items.select_related(*RELATED) if is_one else items.prefetch_related(*RELATED))
    complete_ownership(found)
    return found


def load_compared(items: QuerySet[ReviewItem], *more: str) -> list[ReviewItem]:
    """Items in the order of their ids, with what they are judged by and these columns, their campaigns, and of their
    objects what is compared.

    The objects are read when the items are locked already, and so as they are behind every wait.
    """
    found = load(items, (*JUDGED, *more))
    campaigns = Campaign.objects.in_bulk({item.campaign_id for item in found})
    objects = load_objects(ReviewItem.objects.filter(pk__in=among([item.pk for item in found])), _COMPARED)
    for item, about in zip(found, objects, strict=True):
        with_objects(item, campaign=campaigns[item.campaign_id], **about)
    complete_ownership(found)
    return found


def write_all(item_ids: Iterable[UUID], **values: Any) -> None:
    """Set the same columns of many locked items, with one statement."""
    # PostgreSQL (18) reads the expressions of generated columns anew for each row of an UPDATE that touches none of
    # the columns they are made of, which costs as much as the rest. So one of these is set to itself.
    ReviewItem.objects.filter(pk__in=among(item_ids)).update(is_privileged=F("is_privileged"), **values)


def complete_ownership(items: Iterable[ReviewItem]) -> None:
    """Questions about the identity itself look at it, and at who was suggested, which stands in what was seen."""
    about = [item for item in items if item.kind == ItemKind.OWNERSHIP]
    if not about:
        return
    prefetch_related_objects(about, "identity__source")
    seen = dict(ReviewItem.objects.filter(pk__in=[item.pk for item in about]).values_list("pk", "seen"))
    for item in about:
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
    return Drift.CHANGED if current is not pinned and _content(current) != _content(pinned) else None


def current_versions(items: Sequence[ReviewItem]) -> dict[UUID, GrantVersion]:
    """What the source shows now of the grants that these items are about, by grant; gone ones are absent.

    Mostly it is the very version that an item was opened for, which is at hand already.
    """
    shown, others = dict[UUID, GrantVersion](), set[UUID]()
    for item in items:
        grant, version = item.grant_id, item.grant_version
        if grant is not None and version is not None and version.seen_until is None:
            shown[grant] = version
        elif grant is not None:
            others.add(grant)
    if others:
        moved = GrantVersion.objects.filter(grant__in=among(others - shown.keys()), seen_until=None)
        shown |= {version.grant_id: version for version in moved}
    return shown


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


def _content(version: GrantVersion) -> tuple[bytes, datetime | None, datetime | None]:
    return bytes(version.digest), version.valid_from, version.valid_until


def item_subject(item: ReviewItem) -> log.Subject:
    """The item as the subject of an audit record."""
    return log.Subject("item", str(item.pk), f"{item.kind} item")


def item_context(item: ReviewItem) -> dict[str, Any]:
    """What a record about an item says besides what changed: ids only, never names."""
    version = item.grant_version
    return {
        "campaign": item.campaign_id,
        "identity": item.identity_id,
        "grant": item.grant_id,
        "grant_version": item.grant_version_id,
        "digest": bytes(version.digest).hex() if version else None,
        "credential": item.credential_id,
    }
