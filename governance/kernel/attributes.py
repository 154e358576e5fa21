"""Attributes of a request at the decision point: who asks, what for, on what, in which circumstances.

A condition names one as `subject.department`, `resource.status`, `action.soft` or `context.ip`. A value that names one
(`${subject.email}`) compares two attributes with each other. Such conditions are strict, because a decision hangs
on them at once and nobody looks at it first: what is absent fulfils no condition of an allowing statement and every one
of a denying statement, whatever the operator (`IfExists` and `Null` excepted, which speak of absence themselves). A
plain operator on several values, a value that cannot be read as what it is compared with, and a variable that is not
set leave the answer open.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

PARTS = ("subject", "resource", "action", "context")
_PREFIXES = tuple(f"{part}." for part in PARTS)

AttributeContext = dict[str, str | list[str] | None]


@lru_cache(maxsize=16_384)
def is_attribute(key: str) -> bool:
    """Whether a condition key names an attribute of the request rather than a key of some source."""
    return key.lower().startswith(_PREFIXES)


def attribute_context(**parts: Mapping[str, Any]) -> AttributeContext:
    """A context of the attributes of each part, by keys in small letters.

    Shape: `attribute_context(subject={"role": "admin"}, action={"soft": True})` is
    `{"subject.role": "admin", "action.soft": "true"}`. Null members and empty lists are absent, objects become JSON
    text. Two members that differ only in case become one with both values, which no plain operator takes for one.
    """
    context: AttributeContext = {}
    for part, members in parts.items():
        for name, value in members.items():
            texts = _texts(value)
            if not texts:
                continue
            key = f"{part}.{name}".lower()
            before = context.get(key)
            if before is not None:
                texts = [*(before if isinstance(before, list) else [before]), *texts]
            context[key] = texts if len(texts) > 1 else texts[0]
    return context


def absent_from(keys: Iterable[str], context: Mapping[str, Any]) -> list[str]:
    """Those of these attributes that the context does not hold, sorted."""
    return sorted({key for key in map(str.lower, keys) if is_attribute(key) and context.get(key) is None})


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [_text(each) for each in value if each is not None]
    return [_text(value)]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
