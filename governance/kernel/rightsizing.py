"""From observed use to the smallest permission that still covers it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from governance.kernel import dialects
from governance.kernel.decisions import Answer, Rule, compile_permission, matches
from governance.kernel.documents import Permission
from governance.kernel.errors import DomainError
from governance.kernel.inclusion import includes
from governance.kernel.statements import PatternSet, Statement

Use = tuple[str, str]
"""One observed (action, resource)."""


class NotNarrowable(DomainError):
    """The suggestion could not be proved to lie inside what is held."""

    code = "not-narrowable"
    title = "No narrower permission can be proved"


@dataclass(frozen=True, slots=True)
class Replay:
    """What would have happened to observed use. unknown: requests whose answer depends on a context nobody recorded."""

    total: int
    refused: tuple[Use, ...]
    unknown: int


def replay(used: Iterable[Use], permission: Permission) -> Replay:
    """Run observed use against a permission; each distinct use counts once."""
    answers = {each: matches(permission, *each) for each in dict.fromkeys(used)}
    return Replay(
        total=len(answers),
        refused=tuple(use for use, answer in answers.items() if answer is Answer.NO),
        unknown=sum(answer is Answer.UNKNOWN for answer in answers.values()),
    )


def unused(permission: Permission, used: Iterable[Use]) -> list[Use]:
    """(action pattern, resource pattern) pairs of allowing statements that no observed use falls into.

    The caller must know that use was observable: an unobserved pair is not an unused one.
    """
    dialect = dialects.get(permission.dialect)
    seen = [(dialect.fold_action(action), dialect.fold_resource(resource)) for action, resource in dict.fromkeys(used)]
    found: dict[Use, None] = {}
    for rule in compile_permission(permission).allows:
        actions = [(text, dialect.action(text)) for text in rule.statement.actions.include]
        resources = [(text, dialect.resource(text)) for text in rule.statement.resources.include]
        for resource, places in resources:
            here = {action for action, place in seen if places.may_contain(place)}
            idle = [text for text, names in actions if not any(names.may_contain(action) for action in here)]
            found |= dict.fromkeys((action, resource) for action in idle if dialect.makes_sense(action, resource))
    return list(found)


def right_size(permission: Permission, used: Iterable[Use], style: Literal["exact"] = "exact") -> Permission:
    """The part of a permission that observed use needs: literal actions on literal resources.

    Conditions, end dates and denies of the statements it comes from are kept, so it is never more than was held (proved
    before it is returned; raises `NotNarrowable`). Use that the permission does not allow is left out.
    """
    if style != "exact":
        raise ValueError(f"unknown style {style!r}")
    program = compile_permission(permission)
    needed: dict[Rule, dict[str, list[str]]] = {}
    for action, resource in dict.fromkeys(used):
        if matches(permission, action, resource) is Answer.NO:
            continue
        request = (program.dialect.fold_action(action), program.dialect.fold_resource(resource))
        for rule in program.allows:
            member = rule.resources.membership(request[1])
            if member is False or rule.actions.membership(request[0]) is False:
                continue
            place = _place(permission, rule, resource, request[1], certain=member is True)
            needed.setdefault(rule, {}).setdefault(place, []).append(action)
            if rule.is_plain and member is True:
                break
    statements = [each for rule, places in needed.items() for each in _grouped(rule, places)]
    denies = [rule.statement for rule in program.denies] if statements else []
    result = Permission(permission.dialect, (*dict.fromkeys(statements), *denies))
    verdict = includes(permission, result)
    if not verdict.holds:
        raise NotNarrowable(f"The narrower permission could not be proved. {verdict.explain()}")
    return result


def _place(permission: Permission, rule: Rule, resource: str, folded: str, *, certain: bool) -> str:
    """The resource as a pattern: itself where it is sure to be held and means only itself, else the held pattern."""
    dialect = dialects.get(permission.dialect)
    written = dialect.exact_resource(resource)
    if certain and written is not None and not dialect.resource_fault(written):
        return written
    return next(text for text in rule.statement.resources.include if dialect.resource(text).may_contain(folded))


def _grouped(rule: Rule, places: dict[str, list[str]]) -> list[Statement]:
    """One statement per set of actions that is needed on the same resources."""
    by_actions: dict[tuple[str, ...], list[str]] = {}
    for place, actions in places.items():
        by_actions.setdefault(tuple(sorted(set(actions))), []).append(place)
    held = rule.statement
    return [
        replace(
            held,
            actions=PatternSet(actions, held.actions.exclude),
            resources=PatternSet(tuple(sorted(resources)), held.resources.exclude),
        )
        for actions, resources in by_actions.items()
    ]
