"""The one interface of a dialect: how a kind of source writes actions and resources, and what its words mean."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from governance.kernel import variables
from governance.kernel.patterns import Pattern, exact, glob
from governance.kernel.statements import Statement


@dataclass(frozen=True, slots=True)
class Language:
    """The set that one written pattern stands for: the union of `patterns`.

    opaque: empty where the union is exact. Otherwise a name for "whatever this text means": the union is then only
    an upper bound, and two languages can be compared only where their names are equal.
    template: a text with policy variables, where that is what makes it opaque; two templates can be compared.
    """

    patterns: tuple[Pattern, ...]
    opaque: str = ""
    template: str = ""

    def covers(self, other: "Language") -> bool:
        if self.opaque:
            if self.opaque == other.opaque:
                return True
            return bool(self.template and other.template) and variables.covers(self.template, other.template)
        return all(any(own.covers(theirs) for own in self.patterns) for theirs in other.patterns)

    def may_overlap(self, other: "Language") -> bool:
        return any(own.may_overlap(theirs) for own in self.patterns for theirs in other.patterns)

    def overlaps(self, other: "Language") -> bool:
        return any(own.overlaps(theirs) for own in self.patterns for theirs in other.patterns)

    def may_contain(self, text: str) -> bool:
        return any(pattern.matches(text) for pattern in self.patterns)


Beginning = tuple[str, bool]
"""The fixed text that a pattern begins with, and whether it is the whole pattern."""


class Dialect:
    """Case-sensitive globs; a source that differs overrides what differs.

    `removing=True` asks for the set that must go when the pattern is taken away (exclude lists, denies): as large as
    the pattern and everything that contains it, where the source lets one right contain another.
    """

    name = ""
    title = ""
    known_actions: tuple[str, ...] = ()
    known_resources: tuple[str, ...] = ()
    literal_actions = False
    """Whether every action is one name out of a list, so that taking one away never leaves a part of another."""

    def action(self, text: str, *, removing: bool = False) -> Language:
        return Language((glob(text),))

    def resource(self, text: str, *, removing: bool = False) -> Language:
        return Language((glob(text),))

    def action_beginnings(self, text: str, *, removing: bool = False) -> Iterable[Beginning]:
        """How the patterns of `action` begin. A dialect that knows it from the text alone need not build them."""
        return [(each.prefix, each.is_literal) for each in self.action(text, removing=removing).patterns]

    def resource_beginnings(self, text: str, *, removing: bool = False) -> Iterable[Beginning]:
        """The same of `resource`."""
        return [(each.prefix, each.is_literal) for each in self.resource(text, removing=removing).patterns]

    def fold_action(self, text: str) -> str:
        """The form of a concrete action name in which equal names are equal texts."""
        return text

    def fold_resource(self, text: str) -> str:
        return text

    def resolve(self, opaque: str, text: str, context: Mapping[str, Any] | None) -> bool | None:
        """Whether a text is in the language of this opaque name, where a context can tell; else None."""
        return None

    def implies(self, first: str, second: str) -> bool:
        """Whether the language of the first opaque name is seen to lie inside that of the second, in every context."""
        return False

    def solve(self, opaque: str, action: str, resource: str, known: Mapping[str, str]) -> dict[str, str] | None:
        """Values of context keys with which the request is in the language of this name, if some are found.

        known: what is settled already.
        """
        return None

    def action_fault(self, text: str) -> str:
        """Why this text cannot be an action pattern here, or an empty string."""
        return ""

    def resource_fault(self, text: str) -> str:
        return ""

    def spelled(self, statement: Statement) -> tuple[Statement, ...]:
        """The same statement with words that stand for several actions replaced by those actions."""
        return (statement,)

    def implications(self, statement: Statement) -> tuple[Statement, ...]:
        """What the source silently adds for whoever holds a (spelled) statement."""
        return ()

    def spell_out(self, action: str) -> tuple[str, ...]:
        """The actions this pattern consists of, where the source has a fixed list of them; else the pattern."""
        return (action,)

    def exact_resource(self, resource: str) -> str | None:
        """A pattern for a concrete resource and nothing beside it; None where its text would be read as a wildcard."""
        return None if "*" in resource or "?" in resource else resource

    def no_such_action(self, action: str) -> str:
        """Why no request can be for this action pattern (a reason in words), or an empty text."""
        return ""

    def family(self, action: str) -> str:
        """The service, or whatever else belongs together here, that an action is of."""
        return ""

    def family_members(self, family: str) -> tuple[str, ...]:
        """Actions of one family, or patterns of such, as far as the dialect knows them."""
        return self.known_actions

    def gathered(self, resources: list[str]) -> Iterable[tuple[str, list[str]]]:
        """(pattern, resources that it would stand for), from narrow to wide, each for at least `ENOUGH` of the list."""
        return ()

    def gathered_actions(self, actions: list[str]) -> Iterable[tuple[str, list[str]]]:
        """The same for names of actions that begin alike."""
        return ()

    def makes_sense(self, action: str, resource: str) -> bool:
        """Whether such a request can occur at all; samples leave the others out."""
        return True

    def classes(self, action: str, resource: str) -> frozenset[str]:
        """Privilege classes of an action pattern on a resource pattern (values of `PrivilegeClass`)."""
        raise NotImplementedError

    def segment(self, actions: Iterable[str], resources: Iterable[str]) -> str:
        """The one segment, the most sensitive, that these are filed under."""
        raise NotImplementedError

    def reached(self, statement: Statement) -> set[str]:
        """Every segment that an allowing statement reaches, also through a wildcard."""
        return {self.segment([action], statement.resources.include) for action in statement.actions.include}

    def phrase(self, actions: tuple[str, ...], resource: str) -> str:
        """Plain words for actions (already of one privilege class) on a resource pattern."""
        return f"{join_words(actions)} on {resource}"


def join_words(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    listed = list(words)
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} and {listed[-1]}"


ENOUGH = 3
"""So many alike are put together as one pattern."""


def gathered_by(resources: Iterable[str], shorten: Callable[[str], Iterable[str]]) -> list[tuple[str, list[str]]]:
    """Patterns that `shorten` makes of several resources, each with the resources it was made of, narrow ones first."""
    found: dict[str, list[str]] = {}
    for resource in resources:
        for pattern in shorten(resource):
            found.setdefault(pattern, []).append(resource)
    enough = [(pattern, members) for pattern, members in found.items() if len(members) >= ENOUGH]
    return sorted(enough, key=lambda each: (-len(each[0]), each[0]))


def exactly(*texts: str) -> Language:
    """The language of just these texts."""
    return Language(tuple(exact(text) for text in texts))
