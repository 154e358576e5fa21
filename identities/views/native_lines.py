"""How the native form of a grant changed while its permission stayed: a tool that is described otherwise, say."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from identities.models import Change
from identities.views.change_lines import Line

MOST_LINES = 60
LONGEST_LINE = 300
AROUND = 2


@dataclass(frozen=True, slots=True)
class NativeChange:
    """One change of the native form, and the lines of its difference."""

    at: datetime
    lines: list[Line]


def native_change(change: Change) -> NativeChange:
    old, new = ((side or {}).get("native_ref") or {} for side in (change.old, change.new))
    return NativeChange(change.created_at, native_difference(old, new))


def native_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Line]:
    """Member by member: texts line by line, lists entry by entry, anything else as it was and is."""
    lines: list[Line] = []
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            lines.append(("kept", f"{name.replace('_', ' ')}:"))
            found = lines_between(_lines(old.get(name)), _lines(new.get(name)))
            lines += [(change, text[:LONGEST_LINE]) for change, text in found]
    if len(lines) > MOST_LINES:
        return [*lines[:MOST_LINES], ("kept", f"… and {len(lines) - MOST_LINES} more lines")]
    return lines


def _lines(value: Any) -> list[str]:
    if value in (None, "", [], {}):
        return []
    if isinstance(value, str):
        return value.splitlines()
    if isinstance(value, list):
        return [entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False) for entry in value]
    return [json.dumps(value, ensure_ascii=False)]


def lines_between(before: list[str], after: list[str]) -> list[Line]:
    """What differs between two texts, line by line, with a little of what stayed around it."""
    signs = {"-": "removed", "+": "added", " ": "kept"}
    found = list(difflib.unified_diff(before, after, lineterm="", n=AROUND))[2:]
    return [(signs[line[0]], line[1:]) for line in found if line[0] in signs]
