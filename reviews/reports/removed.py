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

# Different targets whose classes are worked out, the most frequent first; how many narrowings are left out is said.
MOST_TARGETS = 5_000


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
    narrowed, left_out = _narrowed(verified, cells)
    return {
        "cells": [
            {"segment": segment, "class": str(name), "count": cells[segment, name]}
            for segment in SEGMENTS
            for name in reversed(PrivilegeClass)
            if cells[segment, name]
        ],
        "revoked": revoked,
        "narrowed": narrowed,
        "left_out": left_out,
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


def _narrowed(verified: QuerySet[Order], cells: "Counter[tuple[str, str]]") -> tuple[int, int]:
    """What targets no longer give. Many accesses are narrowed to the same, so targets are looked at once."""
    rows = (
        verified.filter(action=OrderAction.NARROW)
        .order_by()
        .values_list("item__grant_version__segment", "item__grant_version__privilege_classes", "target")
        .annotate(n=Count("pk"))
        .order_by("-n")
    )
    total = left_out = 0
    for place, (segment, held, target, number) in enumerate(rows.iterator(chunk_size=5000)):
        total += number
        if place >= MOST_TARGETS or target is None:
            left_out += number
            continue
        for name in lost(held, orjson.dumps(target)):
            cells[segment, name] += number
    return total, left_out


def lost(held: Iterable[str], target: bytes) -> frozenset[str]:
    """The classes that were held and that the target no longer gives; none where the target cannot be read."""
    return frozenset(held) - _classes(target)


@lru_cache(maxsize=8192)
def _classes(target: bytes) -> frozenset[str]:
    try:
        return frozenset(map(str, classes_of(Permission.from_json(orjson.loads(target)))))
    except DomainError:
        return frozenset(map(str, PrivilegeClass))
