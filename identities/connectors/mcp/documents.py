"""Configuration files as text that is edited in place: JSON, JSON with comments, and TOML.

A file belongs to people, so a change touches only the words that it is about: comments, order, spacing and unknown keys
stay. Every edit is checked by meaning: what the edited text says must be what was to be said, or nothing is written.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from identities.connectors.mcp import toml_text

LARGEST = 16 * 1024 * 1024
DEEPEST = 60
ABSENT = object()
"""No value at all, which `null` is not."""

Path = Sequence[str]
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_BLANK = re.compile(r"[ \t\r\n]*")
_WORDS = {"true": True, "false": False, "null": None}


class Malformed(ValueError):
    """The text is not of its format; the message says where, and repeats nothing of it."""


@dataclass(slots=True)
class _Node:
    """A value with its place in the text; for an object the members in their order: (start of the key, node)."""

    value: Any
    start: int
    end: int
    members: dict[str, tuple[int, "_Node"]] = field(default_factory=dict)


def load(text: str, *, toml: bool = False, comments: bool = False) -> dict[str, Any]:
    """What the text says. Raises Malformed, also for repeated keys, which two programs may read in two ways."""
    if toml:
        try:
            return tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise Malformed(f"is no TOML ({_place_in(error)})") from None
    found = _Parser(text, comments).document().value
    if not isinstance(found, dict):
        raise Malformed("must hold an object")
    return found


def value_at(document: Any, path: Path) -> Any:
    """The value at this path of keys, or ABSENT."""
    for key in path:
        if not isinstance(document, Mapping) or key not in document:
            return ABSENT
        document = document[key]
    return document


def raw_at(text: str, path: Path, *, toml: bool = False, comments: bool = False) -> tuple[str, int]:
    """The words of the value at the path, and its place among its siblings; fit for `with_value`."""
    if toml:
        return toml_text.table_text(text, path)
    parent, _ = _parent(_Parser(text, comments).document(), path)
    node = parent.members[path[-1]][1]
    return text[node.start : node.end], list(parent.members).index(path[-1])


def with_value(
    text: str,
    path: Path,
    value: Any,
    *,
    raw: str = "",
    index: int | None = None,
    toml: bool = False,
    comments: bool = False,
) -> str:
    """The text with another value at the path (ABSENT takes the key out). Raises Malformed where that can't be done.

    raw: the words of the value, where they are known; index: where a new key belongs among its siblings.
    """
    wanted = _changed(load(text, toml=toml, comments=comments), path, value)
    if toml:
        edited = toml_text.with_value(text, path, None if value is ABSENT else value, raw=raw, index=index)
    else:
        edited = _json_with(text, path, value, raw, index, comments)
    if load(edited, toml=toml, comments=comments) != wanted:
        raise Malformed("is written in a form that can't be changed safely")
    return edited


def _changed(document: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    copied = dict(document)
    if len(path) > 1:
        inner = copied.get(path[0], {})
        if not isinstance(inner, dict):
            raise Malformed(f"holds no object at {'/'.join(path[:-1])}")
        copied[path[0]] = _changed(inner, path[1:], value)
    elif value is ABSENT:
        copied.pop(path[0], None)
    else:
        copied[path[0]] = value
    return copied


def _parent(node: _Node, path: Path) -> tuple[_Node, str]:
    for key in path[:-1]:
        if key not in node.members:
            raise Malformed(f"holds no object at {'/'.join(path[:-1])}")
        node = node.members[key][1]
    return node, path[-1]


def _json_with(text: str, path: Path, value: Any, raw: str, index: int | None, comments: bool) -> str:
    root = _Parser(text, comments).document()
    parent, key = _parent(root, path)
    if key in parent.members and value is ABSENT:
        return _without_member(text, parent, key)
    if value is ABSENT:
        return text
    indent, unit = _indentation(text, root, parent)
    if key in parent.members:
        node = parent.members[key][1]
        is_flat = "\n" not in text[node.start : node.end]
        return text[: node.start] + (raw or _written(value, "" if is_flat else unit, indent)) + text[node.end :]
    written = f"{json.dumps(key, ensure_ascii=False)}: {raw or _written(value, unit, indent)}"
    return _with_member(text, parent, written, index, indent if unit else None)


def _without_member(text: str, parent: _Node, key: str) -> str:
    names = list(parent.members)
    place = names.index(key)
    start, node = parent.members[key]
    if place + 1 < len(names):
        return text[:start] + text[parent.members[names[place + 1]][0] :]
    if place:
        return text[: parent.members[names[place - 1]][1].end] + text[node.end :]
    return text[: parent.start] + "{}" + text[parent.end :]


def _with_member(text: str, parent: _Node, written: str, index: int | None, indent: str | None) -> str:
    names = list(parent.members)
    between = ", " if indent is None else f",\n{indent}"
    if index is not None and index < len(names):
        start = parent.members[names[index]][0]
        return text[:start] + written + between + text[start:]
    if names:
        end = parent.members[names[-1]][1].end
        return text[:end] + between + written + text[end:]
    if indent is None:
        return f"{text[: parent.start]}{{{written}}}{text[parent.end :]}"
    outer = _leading(text, parent.start)
    return f"{text[: parent.start]}{{\n{indent}{written}\n{outer}}}{text[parent.end :]}"


def _indentation(text: str, root: _Node, parent: _Node) -> tuple[str, str]:
    """(how far members of this object stand in, one step of it); ("", "") where all stands on one line."""
    if "\n" not in text.strip():
        return "", ""
    first = next((start for start, _ in root.members.values()), 0)
    unit = _leading(text, first) or "  "
    own = next((_leading(text, start) for start, _ in parent.members.values()), None)
    return own if own is not None else _leading(text, parent.start) + unit, unit


def _leading(text: str, at: int) -> str:
    """The blanks that the line of this place begins with."""
    begin = text.rfind("\n", 0, at) + 1
    found = re.match(r"[ \t]*", text[begin:at])
    return found.group() if found else ""


def _written(value: Any, unit: str, indent: str) -> str:
    if not unit:
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, indent=unit).replace("\n", f"\n{indent}")


def _place_in(error: Exception) -> str:
    found = re.search(r"\(at [^)]*\)", str(error))
    return found.group().strip("()") if found else "nested too deep"


class _Parser:
    """JSON with the places of its values; comments and trailing commas only where they are allowed."""

    def __init__(self, text: str, comments: bool) -> None:
        self.text, self.comments = text, comments

    def document(self) -> _Node:
        node = self._value(self._skip(1 if self.text.startswith("\ufeff") else 0), 0)
        end = self._skip(node.end)
        if end != len(self.text):
            raise self._fault("goes on after its end", end)
        return node

    def _fault(self, what: str, at: int) -> Malformed:
        line = self.text.count("\n", 0, at) + 1
        return Malformed(f"{what} (line {line}, column {at - self.text.rfind(chr(10), 0, at)})")

    def _skip(self, at: int) -> int:
        while True:
            found = _BLANK.match(self.text, at)
            at = found.end() if found else at
            if not self.comments or self.text[at : at + 2] not in ("//", "/*"):
                return at
            closing = "\n" if self.text[at + 1] == "/" else "*/"
            end = self.text.find(closing, at + 2)
            if end < 0 and closing == "*/":
                raise self._fault("has a comment without an end", at)
            at = len(self.text) if end < 0 else end + len(closing)

    def _value(self, at: int, depth: int) -> _Node:
        if depth > DEEPEST:
            raise self._fault("is nested too deep", at)
        char = self.text[at : at + 1]
        if char == "{":
            return self._object(at, depth)
        if char == "[":
            return self._array(at, depth)
        if char == '"':
            value, end = self._string(at)
            return _Node(value, at, end)
        for word, meaning in _WORDS.items():
            if self.text.startswith(word, at):
                return _Node(meaning, at, at + len(word))
        number = _NUMBER.match(self.text, at)
        if number is None:
            raise self._fault("ends too early" if at >= len(self.text) else "is no JSON", at)
        return _Node(json.loads(number.group()), at, number.end())

    def _string(self, at: int) -> tuple[str, int]:
        try:
            return scanstring(self.text, at + 1, True)
        except json.JSONDecodeError as error:
            raise self._fault("has a text that is no JSON", error.pos) from None

    def _object(self, start: int, depth: int) -> _Node:
        node = _Node({}, start, start)
        at = self._skip(start + 1)
        while self.text[at : at + 1] != "}":
            if self.text[at : at + 1] != '"':
                raise self._fault("lacks a key", at)
            key, end = self._string(at)
            if key in node.members:
                raise self._fault("has a key twice", at)
            colon = self._skip(end)
            if self.text[colon : colon + 1] != ":":
                raise self._fault("lacks a colon", colon)
            inner = self._value(self._skip(colon + 1), depth + 1)
            node.members[key], node.value[key] = (at, inner), inner.value
            at = self._after_item(inner.end, "}")
        node.end = at + 1
        return node

    def _array(self, start: int, depth: int) -> _Node:
        node = _Node([], start, start)
        at = self._skip(start + 1)
        while self.text[at : at + 1] != "]":
            inner = self._value(at, depth + 1)
            node.value.append(inner.value)
            at = self._after_item(inner.end, "]")
        node.end = at + 1
        return node

    def _after_item(self, end: int, closing: str) -> int:
        at = self._skip(end)
        if self.text[at : at + 1] == ",":
            following = self._skip(at + 1)
            if self.text[following : following + 1] == closing and not self.comments:
                raise self._fault("has a comma too many", at)
            return following
        if self.text[at : at + 1] != closing:
            raise self._fault("ends too early" if at >= len(self.text) else "lacks a comma", at)
        return at
