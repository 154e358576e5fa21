"""Permissions as values and as JSON: reading what others send, writing the one form that is hashed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import Any, cast

from governance.kernel import dialects
from governance.kernel.errors import DomainError
from governance.kernel.statements import Condition, Effect, PatternSet, Statement

MAX_PATTERNS = 10_000
MAX_PATTERN_LENGTH = 2_048
MAX_STATEMENTS = 2_000
MAX_VALUES = 10_000


class InvalidPermission(DomainError):
    """A permission document cannot be read. `pointer` (RFC 6901) is the place, `reason` what is wrong there."""

    code = "invalid-permission"
    title = "This is no permission"

    def __init__(self, pointer: str, reason: str) -> None:
        super().__init__(f"The permission cannot be read at {pointer or 'its top'}: {reason}.", pointer=pointer)
        self.pointer = pointer
        self.reason = reason


@dataclass(frozen=True)
class Permission:
    """The union of the allowing statements minus the denying ones, in the words of one dialect."""

    dialect: str
    statements: tuple[Statement, ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.dialect, self.statements))

    def __reduce__(self) -> tuple[Any, ...]:
        """Without what is remembered: the hash of a text differs from process to process."""
        return (Permission, (self.dialect, self.statements))

    @classmethod
    def from_json(cls, data: Any) -> "Permission":
        """Read decoded JSON; raises `InvalidPermission` for anything that is not exactly a permission.

        Shape: {"dialect": "postgresql", "statements": [{"actions": ["SELECT"], "resources": ["table:l/public/t"]}]}
        with optional "effect", "conditions", "until" per statement and {"include": [...], "exclude": [...]} in place of
        a plain list.
        """
        return _Reader().permission(data)

    def to_json(self) -> dict[str, Any]:
        """The document of this permission, short forms used where they say the same."""
        return {"dialect": self.dialect, "statements": [_statement_json(each) for each in self.statements]}

    def canonical(self) -> bytes:
        """One form for equal content: sorted, without repetition, whatever the order in which it was written."""
        written = {_compact(_canonical_statement(each)) for each in self.statements}
        return b'{"dialect":%s,"statements":[%s]}' % (_compact(self.dialect), b",".join(sorted(written)))

    def digest(self) -> bytes:
        """sha256 of the canonical form, 32 bytes."""
        return self._digest

    @cached_property
    def _digest(self) -> bytes:
        return sha256(self.canonical()).digest()

    @property
    def is_empty(self) -> bool:
        """Whether no statement allows anything by its form (a deny may still take everything away)."""
        return not any(
            each.effect == "allow" and each.actions.include and each.resources.include for each in self.statements
        )


def format_moment(moment: datetime) -> str:
    """RFC 3339 in UTC with Z; fractions only where there are some."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


# Made once: `json.dumps` with options builds an encoder at every call.
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False).encode


def _compact(value: Any) -> bytes:
    return _encode(value).encode()


def _set_json(patterns: PatternSet) -> list[str] | dict[str, list[str]]:
    if not patterns.exclude:
        return list(patterns.include)
    return {"include": list(patterns.include), "exclude": list(patterns.exclude)}


def _statement_json(statement: Statement) -> dict[str, Any]:
    written: dict[str, Any] = {"actions": _set_json(statement.actions), "resources": _set_json(statement.resources)}
    if statement.effect == "deny":
        written["effect"] = "deny"
    if statement.conditions:
        written["conditions"] = [
            {"operator": each.operator, "key": each.key, "values": list(each.values)} for each in statement.conditions
        ]
    if statement.until is not None:
        written["until"] = format_moment(statement.until)
    return written


def _canonical_statement(statement: Statement) -> dict[str, Any]:
    conditions = {(each.operator, each.key, tuple(sorted(set(each.values)))) for each in statement.conditions}
    return {
        "effect": statement.effect,
        "actions": [sorted(set(statement.actions.include)), sorted(set(statement.actions.exclude))],
        "resources": [sorted(set(statement.resources.include)), sorted(set(statement.resources.exclude))],
        "conditions": sorted(conditions),
        "until": format_moment(statement.until) if statement.until else None,
    }


