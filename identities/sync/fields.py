"""Read single values of a record: each reader returns the value in its one stored form, or raises `Fault`.

A reader is called with the value, its JSON pointer and the latest moment that an observation may carry.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from governance.kernel.dialects.authzen import resource_parts, resource_text
from governance.kernel.documents import InvalidPermission
from governance.kernel.permissions import Permission
from identities.diff import moment_text
from identities.models.identity import MAX_TAG
from identities.models.resource import MAX_RESOURCE_NAME
from identities.services.secret_shapes import escape, find_secret, find_secret_name

Reader = Callable[[Any, str, datetime], Any]

NO_SECRETS = "looks like a secret; Remit never stores secrets, so leave it out"
DEEPEST = 16
MOST_TAGS = 50
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(3000, 1, 1, tzinfo=UTC)
LARGEST_NUMBER = 2**53 - 1
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,188}\.[^@\s.]{1,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


class Fault(Exception):
    """One thing that is wrong with a record. `pointer` is the place (RFC 6901), `reason` never repeats a secret."""

    def __init__(self, pointer: str, code: str, reason: str) -> None:
        super().__init__(reason)
        self.pointer = pointer
        self.code = code
        self.reason = reason


def text(most: int, *, may_be_empty: bool = False, most_bytes: int = 0) -> Reader:
    """Text on one line, without control characters, of at most `most` characters (and `most_bytes` in UTF-8)."""

    def read(value: Any, at: str, latest: datetime) -> str:
        if not isinstance(value, str):
            raise Fault(at, "wrong-type", "must be a text")
        if not value.strip() and not may_be_empty:
            raise Fault(at, "empty", "must not be empty")
        if found := _CONTROL.search(value):
            raise Fault(at, "character", f"holds a character that is not allowed here (U+{ord(found.group()):04X})")
        if len(value) > most or (most_bytes and len(value.encode()) > most_bytes):
            unit = "bytes" if most_bytes else "characters"
            raise Fault(at, "too-long", f"is longer than {most_bytes or most:,} {unit}")
        return value

    return read


_RESOURCE = text(MAX_RESOURCE_NAME, most_bytes=2_000)


def resource_name(value: Any, at: str, latest: datetime) -> str:
    """A registered resource as permissions of the decision point name it: `type:id`, nothing in it wild."""
    name = str(_RESOURCE(value, at, latest))
    kind, _, identifier = name.partition(":")
    if not kind or not identifier:
        raise Fault(at, "no-resource", "must be written type:id, such as record:7")
    if resource_text(*resource_parts(name)) != name:
        raise Fault(at, "no-resource", "holds * or ? or %; write %2A, %3F and %25")
    return name


def prose(most: int) -> Reader:
    """Text that may have several lines."""

    def read(value: Any, at: str, latest: datetime) -> str:
        if not isinstance(value, str):
            raise Fault(at, "wrong-type", "must be a text")
        if len(value) > most:
            raise Fault(at, "too-long", f"is longer than {most:,} characters")
        _check_characters(value, at)
        return value

    return read


def choice(values: list[str]) -> Reader:
    """One of a fixed list of words."""
    known = frozenset(values)

    def read(value: Any, at: str, latest: datetime) -> str:
        if not isinstance(value, str):
            raise Fault(at, "wrong-type", "must be a text")
        if value not in known:
            raise Fault(at, "unknown-value", f"must be one of {', '.join(values)}")
        return value

    return read


def email(value: Any, at: str, latest: datetime) -> str:
    """An e-mail address, in lower case because people are stored so. Empty text: nobody."""
    if not isinstance(value, str):
        raise Fault(at, "wrong-type", "must be a text")
    if value and (_CONTROL.search(value) or not _EMAIL.fullmatch(value) or len(value) > 254):
        raise Fault(at, "no-email", "must be an e-mail address; put other words about the owner into attributes")
    return value.lower()


def observed(value: Any, at: str, latest: datetime) -> str:
    """A moment that was observed, so it cannot lie ahead of the observation."""
    moment = _moment(value, at)
    if moment > latest:
        raise Fault(at, "in-the-future", "lies after the moment of the reading; check the sender's clock")
    return moment_text(moment)


def planned(value: Any, at: str, latest: datetime) -> str:
    """A moment that may lie ahead: an expiry."""
    return moment_text(_moment(value, at))


def _moment(value: Any, at: str) -> datetime:
    if not isinstance(value, str):
        raise Fault(at, "wrong-type", "must be a text with an RFC 3339 time")
    if not _TIME.fullmatch(value):
        has_no_zone = _TIME.fullmatch(value + "Z")
        reason = "needs a time zone" if has_no_zone else "must be an RFC 3339 time, e.g. 2026-03-01T09:30:00Z"
        raise Fault(at, "no-time", reason)
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Fault(at, "no-time", "is no date that exists") from None
    if moment < EARLIEST:
        raise Fault(at, "no-time", "lies before 1970")
    if moment >= LAST:
        raise Fault(at, "no-time", "lies after the year 2999; leave it out where there is no end")
    return moment


def number(value: Any, at: str, latest: datetime) -> int:
    """A whole number from zero."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Fault(at, "wrong-type", "must be a whole number")
    if value < 0:
        raise Fault(at, "negative", "must not be negative")
    return value


def small_number(value: Any, at: str, latest: datetime) -> int:
    """A whole number that fits the database's integer."""
    if number(value, at, latest) > 2**31 - 1:
        raise Fault(at, "too-large", "must be smaller than 2^31")
    return int(value)


