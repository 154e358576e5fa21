"""Who holds too much, before and after one review, by the evidence that was frozen when it opened.

An identity *holds too much* where the review's own evidence says that something it was asked about was held, was
watched for long enough and was not used: the recommendation was to revoke or to scope down. It stops holding too much
when all of that is gone: no longer there at the source, or narrowed, by a verified order, to the recommended set or
into it. Where nothing is known to be too much and no recommendation could be made for something, the identity is
*not assessable*.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from django.contrib.postgres.aggregates import BoolOr
from django.db.models import F, Q

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission, includes
from reviews.models import Answer, Campaign, ItemKind, Order, OrderAction, ReviewItem
from reviews.states import ItemState, OrderState

REDUCING = (Answer.REVOKE, Answer.SCOPE_DOWN)
REMOVING = (OrderAction.REVOKE, OrderAction.QUARANTINE)
# Narrowings to something else than what was recommended are compared one by one; beyond this they count as too much.
MOST_COMPARED = 2_000
TOO_MUCH, CONTAINED, UNKNOWN = "too_much", "contained", "not_assessable"


Holding = tuple[bool, bool, bool, bool]
"""Of one identity: whether something was, and still is, too much; was, and still is, not assessable."""


def excess_of(campaign: Campaign) -> dict[str, Any]:
    """`before` and `after`, each with `too_much`, `contained`, `not_assessable`, which add up to `identities`.

    `is_cut` says that more narrowings differ from what was recommended than were compared with it.
    """
    items = ReviewItem.objects.filter(campaign=campaign, kind=ItemKind.GRANT).exclude(state=ItemState.CANCELLED)
    inside, is_cut = _narrowed_inside(campaign)
    is_much, is_unknown, is_left = Q(recommendation__in=REDUCING), Q(recommendation=""), ~_is_gone(campaign, inside)
    rows = (
        items.order_by()
        .values("identity_id")
        .annotate(
            was_much=BoolOr(is_much),
            is_much=BoolOr(is_much & is_left),
            was_unknown=BoolOr(is_unknown),
            is_unknown=BoolOr(is_unknown & is_left),
        )
        .values_list("was_much", "is_much", "was_unknown", "is_unknown")
    )
    return counted(rows.iterator(chunk_size=5000)) | {"is_cut": is_cut}


def counted(identities: Iterable[Holding]) -> dict[str, Any]:
    """The counts before and after. Pure."""
    before, after = (dict.fromkeys((TOO_MUCH, CONTAINED, UNKNOWN), 0) for _ in range(2))
    total = 0
    for was_much, is_much, was_unknown, is_unknown in identities:
        total += 1
        before[state_of(is_much=was_much, is_unknown=was_unknown)] += 1
        after[state_of(is_much=is_much, is_unknown=is_unknown)] += 1
    return {"identities": total, "before": before, "after": after}


def state_of(*, is_much: bool, is_unknown: bool) -> str:
    """Too much where anything is known to be; not assessable where the rest cannot be known; else contained."""
    return TOO_MUCH if is_much else UNKNOWN if is_unknown else CONTAINED


def _is_gone(campaign: Campaign, inside: frozenset[UUID]) -> Q:
    verified = Order.objects.filter(item__campaign=campaign, state=OrderState.VERIFIED).order_by()
    removed = verified.filter(action__in=REMOVING)
    narrowed = verified.filter(action=OrderAction.NARROW, target=F("item__recommended_target"))
    return (
        Q(grant__retired_at__isnull=False)
        | Q(pk__in=removed.values("item_id"))
        | Q(pk__in=narrowed.values("item_id"))
        | Q(pk__in=inside)
    )


def _narrowed_inside(campaign: Campaign) -> tuple[frozenset[UUID], bool]:
    """Items that were narrowed, and verified so, to less than was recommended; and whether some were not looked at."""
    narrowed = Order.objects.filter(
        item__campaign=campaign,
        item__recommendation__in=REDUCING,
        item__recommended_target__isnull=False,
        action=OrderAction.NARROW,
        state=OrderState.VERIFIED,
        target__isnull=False,
    ).exclude(target=F("item__recommended_target"))
    pairs = list(
        narrowed.order_by("pk").values_list("item_id", "item__recommended_target", "target")[: MOST_COMPARED + 1]
    )
    inside = {
        item for item, wide, target in pairs[:MOST_COMPARED] if _is_inside(orjson.dumps(wide), orjson.dumps(target))
    }
    return frozenset(inside), len(pairs) > MOST_COMPARED


@lru_cache(maxsize=8192)
def _is_inside(wide: bytes, narrow: bytes) -> bool:
    try:
        return includes(Permission.from_json(orjson.loads(wide)), Permission.from_json(orjson.loads(narrow))).holds
    except DomainError:
        return False
