"""What would happen if only a target remained: proof or counter-example, the replay of observed use, what goes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from governance.kernel.limits import limits_of
from governance.kernel.permissions import (
    Condition,
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
from governance.kernel.wording import condition_words
from reviews.evidence.observing import Observed
from reviews.evidence.pieces import joined, pieces_with_use, single
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
        without = replay_target(held, target, observed, now)
        text = "Nothing would remain. Choose “Revoke” to take everything away."
        return Trial(TrialState.EMPTY, text, target, replayed=without)
    if includes(target, held).holds:
        return Trial(TrialState.EQUAL, "This is exactly what is held already. Untick what shall go.", target)
    return _narrower(held, target, verdict, observed, now)


def _narrower(held: Permission, target: Permission, verdict: Verdict, observed: Observed, now: datetime) -> Trial:
    gone = _gone(held, target)
    return Trial(
        TrialState.PROVED,
        verdict.explain(),
        target,
        replayed=_replayed(held, target, gone, observed, now),
        lines=_difference(target, gone),
    )


def say(dialect: str, example: CounterExample) -> str:
    """A request in plain words, such as "delete every row of table payments in database ledger, when …"."""
    asked = Statement(PatternSet((example.action,)), PatternSet((example.resource,)))
    [words] = describe(Permission(dialect, (asked,)))
    known = {key.lower(): plain for key, plain in limits_of(dialect).keys}
    circumstances = [
        f"the {known.get(key.lower(), key.rpartition(':')[2])} is {value or 'empty'}"
        for key, value in example.context.items()
    ]
    if example.at:
        circumstances.append(f"it is {example.at:%-d %B %Y, %H:%M} UTC")
    return f"{words}, when {' and '.join(circumstances)}" if circumstances else words


def replay_target(held: Permission, target: Permission, observed: Observed, now: datetime) -> Replayed:
    """Which observed calls would have been refused, had only `target` been held; and which use nobody could see."""
    return _replayed(held, target, _gone(held, target), observed, now)


def _replayed(held: Permission, target: Permission, gone: "_Gone", observed: Observed, now: datetime) -> Replayed:
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
        not_observable=_not_observable(gone, observed, now),
        since=min((window.observed_from for window in observed.windows), default=None),
    )


def _not_observable(gone: "_Gone", observed: Observed, now: datetime) -> list[str]:
    """Sentences about what goes and could not have been seen in use."""
    pieces = pieces_with_use(gone.permission.dialect, single(gone.permission), observed, now)
    unseen = [piece.statement for piece in pieces if piece.use.state == NOT_OBSERVABLE]
    return [*describe(Permission(gone.permission.dialect, tuple(joined(unseen)))), *gone.circumstances]


def difference(held: Permission, target: Permission) -> list[tuple[str, str]]:
    """(kept or removed, sentence) in plain words. What no permission can say goes by example."""
    return _difference(target, _gone(held, target))


def _difference(target: Permission, gone: "_Gone") -> list[tuple[str, str]]:
    removed = [*(gone.examples or describe(gone.permission)), *gone.circumstances]
    return [("kept", sentence) for sentence in describe(target)] + [("removed", sentence) for sentence in removed]


@dataclass(frozen=True, slots=True)
class _Gone:
    """What goes. circumstances: sentences about when what remains does not hold; examples: sentences for all of it."""

    permission: Permission
    circumstances: Sequence[str] = ()
    examples: Sequence[str] = ()


def _gone(held: Permission, target: Permission) -> _Gone:
    added = _added_conditions(held, target)
    bare = _without(target, added)
    try:
        if not added:
            return _Gone(Permission(held.dialect, tuple(_expressed(held, target))))
        if includes(held, bare).holds:
            when = [f"all of what remains, unless {condition_words(each)}" for each in added]
            return _Gone(Permission(held.dialect, tuple(_expressed(held, bare))), when)
    except NotExpressible:
        pass
    samples = difference_samples(held, target, limit=MOST_REMOVED_SHOWN)
    named = dict.fromkeys((PatternSet((each.action,)), PatternSet((each.resource,))) for each in samples)
    return _Gone(
        Permission(held.dialect, tuple(Statement(*each) for each in named)),
        examples=list(dict.fromkeys(say(held.dialect, each) for each in samples)),
    )


def _added_conditions(held: Permission, target: Permission) -> list[Condition]:
    """Conditions that every allowing statement of the target has and no statement of what is held."""
    known = {condition for statement in held.statements for condition in statement.conditions}
    allows = [each for each in target.statements if each.effect == "allow"]
    common = dict.fromkeys(allows[0].conditions) if allows else {}
    return [each for each in common if each not in known and all(each in other.conditions for other in allows)]


def _without(permission: Permission, conditions: Sequence[Condition]) -> Permission:
    statements = [
        replace(each, conditions=tuple(one for one in each.conditions if one not in conditions))
        for each in permission.statements
    ]
    return Permission(permission.dialect, tuple(statements))


def _expressed(held: Permission, target: Permission) -> list[Statement]:
    """What goes: the difference as far as it can be written, and every right that neither it nor what stays holds.

    The second part matters because taking the right to read out of a permission also takes the right to pass it on.
    Raises NotExpressible.
    """
    found = list(subtract(held, target).statements)
    named = Permission(held.dialect, (*target.statements, *found))
    # Most rights stand there word by word; only the others are worth a proof.
    words = {*single(target), *single(Permission(held.dialect, tuple(found)))}
    doubtful = [each for each in single(held) if each not in words]
    lost = [each for each in doubtful if not includes(named, Permission(held.dialect, (each,))).holds]
    return [*found, *joined(lost)]
