"""Use of what an identity holds, in the three values of the inventory, brought down to a share and a yes or no.

Judged are the *parts* that are privileged or write: pairs of an action and a resource pattern. A part is unused only
where a log would have shown its use, for long enough; parts that no log shows count neither way.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from governance.kernel import dialects
from governance.kernel.dialects import Language
from governance.kernel.algebra import effective
from governance.kernel.errors import DomainError
from governance.kernel.observing import Window, coverage_of, is_watched, use_within
from governance.kernel.permissions import PatternSet, Permission, Statement
from governance.kernel.privileges import classes_of
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
    """The privileged and writing parts of one permission. watched: those that these logs would show, each as the actions
    and the resources that it is about; None for the permission itself, where it has too many parts to look at.
    """

    total: int
    watched: tuple[tuple[Language, Language] | None, ...]


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
        return Parts(0, ())
    shown = coverage_of(permission.dialect, windows).shown
    spoken = dialects.get(permission.dialect)
    pairs = dict.fromkeys(
        (action, resource)
        for each in effective(permission).statements
        if each.effect == "allow"
        for resource in each.resources.include
        for written in each.actions.include
        for action in _named(spoken, written)
        if spoken.makes_sense(action, resource)
        and not spoken.no_such_action(action)
        and not spoken.classes(action, resource) <= HARMLESS
    )
    if len(pairs) > MOST_PARTS:
        is_shown = shown is not None and is_watched(permission, shown)
        return Parts(1, (None,) if is_shown else ())
    watched = [pair for pair in pairs if shown is not None and _is_shown(shown, pair)]
    return Parts(len(pairs), tuple((spoken.action(action), spoken.resource(resource)) for action, resource in watched))


def _named(spoken: dialects.Dialect, action: str) -> tuple[str, ...]:
    """A pattern of actions, and the known ones among them: a wildcard is not used as a whole because one of it was."""
    language = spoken.action(action)
    if not language.opaque and all(pattern.is_literal for pattern in language.patterns):
        return spoken.spell_out(action)
    known = (name for name in spoken.known_actions if language.may_contain(spoken.fold_action(name)))
    return tuple(dict.fromkeys((*spoken.spell_out(action), *known)))


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
    spoken = dialects.get(permission.dialect)
    seen = [(spoken.fold_action(use.action), spoken.fold_resource(use.resource)) for use in uses]
    idle = 0
    for part in parts.watched:
        if part is None:
            idle += not use_within(permission, uses)
            continue
        names, places = part
        idle += not any(names.may_contain(action) and places.may_contain(place) for action, place in seen)
    return idle
