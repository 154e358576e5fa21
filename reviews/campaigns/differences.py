"""What differs between the access that was approved and the access that is held now, found with the permission algebra.

A difference is plain JSON, kept with the question: `direction` is "wider", "narrower", "other" (some of both), "same"
or "not_provable"; `added` and `removed` are sentences; `examples` are requests that are possible now and were not,
each checked; `proof` says in a sentence what was proved about the two.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from governance.kernel.documents import format_moment
from governance.kernel.permissions import (
    CounterExample,
    NotExpressible,
    Permission,
    describe,
    difference_samples,
    includes,
    subtract,
)

MOST_SENTENCES = 20
MOST_EXAMPLES = 5
# Many identities hold the same document, and a change of it changes all of them.
REMEMBERED = 512

Difference = dict[str, Any]


@lru_cache(maxsize=REMEMBERED)
def difference_of(before: Permission, after: Permission) -> Difference:
    """The difference between two contents of one access. The result is shared: do not change it."""
    grown, shrunk = includes(before, after), includes(after, before)
    direction = _direction(grown, shrunk)
    return {
        "direction": direction,
        "proof": _PROOFS[direction],
        "added": [] if grown.holds else _left(after, before),
        "removed": [] if shrunk.holds else _left(before, after),
        "examples": []
        if grown.holds
        else [_request(each) for each in difference_samples(after, before, MOST_EXAMPLES)],
        "before": before.digest().hex(),
        "after": after.digest().hex(),
    }


_PROOFS = {
    "same": "Proved: it permits exactly what was approved, written in other words.",
    "narrower": "Proved: everything it permits now was part of what was approved.",
    "wider": "Proved: it still permits all that was approved, and more.",
    "other": "Proved: it permits something that was not approved, and lacks something that was.",
    "not_provable": "How the two relate could not be proved, so treat it as wider.",
}


def _direction(grown: Any, shrunk: Any) -> str:
    if grown.holds:
        if shrunk.holds:
            return "same"
        return "narrower" if isinstance(shrunk, CounterExample) else "not_provable"
    if not isinstance(grown, CounterExample):
        return "not_provable"
    if shrunk.holds:
        return "wider"
    return "other" if isinstance(shrunk, CounterExample) else "not_provable"


def _left(held: Permission, without: Permission) -> list[str]:
    """What `held` has beyond `without`, in sentences; where no pattern says that, statements that only it has."""
    try:
        rest = subtract(held, without)
    except NotExpressible:
        known = set(without.statements)
        rest = Permission(held.dialect, tuple(each for each in held.statements if each not in known))
    return _few(describe(rest))


def _few(sentences: list[str]) -> list[str]:
    if len(sentences) <= MOST_SENTENCES:
        return sentences
    return [*sentences[:MOST_SENTENCES], f"and {len(sentences) - MOST_SENTENCES} more"]


def _request(found: CounterExample) -> dict[str, str]:
    return {"action": found.action, "resource": found.resource}


def difference_of_ends(before: datetime | None, after: datetime | None) -> list[str]:
    """How the date on which the access ends by itself has moved, as sentences for what was added or removed."""
    if before == after:
        return []
    said = [f"until {format_moment(each)}" if each else "without an end" for each in (before, after)]
    return [f"valid {said[1]} instead of {said[0]}"]


def tools_of(native_ref: Mapping[str, Any]) -> dict[str, str]:
    """The tools that an access of an AI agent reaches, with the hash of what a model is told of each."""
    listed = native_ref.get("tools")
    if isinstance(listed, list):
        return {str(name): str(told) for name, told in _pairs(listed)}
    told = native_ref.get("definition")
    return {"": str(told)} if told else {}


def _pairs(listed: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
    return ((each[0], each[1]) for each in listed if isinstance(each, list) and len(each) == 2)


def difference_of_tools(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """Tools that came, went, or are described otherwise; empty where none did.

    A tool that is itself the object of the grant stands under "this tool", with both descriptions where they are known.
    """
    old, new = tools_of(before), tools_of(after)
    if not old or old == new:
        return {}
    found: Difference = {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(name or "this tool" for name in old.keys() & new.keys() if old[name] != new[name]),
    }
    if "" in old and "" in new:
        found["told_before"] = str(before.get("description", ""))
        found["told_now"] = str(after.get("description", ""))
    return found
