"""What a review left unanswered, and the rounds that belong together."""

from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from reviews.models import Campaign, ItemKind, Order, ReviewItem
from reviews.states import ItemState, OrderState


def silent_items(campaign: Campaign) -> QuerySet[ReviewItem]:
    """What nobody answered: expired questions, and those whose access the table is about to end."""
    waiting = Order.objects.filter(decision__item=OuterRef("pk"), state=OrderState.PLANNED, attempts=0)
    ends_later = waiting.filter(decision__until__isnull=False).exclude(decision__decided_by_policy="")
    is_silent = Q(state=ItemState.EXPIRED) | Q(Exists(ends_later), state=ItemState.DECIDED)
    return ReviewItem.objects.filter(is_silent, campaign=campaign)


def only_silent(rows: QuerySet[Any], campaign: Campaign, kind: str) -> QuerySet[Any]:
    """The population of a further round: what is still there of the questions that stayed silent in the one before."""
    if campaign.first_round_id is None:
        return rows
    before = rounds_of(campaign).get(round=campaign.round - 1)
    silent = silent_items(before).filter(kind=kind)
    if kind == ItemKind.GRANT:
        return rows.filter(grant__in=silent.values("grant_id"))
    if kind == ItemKind.OWNERSHIP:
        return rows.filter(pk__in=silent.values("identity_id"))
    return rows.filter(pk__in=silent.values("credential_id"))


def rounds_of(campaign: Campaign) -> QuerySet[Campaign]:
    """Every round of a review, this one among them."""
    first = first_of(campaign)
    return Campaign.objects.filter(Q(pk=first) | Q(first_round=first))


def first_of(campaign: Campaign) -> UUID:
    """The id of the first round."""
    return campaign.first_round_id or campaign.pk
