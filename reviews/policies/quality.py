"""When the way somebody reviewed is worth a look. Thresholds with a version, and the arithmetic that needs no facts.

Nothing here judges a person. A signal says which number stands out, by which rule, and leaves the reading to people:
sixty approvals in four minutes are right where sixty equal accesses are needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import sqrt

VERSION = "2026.1"
# The two-sided 95 % quantile of the normal distribution.
_Z = 1.96


class Signal(StrEnum):
    APPROVED_ALL = "approved_all"
    FAST = "fast"
    SAME_REASON = "same_reason"
    NOTHING_OPENED = "nothing_opened"


WORDS = {
    Signal.APPROVED_ALL: "approved everything, also what the evidence spoke against",
    Signal.FAST: "answered one by one faster than a question can be read",
    Signal.SAME_REASON: "gave the same reason again and again",
    Signal.NOTHING_OPENED: "answered one by one without opening a question",
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """pause: longer than this nobody looked at one question. stretch: how many answers in a row a pace is taken of.

    few: with fewer answers (or reasons, or advice) nothing is said of a person. fastest: a stretch in less than this is
    worth a look. same_percent: the share of one text among the reasons. smallest_group: smaller ones are merged.
    """

    pause: timedelta = timedelta(minutes=10)
    stretch: int = 10
    few: int = 10
    fastest: timedelta = timedelta(seconds=30)
    same_percent: int = 80
    smallest_group: int = 5

    def to_json(self) -> dict[str, int | str]:
        return {
            "version": VERSION,
            "pause_seconds": int(self.pause.total_seconds()),
            "stretch_answers": self.stretch,
            "fewest": self.few,
            "fastest_stretch_seconds": int(self.fastest.total_seconds()),
            "same_reason_percent": self.same_percent,
            "smallest_group": self.smallest_group,
        }


THRESHOLDS = Thresholds()


def at_least_permille(count: int, of: int) -> int:
    """The lower end of Wilson's 95 % interval for a share (Wilson 1927), in thousandths: what the numbers can carry.

    10 of 10 carry 722, 2 of 2 only 342. Zero of nothing carries nothing.
    """
    if of <= 0:
        return 0
    share, z2 = count / of, _Z * _Z
    middle = share + z2 / (2 * of)
    spread = _Z * sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0, int((middle - spread) / (1 + z2 / of) * 1000))


def quantile(values: Sequence[int], percent: int) -> int | None:
    """The nearest-rank quantile: a value that was measured, None where nothing was."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]
