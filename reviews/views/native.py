"""A plan in the source's own form: what changes as a difference of lines, and the steps that run.

Connectors keep what they need in words of their own. Most write down what stood there and what shall stand there: a
mapping with `before` and `after`, or a whole `state` and its `after`. Where a plan has neither, the documents that its
steps send are compared with the one of the pre-image that has most of its members in common.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from identities.connectors.contract import Plan, Step

CONTEXT_LINES = 3
MOST_LINES = 400
# How many of its members a document must share with the one that it replaces.
LIKENESS = 0.5
_NOT_A_PLACE = frozenset({"before", "after", "note", "aside", "index", "acting"})
# From the outside in; a stored plan does not keep the order of its words. Others follow.
_PLACES = ("kind", "object_kind", "namespace", "database", "schema", "name")
# Rights by name, each with whether it may be passed on.
_RIGHTS = frozenset({"privileges", "columns"})


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
    """Steps as text in their order, notes as comments: behind a single line, above several."""
    return "\n".join(_written(step) for step in steps)


def _written(step: Step) -> str:
    if not step.note:
        return step.text
    return f"-- {step.note}\n{step.text}" if "\n" in step.text else f"{step.text}  -- {step.note}"


def _changed_documents(plan: Plan) -> Iterator[DocumentChange]:
    told = [*_told(plan.pre_image)]
    yield from (DocumentChange(title, lines) for title, old, new in told if (lines := _difference(old, new)))
    if not told:
        yield from _guessed(plan)


def _told(image: Any) -> Iterator[tuple[str, Any, Any]]:
    """(title, before, after) wherever a pre-image names both."""
    if isinstance(image, Mapping):
        if {"before", "after"} <= image.keys():
            yield _title(image), image["before"], image["after"]
            return
        if {"state", "after"} <= image.keys():
            old, new = _by_name(image["state"]), _by_name(image["after"])
            yield from ((name, old.get(name), new.get(name)) for name in dict.fromkeys([*old, *new]))
            return
        for each in image.values():
            yield from _told(each)
    elif isinstance(image, list | tuple):
        for each in image:
            yield from _told(each)


def _title(change: Mapping[str, Any]) -> str:
    """Where it is, from whatever short words stand beside `before` and `after`."""
    places = [*(key for key in _PLACES if key in change), *(key for key in change if key not in _PLACES)]
    # Rights on a table are told by the table, not by what the rights are kept in.
    aside = _NOT_A_PLACE | {"kind"} if "object_kind" in change else _NOT_A_PLACE
    named = [change[key] for key in places if key not in aside]
    words = [text for each in named for text in (each if isinstance(each, list | tuple) else [each])]
    return " ".join(text for text in words if isinstance(text, str) and text) or "What stands there"


def _by_name(state: Any) -> dict[str, Any]:
    """A state as one value per name, also where it is written as a list of (words of the name, value)."""
    if isinstance(state, Mapping):
        return {str(name): value for name, value in state.items()}
    listed = state if isinstance(state, list | tuple) else []
    pairs = [each for each in listed if isinstance(each, list | tuple) and len(each) == 2]
    return {" ".join(map(str, name)) if isinstance(name, list | tuple) else str(name): value for name, value in pairs}


def _guessed(plan: Plan) -> Iterator[DocumentChange]:
    before = list(_documents(plan.pre_image, ""))
    for number, step in enumerate(plan.steps, start=1):
        for name, document in _documents(step.call, ""):
            lines = _difference(_most_like(document, before), document)
            if lines:
                yield DocumentChange(f"{name or 'Document'}, step {number} of {len(plan.steps)}", lines)


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


def _difference(before: Any, after: Any) -> list[tuple[str, str]]:
    found = list(_changes(_lines(before), _lines(after)))
    if len(found) <= MOST_LINES:
        return found
    return [*found[:MOST_LINES], ("kept", f"… and {len(found) - MOST_LINES} more lines, see the steps")]


def _changes(old: list[str], new: list[str]) -> Iterator[tuple[str, str]]:
    """A comma comes and goes with the neighbour of a member; what differs in nothing else stays."""
    matcher = SequenceMatcher(None, [line.rstrip(",") for line in old], [line.rstrip(",") for line in new], False)
    for group in matcher.get_grouped_opcodes(CONTEXT_LINES):
        for tag, first, last, first_new, last_new in group:
            if tag == "equal":
                yield from (("kept", line) for line in new[first_new:last_new])
                continue
            yield from (("removed", line) for line in old[first:last])
            yield from (("added", line) for line in new[first_new:last_new])


def _lines(value: Any) -> list[str]:
    """As JSON; members sorted, because a stored plan does not keep their order, and it means nothing."""
    told = _readable(value)
    if told is None or told == {}:
        return []
    return json.dumps(told, indent=2, ensure_ascii=False, sort_keys=True).splitlines()


def _readable(value: Any, *, is_rights: bool = False) -> Any:
    """Rights as a list of what is held: `"DELETE": false` would read as if it were not."""
    if not isinstance(value, Mapping):
        return value
    if is_rights and value and all(isinstance(each, bool) for each in value.values()):
        return [f"{name} WITH GRANT OPTION" if passes_on else name for name, passes_on in sorted(value.items())]
    return {
        name: _readable(each, is_rights=is_rights or name in _RIGHTS)
        for name, each in value.items()
        if each or name not in _RIGHTS
    }
