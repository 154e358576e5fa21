"""One text for one value: the bytes that are hashed into the chain.

The profile is a narrow I-JSON (RFC 7493): ASCII keys, strings, booleans, null, integers below 2^53, lists, objects.
Within it, Python's sorted compact JSON equals the JSON Canonicalization Scheme (RFC 8785), so anybody can check a
payload with any language's tools. Floats are refused: their text differs between languages.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from types import NoneType
from typing import Any
from uuid import UUID

import orjson

LARGEST_INTEGER = 2**53 - 1
AS_IT_IS = frozenset({str, int, bool, NoneType, UUID})
WRITING = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


class NotCanonical(ValueError):
    """The value cannot be written in the profile; the message says where (a JSON pointer) and why."""


def canonical(value: Any) -> str:
    """The canonical JSON text of `value`.

    Times become RFC 3339 in UTC with microseconds, dates ISO 8601, UUIDs and decimals strings, enums their value,
    tuples lists. Raises NotCanonical for floats, naive times, large integers, non-ASCII keys and anything else.
    """
    return text_of(portable(value))


def portable(value: Any, where: str = "") -> Any:
    """`value` in terms that `text_of` writes as they are: itself when it holds nothing else.

    where: the value's place in the record, for the message of NotCanonical.
    """
    return value if _is_plain(value) else _plain(value, where)


def text_of(value: Any) -> str:
    """The canonical text of a value made of portable ones. Raises NotCanonical."""
    try:
        return orjson.dumps(value, option=WRITING).decode()
    except orjson.JSONEncodeError:
        # A large integer or half a surrogate pair; this says which and where.
        return orjson.dumps(_plain(value, ""), option=WRITING).decode()


def elements_of(values: list[Any]) -> bytes:
    """The canonical texts of portable values as they stand in a list.

    They hold neither integers from 2^53 on nor halves of surrogate pairs.
    """
    return orjson.dumps(values, option=WRITING)[1:-1]


def list_of(parts: Iterable[bytes]) -> orjson.Fragment:
    """A list of everything in these parts, each by `elements_of`, to be written by `text_of` as it stands."""
    return orjson.Fragment(b"[" + b",".join(parts) + b"]")


def rfc3339(moment: datetime) -> str:
    """`2026-03-01T09:30:00.000000Z`: always UTC, always six digits, so that equal times are equal texts."""
    if moment.tzinfo is UTC:
        return _utc_text(moment)
    if moment.tzinfo is None:
        raise NotCanonical("a time without a zone has no single meaning")
    return _utc_text(moment.astimezone(UTC))


@lru_cache(maxsize=64)  # the records of one transaction mostly share their time
def _utc_text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _is_plain(value: Any) -> bool:
    """Whether the value can be written as it is; most can, and looking costs a fifth of converting."""
    kind = type(value)
    if kind is dict:
        for key, entry in value.items():
            if type(key) is not str or not key.isascii() or not (type(entry) in AS_IT_IS or _is_plain(entry)):
                return False
        return True
    if kind is list:
        return all(map(_is_plain, value))
    return kind in AS_IT_IS


def _plain(value: Any, where: str) -> Any:
    match value:
        case Enum():
            return _plain(value.value, where)
        case Mapping():
            return {_key(key, where): _plain(entry, f"{where}/{key}") for key, entry in value.items()}
        case list() | tuple():
            return [_plain(entry, f"{where}/{index}") for index, entry in enumerate(value)]
    return _scalar(value, where)


def _scalar(value: Any, where: str) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return _text(value, where)
        case int():
            return _integer(value, where)
        case datetime():
            return rfc3339(value)
        case date():
            return value.isoformat()
        case UUID() | Decimal():
            return str(value)
    raise NotCanonical(f"{where or '/'}: {type(value).__name__} is not allowed in an audit record")


def _integer(value: int, where: str) -> int:
    if abs(value) > LARGEST_INTEGER:
        raise NotCanonical(f"{where or '/'}: integers from 2^53 on are not portable; write a string")
    return value


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotCanonical(f"{where or '/'}: the text holds half a surrogate pair") from None
    return str(value)


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str) or not key.isascii():
        raise NotCanonical(f"{where or '/'}: {key!r} is not an ASCII key")
    return str(key.value) if isinstance(key, Enum) else key
