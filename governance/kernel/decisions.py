"""Compiled permissions, and the answer to one request."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from governance.kernel import dialects
from governance.kernel.conditions import Context, evaluate
from governance.kernel.dialects import Dialect, Language
from governance.kernel.documents import Permission
from governance.kernel.patterns import Pattern
from governance.kernel.statements import Condition, PatternSet, Statement


class Answer(StrEnum):
    """Whether a request is permitted; UNKNOWN where the facts or our understanding do not suffice."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Depends:
    """Membership that hangs on what some opaque patterns mean: (certain or one of includes) and none of excludes."""

    certain: bool
    includes: frozenset[str]
    excludes: frozenset[str]


Membership = bool | Depends


class _Side:
    """The union of some languages, arranged so that many literals cost one look-up."""

    __slots__ = ("_known", "fixed", "languages", "loose", "opaque")

    def __init__(self, languages: Iterable[Language]) -> None:
        self.languages = tuple(dict.fromkeys(languages))
        exact = [pattern for each in self.languages if not each.opaque for pattern in each.patterns]
        self.fixed = frozenset(pattern.prefix for pattern in exact if pattern.is_literal)
        self.loose = tuple(pattern for pattern in exact if not pattern.is_literal)
        self.opaque = tuple(each for each in self.languages if each.opaque)
        self._known = frozenset(self.languages)

    def has(self, text: str) -> bool:
        return text in self.fixed or any(pattern.matches(text) for pattern in self.loose)

    def maybe(self, text: str) -> frozenset[str]:
        return frozenset(each.opaque for each in self.opaque if each.may_contain(text))

    def covers(self, language: Language) -> bool:
        return language in self._known or any(each.covers(language) for each in self.languages)

    def may_overlap(self, language: Language) -> bool:
        return any(each.may_overlap(language) for each in self.languages)

    def apart(self, other: "_Side") -> bool:
        """Whether nothing of the other side can be in this one; literals are looked up, not compared one by one."""
        if self.fixed & other.fixed:
            return False
        mine, theirs = self._open_patterns(), other._open_patterns()
        return not (
            any(pattern.matches(text) for pattern in mine for text in other.fixed)
            or any(pattern.matches(text) for pattern in theirs for text in self.fixed)
            or any(pattern.may_overlap(their) for pattern in mine for their in theirs)
        )

    def _open_patterns(self) -> list[Pattern]:
        return [*self.loose, *(pattern for each in self.opaque for pattern in each.patterns)]


class CompiledSet:
    """A pattern set that can be asked."""

    def __init__(self, source: PatternSet, include: Iterable[Language], exclude: Iterable[Language]) -> None:
        self.source = source
        self.include = _Side(include)
        self.exclude = _Side(exclude)

    def membership(self, text: str) -> Membership:
        """Whether a (folded) text is in the set."""
        certain = self.include.has(text)
        maybe = frozenset() if certain or not self.include.opaque else self.include.maybe(text)
        if not (certain or maybe) or (self.exclude.languages and self.exclude.has(text)):
            return False
        doubts = self.exclude.maybe(text) if self.exclude.opaque else frozenset()
        return certain if not (maybe or doubts) else Depends(certain, maybe, doubts)

    def covers(self, other: "CompiledSet") -> bool:
        """Whether the other set is seen to lie inside this one, pattern by pattern. Sound, not complete."""
        if self.source == other.source and self.include.languages == other.include.languages:
            return self.exclude.languages == other.exclude.languages
        if not all(self.include.covers(each) for each in other.include.languages):
            return False
        return all(other.exclude.covers(each) or not other.include.may_overlap(each) for each in self.exclude.languages)

    def apart(self, other: "CompiledSet") -> bool:
        """Whether the two sets are seen to have nothing in common. Sound, not complete."""
        if self.include.apart(other.include):
            return True
        inside = all(self.exclude.covers(each) for each in other.include.languages)
        return inside or all(other.exclude.covers(each) for each in self.include.languages)

    def targets(self) -> list[Pattern]:
        """The patterns whose union bounds the set from above."""
        return list(dict.fromkeys(pattern for language in self.include.languages for pattern in language.patterns))

    def patterns(self) -> list[Pattern]:
        """Every pattern that decides about membership."""
        sides = (*self.include.languages, *self.exclude.languages)
        return list(dict.fromkeys(pattern for language in sides for pattern in language.patterns))


