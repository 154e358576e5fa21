"""The few edits of TOML text that are needed: a key of a table, and a table with its sub-tables."""

import json
import re
import tomllib
from collections.abc import Sequence
from typing import Any

_HEADER = re.compile(r"\s*\[(?!\[)(?P<name>[^\n]+?)\]\s*(?:#.*)?$")


def table_text(text: str, path: Sequence[str]) -> tuple[str, int]:
    """The lines of the table at the path with its sub-tables, and before the how-manieth table they stand."""
    kept, taken, place = _split(text, path)
    del kept
    return "".join(taken), place


def with_value(text: str, path: Sequence[str], value: Any, *, raw: str, index: int | None) -> str:
    """The text with a key set or (None) taken out; the value of a table comes as the `raw` lines it had."""
    lines = text.splitlines(keepends=True)
    if raw:
        starts = [number for number, line in enumerate(lines) if _path_of(line) is not None]
        at = starts[index] if index is not None and index < len(starts) else len(lines)
        if at == len(lines) and lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        return "".join([*lines[:at], raw, *lines[at:]])
    if any(_path_of(line) == tuple(path) for line in lines):
        return "".join(_split(text, path)[0])
    return _with_key(lines, path, value)


def _split(text: str, path: Sequence[str]) -> tuple[list[str], list[str], int]:
    kept: list[str] = []
    taken: list[str] = []
    is_inside, tables, place = False, 0, 0
    for line in text.splitlines(keepends=True):
        here = _path_of(line)
        if here is not None:
            is_inside = here[: len(path)] == tuple(path)
            if is_inside and not taken:
                place = tables
            tables += not is_inside
        (taken if is_inside else kept).append(line)
    return kept, taken, place


def _with_key(lines: list[str], path: Sequence[str], value: Any) -> str:
    table, key = tuple(path[:-1]), path[-1]
    start = next((number for number, line in enumerate(lines) if _path_of(line) == table), None)
    if start is None:
        return "".join(lines)  # the caller sees that nothing changed
    end = next((n for n in range(start + 1, len(lines)) if _path_of(lines[n]) is not None), len(lines))
    written = [] if value is None else [f"{key} = {json.dumps(value, ensure_ascii=False)}\n"]
    for number in range(start + 1, end):
        if re.match(rf"\s*(?:{re.escape(key)}|\"{re.escape(key)}\")\s*=", lines[number]):
            last = _end_of_value(lines, number, end)
            return "".join([*lines[:number], *written, *lines[last:]])
    if not lines[start].endswith("\n"):
        lines[start] += "\n"
    return "".join([*lines[: start + 1], *written, *lines[start + 1 :]])


def _end_of_value(lines: list[str], number: int, end: int) -> int:
    """Behind the last line of a value that may go over several."""
    for last in range(number + 1, end + 1):
        try:
            tomllib.loads("".join(lines[number:last]))
        except tomllib.TOMLDecodeError:
            continue
        return last
    return number + 1


def _path_of(line: str) -> tuple[str, ...] | None:
    """The path of a table's header line, or None."""
    if _HEADER.match(line) is None:
        return None
    try:
        found: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    path: list[str] = []
    while isinstance(found, dict) and found:
        name, found = next(iter(found.items()))
        path.append(name)
    return tuple(path)
