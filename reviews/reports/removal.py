"""From decision to verified removal: times of what was verified, and what was not, beside it. Pure arithmetic."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reviews.policies.quality import quantile
from reviews.states import OrderState

# Where unverified orders would have their time, if they had one.
_NEVER = 2**62


def removal_times(took: Sequence[int], others: Mapping[tuple[str, bool], int]) -> dict[str, Any]:
    """Seconds from the decision to the verification, and counts that add up to `total`.

    took: of each verified order. others: of all others how many, by state and whether they wait for an agreed day.

    `verified` says how fast what was verified went: median and 90th percentile of those alone, which look better the
    more is still under way. `of_all_median` is when half of everything that was ordered was verified, None where it is
    not yet half. `pending` counts the others by state, `dated` those whose day has not come, `withdrawn` those that
    were called off: nothing was to be removed any more.
    """
    pending: Counter[str] = Counter()
    dated = withdrawn = 0
    for (state, is_dated), count in others.items():
        if state == OrderState.RECALLED:
            withdrawn += count
        elif is_dated:
            dated += count
        else:
            pending[str(state)] += count
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
