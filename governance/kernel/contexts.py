"""The contexts that represent all contexts in which one request can be made."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import product

from governance.kernel import variables
from governance.kernel.atoms import Atom, Known, atom_implies, atom_of
from governance.kernel.conditions import decidable, evaluate, parse_operator, values_of
from governance.kernel.decisions import Rule
from governance.kernel.dialects import Dialect
from governance.kernel.ranges import Value, representative_values
from governance.kernel.sets import Depends
from governance.kernel.statements import Condition

Held = tuple[Rule, tuple[Depends, ...]]
"""A rule that concerns a request, with the memberships that are open."""


@dataclass(frozen=True)
class Case:
    """The rules that concern one request. ceilings: of each further limit on the narrow side, the rules that allow."""

    own: Held
    narrow_denies: tuple[Held, ...]
    wide_allows: tuple[Held, ...]
    wide_denies: tuple[Held, ...]
    ceilings: tuple[tuple[Held, ...], ...] = ()

    @cached_property
    def rules(self) -> tuple[Held, ...]:
        limits = [held for ceiling in self.ceilings for held in ceiling]
        return (self.own, *self.narrow_denies, *self.wide_allows, *self.wide_denies, *limits)


def likely_context(rules: Iterable[Rule], doubts: Iterable[str] = ()) -> Known:
    """A context in which rules probably hold: first values as written, one word for every policy variable."""
    listed = list(rules)
    conditions = sorted({each for rule in listed for each in rule.conditions})
    context: Known = {}
    for text in [*sorted(doubts), *(value for each in conditions for value in each.values)]:
        context |= dict.fromkeys(variables.variables_in(text), "example")
    for condition in conditions:
        operator = parse_operator(condition.operator)
        if operator is None or operator.negated or operator.sort == "null" or not condition.values:
            continue
        context.setdefault(condition.key, _filled(condition.values[0], operator.sort))
        if evaluate(condition, context) is not True:
            values = representative_values((condition,)) if decidable(condition) else None
            fitting = [each for each in values or [] if each is not None and _holds(condition, each)]
            if fitting:
                context[condition.key] = _plain(fitting[0])
    return context


def _holds(condition: Condition, value: Value) -> bool:
    return value is not None and evaluate(condition, {condition.key: _plain(value)}) is True


def _plain(value: str | tuple[str, ...]) -> str | list[str]:
    return value if isinstance(value, str) else list(value)


def _filled(value: str, sort: str) -> str:
    if sort == "ip":
        return value.partition("/")[0]
    if sort != "text":
        return value
    return variables.bound(value).sample() if any(char in value for char in "*?$") else value


@dataclass(frozen=True)
class Point:
    """One representative context: values of keys, a moment, and an assumption about everything opaque."""

    context: Known
    missing: frozenset[str]
    at: datetime | None
    assumed: dict[object, bool]

    def violates(self, case: Case) -> bool:
        if not self.holds(*case.own) or any(self.holds(*deny) for deny in case.narrow_denies):
            return False
        if not all(any(self.holds(*allow) for allow in ceiling) for ceiling in case.ceilings):
            return False
        if not any(self.holds(*allow) for allow in case.wide_allows):
            return True
        return any(self.holds(*deny) for deny in case.wide_denies)

    def holds(self, rule: Rule, doubts: tuple[Depends, ...]) -> bool:
        if rule.until is not None and self.at is not None and self.at >= rule.until:
            return False
        denies = rule.statement.effect == "deny"
        return all(self._condition(each, denies) for each in rule.conditions) and all(map(self._member, doubts))

    def _condition(self, condition: Condition, denies: bool) -> bool:
        """Whether it is fulfilled; where the answer is left open, an allow does not count and a deny does."""
        if condition in self.assumed:
            return self.assumed[condition]
        if condition.key not in self.missing:
            atom = atom_of(condition)
            if atom is not None and atom[0] in self.assumed:
                return self.assumed[atom[0]] == atom[1]
        found = evaluate(condition, self.context)
        return denies if found is None else found

    def _member(self, doubt: Depends) -> bool:
        inside = doubt.certain or any(self.assumed[name] for name in doubt.includes)
        return inside and not any(self.assumed[name] for name in doubt.excludes)


@dataclass
class _Axes:
    """What is gone through.

    values: of each key. opaque: what is assumed either way (names, conditions of unknown operators, atoms), with words
    for it. free: keys of which only atoms speak, so that any value will do.
    """

    values: dict[str, list[Value]] = field(default_factory=dict)
    opaque: dict[object, str] = field(default_factory=dict)
    free: set[str] = field(default_factory=set)


class Space:
    """All representative contexts of one case."""

    def __init__(self, case: Case, dialect: Dialect) -> None:
        conditions = {condition for rule, _ in case.rules for condition in rule.conditions}
        names = {name for _, doubts in case.rules for each in doubts for name in (*each.includes, *each.excludes)}
        self._dialect = dialect
        self._axes = _Axes(opaque={name: name for name in sorted(names)})
        for key in sorted({condition.key for condition in conditions}):
            self._add(key, sorted(condition for condition in conditions if condition.key == key))
        self.doubts = set(self._axes.opaque.values())
        self.opaque = list(self._axes.opaque)
        self._implied = self._implications()
        ends = sorted({rule.until for rule, _ in case.rules if rule.until is not None})
        self.moments: list[datetime | None] = [ends[0] - timedelta(seconds=1), *ends] if ends else [None]

    def _add(self, key: str, conditions: list[Condition]) -> None:
        plain = [each for each in conditions if decidable(each)]
        found = representative_values(plain) if plain else None
        for each in conditions:
            if found is not None and each in plain:
                continue
            atom = atom_of(each)
            opaque: object = each if atom is None else atom[0]
            self._axes.opaque[opaque] = f"the condition {each.operator} on {each.key}"
        if found is not None:
            self._axes.values[key] = found
        elif any(parse_operator(each.operator) for each in conditions):
            self._axes.values[key] = ["example", None]
            self._axes.free.add(key)

    def _implications(self) -> list[tuple[int, int]]:
        """Pairs of opaque things of which the first never holds without the second."""
        return [
            (i, j)
            for i, first in enumerate(self.opaque)
            for j, second in enumerate(self.opaque)
            if i != j and self._implies(first, second)
        ]

    def _implies(self, first: object, second: object) -> bool:
        if isinstance(first, Atom) and isinstance(second, Atom):
            return atom_implies(first, second)
        if isinstance(first, str) and isinstance(second, str):
            return self._dialect.implies(first, second)
        return False

    @property
    def size(self) -> int:
        size = len(self.moments) * 2 ** min(len(self.opaque), 30)
        for values in self._axes.values.values():
            size *= len(values)
        return size

    def points(self) -> Iterator[Point]:
        keys = list(self._axes.values)
        for moment in self.moments:
            for values in product(*self._axes.values.values()):
                pairs = list(zip(keys, values, strict=True))
                context: Known = {key: _plain(value) for key, value in pairs if value is not None}
                missing = frozenset(key for key, value in pairs if value is None)
                for assumed in self._assumptions():
                    yield Point(context, missing, moment, assumed)

    def _assumptions(self) -> Iterator[dict[object, bool]]:
        for assumed in product((True, False), repeat=len(self.opaque)):
            if all(assumed[j] for i, j in self._implied if assumed[i]):
                yield dict(zip(self.opaque, assumed, strict=True))

    def concrete(self, point: Point, action: str, resource: str) -> Known:
        """The point's context with values for what it only assumes to hold, as far as such values are found."""
        context: Known = dict(point.context)
        for opaque, holds in point.assumed.items():
            known = {name.lower(): value for name, value in context.items() if isinstance(value, str)}
            if isinstance(opaque, str) and holds:
                context |= self._dialect.solve(opaque, action, resource, known) or {}
            elif isinstance(opaque, Atom) and opaque.key not in point.missing and holds != opaque.negated:
                context |= _solved(opaque, known, is_free=opaque.key in self._axes.free)
        for opaque in point.assumed:
            # What must not hold is compared with values that nothing else has.
            named = variables.variables_in("".join(opaque.values)) if isinstance(opaque, Atom) else []
            context |= {name: "other" for name in named if values_of(context, name) is None}
        return context


def _solved(atom: Atom, known: dict[str, str], *, is_free: bool) -> Known:
    """Values with which an atom holds: of the variables, or of the key itself where nothing else speaks of it."""
    value = known.get(atom.key)
    for wanted in atom.values:
        if not is_free and value is not None:
            found = variables.solved(wanted, value, known, wild=atom.operator.is_wild)
            if found is not None:
                return dict(found)
    for wanted in atom.values:
        named = dict.fromkeys(variables.variables_in(wanted), "example")
        values = {**named, **known}
        filled = variables.filled(wanted, values.get, wild=atom.operator.is_wild)
        if filled is not None:
            return {**{name: values[name] for name in named}, atom.key: filled.sample()}
    return {}
