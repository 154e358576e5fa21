"""Ways to write down what was used: as it was, in patterns that people can read, or as all of one kind of access.

Nothing here is trusted: whoever calls it proves that the outcome lies inside what is held (`rightsizing`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Literal

from governance.kernel.decisions import Rule
from governance.kernel.dialects import Dialect
from governance.kernel.statements import PatternSet, Statement

Style = Literal["exact", "readable", "access_level"]
STYLES: tuple[Style, ...] = ("exact", "readable", "access_level")

Places = Mapping[str, list[str]]
"""Used actions by the resource pattern that they were used on."""


def statements_in(style: Style, dialect: Dialect, rule: Rule, places: Places) -> list[Statement]:
    """Statements for the use that fell to one rule, with the rule's own conditions, end and exceptions."""
    if style == "exact":
        return _joined(rule, places.items())
    if style == "readable":
        return _readable(dialect, rule, places)
    return _by_level(dialect, rule, places)


def _joined(rule: Rule, places: Iterable[tuple[str, list[str]]]) -> list[Statement]:
    """One statement per set of actions that is needed on the same resources."""
    by_actions: dict[tuple[str, ...], list[str]] = {}
    for place, actions in places:
        by_actions.setdefault(tuple(sorted(set(actions))), []).append(place)
    return [_statement(rule, actions, sorted(set(resources))) for actions, resources in by_actions.items()]


def _statement(rule: Rule, actions: Iterable[str], resources: Iterable[str]) -> Statement:
    held = rule.statement
    return replace(
        held,
        actions=PatternSet(tuple(actions), held.actions.exclude),
        resources=PatternSet(tuple(resources), held.resources.exclude),
    )


# --- readable ---------------------------------------------------------------------------------------------------------


def _readable(dialect: Dialect, rule: Rule, places: Places) -> list[Statement]:
    found = []
    for exact in _joined(rule, _gathered(dialect, rule, places).items()):
        resources = exact.resources.include
        actions = _wider_names(dialect, rule, exact.actions.include, resources)
        found.append(_statement(rule, actions, resources))
    return _joined(rule, [(place, list(each.actions.include)) for each in found for place in each.resources.include])


def _gathered(dialect: Dialect, rule: Rule, places: Places) -> dict[str, list[str]]:
    """Places that were used alike, put together where one held pattern means them and no class of access is added."""
    found: dict[str, list[str]] = {}
    by_actions: dict[tuple[str, ...], list[str]] = {}
    for place, actions in places.items():
        by_actions.setdefault(tuple(sorted(set(actions))), []).append(place)
    for used_actions, resources in by_actions.items():
        left = list(resources)
        for pattern, members in dialect.gathered(resources):
            if not (set(members) <= set(left) and rule.resources.include.covers(dialect.resource(pattern))):
                continue
            if _classes(dialect, used_actions, [pattern]) <= _classes(dialect, used_actions, members):
                left = [*(each for each in left if each not in members), pattern]
        for place in left:
            found.setdefault(place, []).extend(used_actions)
    return found


def _classes(dialect: Dialect, actions: Iterable[str], resources: Iterable[str]) -> frozenset[str]:
    listed = list(resources)
    return frozenset(each for action in actions for place in listed for each in dialect.classes(action, place))


def _wider_names(dialect: Dialect, rule: Rule, actions: Iterable[str], resources: tuple[str, ...]) -> list[str]:
    """Names with the same beginning as one pattern, held as a whole and of no class that its names are not of."""
    left = sorted(set(actions))
    for pattern, members in dialect.gathered_actions(left):
        if not (set(members) <= set(left) and rule.actions.include.covers(dialect.action(pattern))):
            continue
        if all(_classes(dialect, [pattern], [place]) <= _classes(dialect, members, [place]) for place in resources):
            left = [*(each for each in left if each not in members), pattern]
    return sorted(left)


# --- by level of access -----------------------------------------------------------------------------------------------


def _by_level(dialect: Dialect, rule: Rule, places: Places) -> list[Statement]:
    widened: list[tuple[str, list[str]]] = []
    for place, actions in places.items():
        ordered = sorted(set(actions), key=dialect.family)
        for family, used in groupby(ordered, key=dialect.family):
            widened.append((place, _of_level(dialect, rule, family, list(used), place)))
    together: dict[str, list[str]] = {}
    for place, actions in widened:
        together.setdefault(place, []).extend(actions)
    return _joined(rule, together.items())


def _of_level(dialect: Dialect, rule: Rule, family: str, used: list[str], place: str) -> list[str]:
    """What was used, and every held action of the same family whose classes are all among those of what was used."""
    wanted = _classes(dialect, used, [place])
    held = [name for text in rule.statement.actions.include for name in dialect.spell_out(text)]
    candidates = dict.fromkeys(
        [*dialect.family_members(family), *(each for each in held if dialect.family(each) == family)]
    )
    fitting = [
        each
        for each in candidates
        if rule.actions.include.covers(dialect.action(each))
        and dialect.makes_sense(each, place)
        and (classes := dialect.classes(each, place))
        and classes <= wanted
    ]
    return _without_repetition(dialect, [*fitting, *used])


def _without_repetition(dialect: Dialect, actions: list[str]) -> list[str]:
    """Without names that another one of the list contains."""
    languages = {each: dialect.action(each) for each in dict.fromkeys(actions)}
    kept: list[str] = []
    for each, language in languages.items():
        inside = (other for other, wider in languages.items() if other != each and wider.covers(language))
        if not any(other in kept or not language.covers(languages[other]) for other in inside):
            kept.append(each)
    return kept