class _Reader:
    """One reading; counts patterns over the whole document."""

    def __init__(self) -> None:
        self.dialect = dialects.Dialect()
        self.patterns = 0

    def permission(self, data: Any) -> Permission:
        fields = _fields(data, "", required={"dialect", "statements"})
        name = _text(fields["dialect"], "/dialect")
        if name not in dialects.DIALECTS:
            raise InvalidPermission("/dialect", f"unknown dialect; known are {', '.join(dialects.DIALECTS)}")
        self.dialect = dialects.get(name)
        listed = _list(fields["statements"], "/statements", MAX_STATEMENTS, may_be_empty=True)
        return Permission(name, tuple(self.statement(each, f"/statements/{i}") for i, each in enumerate(listed)))

    def statement(self, data: Any, at: str) -> Statement:
        optional = {"effect", "conditions", "until"}
        fields = _fields(data, at, required={"actions", "resources"}, optional=optional)
        effect = fields.get("effect", "allow")
        if effect not in ("allow", "deny"):
            raise InvalidPermission(f"{at}/effect", 'must be "allow" or "deny"')
        conditions = _list(fields.get("conditions", []), f"{at}/conditions", 100, may_be_empty=True)
        until = fields.get("until")
        return Statement(
            actions=self.pattern_set(fields["actions"], f"{at}/actions", self.dialect.action_fault),
            resources=self.pattern_set(fields["resources"], f"{at}/resources", self.dialect.resource_fault),
            effect=cast(Effect, effect),
            conditions=tuple(_condition(each, f"{at}/conditions/{i}") for i, each in enumerate(conditions)),
            until=None if until is None else _moment(until, f"{at}/until"),
        )

    def pattern_set(self, data: Any, at: str, fault: Any) -> PatternSet:
        if not isinstance(data, Mapping):
            return PatternSet(self.patterns_at(data, at, fault))
        fields = _fields(data, at, required={"include"}, optional={"exclude"})
        include = self.patterns_at(fields["include"], f"{at}/include", fault)
        return PatternSet(
            include, self.patterns_at(fields.get("exclude", []), f"{at}/exclude", fault, may_be_empty=True)
        )

    def patterns_at(self, data: Any, at: str, fault: Any, *, may_be_empty: bool = False) -> tuple[str, ...]:
        listed = _list(data, at, MAX_PATTERNS, may_be_empty=may_be_empty)
        self.patterns += len(listed)
        if self.patterns > MAX_PATTERNS:
            raise InvalidPermission(at, f"more than {MAX_PATTERNS} patterns in one permission")
        # Places are named only where something is wrong: nearly all of millions of patterns are sound.
        for index, each in enumerate(listed):
            if not _is_sound(each):
                _text(each, f"{at}/{index}")
            if reason := fault(each):
                raise InvalidPermission(f"{at}/{index}", reason)
        return tuple(listed)


def _fields(
    data: Any, at: str, required: set[str], optional: frozenset[str] | set[str] = frozenset()
) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise InvalidPermission(at, "must be an object")
    for name in data:
        if name not in required and name not in optional:
            raise InvalidPermission(f"{at}/{_pointer(name)}", "unknown field")
    for name in sorted(required):
        if name not in data:
            raise InvalidPermission(f"{at}/{name}", "is missing")
    return data


def _pointer(name: Any) -> str:
    return str(name)[:100].replace("~", "~0").replace("/", "~1")


def _list(data: Any, at: str, most: int, *, may_be_empty: bool = False) -> list[Any]:
    if not isinstance(data, list | tuple):
        raise InvalidPermission(at, "must be a list")
    if not data and not may_be_empty:
        raise InvalidPermission(at, "must not be empty")
    if len(data) > most:
        raise InvalidPermission(at, f"has more than {most} entries")
    return list(data)


def _text(data: Any, at: str, *, may_be_empty: bool = False) -> str:
    if not isinstance(data, str):
        raise InvalidPermission(at, "must be a text")
    if not data and not may_be_empty:
        raise InvalidPermission(at, "must not be empty")
    if len(data) > MAX_PATTERN_LENGTH:
        raise InvalidPermission(at, f"is longer than {MAX_PATTERN_LENGTH} characters")
    if found := _FORBIDDEN.search(data):
        raise InvalidPermission(at, f"holds a character that is not allowed (U+{ord(found.group()):04X})")
    return data


_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _is_sound(data: Any) -> bool:
    """Whether `_text` has nothing to say against it; what can be printed holds none of the forbidden characters."""
    return isinstance(data, str) and 0 < len(data) <= MAX_PATTERN_LENGTH and data.isprintable()


def _condition(data: Any, at: str) -> Condition:
    fields = _fields(data, at, required={"operator", "key", "values"})
    values = _list(fields["values"], f"{at}/values", MAX_VALUES)
    return Condition(
        operator=_text(fields["operator"], f"{at}/operator"),
        key=_text(fields["key"], f"{at}/key"),
        values=tuple(_text(each, f"{at}/values/{i}", may_be_empty=True) for i, each in enumerate(values)),
    )


def _moment(data: Any, at: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(data, at))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidPermission(at, "is no RFC 3339 time") from None
    raise InvalidPermission(at, "needs a time zone")
