"""Whether one permission lies inside another: a proof, a concrete counter-example, or neither.

The search goes by cases, never by automata over whole permissions: a statement that lies inside one statement of the
other side is done at once; what is left is decided on representative actions, then resources, then contexts. The
representatives are complete, so finding none that violates is a proof; where a limit stops them the answer is
`NotProvable`.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property
from itertools import islice

from governance.kernel.atoms import implies
from governance.kernel.contexts import Case, Held, Space, likely_context
from governance.kernel.decisions import Answer, Program, Rule, compile_permission
from governance.kernel.documents import Permission
from governance.kernel.effective import Effective, parts_of, permits
from governance.kernel.patterns import Pattern, Representatives, exact, representatives
from governance.kernel.sets import CompiledSet, Depends, Membership
from governance.kernel.verdicts import CounterExample, NotProvable, Proof, Verdict

MAX_CONTEXTS = 4_096
MAX_CASES = 60_000
MAX_TRIES = 24
"""How many likely requests are tried on a statement before everything is gone through."""


Compared = Permission | Effective


def includes(wide: Compared, narrow: Compared) -> Verdict:
    """Whether `wide` permits everything that `narrow` permits. Sound always; exact for globs and literals.

    Either side may stand under ceilings (`Effective`): what counts is what gets through all of them.
    """
    if not compile_permission(parts_of(narrow)[0]).allows:
        return Proof()
    if wide.dialect != narrow.dialect:
        return NotProvable(f"{narrow.dialect} and {wide.dialect} permissions cannot be compared")
    doubt: NotProvable | None = None
    limits = parts_of(narrow)
    for part in parts_of(wide):
        if part in limits:
            continue
        for finding in _Search(part, narrow).findings():
            if isinstance(finding, CounterExample):
                return finding
            doubt = doubt or finding
    return doubt or Proof()


def difference_samples(wide: Compared, narrow: Compared, limit: int = 100) -> list[CounterExample]:
    """Concrete requests that `wide` permits and `narrow` does not, at most `limit`; each is checked with `matches`."""
    if wide.dialect != narrow.dialect:
        return []
    sensible = compile_permission(parts_of(wide)[0]).dialect.makes_sense
    found: dict[CounterExample, None] = {}
    for part in parts_of(narrow):
        for each in _Search(part, wide, every=True).findings():
            if isinstance(each, CounterExample) and sensible(each.action, each.resource):
                found[each] = None
                if len(found) >= limit:
                    return list(found)
    return list(found)


class _Search:
    """One comparison; remembers what it has worked out about pairs of rules."""

    def __init__(self, wide: Permission, narrow: Compared, *, every: bool = False) -> None:
        self.wide_permission, self.narrow_held = wide, narrow
        self.wide: Program = compile_permission(wide)
        self.narrow, *self.ceilings = (compile_permission(part) for part in parts_of(narrow))
        self.narrow_denies = [deny for program in (self.narrow, *self.ceilings) for deny in program.denies]
        self.every = every
        self.cases = 0
        self._covered: dict[tuple[int, int], bool] = {}
        self._apart: dict[tuple[int, int], bool] = {}
        self._repeated: dict[int, bool] = {}
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
        if outer is inner:
            return True
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
        if own not in self.wide.allows and not any(self._holds_all_of(own, each) for each in self._nearest(own)):
            return False
        return all(self._harmless(deny, own) for deny in self.wide.denies)

    def _nearest(self, own: Rule) -> list[Rule]:
        """The rules of the wide side, those first that share actions or resources: a narrowing keeps one of them."""
        return sorted(
            self.wide.allows, key=lambda each: each.actions is not own.actions and each.resources is not own.resources
        )

    def _holds_all_of(self, own: Rule, wider: Rule) -> bool:
        return (
            self._covers(wider.actions, own.actions)
            and self._covers(wider.resources, own.resources)
            and _no_stricter(wider, own)
        )

    def _harmless(self, deny: Rule, own: Rule) -> bool:
        """Whether a deny of the wide side takes nothing from this rule that the narrow side does not take too."""
        if id(deny) not in self._repeated:
            self._repeated[id(deny)] = deny in self.narrow_denies or any(
                self._holds_all_of(deny, repeated) for repeated in self.narrow_denies
            )
        if self._repeated[id(deny)]:
            return True
        return self._are_apart(deny.actions, own.actions) or self._are_apart(deny.resources, own.resources)

    # By representative actions

    def _by_actions(self, own: Rule) -> Iterator[CounterExample | NotProvable]:
        groups = (self.narrow_denies, self.wide.allows, self.wide.denies, *(each.allows for each in self.ceilings))
        near = [[rule for rule in rules if not self._are_apart(rule.actions, own.actions)] for rules in groups]
        if not self.every:
            likely = self._likely(own, near)
            if likely is not None:
                yield likely
                return
        seen: set[object] = set()
        spelling: dict[str, str] | None = None
        sets = [own.actions, *(rule.actions for rules in near for rule in rules)]
        for target in own.actions.targets():
            if not target.is_literal and spelling is None:
                spelling = {self.wide.dialect.fold_action(text): text for text in self._action_names()}
            others = [] if target.is_literal else _patterns_near(sets, target)
            found = representatives(target, others, spelling or ())
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
                    yield from self._by_resources(own, self._spelled(own, text, spelling), member, concerned)

    def _likely(self, own: Rule, near: list[list[Rule]]) -> CounterExample | None:
        """A counter-example among the requests that the rule names itself or most plainly stands for, if there is one.

        Most refutations are found here, before the many ways are counted in which patterns overlap.
        """
        places = own.resources.targets()
        seen: set[object] = set()
        tries = 0
        for target in own.actions.targets():
            text = target.sample()
            member = own.actions.membership(text)
            if member is False:
                continue
            concerned = [_concerned(rules, text, "actions") for rules in near]
            key = tuple(id(rule) for rule, _ in concerned[1])
            if key in seen or self._settled_by_resources(own, member, concerned):
                continue
            seen.add(key)
            for place in self._likely_places(places, [rule for rule, _ in concerned[1] if _no_stricter(rule, own)]):
                tries += 1
                finding = self._try(own, self._spelled(own, text, None), place)
                if finding is not None or tries >= MAX_TRIES:
                    return finding
        return None

    def _likely_places(self, places: list[Pattern], allows: list[Rule]) -> Iterator[str]:
        """Resources that no single pattern of these rules holds, else just the first; by two names each.

        allows: those that hold whenever the rule does.
        """
        if len(places) > 1:
            outside = (each for each in places if not any(rule.resources.include.has_all_of(each) for rule in allows))
            places = list(islice(outside, 3)) or places[:1]
        for place in places:
            yield place.sample()
            if not place.is_literal:
                yield place.sample("other")

    def _try(self, own: Rule, action: str, resource: str) -> CounterExample | None:
        at_home = own.resources.membership(resource)
        if at_home is False:
            return None
        context = likely_context([own])
        for name in (each for doubt in _open(at_home) for each in doubt.includes):
            context |= self.wide.dialect.solve(name, action, resource, {}) or {}
        example = CounterExample(action, resource, context, self._some_moment)
        return example if self._is_real(example) else None

    @cached_property
    def _some_moment(self) -> datetime | None:
        """A moment before anything ends, where something does."""
        rules = (*self.narrow.allows, *self.narrow_denies, *self.wide.allows, *self.wide.denies)
        ends = [rule.until for rule in rules if rule.until is not None]
        return min(ends) - timedelta(seconds=1) if ends else None

    def _spelled(self, own: Rule, text: str, spelling: dict[str, str] | None) -> str:
        """The action as people write it."""
        if spelling is not None:
            return spelling.get(text, text)
        fold = self.wide.dialect.fold_action
        return next((each for each in own.statement.actions.include if fold(each) == text), text)

    def _action_names(self) -> list[str]:
        """Names to write witnesses with: as the permissions spell them, then well-known ones."""
        spelled = []
        ceilings = (rule for each in self.ceilings for rule in each.allows)
        for rule in (*self.narrow.allows, *ceilings, *self.wide.allows, *self.wide.denies):
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
        _, allows, denies, *_ = concerned
        if any(not self._are_apart(deny.resources, own.resources) for deny, _ in denies):
            return False
        return any(
            held is True and self._covers(rule.resources, own.resources) and _no_stricter(rule, own)
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
            if self._settled_place(own, target, near):
                continue
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
                case = Case((own, _open(member, at_home)), sides[0], sides[1], sides[2], tuple(sides[3:]))
                finding = self._decide(case, action, text)
                if finding is not None:
                    yield finding

    def _settled_place(self, own: Rule, target: Pattern, near: list[list[tuple[Rule, Membership]]]) -> bool:
        """For this action: one wide rule holds all of this place, and no deny of the wide side comes near."""
        _, allows, denies, *_ = near
        return not denies and any(
            held is True
            and not rule.resources.exclude.languages
            and rule.resources.include.has_all_of(target)
            and _no_stricter(rule, own)
            for rule, held in allows
        )

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
            patterns = [] if target.is_literal else _patterns_near([rule.resources for rule in nearby], target)
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
        space = Space(case, self.wide.dialect)
        if space.size > MAX_CONTEXTS:
            return NotProvable("the conditions have too many combinations")
        violated = False
        for point in space.points():
            if not point.violates(case):
                continue
            violated = True
            for context in (
                (point.context, space.concrete(point, action, resource)) if space.opaque else (point.context,)
            ):
                example = CounterExample(action, resource, context, point.at)
                if self._is_real(example):
                    return example
        if not violated:
            return None
        likely = CounterExample(action, resource, likely_context([case.own[0]], space.doubts), space.moments[0])
        if self._is_real(likely):
            return likely
        doubts = sorted(space.doubts)
        if not doubts:
            return NotProvable("the counter-example could not be confirmed")
        return NotProvable(f"it depends on what {', '.join(doubts[:3])} means, which cannot be worked out here")

    def _is_real(self, example: CounterExample) -> bool:
        request = (example.action, example.resource, example.context, example.at)
        return (
            permits(self.wide_permission, *request) is Answer.NO and permits(self.narrow_held, *request) is Answer.YES
        )


def _patterns_near(sets: list[CompiledSet], target: Pattern) -> list[Pattern]:
    """Everything that tells texts of the target apart."""
    distinct = dict.fromkeys(sets)
    found = dict.fromkeys(each for one in distinct for each in one.near(target))
    return [each if isinstance(each, Pattern) else exact(each) for each in found]


def _no_stricter(wider: Rule, narrower: Rule) -> bool:
    """Whether the first holds whenever the second does: a subset of its conditions, ending no earlier."""
    if wider.until is not None and (narrower.until is None or narrower.until > wider.until):
        return False
    if wider.conditions <= narrower.conditions:
        return True
    return all(any(implies(each, other) for each in narrower.conditions) for other in wider.conditions)


def _concerned(rules: list[Rule], text: str, which: str) -> list[tuple[Rule, Membership]]:
    found = []
    for rule in rules:
        member = getattr(rule, which).membership(text)
        if member is not False:
            found.append((rule, member))
    return found


def _open(*memberships: Membership) -> tuple[Depends, ...]:
    return tuple(each for each in memberships if isinstance(each, Depends))


def _both(rules: list[tuple[Rule, Membership]], text: str) -> tuple[Held, ...]:
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
