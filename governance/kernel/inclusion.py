"""Whether one permission lies inside another: a proof, a concrete counter-example, or neither.

The search goes by cases, never by automata over whole permissions: a statement that lies inside one statement of the
other side is done at once; what is left is decided on representative actions, then resources, then contexts. The
representatives are complete, so finding none that violates is a proof; where a limit stops them the answer is
`NotProvable`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from governance.kernel.contexts import Case, Space, likely_context
from governance.kernel.decisions import (
    Answer,
    CompiledSet,
    Depends,
    Membership,
    Program,
    Rule,
    compile_permission,
    matches,
)
from governance.kernel.documents import Permission, format_moment
from governance.kernel.patterns import Pattern, Representatives, representatives

MAX_CONTEXTS = 4_096
MAX_CASES = 60_000


@dataclass(frozen=True)
class Proof:
    """Every request that the narrow side permits is permitted by the wide side."""

    holds = True

    def explain(self) -> str:
        return "Everything that would remain is part of what is held today."


@dataclass(frozen=True)
class CounterExample:
    """A request that the narrow side permits and the wide side does not, checked with `matches`."""

    action: str
    resource: str
    context: dict[str, str] = field(default_factory=dict, hash=False)
    at: datetime | None = None
    holds = False

    def explain(self) -> str:
        where = ", ".join(f"{key} = {value}" for key, value in self.context.items())
        when = f" at {format_moment(self.at)}" if self.at else ""
        given = f" (with {where})" if where else ""
        return f"{self.action} on {self.resource}{given}{when} would be permitted, but is not permitted today."


@dataclass(frozen=True)
class NotProvable:
    """Neither proved nor refuted; to be treated as no."""

    reason: str
    holds = False

    def explain(self) -> str:
        return f"This cannot be proved: {self.reason}."


Verdict = Proof | CounterExample | NotProvable


def includes(wide: Permission, narrow: Permission) -> Verdict:
    """Whether `wide` permits everything that `narrow` permits. Sound always; exact for globs and literals."""
    if not compile_permission(narrow).allows:
        return Proof()
    if wide.dialect != narrow.dialect:
        return NotProvable(f"{narrow.dialect} and {wide.dialect} permissions cannot be compared")
    doubt: NotProvable | None = None
    for finding in _Search(wide, narrow).findings():
        if isinstance(finding, CounterExample):
            return finding
        doubt = doubt or finding
    return doubt or Proof()


def difference_samples(wide: Permission, narrow: Permission, limit: int = 100) -> list[CounterExample]:
    """Concrete requests that `wide` permits and `narrow` does not, at most `limit`; each is checked with `matches`."""
    if wide.dialect != narrow.dialect:
        return []
    sensible = compile_permission(wide).dialect.makes_sense
    found: dict[CounterExample, None] = {}
    for each in _Search(narrow, wide, every=True).findings():
        if isinstance(each, CounterExample) and sensible(each.action, each.resource):
            found[each] = None
            if len(found) >= limit:
                break
    return list(found)


class _Search:
    """One comparison; remembers what it has worked out about pairs of rules."""

    def __init__(self, wide: Permission, narrow: Permission, *, every: bool = False) -> None:
        self.wide_permission, self.narrow_permission = wide, narrow
        self.wide: Program = compile_permission(wide)
        self.narrow: Program = compile_permission(narrow)
        self.every = every
        self.cases = 0
        self._covered: dict[tuple[int, int], bool] = {}
        self._apart: dict[tuple[int, int], bool] = {}
        self._texts: dict[tuple[Pattern, tuple[int, ...]], Representatives] = {}
        self._settled: dict[object, NotProvable | None] = {}

    def findings(self) -> Iterator[CounterExample | NotProvable]:
        for own in self.narrow.allows:
            if not self._inside_one(own):
                yield from self._by_actions(own)
            if self.cases > MAX_CASES:
                yield NotProvable("the permissions have too many combinations to go through")
                return

    # One statement inside one statement

    def _covers(self, outer: CompiledSet, inner: CompiledSet) -> bool:
        key = (id(outer), id(inner))
        if key not in self._covered:
            self._covered[key] = outer.covers(inner)
        return self._covered[key]

    def _are_apart(self, left: CompiledSet, right: CompiledSet) -> bool:
        key = (id(left), id(right))
        if key not in self._apart:
            self._apart[key] = left.apart(right)
        return self._apart[key]

    def _inside_one(self, own: Rule) -> bool:
        return any(
            _no_stricter(wider, own)
            and self._covers(wider.actions, own.actions)
            and self._covers(wider.resources, own.resources)
            for wider in self.wide.allows
        ) and all(self._harmless(deny, own) for deny in self.wide.denies)

    def _harmless(self, deny: Rule, own: Rule) -> bool:
        """Whether a deny of the wide side takes nothing from this rule that the narrow side does not take too."""
        if self._are_apart(deny.actions, own.actions) or self._are_apart(deny.resources, own.resources):
            return True
        return any(
            _no_stricter(repeated, deny)
            and self._covers(repeated.actions, deny.actions)
            and self._covers(repeated.resources, deny.resources)
            for repeated in self.narrow.denies
        )

    # By representative actions

    def _by_actions(self, own: Rule) -> Iterator[CounterExample | NotProvable]:
        groups = (self.narrow.denies, self.wide.allows, self.wide.denies)
        near = [[rule for rule in rules if not self._are_apart(rule.actions, own.actions)] for rules in groups]
        others = [pattern for rules in near for rule in rules for pattern in rule.actions.patterns()]
        others += own.actions.patterns()
        seen: set[object] = set()
        spelling = {self.wide.dialect.fold_action(text): text for text in self._action_names()}
        for target in own.actions.targets():
            found = representatives(target, others, spelling)
            if not found.complete:
                yield NotProvable("the action patterns have too many combinations")
            for text in found.texts:
                member = own.actions.membership(text)
                if member is False:
                    continue
                concerned = [_concerned(rules, text, "actions") for rules in near]
                key = (member, *(tuple((id(rule), m) for rule, m in rules) for rules in concerned))
                if key in seen and not self.every:
                    continue
                seen.add(key)
                if not self._settled_by_resources(own, member, concerned):
                    yield from self._by_resources(own, spelling.get(text, text), member, concerned)

    def _action_names(self) -> list[str]:
        """Names to write witnesses with: as the permissions spell them, then well-known ones."""
        spelled = []
        for rule in (*self.narrow.allows, *self.wide.allows, *self.wide.denies):
            for text in rule.statement.actions.include + rule.statement.actions.exclude:
                pattern = self.wide.dialect.action(text).patterns
                if len(pattern) == 1 and pattern[0].is_literal:
                    spelled.append(text)
        samples = [pattern.sample() for rule in self.narrow.allows for pattern in rule.actions.patterns()]
        return [*samples, *self.wide.dialect.known_actions, *spelled]

    def _settled_by_resources(
        self, own: Rule, member: Membership, concerned: list[list[tuple[Rule, Membership]]]
    ) -> bool:
        """For this action: one wide rule holds all resources and no deny of the wide side comes near them."""
        _, allows, denies = concerned
        if any(not self._are_apart(deny.resources, own.resources) for deny, _ in denies):
            return False
        return any(
            held is True and _no_stricter(rule, own) and self._covers(rule.resources, own.resources)
            for rule, held in allows
        )

    # By representative resources

    def _by_resources(
        self, own: Rule, action: str, member: Membership, concerned: list[list[tuple[Rule, Membership]]]
    ) -> Iterator[CounterExample | NotProvable]:
        near = [
            [(rule, held) for rule, held in rules if not self._are_apart(rule.resources, own.resources)]
            for rules in concerned
        ]
        nearby = [own, *(rule for rules in near for rule, _ in rules)]
        for target in self._resource_targets(own):
            found = self._resources(target, nearby)
            if not found.complete:
                yield NotProvable("the resource patterns have too many combinations")
            for text in found.texts:
                self.cases += 1
                if self.cases > MAX_CASES:
                    return
                at_home = own.resources.membership(text)
                if at_home is False:
                    continue
                sides = [_both(rules, text) for rules in near]
                case = Case((own, _open(member, at_home)), sides[0], sides[1], sides[2])
                finding = self._decide(case, action, text)
                if finding is not None:
                    yield finding

    def _resource_targets(self, own: Rule) -> list[Pattern]:
        """For samples, a named object is enough: nobody wants the invented columns of a named table as well."""
        if not self.every:
            return own.resources.targets()
        languages = own.resources.include.languages
        return [
            pattern
            for each in languages
            for pattern in (each.patterns[:1] if each.patterns and each.patterns[0].is_literal else each.patterns)
        ]

    def _resources(self, target: Pattern, nearby: list[Rule]) -> Representatives:
        key = (target, tuple(id(rule.resources) for rule in nearby))
        if key not in self._texts:
            patterns = [pattern for rule in nearby for pattern in rule.resources.patterns()]
            seeds = [*self.wide.dialect.known_resources, target.sample()]
            self._texts[key] = representatives(target, patterns, seeds)
        return self._texts[key]

    # By representative contexts

    def _decide(self, case: Case, action: str, resource: str) -> CounterExample | NotProvable | None:
        if _obviously_fine(case):
            return None
        if not self.every and case in self._settled:
            return self._settled[case]
        finding = self._by_contexts(case, action, resource)
        if not isinstance(finding, CounterExample):
            self._settled[case] = finding
        return finding

    def _by_contexts(self, case: Case, action: str, resource: str) -> CounterExample | NotProvable | None:
        space = Space(case)
        if space.size > MAX_CONTEXTS:
            return NotProvable("the conditions have too many combinations")
        violated = False
        for point in space.points():
            if not point.violates(case):
                continue
            violated = True
            example = CounterExample(action, resource, point.context, point.at)
            if self._is_real(example):
                return example
        if not violated:
            return None
        likely = CounterExample(action, resource, likely_context(case.own[0], space.doubts), space.moments[0])
        if self._is_real(likely):
            return likely
        doubts = sorted(space.doubts)
        if not doubts:
            return NotProvable("the counter-example could not be confirmed")
        return NotProvable(f"it depends on what {', '.join(doubts[:3])} means, which cannot be worked out here")

    def _is_real(self, example: CounterExample) -> bool:
        request = (example.action, example.resource, example.context, example.at)
        return (
            matches(self.narrow_permission, *request) is Answer.YES
            and matches(self.wide_permission, *request) is Answer.NO
        )


def _no_stricter(wider: Rule, narrower: Rule) -> bool:
    """Whether the first holds whenever the second does: a subset of its conditions, ending no earlier."""
    if wider.until is not None and (narrower.until is None or narrower.until > wider.until):
        return False
    return wider.conditions <= narrower.conditions


def _concerned(rules: list[Rule], text: str, which: str) -> list[tuple[Rule, Membership]]:
    found = []
    for rule in rules:
        member = getattr(rule, which).membership(text)
        if member is not False:
            found.append((rule, member))
    return found


def _open(*memberships: Membership) -> tuple[Depends, ...]:
    return tuple(each for each in memberships if isinstance(each, Depends))


def _both(rules: list[tuple[Rule, Membership]], text: str) -> tuple[tuple[Rule, tuple[Depends, ...]], ...]:
    found = []
    for rule, held in rules:
        member = rule.resources.membership(text)
        if member is not False:
            found.append((rule, _open(held, member)))
    return tuple(found)


def _obviously_fine(case: Case) -> bool:
    own, own_open = case.own
    if any(rule.is_plain and not doubts for rule, doubts in case.narrow_denies):
        return True
    if not any(set(doubts) <= set(own_open) and _no_stricter(rule, own) for rule, doubts in case.wide_allows):
        return False
    return all(
        any(set(others) <= set(doubts) and _no_stricter(repeated, deny) for repeated, others in case.narrow_denies)
        for deny, doubts in case.wide_denies
    )
