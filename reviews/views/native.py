"""A plan in the source's own form: documents as a difference of lines, everything else as the statements that run.

Connectors say what they do in words of their own, so documents are found by their shape: a document that a step sends
is compared with the one of the plan's pre-image that has most of its members in common.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from identities.connectors.contract import Plan, Step

CONTEXT_LINES = 3
MOST_LINES = 400
# How many of its members a document must share with the one that it replaces.
LIKENESS = 0.5
WRITTEN_AS = {" ": "kept", "-": "removed", "+": "added"}


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """One document before and after. lines: (kept, removed or added, text), with a few unchanged lines around."""

    title: str
    lines: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class NativeChange:
    """statements and inverse: one step per line, notes as comments."""

    documents: list[DocumentChange]
    statements: str
    inverse: str


def native_change(plan: Plan) -> NativeChange:
    """What a plan does, as its source writes it."""
    return NativeChange(list(_changed_documents(plan)), statements_of(plan.steps), statements_of(plan.inverse))


def statements_of(steps: Iterable[Step]) -> str:
    """Steps as text, one per line, notes as comments."""
    return "\n".join(f"{step.text}{'  -- ' + step.note if step.note else ''}" for step in steps)


def _changed_documents(plan: Plan) -> Iterator[DocumentChange]:
    before = list(_documents(plan.pre_image, ""))
    for number, step in enumerate(plan.steps, start=1):
        for name, document in _documents(step.call, ""):
            lines = _difference(_most_like(document, before), document)
            if lines:
                yield DocumentChange(
                    f"{name or 'Document'} before and after, step {number} of {len(plan.steps)}", lines
                )


def _documents(value: Any, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping that holds lists or mappings itself (a policy, a role's rules), also where it travels as text."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return
    if isinstance(value, Mapping):
        if any(isinstance(each, list) and any(isinstance(one, Mapping) for one in each) for each in value.values()):
            yield name, value
            return
        for key, each in value.items():
            yield from _documents(each, str(key))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _documents(each, name)


def _most_like(document: Mapping[str, Any], known: list[tuple[str, Mapping[str, Any]]]) -> Mapping[str, Any]:
    """What the document replaces; nothing where it is new."""

    def likeness(other: Mapping[str, Any]) -> float:
        return len(document.keys() & other.keys()) / len(document.keys() | other.keys())

    best = max((other for _, other in known), key=likeness, default=None)
    return best if best is not None and likeness(best) >= LIKENESS else {}


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str]]:
    # Sorted, because a stored plan does not keep the order of members, and it means nothing.
    old, new = (
        json.dumps(each, indent=2, ensure_ascii=False, sort_keys=True).splitlines() if each else []
        for each in (before, after)
    )
    found = [
        (WRITTEN_AS[line[0]], line[1:])
        for line in unified_diff(old, new, n=CONTEXT_LINES, lineterm="")
        if line[:2] not in {"--", "++", "@@"}
    ]
    if len(found) <= MOST_LINES:
        return found
    return [*found[:MOST_LINES], ("kept", f"… and {len(found) - MOST_LINES} more lines, see the steps")]
