"""A coarse net over many permissions: which of them could have anything to say about one request.

Every pattern begins with some fixed text, its *head*; a request that the pattern matches begins with it too. So the
permissions that could concern a request are found by looking the beginnings of the request up among the heads, in an
index, without reading a permission. The net catches too much, never too little; `matches` then decides.

Heads are taken from what the dialect reads out of each pattern, so they follow it in everything: what a word stands
for, upper and lower case, what ownership contains, what a superuser may do besides. Nothing is compiled for them.
Exclusions only ever take away and are left aside; denying statements are caught like allowing ones, because they too
decide about a request.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from governance.kernel import dialects
from governance.kernel.dialects.interface import Beginning
from governance.kernel.documents import Permission
from governance.kernel.statements import Statement

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
    dialect = dialects.get(permission.dialect)
    actions: set[Beginning] = set()
    resources: set[Beginning] = set()
    for statement in _with_implied(dialect, permission):
        removing = statement.effect == "deny"
        for text in statement.actions.include:
            actions.update(dialect.action_beginnings(text, removing=removing))
        for text in statement.resources.include:
            resources.update(dialect.resource_beginnings(text, removing=removing))
    return Heads(_tidied(actions), _tidied(resources))


def heads_of_request(dialect: str, action: str, resource: str) -> Heads:
    """Every head under which a pattern could stand that matches this action or resource. Raises KeyError."""
    spoken = dialects.get(dialect)
    return Heads(_beginnings(spoken.fold_action(action)), _beginnings(spoken.fold_resource(resource)))


def _with_implied(dialect: dialects.Dialect, permission: Permission) -> Iterator[Statement]:
    """What `compile_permission` makes rules of."""
    for written in permission.statements:
        for spelled in dialect.spelled(written):
            yield spelled
            yield from dialect.implications(spelled)


def _tidied(found: Collection[Beginning]) -> tuple[str, ...]:
    heads = {_head(*each) for each in found}
    if len(heads) > MOST:
        heads = {start[:SHORT] for start, _ in found}
    if "" in heads or len(heads) > MOST:
        return ("",)
    return tuple(sorted(heads))


def _head(start: str, is_whole: bool) -> str:
    return WHOLE + start if is_whole and len(start) <= LONGEST else start[:LONGEST]


def _beginnings(text: str) -> tuple[str, ...]:
    return (*(text[:end] for end in range(min(len(text), LONGEST) + 1)), WHOLE + text[:LONGEST])
