"""What would happen if only a target remained: proof or counter-example, the replay of observed use, what goes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from governance.kernel.permissions import (
    CounterExample,
    NotExpressible,
    PatternSet,
    Permission,
    Statement,
    Verdict,
    describe,
    difference_samples,
    includes,
    subtract,
)
from governance.kernel.rightsizing import replay
from reviews.evidence.observing import Observed
from reviews.evidence.pieces import joined, piece_of, single
from reviews.recommend import NOT_OBSERVABLE, Seen

MOST_REMOVED_SHOWN = 12


class TrialState(StrEnum):
    """PROVED alone may be decided. EMPTY and EQUAL are no narrowing: nothing, or everything, would remain."""

    PROVED = "proved"
    REFUTED = "refuted"
    NOT_PROVABLE = "not_provable"
    EMPTY = "empty"
    EQUAL = "equal"


@dataclass(frozen=True, slots=True)
class Replayed:
    """Observed calls against what would remain. refused: (action, resource, calls, last seen).

    unknown: distinct requests whose answer depends on what no log recorded. since: from when on use was watched, None
    where nothing watches. not_observable: sentences about what goes and could not have been seen in use.
    """

    calls: int
    refused_calls: int
    refused: Sequence[Seen]
    unknown: int
    not_observable: Sequence[str]
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome of one trial. text is a sentence; the rest is there as far as it makes sense in this state.

    example: a request that would be added, `example_words` in plain words. lines: (kept or removed, sentence).
    """

    state: TrialState
    text: str
    target: Permission
    example: CounterExample | None = None
    example_words: str = ""
    replayed: Replayed | None = None
    lines: Sequence[tuple[str, str]] = field(default_factory=tuple)

    @property
    def is_narrower(self) -> bool:
        return self.state is TrialState.PROVED


def try_target(held: Permission, target: Permission, observed: Observed, now: datetime) -> Trial:
    """Judge a target. Pure computation: asks no source, changes nothing."""
    verdict = includes(held, target)
    if isinstance(verdict, CounterExample):
        return Trial(TrialState.REFUTED, verdict.explain(), target, verdict, say(held.dialect, verdict))
    if not verdict.holds:
        return Trial(TrialState.NOT_PROVABLE, verdict.explain(), target)
    if target.is_empty or includes(Permission(target.dialect, ()), target).holds:
        return Trial(TrialState.EMPTY, "Nothing would remain. Choose “Revoke” to take everything away.", target)
    if includes(target, held).holds:
        return Trial(TrialState.EQUAL, "This is exactly what is held already. Untick what shall go.", target)
    return _narrower(held, target, verdict, observed, now)


def _narrower(held: Permission, target: Permission, verdict: Verdict, observed: Observed, now: datetime) -> Trial:
    return Trial(
        TrialState.PROVED,
        verdict.explain(),
        target,
        replayed=replay_target(held, target, observed, now),
        lines=difference(held, target),
    )


def say(dialect: str, example: CounterExample) -> str:
    """A request in plain words, such as "delete every row of table payments in database ledger, when …"."""
    asked = Statement(PatternSet((example.action,)), PatternSet((example.resource,)))
    [words] = describe(Permission(dialect, (asked,)))
    circumstances = [f"{key.rpartition(':')[2]} is {value or 'empty'}" for key, value in example.context.items()]
    if example.at:
        circumstances.append(f"it is {example.at:%-d %B %Y, %H:%M} UTC")
    return f"{words}, when {' and '.join(circumstances)}" if circumstances else words


def replay_target(held: Permission, target: Permission, observed: Observed, now: datetime) -> Replayed:
    """Which observed calls would have been refused, had only `target` been held; and which use nobody could see."""
    calls = {(use.action, use.resource): use for use in observed.uses}
    before = set(replay(calls, held).refused)
    relevant = [use for pair, use in calls.items() if pair not in before]
    after = replay([(use.action, use.resource) for use in relevant], target)
    refused = [calls[pair] for pair in after.refused]
    return Replayed(
        calls=sum(use.count for use in relevant),
        refused_calls=sum(use.count for use in refused),
        refused=refused,
        unknown=after.unknown,
        not_observable=_not_observable(held, target, observed, now),
        since=min((window.observed_from for window in observed.windows), default=None),
    )


def _not_observable(held: Permission, target: Permission, observed: Observed, now: datetime) -> list[str]:
    """Sentences about what goes and could not have been seen in use."""
    removed = Permission(held.dialect, tuple(_removed(held, target)))
    pieces = [piece_of(held.dialect, statement, observed, now) for statement in single(removed)]
    unseen = [piece.statement for piece in pieces if piece.use.state == NOT_OBSERVABLE]
    return describe(Permission(held.dialect, tuple(joined(unseen))))


def difference(held: Permission, target: Permission) -> list[tuple[str, str]]:
    """(kept or removed, sentence) in plain words. What no permission can say goes by example."""
    kept = [("kept", sentence) for sentence in describe(target)]
    try:
        removed = describe(Permission(held.dialect, tuple(_expressed(held, target))))
    except NotExpressible:
        removed = list(dict.fromkeys(say(held.dialect, each) for each in _examples(held, target)))
    return kept + [("removed", sentence) for sentence in removed]


def _removed(held: Permission, target: Permission) -> list[Statement]:
    """What goes, or examples of it, whatever the circumstances in which it goes."""
    try:
        return _expressed(held, target)
    except NotExpressible:
        named = [(PatternSet((each.action,)), PatternSet((each.resource,))) for each in _examples(held, target)]
        return [Statement(actions, resources) for actions, resources in dict.fromkeys(named)]


def _examples(held: Permission, target: Permission) -> list[CounterExample]:
    return difference_samples(held, target, limit=MOST_REMOVED_SHOWN)


def _expressed(held: Permission, target: Permission) -> list[Statement]:
    """What goes: the difference as far as it can be written, and every right that neither it nor what stays holds.

    The second part matters because taking the right to read out of a permission also takes the right to pass it on.
    Raises NotExpressible.
    """
    found = list(subtract(held, target).statements)
    named = Permission(held.dialect, (*target.statements, *found))
    if includes(named, held).holds:
        return found
    lost = [each for each in single(held) if not includes(named, Permission(held.dialect, (each,))).holds]
    return [*found, *joined(lost)]
