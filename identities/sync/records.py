"""The records of a reading: what each type may say, checked line by line and brought into one form.

docs/api.md, "Record types", describes them for senders; a test compares that page with `RECORD_TYPES`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson

from governance.kernel.errors import DomainError
from identities.diff import content_hash
from identities.models import (
    CredentialKind,
    Custody,
    Environment,
    IdentityKind,
    IdentityStatus,
    Revocability,
)
from identities.services.secret_shapes import escape, is_secret_name, may_hold_secret
from identities.sync import fields
from identities.sync.fields import Fault
from identities.sync.lines import TooLarge

# Clocks differ a little; what lies further ahead is a mistake.
CLOCK_TOLERANCE = timedelta(minutes=5)
MOST_ERRORS = 1000
# PostgreSQL refuses index entries beyond 2,704 bytes, and these texts are parts of unique keys.
_LONGEST_KEY = 2_000
_ID = fields.text(512)
_REQUIRED = object()
RETIRABLE = ("identity", "credential", "grant", "trust", "resource")


class MalformedLine(ValueError):
    """JSON that decodes but does not mean one thing: repeated keys, NaN, fractions."""


class TooManyErrors(DomainError):
    """Reading further would only repeat the same complaint."""

    code = "too-many-errors"
    title = "Too many records can't be accepted"


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a record was refused. `line` counts from 1."""

    line: int
    pointer: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One checked record, ready to be staged.

    key: unique among the records of its kind in one reading. body: the whole record in its stored form, as JSON text,
    itself a valid record. hash covers what counts as a change; last use does not. line_hash: of the line as it came.
    """

    line: int
    kind: str
    key: str
    external_id: str
    identity: str
    hash: bytes
    digest: bytes | None
    last_used_at: str | None
    body: str
    line_hash: bytes


@dataclass(frozen=True, slots=True)
class _Field:
    read: fields.Reader
    default: Any = _REQUIRED


RECORD_TYPES: dict[str, dict[str, _Field]] = {
    "identity": {
        "id": _Field(_ID),
        "kind": _Field(fields.choice(IdentityKind.values)),
        "name": _Field(fields.text(512), ""),
        "status": _Field(fields.choice(IdentityStatus.values), "active"),
        "environment": _Field(fields.choice(Environment.values), ""),
        "purpose": _Field(fields.prose(10_000), ""),
        "owner": _Field(fields.email, ""),
        "sponsor": _Field(fields.email, ""),
        "custody": _Field(fields.choice(Custody.values), "unknown"),
        "acts_for": _Field(fields.text(254, may_be_empty=True), ""),
        "tags": _Field(fields.tags, []),
        "created_at": _Field(fields.observed, None),
        "last_used_at": _Field(fields.observed, None),
        "attributes": _Field(fields.free_object, {}),
    },
    "credential": {
        "id": _Field(_ID),
        "identity": _Field(_ID),
        "kind": _Field(fields.choice(CredentialKind.values)),
        "status": _Field(fields.choice(IdentityStatus.values), "active"),
        "created_at": _Field(fields.observed, None),
        "expires_at": _Field(fields.planned, None),
        "never_expires": _Field(fields.flag, False),
        "last_rotated_at": _Field(fields.observed, None),
        "last_used_at": _Field(fields.observed, None),
        "storage": _Field(fields.text(120, may_be_empty=True), ""),
        "audience": _Field(fields.text(512, may_be_empty=True), ""),
        "fingerprint": _Field(fields.text(128, may_be_empty=True), ""),
        "attributes": _Field(fields.free_object, {}),
    },
    "grant": {
        "id": _Field(fields.text(1024, most_bytes=_LONGEST_KEY)),
        "identity": _Field(_ID),
        "label": _Field(fields.text(512), ""),
        "permission": _Field(fields.permission),
        "path": _Field(fields.path, []),
        "revocability": _Field(fields.choice(Revocability.values), "here"),
        "shared_with": _Field(fields.small_number, 0),
        "native_ref": _Field(fields.free_object, {}),
        "valid_from": _Field(fields.planned, None),
        "valid_until": _Field(fields.planned, None),
    },
    "usage": {
        "identity": _Field(_ID),
        "action": _Field(fields.text(256)),
        "resource": _Field(fields.text(1024, most_bytes=_LONGEST_KEY - 500)),
        "first_seen_at": _Field(fields.observed, None),
        "last_seen_at": _Field(fields.observed),
        "count": _Field(fields.number, 1),
        "counted_from": _Field(fields.observed, None),
    },
    "usage_window": {
        "identity": _Field(_ID, None),
        "log": _Field(fields.text(120)),
        "from": _Field(fields.observed),
        "until": _Field(fields.observed),
        "observable": _Field(fields.observable),
    },
    "trust": {
        "id": _Field(_ID),
        "identity": _Field(_ID),
        "issuer": _Field(fields.text(512)),
        "subject": _Field(fields.text(512, may_be_empty=True), ""),
        "audience": _Field(fields.text(512, may_be_empty=True), ""),
        "conditions": _Field(fields.claims, None),
    },
    "resource": {
        "id": _Field(fields.resource_name),
        "name": _Field(fields.text(512), ""),
        "properties": _Field(fields.free_object, {}),
    },
    "retire": {
        "of": _Field(fields.choice(list(RETIRABLE))),
        "id": _Field(fields.text(1024, most_bytes=_LONGEST_KEY)),
    },
    "end": {"records": _Field(fields.number)},
}

# (earlier, later): pairs of moments of one record that cannot stand the other way round.
_IN_ORDER: dict[str, tuple[tuple[str, str], ...]] = {
    "identity": (("created_at", "last_used_at"),),
    "credential": (("created_at", "last_used_at"), ("created_at", "last_rotated_at"), ("created_at", "expires_at")),
    "grant": (("valid_from", "valid_until"),),
    "usage": (("first_seen_at", "last_seen_at"), ("counted_from", "last_seen_at")),
    "usage_window": (("from", "until"),),
}
_NOT_COUNTED = frozenset({"id", "last_used_at", "permission"})
_ACCESS_KEY_IDS = {
    "credential": frozenset({"/id", "/fingerprint"}),
    "retire": frozenset({"/id"}),
}


@dataclass(slots=True)
class RecordReader:
    """Reads the lines of one run. Faulty records are collected in `errors` and left out; `records` counts all.

    line_key: what the hash of a line is keyed with. most_errors: where reading stops. `is_whole` is false when the
    body itself is at fault (cut off, empty, going on after its end), not only some of its records.
    """

    is_delta: bool
    is_complete: bool
    observed_at: datetime
    default_environment: str
    most_records: int
    line_key: bytes = b""
    must_end: bool = False
    most_errors: int = MOST_ERRORS
    errors: list[RowError] = field(default_factory=list)
    records: int = 0
    last_line: int = 0
    is_whole: bool = True
    _is_ended: bool = False

    def rows(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
        """The accepted records among these lines, each given with its number.

        Raises `TooManyErrors`, `TooLarge`, and what the lines themselves raise.
        """
        for line, data in lines:
            self.last_line = line
            if not data.strip():
                continue
            self.records += 1
            try:
                row = self._row(line, data)
            except Fault as fault:
                self._complain(line, fault)
                continue
            if row is not None:
                yield row
        if not self.records:
            self._complain(self.last_line or 1, Fault("", "empty", _EMPTY))
        elif not self._is_ended and (self.is_complete or self.must_end):
            self._complain(self.last_line + 1, Fault("", "no-end", _NO_END))

    def pass_over(self, count: int, *, first_line: int) -> None:
        """Count so many records that need no reading, because the same lines were read before."""
        if self._is_ended:
            self._complain(first_line, _after_end())
        self.records += count
        self.last_line = first_line + count - 1
        self._limit(first_line)

    def _limit(self, line: int) -> None:
        if self.records > self.most_records:
            raise TooLarge(f"There are more than {self.most_records:,} records in one reading.", line=line)

    def _row(self, line: int, data: bytes) -> Row | None:
        if self._is_ended:
            raise _after_end()
        record = _decode(data)
        kind = _kind(record)
        if kind == "end":
            self._end(record)
            return None
        self._limit(line)
        if kind == "retire" and not self.is_delta:
            raise Fault("/type", "retire-in-snapshot", "is for deltas; a complete snapshot retires what it lacks")
        return self._checked(line, kind, record, line_hash(data, self.line_key))

    def _checked(self, line: int, kind: str, record: dict[str, Any], hashed: bytes) -> Row:
        latest = self.observed_at + CLOCK_TOLERANCE
        values, digest = _read_fields(kind, record, latest)
        _check_order(kind, values)
        if kind == "identity":
            values["name"] = values["name"] or values["id"]
            values["environment"] = values["environment"] or self.default_environment
        elif kind == "grant":
            values["label"] = values["label"] or values["id"][:512]
        elif kind == "resource":
            values["name"] = values["name"] or values["id"][:512]
        body = orjson.dumps({"type": kind, **values})
        if may_hold_secret(body):
            fields.refuse_secrets(values, _ACCESS_KEY_IDS.get(kind, frozenset()))
        return _staged(line, kind, values, digest, body.decode(), hashed)

    def _end(self, record: dict[str, Any]) -> None:
        self._is_ended = True
        self.records -= 1
        values, _ = _read_fields("end", record, self.observed_at)
        if values["records"] != self.records:
            raise Fault("/records", "wrong-count", f"says {values['records']:,}, but {self.records:,} came before it")

    def _complain(self, line: int, fault: Fault) -> None:
        self.errors.append(RowError(line, fault.pointer[:300], fault.code, fault.reason[:500]))
        self.is_whole &= fault.code not in _OF_THE_BODY
        if len(self.errors) >= self.most_errors:
            told = f"{self.most_errors:,} records can't be accepted; reading stopped at line {line:,}."
            raise TooManyErrors(told, line=line)


_EMPTY = "there is no record; an empty reading is not accepted"
_NO_END = "the end record is missing: the data was cut off, or the sender forgot it"
_OF_THE_BODY = frozenset({"empty", "no-end", "after-end", "wrong-count"})


def _after_end() -> Fault:
    return Fault("", "after-end", "stands after the end record")


def line_hash(line: bytes, key: bytes) -> bytes:
    """16 bytes that stand for a line as it was sent."""
    return blake2b(line, digest_size=16, key=key).digest()


def _decode(data: bytes) -> dict[str, Any]:
    try:
        record = _DECODER.decode(data.decode())
    except UnicodeDecodeError:
        raise Fault("", "bad-utf8", "is not valid UTF-8") from None
    except RecursionError:
        raise Fault("", "too-deep", "is nested too deep") from None
    except MalformedLine as error:
        raise Fault("", "malformed-json", str(error)) from None
    except json.JSONDecodeError as error:
        raise Fault("", "malformed-json", f"is not JSON: {error.msg.lower()} at character {error.pos + 1}") from None
    if not isinstance(record, dict):
        raise Fault("", "wrong-type", "must be a JSON object")
    return record


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedLine(f"holds the key {escape(twice)!a} twice")
    return members


def _refuse_constant(word: str) -> None:
    raise MalformedLine(f"holds {word}, which is not JSON")


def _refuse_fraction(text: str) -> None:
    raise MalformedLine("holds a number with a fraction; send whole numbers, or text")


def _whole(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > fields.LARGEST_NUMBER:
        raise MalformedLine("holds a number beyond 2^53; send it as text")
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_refuse_fraction, parse_int=_whole
)


def _kind(record: dict[str, Any]) -> str:
    kind = record.get("type")
    if kind is None:
        raise Fault("/type", "missing", "is missing")
    if not isinstance(kind, str) or kind not in RECORD_TYPES:
        raise Fault("/type", "unknown-type", f"must be one of {', '.join(RECORD_TYPES)}")
    return kind


def _read_fields(kind: str, record: Mapping[str, Any], latest: datetime) -> tuple[dict[str, Any], bytes | None]:
    known = RECORD_TYPES[kind]
    for name in record:
        if name not in known and name != "type":
            if is_secret_name(name):
                raise Fault(f"/{escape(name)}", "secret", fields.NO_SECRETS)
            raise Fault(f"/{escape(name)}", "unknown-field", f"is no field of {kind} records")
    digest = None
    values: dict[str, Any] = {}
    for name, spec in known.items():
        given = record.get(name)
        if given is None:
            if spec.default is _REQUIRED:
                raise Fault(f"/{name}", "missing", "is missing")
            values[name] = spec.default
            continue
        values[name] = spec.read(given, f"/{name}", latest)
    if kind == "grant":
        values["permission"], digest = values["permission"]
    # Names of secrets can only hide where the sender chooses the names.
    for name in ("attributes", "native_ref", "properties", "conditions"):
        if values.get(name):
            fields.refuse_secret_names(values[name], f"/{name}")
    return values, digest


def _check_order(kind: str, values: dict[str, Any]) -> None:
    for earlier, later in _IN_ORDER.get(kind, ()):
        first, second = values[earlier], values[later]
        if first is not None and second is not None and datetime.fromisoformat(second) < datetime.fromisoformat(first):
            raise Fault(f"/{later}", "clock", f"lies before {earlier}")
    if kind == "credential" and values["never_expires"] and values["expires_at"]:
        raise Fault("/never_expires", "contradiction", "is true although expires_at is given")


def _staged(line: int, kind: str, values: dict[str, Any], digest: bytes | None, body: str, hashed: bytes) -> Row:
    last_used_at = values.get("last_used_at")
    identity = values.get("identity") or ""
    if kind == "retire":
        kind = f"retire_{values['of']}"
    external_id = values.get("id", "")
    if kind == "usage":
        key = f"{identity}\n{values['action']}\n{values['resource']}"
    elif kind == "usage_window":
        key = f"{identity}\n{values['log']}"
    else:
        key = external_id
    counted = {name: value for name, value in values.items() if name not in _NOT_COUNTED}
    if kind == "trust" and values["conditions"] is None:
        del counted["conditions"]  # what is not told changes nothing
    if digest is not None:
        counted["digest"] = digest.hex()
    return Row(line, kind, key, external_id, identity, content_hash(counted), digest, last_used_at, body, hashed)
