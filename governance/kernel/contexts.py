"""The contexts that represent all contexts in which one request can be made."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import product

from governance.kernel.conditions import (
    decidable,
    evaluate,
    parse_operator,
    representative_values,
    variables_in,
)
from governance.kernel.decisions import Depends, Rule
from governance.kernel.statements import Condition


@dataclass(frozen=True)
class Case:
    """The rules that concern one request, with the memberships that are open."""

    own: tuple[Rule, tuple[Depends, ...]]
    narrow_denies: tuple[tuple[Rule, tuple[Depends, ...]], ...]
    wide_allows: tuple[tuple[Rule, tuple[Depends, ...]], ...]
    wide_denies: tuple[tuple[Rule, tuple[Depends, ...]], ...]

    @cached_property
    def rules(self) -> tuple[tuple[Rule, tuple[Depends, ...]], ...]:
        return (self.own, *self.narrow_denies, *self.wide_allows, *self.wide_denies)


def likely_context(own: Rule, doubts: set[str]) -> dict[str, str]:
    """A context in which a rule probably holds: first values as written, one word for every policy variable."""
    context: dict[str, str] = {}
    for text in sorted(doubts) + [value for each in own.conditions for value in each.values]:
        context |= {name.lower(): "example" for name in variables_in(text)}
    for condition in sorted(own.conditions):
        operator = parse_operator(condition.operator)
        if operator is not None and not operator.negated and operator.sort != "null":
            value = condition.values[0]
            context[condition.key] = _filled(value)
    return context


def _filled(value: str) -> str:
    for name in variables_in(value):
        value = value.replace(f"${{{name}}}", "example")
    value = value.replace("*", "example").replace("?", "x")
    return value.partition("/")[0] if value[:1].isdigit() else value  # an address out of a network


@dataclass(frozen=True)
class Point:
    """One representative context: values of keys, a moment, and an assumption about everything opaque."""

    context: dict[str, str]
    at: datetime | None
    assumed: dict[object, bool]

    def violates(self, case: Case) -> bool:
        if not self.holds(*case.own) or any(self.holds(*deny) for deny in case.narrow_denies):
            return False
        if not any(self.holds(*allow) for allow in case.wide_allows):
            return True
        return any(self.holds(*deny) for deny in case.wide_denies)

    def holds(self, rule: Rule, doubts: tuple[Depends, ...]) -> bool:
        if rule.until is not None and self.at is not None and self.at >= rule.until:
            return False
        return all(self._condition(each) for each in rule.conditions) and all(self._member(each) for each in doubts)

    def _condition(self, condition: Condition) -> bool:
        if condition in self.assumed:
            return self.assumed[condition]
        return bool(evaluate(condition, self.context))

    def _member(self, doubt: Depends) -> bool:
        inside = doubt.certain or any(self.assumed[name] for name in doubt.includes)
        return inside and not any(self.assumed[name] for name in doubt.excludes)


class Space:
    """All representative contexts of one case."""

    def __init__(self, case: Case) -> None:
        conditions = {condition for rule, _ in case.rules for condition in rule.conditions}
        names = {name for _, doubts in case.rules for each in doubts for name in (*each.includes, *each.excludes)}
        self.values: dict[str, list[str | None]] = {}
        opaque: list[object] = [*sorted(names)]
        self.doubts = set(names)
        for key in sorted({condition.key for condition in conditions}):
            here = sorted(condition for condition in conditions if condition.key == key)
            plain = [condition for condition in here if decidable(condition)]
            found = representative_values(plain) if plain else None
            if found is not None:
                self.values[key] = found
            blind = [condition for condition in here if found is None or condition not in plain]
            opaque += blind
            self.doubts |= {f"the condition {condition.operator} on {condition.key}" for condition in blind}
        self.opaque = opaque
        ends = sorted({rule.until for rule, _ in case.rules if rule.until is not None})
        self.moments: list[datetime | None] = [ends[0] - timedelta(seconds=1), *ends] if ends else [None]

    @property
    def size(self) -> int:
        size = len(self.moments) * 2 ** min(len(self.opaque), 30)
        for values in self.values.values():
            size *= len(values)
        return size

    def points(self) -> Iterator[Point]:
        for moment in self.moments:
            for values in product(*self.values.values()):
                context = {key: value for key, value in zip(self.values, values, strict=True) if value is not None}
                for assumed in product((True, False), repeat=len(self.opaque)):
                    yield Point(context, moment, dict(zip(self.opaque, assumed, strict=True)))
