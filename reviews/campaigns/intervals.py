"""Which reason for an interval needs an approval of its own."""

from datetime import datetime, timedelta
from itertools import pairwise

from governance.people.models import User
from reviews.models import IntervalReasoning, ReviewSchedule
from reviews.policies.calendar import dates_after
from reviews.selectors import reasoning_of

MOST_DATES = 60


def write_reasoning(schedule: ReviewSchedule, *, by: User, now: datetime) -> None:
    """Keep the reason of a schedule just written or changed, where it needs an approval of its own.

    An approval stands while its words do and the interval is no longer than the one that it was given for.
    """
    known = reasoning_of(schedule)
    is_same = known.reason == schedule.interval_reason
    if not known._state.adding and is_same and _longest_gap(schedule) <= _longest_gap(known):
        return
    IntervalReasoning.objects.create(
        schedule=schedule,
        reason=schedule.interval_reason,
        rrule=schedule.rrule,
        starts_at=schedule.starts_at,
        time_zone=schedule.time_zone,
        written_by=by,
        written_at=now,
    )


def _longest_gap(rule: ReviewSchedule | IntervalReasoning) -> int:
    """The longest time between two dates, in whole days; a rule with one date only never comes again."""
    before = rule.starts_at - timedelta(microseconds=1)
    dates = dates_after(rule.rrule, starts_at=rule.starts_at, time_zone=rule.time_zone, after=before, count=MOST_DATES)
    return max((later - earlier for earlier, later in pairwise(dates)), default=timedelta.max).days
