"""What orders of one review really took away: classes of action by kind of system, verified at the source."""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import orjson
from django.db.models import Count, QuerySet

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from governance.kernel.privileges import SEGMENTS, PrivilegeClass, classes_of
from reviews.models import Campaign, Order, OrderAction
from reviews.states import OrderState

# Narrowings whose classes are worked out one by one; how many are left out is said.
MOST_NARROWED = 5_000


def removed_by(campaign: Campaign) -> dict[str, Any]:
    """Verified removals by privilege class and segment: `cells` of `segment`, `class`, `count`, most harmful first.

    An access counts in each class that it gave and no longer gives. `revoked` and `narrowed` count accesses; a
    narrowing within its classes takes something away and has no cell. `left_out`: narrowings that were not looked at.
    """
    verified = Order.objects.filter(
        item__campaign=campaign, state=OrderState.VERIFIED, item__grant_version__isnull=False
    )
    cells: Counter[tuple[str, str]] = Counter()
    revoked = _revoked(verified, cells)
    narrowed = _narrowed(verified, cells)
    counted = verified.filter(action=OrderAction.NARROW).count()
    return {
        "cells": [
            {"segment": segment, "class": str(name), "count": cells[segment, name]}
            for segment in SEGMENTS
            for name in reversed(PrivilegeClass)
            if cells[segment, name]
        ],
        "revoked": revoked,
        "narrowed": counted,
        "left_out": counted - narrowed,
    }


def _revoked(verified: QuerySet[Order], cells: "Counter[tuple[str, str]]") -> int:
    """Everything that the access gave is gone. Grouped by the database; there are few kinds."""
    rows = (
        verified.filter(action=OrderAction.REVOKE)
        .order_by()
        .values_list("item__grant_version__segment", "item__grant_version__privilege_classes")
        .annotate(n=Count("pk"))
    )
    total = 0
    for segment, classes, number in rows:
        total += number
        for name in classes:
            cells[segment, name] += number
    return total


def _narrowed(verified: QuerySet[Order], cells: "Counter[tuple[str, str]]") -> int:
    rows = verified.filter(action=OrderAction.NARROW, target__isnull=False).order_by("pk")
    fields = ("item__grant_version__segment", "item__grant_version__privilege_classes", "target")
    total = 0
    for segment, held, target in rows.values_list(*fields)[:MOST_NARROWED]:
        total += 1
        for name in lost(held, orjson.dumps(target)):
            cells[segment, name] += 1
    return total


def lost(held: Iterable[str], target: bytes) -> frozenset[str]:
    """The classes that were held and that the target no longer gives; none where the target cannot be read."""
    return frozenset(held) - _classes(target)


@lru_cache(maxsize=8192)
def _classes(target: bytes) -> frozenset[str]:
    try:
        return frozenset(map(str, classes_of(Permission.from_json(orjson.loads(target)))))
    except DomainError:
        return frozenset(map(str, PrivilegeClass))
