"""Whose answers stand on a question, and who has been heard without ending it."""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from reviews.decisions.loading import Among, among
from reviews.models import PASSING_ON, Decision, ReviewItem


def answers_by_item(item_ids: Among) -> dict[UUID, list[Decision]]:
    """Answers of people that stand, oldest first, with one query; items without any are absent.

    What was recalled is sorted out here: asked for what is not recalled, a database that has not counted its rows
    lately walks through every decision there ever was.
    """
    found: dict[UUID, list[Decision]] = defaultdict(list)
    made = list(Decision.objects.filter(item__in=item_ids).order_by("decided_at", "pk"))
    recalled = {decision.recalls_id for decision in made}
    for decision in made:
        if decision.decided_by_id is not None and decision.recalls_id is None and decision.pk not in recalled:
            found[decision.item_id].append(decision)
    return found


def witnesses_among(given: Iterable[Decision]) -> set[UUID]:
    """Whose answers were not the question's end: they attested or passed it on, and are not asked again."""
    return {
        each.decided_by_id
        for each in given
        if each.decided_by_id and (each.is_attestation or each.answer in PASSING_ON)
    }


def witnesses_of(item: ReviewItem) -> set[UUID]:
    """Everybody whose answer on this item was not its end."""
    return witnesses_by_item([item.pk]).get(item.pk, set())


def witnesses_by_item(item_ids: Iterable[UUID]) -> dict[UUID, set[UUID]]:
    """`witnesses_of` for many items with one query; an item without any has an empty set or is absent."""
    return {item: witnesses_among(given) for item, given in answers_by_item(among(item_ids)).items()}
