"""Which source and which review an event of the trail is about. Asked for many events at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from governance.audit.feed import FeedEvent
from identities.models import Grant, Identity, Source
from reviews.models import Campaign, Order, ReviewItem


@dataclass(frozen=True, slots=True)
class Concern:
    """source: its slug; campaign: its id. Empty where the event is about neither."""

    source: str = ""
    campaign: str = ""


NOTHING = Concern()


def concerns_of(events: Sequence[FeedEvent]) -> dict[UUID, Concern]:
    """What each event is about, by its id; one query per kind of subject. Events about neither are left out."""
    by_kind: dict[str, dict[UUID, Concern]] = {}
    for kind in {event.subject_kind for event in events} & _READERS.keys():
        ids = set(uuids_of(event.subject_id for event in events if event.subject_kind == kind))
        by_kind[kind] = {pk: Concern(*facts) for pk, *facts in _READERS[kind](ids)}
    found = {}
    for event in events:
        for pk in uuids_of([event.subject_id]):
            if concern := by_kind.get(event.subject_kind, {}).get(pk):
                found[event.event_id] = concern
    return found


def uuids_of(texts: Iterable[str]) -> Iterable[UUID]:
    """Those of the texts that are ids of rows."""
    for text in texts:
        try:
            yield UUID(text)
        except ValueError:
            continue


def _sources(ids: set[UUID]) -> Any:
    return Source.objects.filter(pk__in=ids).values_list("pk", "slug")


def _of(objects: QuerySet[Any], ids: set[UUID]) -> Any:
    return objects.filter(pk__in=ids).values_list("pk", "source__slug")


def _orders(ids: set[UUID]) -> Any:
    rows = Order.objects.filter(pk__in=ids).values_list("pk", "source__slug", "item__campaign_id")
    return [(pk, slug, str(campaign or "")) for pk, slug, campaign in rows]


def _items(ids: set[UUID]) -> Any:
    rows = ReviewItem.objects.filter(pk__in=ids).values_list("pk", "identity__source__slug", "campaign_id")
    return [(pk, slug, str(campaign)) for pk, slug, campaign in rows]


def _campaigns(ids: set[UUID]) -> Any:
    return [(pk, "", str(pk)) for pk in Campaign.objects.filter(pk__in=ids).values_list("pk", flat=True)]


_READERS: dict[str, Any] = {
    "source": _sources,
    "identity": lambda ids: _of(Identity.objects.all(), ids),
    "grant": lambda ids: _of(Grant.objects.all(), ids),
    "order": _orders,
    "item": _items,
    "campaign": _campaigns,
}
