"""Names that count on: files of a day, runs with a number. What was used yesterday is not what will be used tomorrow.

Literally narrowed, access to such things is refused at the next midnight. So names that differ only in numbers, dates
or hashes are taken as one series, and a series that still brought new names towards the end of what was watched as
one that goes on.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from governance.kernel import dialects
from governance.kernel.documents import Permission
from governance.kernel.inclusion import includes
from governance.kernel.statements import PatternSet, Statement

FEWEST_NAMES = 3
# A series goes on when this last share of the watched time still brought names that were new.
LATE_SHARE = 1 / 3
_COUNTED = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f]{4,})+|[0-9]+", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)[0-9]{2}(?:[0-9]{2}){0,2}")


class FirstUse(Protocol):
    """An action on a resource, and when a log first showed it; None where that is not known."""

    @property
    def action(self) -> str: ...

    @property
    def resource(self) -> str: ...

    @property
    def first_seen_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class Series:
    """Names of one shape that one action was used on. pattern: all of them, and those to come."""

    action: str
    pattern: str
    names: int


def growing(uses: Iterable[FirstUse], *, since: datetime, until: datetime) -> tuple[Series, ...]:
    """The series that go on, of use watched from `since` to `until`; without dates nothing is said to go on."""
    late = until - (until - since) * LATE_SHARE
    shapes: dict[tuple[str, str], dict[str, datetime]] = {}
    for use in uses:
        shape = _COUNTED.sub("#", use.resource)
        if shape != use.resource and use.first_seen_at is not None:
            shapes.setdefault((use.action, shape), {})[use.resource] = use.first_seen_at
    return tuple(
        Series(action, _pattern(list(names)), len(names))
        for (action, _), names in shapes.items()
        if len(names) >= FEWEST_NAMES and min(names.values()) < late <= max(names.values())
    )


def held_series(held: Permission, series: Sequence[Series]) -> Permission:
    """These series as a permission; without those that cannot be proved to be held as a whole."""
    dialect = dialects.get(held.dialect)
    kept = []
    for each in series:
        statement = Statement(PatternSet((each.action,)), PatternSet((each.pattern,)))
        if not dialect.resource_fault(each.pattern) and includes(held, Permission(held.dialect, (statement,))).holds:
            kept.append(statement)
    return Permission(held.dialect, tuple(kept))


def _pattern(names: list[str]) -> str:
    """What all names begin and end with, cut at the first number that varies or looks like a year."""
    runs = [list(_COUNTED.finditer(name)) for name in names]
    first = next(
        number
        for number, here in enumerate(zip(*runs, strict=True))
        if len({run.group() for run in here}) > 1 or _YEAR.fullmatch(here[0].group())
    )
    example = names[0]
    return f"{example[: runs[0][first].start()]}*{example[runs[0][-1].end() :]}"
