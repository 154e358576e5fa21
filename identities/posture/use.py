"""Use of what an identity holds, in the three values of the inventory, brought down to a share and a yes or no.

Judged are the *parts* that are privileged or write: pairs of an action and a resource pattern. A part is unused only
where a log would have shown its use, for long enough; parts that no log shows count neither way.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from governance.kernel import dialects
from governance.kernel.algebra import effective
from governance.kernel.errors import DomainError
from governance.kernel.observing import Window, coverage_of, is_watched, use_within
from governance.kernel.permissions import PatternSet, Permission, Statement
from governance.kernel.privileges import classes_of
from governance.kernel.rightsizing import unused
from identities.posture.facts import Missing
from identities.selectors.use import MOST_PARTS, is_brief

HARMLESS = frozenset({"read"})
# Where more than this share of the parts is shown by no log, the rest says nothing about the whole.
MOST_UNSEEN = 0.5
REMEMBERED = 20_000

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """One use that a log showed."""

    action: str
    resource: str


@dataclass(frozen=True, slots=True)
class Parts:
    """The privileged and writing parts of one permission. watched: those that these logs would show.

    whole: the permission itself where it has too many parts to look at one by one; it then counts as one.
    """

    total: int
    watched: frozenset[Pair]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """unused_share: of the watched parts, 0 to 1. has_excess: whether any of them is unused."""

    unused_share: float | Missing
    has_excess: bool | Missing


def observe(
    permissions: Mapping[bytes, Permission | None], uses: Sequence[Seen], windows: tuple[Window, ...]
) -> Observed:
    """What is known of the use of these permissions, by digest; None for one that nobody can read."""
    total = watched = idle = 0
    for digest, permission in permissions.items():
        if permission is None:
            total += 1  # it may be privileged, and nobody can tell
            continue
        parts = parts_of(digest, permission, windows)
        total += parts.total
        watched += len(parts.watched)
        idle += _idle(permission, parts, uses) if parts.watched else 0
    if not total:
        return Observed(0.0, has_excess=False)
    reason = _why_unknown(total, watched, windows)
    if reason:
        return Observed(Missing(reason), Missing(reason))
    return Observed(idle / watched, has_excess=idle > 0)


def _why_unknown(total: int, watched: int, windows: tuple[Window, ...]) -> str:
    if not windows:
        return "no_log"
    if watched < total * (1 - MOST_UNSEEN):
        return "not_watched"
    since, until = watched_time(windows)
    return "brief" if is_brief(since, until) else ""


def watched_time(windows: Iterable[Window]) -> tuple[datetime | None, datetime | None]:
    """The time that all of these logs cover."""
    listed = list(windows)
    since = max((window.observed_from for window in listed), default=None)
    return since, min((window.observed_until for window in listed), default=None)


_Shown = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
_parts: OrderedDict[tuple[bytes, _Shown], Parts] = OrderedDict()


def parts_of(digest: bytes, permission: Permission, windows: tuple[Window, ...]) -> Parts:
    """Remembered: thousands hold the same permission and are watched by the same logs."""
    # What a log can show does not depend on how far it reaches back.
    key = digest, tuple((each.actions, each.resources) for each in windows)
    known = _parts.get(key)
    if known is None:
        known = _parts[key] = _split(permission, windows)
        if len(_parts) > REMEMBERED:
            _parts.popitem(last=False)
    return known


def _split(permission: Permission, windows: tuple[Window, ...]) -> Parts:
    if classes_of(permission) <= HARMLESS:
        return Parts(0, frozenset())
    shown = coverage_of(permission.dialect, windows).shown
    allowing = [each for each in effective(permission).statements if each.effect == "allow"]
    if sum(len(each.actions.include) * len(each.resources.include) for each in allowing) > MOST_PARTS:
        is_shown = shown is not None and is_watched(permission, shown)
        return Parts(1, frozenset({("*", "*")}) if is_shown else frozenset(), whole=True)
    spoken = dialects.get(permission.dialect)
    pairs = {
        (action, resource)
        for each in allowing
        for action in each.actions.include
        for resource in each.resources.include
        if spoken.makes_sense(action, resource)
        and not spoken.no_such_action(action)
        and not spoken.classes(action, resource) <= HARMLESS
    }
    watched = {pair for pair in pairs if shown is not None and _is_shown(shown, pair)}
    return Parts(len(pairs), frozenset(watched))


def _is_shown(shown: Permission, pair: Pair) -> bool:
    action, resource = pair
    try:
        part = Permission(shown.dialect, (Statement(PatternSet((action,)), PatternSet((resource,))),))
        return is_watched(part, shown)
    except DomainError:
        return False


def _idle(permission: Permission, parts: Parts, uses: Sequence[Seen]) -> int:
    """How many of the watched parts no use falls into."""
    if not uses:
        return len(parts.watched)
    if parts.whole:
        return int(not use_within(permission, uses))
    return len(parts.watched & set(unused(permission, [(use.action, use.resource) for use in uses])))