def flag(value: Any, at: str, latest: datetime) -> bool:
    if not isinstance(value, bool):
        raise Fault(at, "wrong-type", "must be true or false")
    return value


def free_object(value: Any, at: str, latest: datetime) -> dict[str, Any]:
    """An object with members of the sender's choice: no secrets, not nested beyond reason."""
    if not isinstance(value, dict):
        raise Fault(at, "wrong-type", "must be an object")
    _check_tree(value, at, DEEPEST)
    return value


def claims(value: Any, at: str, latest: datetime) -> dict[str, str]:
    """Further claims that must hold, each with the pattern that it must fit."""
    if not isinstance(value, dict):
        raise Fault(at, "wrong-type", "must be an object")
    if len(value) > 50:
        raise Fault(at, "too-long", "has more than 50 claims")
    name_of, read = text(200), text(1024, may_be_empty=True)
    for name in value:
        name_of(name, f"{at}/{escape(name)}", latest)
    return {name: read(pattern, f"{at}/{escape(name)}", latest) for name, pattern in value.items()}


def path(value: Any, at: str, latest: datetime) -> list[dict[str, str]]:
    """The chain that causes a grant, outermost first: objects with `kind` and optionally `id` and `label`."""
    if not isinstance(value, list):
        raise Fault(at, "wrong-type", "must be a list")
    if len(value) > 32:
        raise Fault(at, "too-long", "has more than 32 steps")
    readers = {"kind": text(40), "id": text(1024), "label": text(512)}
    return [
        _members(step, f"{at}/{index}", readers, required="kind", latest=latest) for index, step in enumerate(value)
    ]


def tags(value: Any, at: str, latest: datetime) -> list[str]:
    """Short words that a source sorts its identities by; each once, in order."""
    if not isinstance(value, list):
        raise Fault(at, "wrong-type", "must be a list")
    if len(value) > MOST_TAGS:
        raise Fault(at, "too-long", f"has more than {MOST_TAGS} tags")
    read = text(MAX_TAG)
    return sorted({read(tag, f"{at}/{index}", latest) for index, tag in enumerate(value)})


def observable(value: Any, at: str, latest: datetime) -> dict[str, list[str]]:
    """What a log can show: patterns of actions and of resources."""
    if not isinstance(value, dict):
        raise Fault(at, "wrong-type", "must be an object")
    for name in value:
        if name not in ("actions", "resources"):
            raise Fault(f"{at}/{escape(name)}", "unknown-field", "is no field of this object")
    return {name: _patterns(value.get(name), f"{at}/{name}", latest) for name in ("actions", "resources")}


def _patterns(value: Any, at: str, latest: datetime) -> list[str]:
    if not isinstance(value, list) or not value:
        raise Fault(at, "wrong-type", "must be a list with at least one pattern")
    if len(value) > 10_000:
        raise Fault(at, "too-long", "has more than 10,000 patterns")
    read = text(1024)
    return [read(pattern, f"{at}/{index}", latest) for index, pattern in enumerate(value)]


def permission(value: Any, at: str, latest: datetime) -> tuple[dict[str, Any], bytes]:
    """The permission in its stored form, and its digest."""
    try:
        return _permission(orjson.dumps(value))
    except InvalidPermission as error:
        raise Fault(f"{at}{error.pointer}", error.code, error.reason) from error
    except (TypeError, orjson.JSONEncodeError):
        raise Fault(at, "invalid-permission", "holds text that is no valid Unicode, or is nested too deep") from None


# Estates hold few different permissions many times: reading each once is most of the speed of a large run.
# Enough of them for an estate with some thousands; where nearly all differ, more would only take memory.
@lru_cache(maxsize=6_000)
def _permission(written: bytes) -> tuple[dict[str, Any], bytes]:
    read = Permission.from_json(orjson.loads(written))
    return read.to_json(), read.digest()


def _members(value: Any, at: str, readers: Mapping[str, Reader], *, required: str, latest: datetime) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Fault(at, "wrong-type", "must be an object")
    for name in value:
        if name not in readers:
            raise Fault(f"{at}/{escape(name)}", "unknown-field", "is no field of this object")
    if required not in value:
        raise Fault(f"{at}/{required}", "missing", "is missing")
    return {name: readers[name](member, f"{at}/{name}", latest) for name, member in value.items()}


def _check_tree(value: Any, at: str, depth: int) -> None:
    if depth < 0:
        raise Fault(at[:200], "too-deep", f"is nested deeper than {DEEPEST} levels")
    if isinstance(value, dict):
        for name, member in value.items():
            _check_characters(name, at)
            _check_tree(member, f"{at}/{escape(name)}", depth - 1)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            _check_tree(member, f"{at}/{index}", depth - 1)
    elif isinstance(value, str):
        _check_characters(value, at)


def _check_characters(value: str, at: str) -> None:
    if found := _UNSTORABLE.search(value):
        raise Fault(at, "character", f"holds a character that can't be stored (U+{ord(found.group()):04X})")


def refuse_secret_names(value: Any, at: str) -> None:
    """Refuse members that are named like secrets, wherever the sender chooses the names."""
    if found := find_secret_name(value, at):
        raise Fault(found, "secret", NO_SECRETS)


def refuse_secrets(record: dict[str, Any], access_key_ids_at: frozenset[str]) -> None:
    """Refuse a record that carries a secret, naming the field and never the value."""
    if found := find_secret(record, access_key_ids_at=access_key_ids_at):
        raise Fault(found, "secret", NO_SECRETS)
