"""From decision to verified removal: times of what was verified, and what was not, beside it. Pure arithmetic."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from reviews.policies.quality import quantile
from reviews.states import OrderState

# What a person or a policy withdrew before it was sent: nothing was to be removed any more.
WITHDRAWN = frozenset({OrderState.RECALLED})
_SECOND = timedelta(seconds=1)
# Where unverified orders would have their time, if they had one.
_NEVER = 2**62


@dataclass(frozen=True, slots=True)
class OrderFact:
    """One order: its state, when it was decided and verified. is_dated: it waits for an agreed day that is to come."""

    state: str
    decided_at: datetime
    verified_at: datetime | None = None
    is_dated: bool = False


def removal_times(orders: Iterable[OrderFact]) -> dict[str, Any]:
    """Seconds from the decision to the verification, and counts that add up to `total`.

    `verified` says how fast what was verified went: median and 90th percentile of those alone, which look better the
    more is still under way. `of_all_median` is when half of everything that was ordered was verified, None where it is
    not yet half. `pending` counts the others by state, `dated` those whose day has not come, `withdrawn` those that
    were called off.
    """
    took: list[int] = []
    pending: Counter[str] = Counter()
    dated = withdrawn = 0
    for order in orders:
        if order.state == OrderState.VERIFIED and order.verified_at is not None:
            took.append(max(0, (order.verified_at - order.decided_at) // _SECOND))
        elif order.state in WITHDRAWN:
            withdrawn += 1
        elif order.is_dated:
            dated += 1
        else:
            pending[str(order.state)] += 1
    waiting = pending.total()
    half = quantile([*took, *[_NEVER] * waiting], 50)
    return {
        "total": len(took) + waiting + dated + withdrawn,
        "verified": len(took),
        "verified_median": quantile(took, 50),
        "verified_p90": quantile(took, 90),
        "of_all_median": None if half is None or half == _NEVER else half,
        "pending": dict(sorted(pending.items())),
        "not_verified": waiting,
        "dated": dated,
        "withdrawn": withdrawn,
    }
