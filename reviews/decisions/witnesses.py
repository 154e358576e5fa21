"""Who has been heard on a question without ending it."""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q

from reviews.models import PASSING_ON, Decision, ReviewItem


def witnesses_of(item: ReviewItem) -> set[UUID]:
    """Everybody whose answer on this item was not its end: they attested or passed it on, and are not asked again."""
    return witnesses_by_item([item.pk]).get(item.pk, set())


def witnesses_by_item(item_ids: Iterable[UUID]) -> dict[UUID, set[UUID]]:
    """`witnesses_of` for many items with one query; items without any are absent."""
    given = Decision.objects.filter(item__in=list(item_ids), recalled_by=None, recalls=None, decided_by__isnull=False)
    witnesses = given.filter(Q(is_attestation=True) | Q(answer__in=PASSING_ON))
    found: dict[UUID, set[UUID]] = defaultdict(set)
    for item_id, person in witnesses.values_list("item_id", "decided_by_id"):
        found[item_id].add(person)
    return found
