"""Use in three values: used, not seen while it was watched, not observable. Unknown is never unused.

The one place that judges use. Whoever keeps what logs showed hands it over as values of any class with these fields.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache, reduce
from typing import Generic, Protocol, TypeVar

from governance.kernel.algebra import union
from governance.kernel.decisions import Answer, matches
from governance.kernel.documents import Permission
from governance.kernel.errors import DomainError
from governance.kernel.inclusion import includes

# How many judgements are remembered: thousands of grants say the same and were watched by the same logs.
REMEMBERED = 8192


class UseState(StrEnum):
    USED = "used"
    UNUSED = "unused"
    NOT_OBSERVABLE = "not_observable"


@dataclass(frozen=True, slots=True)
class Window:
    """What one log could show, and when: patterns of actions and resources in the grant's dialect."""

    log: str
    observed_from: datetime
    observed_until: datetime
    actions: tuple[str, ...]
    resources: tuple[str, ...]


class Used(Protocol):
    """An action on a resource that a log showed."""

    @property
    def action(self) -> str: ...

    @property
    def resource(self) -> str: ...


class Counted(Used, Protocol):
    """The same, with how often and when last."""

    @property
    def last_seen_at(self) -> datetime: ...

    @property
    def count(self) -> int: ...


U = TypeVar("U", bound=Used)
C = TypeVar("C", bound=Counted)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Everything that some log could have shown, as a permission of one dialect, and the time that all logs cover."""

    shown: Permission | None
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Observation(Generic[C]):
    """What is known of the use of one permission. relevant: the uses that it may have allowed."""

    state: UseState
    relevant: Sequence[C]
    coverage: Coverage

    @property
    def last_seen_at(self) -> datetime | None:
        return max((use.last_seen_at for use in self.relevant), default=None)

    @property
    def calls(self) -> int:
        return sum(use.count for use in self.relevant)


def observe(permission: Permission, uses: Iterable[C], windows: tuple[Window, ...]) -> Observation[C]:
    """Whether this permission was used, was not while it was watched, or nobody can know."""
    relevant = use_within(permission, uses)
    coverage = coverage_of(permission.dialect, windows)
    return Observation(state_of(permission, relevant, coverage), relevant, coverage)


def use_within(permission: Permission, uses: Iterable[U]) -> list[U]:
    """Those uses that this permission may have allowed."""
    return [use for use in uses if matches(permission, use.action, use.resource) is not Answer.NO]


def state_of(permission: Permission, relevant: Sequence[Used], coverage: Coverage) -> UseState:
    """What is known of the use of a permission. relevant: its use, as `use_within` finds it."""
    if relevant:
        return UseState.USED
    if coverage.shown is None or not is_watched(permission, coverage.shown):
        return UseState.NOT_OBSERVABLE
    return UseState.UNUSED


@lru_cache(maxsize=REMEMBERED)
def coverage_of(dialect: str, windows: tuple[Window, ...]) -> Coverage:
    """What these windows show together. One whose patterns are not of the dialect shows nothing."""
    readable = [(window, shown) for window in windows if (shown := _as_permission(dialect, window)) is not None]
    return Coverage(
        shown=reduce(union, [shown for _, shown in readable]) if readable else None,
        since=max((window.observed_from for window, _ in readable), default=None),
        until=min((window.observed_until for window, _ in readable), default=None),
    )


def _as_permission(dialect: str, window: Window) -> Permission | None:
    statement = {"actions": list(window.actions), "resources": list(window.resources)}
    try:
        return Permission.from_json({"dialect": dialect, "statements": [statement]})
    except DomainError:
        return None


@lru_cache(maxsize=REMEMBERED)
def is_watched(permission: Permission, shown: Permission) -> bool:
    """Whether any use of the permission would have been seen."""
    return includes(shown, permission).holds