@dataclass(frozen=True, eq=False)
class Rule:
    """A compiled statement."""

    statement: Statement
    actions: CompiledSet
    resources: CompiledSet
    conditions: frozenset[Condition]
    until: datetime | None

    @property
    def is_plain(self) -> bool:
        """Whether it holds in every context and at every time."""
        return not self.conditions and self.until is None


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled permission."""

    dialect: Dialect
    allows: tuple[Rule, ...]
    denies: tuple[Rule, ...]


@lru_cache(maxsize=16_384)
def _compile_actions(dialect: str, source: PatternSet, removing: bool) -> CompiledSet:
    read = dialects.get(dialect).action
    return CompiledSet(
        source,
        [read(text, removing=removing) for text in source.include],
        [read(text, removing=not removing) for text in source.exclude],
    )


@lru_cache(maxsize=16_384)
def _compile_resources(dialect: str, source: PatternSet, removing: bool) -> CompiledSet:
    read = dialects.get(dialect).resource
    return CompiledSet(
        source,
        [read(text, removing=removing) for text in source.include],
        [read(text, removing=not removing) for text in source.exclude],
    )


def compile_statement(dialect: str, statement: Statement) -> Rule:
    """The rule of one statement as written, without what the source adds to it."""
    removing = statement.effect == "deny"
    conditions = {
        Condition(each.operator, each.key.lower(), tuple(sorted(set(each.values)))) for each in statement.conditions
    }
    return Rule(
        statement,
        _compile_actions(dialect, statement.actions, removing),
        _compile_resources(dialect, statement.resources, removing),
        frozenset(conditions),
        statement.until,
    )


@lru_cache(maxsize=2_048)
def compile_permission(permission: Permission) -> Program:
    """The program of a permission, remembered."""
    dialect = dialects.get(permission.dialect)
    spelled = [each for statement in permission.statements for each in dialect.spelled(statement)]
    added = [each for statement in spelled for each in dialect.implications(statement)]
    rules = [compile_statement(permission.dialect, each) for each in dict.fromkeys([*spelled, *added])]
    return Program(
        dialect,
        tuple(rule for rule in rules if rule.statement.effect == "allow"),
        tuple(rule for rule in rules if rule.statement.effect == "deny"),
    )


def matches(
    permission: Permission,
    action: str,
    resource: str,
    context: Context | None = None,
    at: datetime | None = None,
) -> Answer:
    """Whether the permission lets this action be done on this resource.

    context: attributes of the request; None says that nothing is known of them, an absent key that it is not set.
    at: the moment of the request; needed only where a statement ends.
    """
    return together([stand_of(permission, action, resource, context, at)])


@dataclass(frozen=True, slots=True)
class Stand:
    """What one permission says to one request: whether it allows and whether it denies it, None where that depends."""

    allows: bool | None
    denies: bool | None


def stand_of(
    permission: Permission,
    action: str,
    resource: str,
    context: Context | None = None,
    at: datetime | None = None,
) -> Stand:
    """Both halves of the answer, for whoever holds further permissions beside this one. Parameters as in `matches`."""
    program = compile_permission(permission)
    request = (program.dialect.fold_action(action), program.dialect.fold_resource(resource))
    return Stand(
        allows=_any(_applies(program, rule, request, context, at) for rule in program.allows),
        denies=_any(_applies(program, rule, request, context, at) for rule in program.denies),
    )


def together(stands: Iterable[Stand]) -> Answer:
    """The answer of several permissions of one holder: any may allow, and a deny of any of them wins."""
    listed = list(stands)
    denied = _any(each.denies for each in listed)
    allowed = _any(each.allows for each in listed)
    if denied is True or allowed is False:
        return Answer.NO
    return Answer.YES if allowed and denied is False else Answer.UNKNOWN


def undecided(permission: Permission, action: str, resource: str, at: datetime | None = None) -> list[Rule]:
    """The rules of which, without a context, nobody can say whether they apply to this request."""
    program = compile_permission(permission)
    request = (program.dialect.fold_action(action), program.dialect.fold_resource(resource))
    rules = (*program.allows, *program.denies)
    return [rule for rule in rules if _applies(program, rule, request, None, at) is None]


def _any(results: Iterable[bool | None]) -> bool | None:
    doubt = False
    for result in results:
        if result:
            return True
        doubt = doubt or result is None
    return None if doubt else False


def _all(results: Iterable[bool | None]) -> bool | None:
    doubt = False
    for result in results:
        if result is False:
            return False
        doubt = doubt or result is None
    return None if doubt else True


def _applies(
    program: Program, rule: Rule, request: tuple[str, str], context: Context | None, at: datetime | None
) -> bool | None:
    in_actions = rule.actions.membership(request[0])
    if in_actions is False:
        return False
    in_resources = rule.resources.membership(request[1])
    if in_resources is False:
        return False
    return _all(
        [
            _resolve(program.dialect, in_actions, request[0], context),
            _resolve(program.dialect, in_resources, request[1], context),
            True if rule.until is None else None if at is None else at < rule.until,
            *(evaluate(condition, context) for condition in rule.conditions),
        ]
    )


def _resolve(dialect: Dialect, member: Membership, text: str, context: Context | None) -> bool | None:
    if isinstance(member, bool):
        return member
    included = _any([member.certain, *(dialect.resolve(name, text, context) for name in member.includes)])
    excluded = _any(dialect.resolve(name, text, context) for name in member.excludes)
    return _all([included, None if excluded is None else not excluded])
