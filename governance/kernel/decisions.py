"""Compiled permissions, and the answer to one request."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from governance.kernel import dialects
from governance.kernel.attributes import absent_from
from governance.kernel.conditions import Context, canonical, evaluate, parse_operator
from governance.kernel.dialects import Dialect
from governance.kernel.documents import Permission
from governance.kernel.sets import CompiledSet, Membership
from governance.kernel.statements import Condition, PatternSet, Statement
from governance.kernel.variables import variables_in


class Answer(StrEnum):
    """Whether a request is permitted; UNKNOWN where the facts or our understanding do not suffice."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Rule:
    """A compiled statement. is_plain: whether it holds in every context and at every time."""

    statement: Statement
    actions: CompiledSet
    resources: CompiledSet
    conditions: frozenset[Condition]
    until: datetime | None
    is_plain: bool


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled permission."""

    dialect: Dialect
    allows: tuple[Rule, ...]
    denies: tuple[Rule, ...]


@lru_cache(maxsize=16_384)
def _compile_actions(dialect: str, source: PatternSet, removing: bool) -> CompiledSet:
    return CompiledSet(source, dialects.get(dialect).action, removing=removing)


@lru_cache(maxsize=16_384)
def _compile_resources(dialect: str, source: PatternSet, removing: bool) -> CompiledSet:
    return CompiledSet(source, dialects.get(dialect).resource, removing=removing)


@lru_cache(maxsize=16_384)
def compile_statement(dialect: str, statement: Statement) -> Rule:
    """The rule of one statement as written, without what the source adds to it."""
    removing = statement.effect == "deny"
    conditions = (
        frozenset(filter(None, (canonical(each, denies=removing) for each in statement.conditions)))
        if statement.conditions
        else _NONE
    )
    return Rule(
        statement,
        _compile_actions(dialect, statement.actions, removing),
        _compile_resources(dialect, statement.resources, removing),
        conditions,
        statement.until,
        is_plain=not conditions and statement.until is None,
    )


_NONE: frozenset[Condition] = frozenset()


@lru_cache(maxsize=2_048)
def compile_permission(permission: Permission) -> Program:
    """The program of a permission, remembered."""
    dialect = dialects.get(permission.dialect)
    spelled = [each for statement in permission.statements for each in dialect.spelled(statement)]
    added = [each for statement in spelled for each in dialect.implications(statement)]
    rules = list(dict.fromkeys(compile_statement(permission.dialect, each) for each in [*spelled, *added]))
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
        allows=any_of(_applies(program, rule, request, context, at) for rule in program.allows),
        denies=any_of(_applies(program, rule, request, context, at) for rule in program.denies),
    )


def together(stands: Iterable[Stand]) -> Answer:
    """The answer of several permissions of one holder: any may allow, and a deny of any of them wins."""
    listed = list(stands)
    denied = any_of(each.denies for each in listed)
    allowed = any_of(each.allows for each in listed)
    if denied is True or allowed is False:
        return Answer.NO
    return Answer.YES if allowed and denied is False else Answer.UNKNOWN


def concerning(
    permission: Permission,
    action: str,
    resource: str,
    context: Context | None = None,
    at: datetime | None = None,
) -> list[tuple[Rule, bool | None]]:
    """The rules that apply to a request (True) or may do so (None). Parameters as in `matches`."""
    program = compile_permission(permission)
    request = (program.dialect.fold_action(action), program.dialect.fold_resource(resource))
    answers = ((rule, _applies(program, rule, request, context, at)) for rule in (*program.allows, *program.denies))
    return [(rule, answer) for rule, answer in answers if answer is not False]


def undecided(permission: Permission, action: str, resource: str, at: datetime | None = None) -> list[Rule]:
    """The rules of which, without a context, nobody can say whether they apply to this request."""
    return [rule for rule, answer in concerning(permission, action, resource, None, at) if answer is None]


def missing_attributes(permission: Permission, action: str, resource: str, context: Context) -> list[str]:
    """The attributes that conditions of statements about this request ask for and the context does not hold, sorted."""
    program = compile_permission(permission)
    action, resource = program.dialect.fold_action(action), program.dialect.fold_resource(resource)
    asked: set[str] = set()
    for rule in (*program.allows, *program.denies):
        if not rule.conditions or rule.actions.membership(action) is False:
            continue
        if rule.resources.membership(resource) is False:
            continue
        for condition in rule.conditions:
            asked.update(_asked_for(condition, context, denies=rule.statement.effect == "deny"))
    return absent_from(asked, context)


def _asked_for(condition: Condition, context: Context, *, denies: bool) -> Iterable[str]:
    """Keys whose absence may have decided. What is present among them does no harm: the caller looks."""
    operator = parse_operator(condition.operator)
    if operator is None or operator.sort == "null":
        return ()
    if not denies and evaluate(condition, context) is True:
        return ()
    return (condition.key, *(name for value in condition.values for name in variables_in(value)))


def any_of(results: Iterable[bool | None]) -> bool | None:
    """Or of three values: None where it hangs on what is not known."""
    doubt = False
    for result in results:
        if result:
            return True
        doubt = doubt or result is None
    return None if doubt else False


def all_of(results: Iterable[bool | None]) -> bool | None:
    """And of three values."""
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
    return all_of(
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
    included = any_of([member.certain, *(dialect.resolve(name, text, context) for name in member.includes)])
    excluded = any_of(dialect.resolve(name, text, context) for name in member.excludes)
    return all_of([included, None if excluded is None else not excluded])


def resolve_membership(dialect: Dialect, member: Membership, text: str, context: Context | None) -> bool | None:
    """Whether a text is in a set whose membership hangs on opaque patterns, where a context can tell; else None."""
    return _resolve(dialect, member, text, context)
