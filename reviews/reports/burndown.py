"""Open questions per day against the line to the deadline. Pure: counts and dates in, points out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

# Longer reviews are shown to the day, but not for ever.
MOST_DAYS = 400


@dataclass(frozen=True, slots=True)
class Point:
    """The end of one day. open: questions without an answer, None for days to come. planned: what the line allows."""

    day: date
    open: int | None
    planned: int


def burn_down(
    decided_on: Mapping[date, int], asked: int, *, first: date, today: date, deadline: date, ended: date | None = None
) -> list[Point]:
    """One point per day from the opening to the deadline, or to the end where that is later.

    decided_on: how many questions were answered on each day, as they stand now: one that was taken back and is open
    again counts as open all along. After `ended` nothing burns any more. The line falls evenly from all questions on
    the day of the opening to none on the day of the deadline.
    """
    last = max(deadline, ended or today, first)
    known_until = min(ended or today, last)
    length = max((deadline - first).days, 1)
    left, points = asked, []
    for number in range(min((last - first).days, MOST_DAYS) + 1):
        day = first + timedelta(days=number)
        left -= decided_on.get(day, 0)
        planned = max(0, asked - asked * number // length)
        points.append(Point(day, left if day <= known_until else None, planned))
    return points
