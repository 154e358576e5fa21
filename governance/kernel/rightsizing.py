"""From observed use to the smallest permission that still covers it, and back: what observed use would have met."""

from collections.abc import Iterable
from dataclasses import dataclass

from governance.kernel import dialects
from governance.kernel.decisions import Answer, Program, Rule, compile_permission, matches
from governance.kernel.documents import Permission
from governance.kernel.errors import DomainError
from governance.kernel.inclusion import difference_samples, includes
from governance.kernel.styles import STYLES, Style, statements_in

Use = tuple[str, str]
"""One observed (action, resource)."""

MOST_UNSEEN = 100


class NotNarrowable(DomainError):
    """The suggestion could not be proved to lie inside what is held."""

    code = "not-narrowable"
    title = "No narrower permission can be proved"


@dataclass(frozen=True, slots=True)
class Replay:
    """What would have happened to observed use.

    unknown: requests whose answer depends on a context nobody recorded. not_observable: requests that would end and of
    which no log could have shown that they are used; they are not among the `total`. At most `MOST_UNSEEN` examples.
    """

    total: int
    refused: tuple[Use, ...]
    unknown: int
    not_observable: tuple[Use, ...] = ()


def replay(
    used: Iterable[Use],
    permission: Permission,
    *,
    held: Permission | None = None,
    observable: Permission | None = None,
) -> Replay:
    """Run observed use against a permission; each distinct use counts once.

    held: what is held today; with it, what would end unseen is named. observable: everything that some log could have
    shown, as a permission; None where there is no log, so that nothing that ends was observable.
    """
    answers = {each: matches(permission, *each) for each in dict.fromkeys(used)}
    return Replay(
        total=len(answers),
        refused=tuple(use for use, answer in answers.items() if answer is Answer.NO),
        unknown=sum(answer is Answer.UNKNOWN for answer in answers.values()),
        not_observable=() if held is None else _unseen(held, permission, observable, set(answers)),
    )


def _unseen(held: Permission, permission: Permission, observable: Permission | None, seen: set[Use]) -> tuple[Use, ...]:
    ending = difference_samples(held, permission, limit=MOST_UNSEEN)
    pairs = dict.fromkeys((each.action, each.resource) for each in ending)
    return tuple(
        pair
        for pair in pairs
        if pair not in seen and (observable is None or matches(observable, *pair) is not Answer.YES)
    )


def without_effect(permission: Permission) -> list[tuple[str, str]]:
    """(action pattern, reason) of what allows or denies nothing because no action has such a name.

    To be told apart from what is not used: nobody could use it.
    """
    dialect = dialects.get(permission.dialect)
    listed = dict.fromkeys(text for each in permission.statements for text in each.actions.include)
    return [(text, reason) for text in listed if (reason := dialect.no_such_action(text))]


def unused(permission: Permission, used: Iterable[Use]) -> list[Use]:
    """(action pattern, resource pattern) pairs of allowing statements that no observed use falls into.

    The caller must know that use was observable: an unobserved pair is not an unused one. Names that no action has are
    left out, see `without_effect`.
    """
    dialect = dialects.get(permission.dialect)
    seen = [(dialect.fold_action(action), dialect.fold_resource(resource)) for action, resource in dict.fromkeys(used)]
    found: dict[Use, None] = {}
    for rule in compile_permission(permission).allows:
        named = (text for text in rule.statement.actions.include if not dialect.no_such_action(text))
        actions = [(text, dialect.action(text)) for text in named]
        resources = [(text, dialect.resource(text)) for text in rule.statement.resources.include]
        for resource, places in resources:
            here = {action for action, place in seen if places.may_contain(place)}
            idle = [text for text, names in actions if not any(names.may_contain(action) for action in here)]
            found |= dict.fromkeys((action, resource) for action in idle if dialect.makes_sense(action, resource))
    return list(found)


def right_size(permission: Permission, used: Iterable[Use], style: Style = "exact") -> Permission:
    """The part of a permission that observed use needs.

    style: `exact`, literal actions on literal resources; `readable`, names and places with the same beginning as one
    pattern, where it is held and adds no class of access; `access_level`, every held action of the same service and of
    the same privilege classes as what was used, on the resources that were used.

    Conditions, end dates and denies of the statements it comes from are kept, so it is never more than was held (proved
    before it is returned; raises `NotNarrowable`). Use that the permission does not allow is left out. An unknown style
    raises ValueError.
    """
    if style not in STYLES:
        raise ValueError(f"unknown style {style!r}")
    program = compile_permission(permission)
    needed = _needed(permission, program, used)
    exact = _built(permission, program, needed, "exact")
    verdict = includes(permission, exact)
    if not verdict.holds:
        raise NotNarrowable(f"The narrower permission could not be proved. {verdict.explain()}")
    if style == "exact" or not needed:
        return exact
    wider = _built(permission, program, needed, style)
    # What cannot be proved to be held and to hold all that was used is no suggestion; the literal one always is.
    return wider if includes(permission, wider).holds and includes(wider, exact).holds else exact


_Needed = dict[Rule, dict[str, list[str]]]


def _needed(permission: Permission, program: Program, used: Iterable[Use]) -> _Needed:
    """Used actions by the rule that allows them and the place they were used on."""
    needed: _Needed = {}
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
    return needed


def _place(permission: Permission, rule: Rule, resource: str, folded: str, *, certain: bool) -> str:
    """The resource as a pattern: itself where it is sure to be held and means only itself, else the held pattern."""
    dialect = dialects.get(permission.dialect)
    written = dialect.exact_resource(resource)
    if certain and written is not None and not dialect.resource_fault(written):
        return written
    return next(text for text in rule.statement.resources.include if dialect.resource(text).may_contain(folded))


def _built(permission: Permission, program: Program, needed: _Needed, style: Style) -> Permission:
    statements = [
        each for rule, places in needed.items() for each in statements_in(style, program.dialect, rule, places)
    ]
    denies = [rule.statement for rule in program.denies] if statements else []
    return Permission(permission.dialect, (*dict.fromkeys(statements), *denies))
