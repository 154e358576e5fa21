"""A coarse net over many permissions: which of them could have anything to say about one request.

Every pattern begins with some fixed text, its *head*; a request that the pattern matches begins with it too. So the
permissions that could concern a request are found by looking the beginnings of the request up among the heads, in an
index, without reading a permission. The net catches too much, never too little; `matches` then decides.

Heads are taken from the compiled permission, so they follow the dialect in everything: what a word stands for, upper
and lower case, what ownership contains, what a superuser may do besides. Exclusions only ever take away and are left
aside; denying statements are caught like allowing ones, because they too decide about a request.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from governance.kernel import dialects
from governance.kernel.decisions import Program, compile_permission
from governance.kernel.documents import Permission
from governance.kernel.patterns import Pattern

LONGEST = 200
"""Characters of a head that are kept: an index takes no entries of any length."""
MOST = 400
"""Heads of one permission; one with more gets shorter ones and is caught more often instead."""
SHORT = 12
WHOLE = "="
"""Stands before the head of a pattern that is one text and nothing else: only the whole text leads to it."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Heads of one side each; a permission concerns a request only if both sides share one with it."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]

    def meets(self, other: "Heads") -> bool:
        """What the index asks: whether both sides have a head in common."""
        return not (set(self.actions).isdisjoint(other.actions) or set(self.resources).isdisjoint(other.resources))


def heads_of(permission: Permission) -> Heads:
    """The heads of a permission, sorted. None on a side means that it can match nothing at all."""
    program = compile_permission(permission)
    return Heads(
        _tidied(_patterns(program, "actions")),
        _tidied(_patterns(program, "resources")),
    )


def heads_of_request(dialect: str, action: str, resource: str) -> Heads:
    """Every head under which a pattern could stand that matches this action or resource. Raises KeyError."""
    spoken = dialects.get(dialect)
    return Heads(_beginnings(spoken.fold_action(action)), _beginnings(spoken.fold_resource(resource)))


def _patterns(program: Program, side: str) -> Iterable[Pattern]:
    for rule in (*program.allows, *program.denies):
        for language in getattr(rule, side).include.languages:
            yield from language.patterns


def _tidied(patterns: Iterable[Pattern]) -> tuple[str, ...]:
    found = set(patterns)
    heads = {_head(pattern) for pattern in found}
    if len(heads) > MOST:
        heads = {pattern.prefix[:SHORT] for pattern in found}
    if "" in heads or len(heads) > MOST:
        return ("",)
    return tuple(sorted(heads))


def _head(pattern: Pattern) -> str:
    if pattern.is_literal and len(pattern.prefix) <= LONGEST:
        return WHOLE + pattern.prefix
    return pattern.prefix[:LONGEST]


def _beginnings(text: str) -> tuple[str, ...]:
    return (*(text[:end] for end in range(min(len(text), LONGEST) + 1)), WHOLE + text[:LONGEST])
