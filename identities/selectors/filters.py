"""The inventory's filter: the same text in a list's address, in the API, in a saved view and as a campaign's scope.

docs/filters.md tells what each field means. This module reads and writes the text; `identities.selectors.conditions`
turns it into conditions.
"""

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from urllib.parse import parse_qsl, urlencode

from governance.kernel.errors import DomainError
from identities.models import Environment, FindingSeverity, FindingState, IdentityKind, IdentityStatus, PostureBox

SEGMENTS = ("apis", "queues", "databases", "storage", "secrets", "admin", "ai_tools")
PATHS = (
    "direct",
    "role",
    "group",
    "public",
    "ownership",
    "attribute",
    "default_privileges",
    "resource_policy",
    "trust",
)
YES_OR_NO = ("yes", "no")
SEVERITIES = tuple(severity.word for severity in FindingSeverity)
# One rule ("NHI5-A"), or all of a family ("NHI5").
RULE = re.compile(r"(NHI[0-9]{1,2}|POP|TB)(-[A-Z0-9]{1,2})?")
ASSURANCES = ("A0", "A1", "A2", "A3", "A4")
MAX_TEXT = 200
MAX_DAYS = 3650
EARLIEST_YEAR = 1970
MAX_EXPOSURE = 100
UNMEASURED = PostureBox.UNMEASURED.value
# Shorter texts stand in almost every name, and no index helps to find them.
SHORTEST_SEARCH = 3
# What a page adds to the same address; not part of the filter.
IGNORED = frozenset({"cursor", "sort", "cols", "columns", "format", "page_size", "tab", "item", "view"})


class InvalidFilter(DomainError):
    """A filter that nobody could mean: the field and the reason are named, and nothing is listed instead."""

    code = "invalid-filter"
    status = 400
    title = "The filter could not be understood"


@dataclass(frozen=True, slots=True)
class Picked:
    """What a list field says: `values` are wanted, or, where `is_negated`, not wanted."""

    values: tuple[str, ...]
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class InventoryFilter:
    """Which identities, or which grants. Every field is optional; an empty filter means everything present.

    Of the identity: q (text), source, kind, environment, status, owner (e-mail address, "none" or "me"), team, tag,
    box, assurance (what is certain), exposure ("50-74" or "unmeasured"), excess. Of the grant: access (text), segment,
    privileged, standing (without an end), path. Of a finding: finding (rules), finding_severity (that or worse),
    finding_state (open and assigned where nothing is said), finding_assignee (as owner). Of whatever is listed:
    new_days, new_since (a day), unused_days, unknown_use_days (nobody can tell whether it was used), retired.

    A list of identities asks of the grant's fields: does it hold one grant that fits them all; for "no" and negated
    ones: does it hold none; and of those of a finding likewise. Values are canonical: sorted, without repetition, and
    empty where the default is meant.
    """

    q: str = ""
    access: str = ""
    source: str = ""
    kind: str = ""
    environment: str = ""
    owner: str = ""
    team: str = ""
    status: str = ""
    tag: str = ""
    privileged: str = ""
    standing: str = ""
    segment: str = ""
    path: str = ""
    finding: str = ""
    finding_severity: str = ""
    finding_state: str = ""
    finding_assignee: str = ""
    new_days: str = ""
    new_since: str = ""
    unused_days: str = ""
    unknown_use_days: str = ""
    box: str = ""
    assurance: str = ""
    exposure: str = ""
    excess: str = ""
    retired: str = ""

    @classmethod
    def parse(cls, given: str | Mapping[str, str]) -> "InventoryFilter":
        """Read a query string or a mapping of single values. Raises InvalidFilter naming the field."""
        pairs: Iterable[tuple[str, str]] = given.items() if isinstance(given, Mapping) else _pairs(given)
        values: dict[str, str] = {}
        for name, value in pairs:
            if name in IGNORED or value.strip() == "":
                continue
            if name not in _NAMES:
                known = ", ".join(sorted(_NAMES))
                raise InvalidFilter(f"“{name[:40]}” is not something to filter by. Known: {known}.", field=name[:40])
            if name in values:
                raise InvalidFilter(f"“{name}” is given twice; separate several values by commas.", field=name)
            values[name] = _checked(name, str(value).strip())
        if values.get("retired") == "no":
            del values["retired"]
        return cls(**values)

    def to_text(self) -> str:
        """The canonical query string: the same filter always gives the same text."""
        return urlencode({name: value for name in sorted(_NAMES) if (value := getattr(self, name))})

    def picked(self, name: str) -> Picked | None:
        """What a list field names, or None where it is empty."""
        value: str = getattr(self, name)
        if not value:
            return None
        parts = value.split(",")
        return Picked(tuple(part.removeprefix("-") for part in parts), parts[0].startswith("-"))

    @property
    def is_empty(self) -> bool:
        return not self.to_text()


_NAMES = frozenset(field.name for field in fields(InventoryFilter))
_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": tuple(IdentityKind.values),
    "environment": tuple(Environment.values),
    "status": tuple(IdentityStatus.values),
    "segment": SEGMENTS,
    "path": PATHS,
    "finding_state": tuple(FindingState.values),
    "box": tuple(PostureBox.values),
    "assurance": ASSURANCES,
    "excess": (*YES_OR_NO, "unknown"),
}
LISTS = frozenset({*_CHOICES, "source", "owner", "team", "tag", "exposure", "finding", "finding_assignee"})
_PEOPLE = frozenset({"owner", "finding_assignee"})
# Asked of whatever is listed: identities in a list of identities, grants in one of grants, credentials in a review.
OF_THE_LISTED = ("new_days", "new_since", "unused_days", "unknown_use_days")
_FLAGS = frozenset({"privileged", "standing", "retired"})
_DAYS = frozenset({"new_days", "unused_days", "unknown_use_days"})


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.lstrip("?"), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise InvalidFilter("The filter names too many fields.") from None


def _checked(name: str, value: str) -> str:
    """The canonical value. Raises InvalidFilter."""
    if len(value) > MAX_TEXT or "\x00" in value:
        raise InvalidFilter(f"“{name}” is too long or holds characters that cannot be searched for.", field=name)
    if name in LISTS:
        return _checked_list(name, value)
    if name in _FLAGS and value not in YES_OR_NO:
        raise InvalidFilter(f"“{value[:40]}” is no value of “{name}”. Known: yes, no.", field=name)
    if name == "finding_severity" and value not in SEVERITIES:
        known = ", ".join(SEVERITIES)
        raise InvalidFilter(f"“{value[:40]}” is not a known severity. Known: {known}.", field=name)
    if name in _DAYS:
        return _checked_days(name, value)
    if name == "new_since":
        return _checked_day(name, value)
    if name in ("q", "access") and (len(value) < SHORTEST_SEARCH or sum(map(str.isalnum, value)) < 2):
        raise InvalidFilter(
            f"A search needs at least {SHORTEST_SEARCH} characters, two of them letters or digits: shorter texts stand "
            "in almost every name.",
            field=name,
        )
    return value


def _checked_list(name: str, value: str) -> str:
    parts = {part.strip() for part in value.split(",")} - {""}
    negated = {part for part in parts if part.startswith("-")}
    if not parts or (negated and negated != parts):
        raise InvalidFilter(
            f"“{name}” either names what is wanted or, each with a minus before it, what is not.", field=name
        )
    wanted = {_checked_part(name, part.removeprefix("-")) for part in parts}
    return ",".join(sorted(f"-{part}" if negated else part for part in wanted))


def _checked_part(name: str, part: str) -> str:
    allowed = _CHOICES.get(name)
    if allowed is not None and part not in allowed:
        raise InvalidFilter(f"“{part[:40]}” is not a known {name}. Known: {', '.join(allowed)}.", field=name)
    if name == "team" and part != "none":
        try:
            return str(uuid.UUID(part))
        except ValueError:
            raise InvalidFilter("“team” is the identifier of a team, or “none”.", field=name) from None
    if not part:
        raise InvalidFilter(f"“{name}” has nothing behind the minus.", field=name)
    if name == "finding" and not RULE.fullmatch(part := part.upper()):
        raise InvalidFilter(
            f"“{part[:40]}” is no rule. Rules are written like NHI5-A, or NHI5 for all of them.", field=name
        )
    if name == "exposure":
        return _checked_exposure(part)
    return part.lower() if name in _PEOPLE else part


def _checked_exposure(part: str) -> str:
    """A range of whole numbers such as "50-74", both ends meant, or "unmeasured"."""
    if part == UNMEASURED:
        return part
    low, dash, high = part.partition("-")
    if not (dash and _is_exposure(low) and _is_exposure(high) and int(low) <= int(high)):
        raise InvalidFilter("“exposure” is a range from 0 to 100 such as 50-74, or “unmeasured”.", field="exposure")
    return f"{int(low)}-{int(high)}"


def _is_exposure(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= MAX_EXPOSURE


def _checked_days(name: str, value: str) -> str:
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:6]) <= MAX_DAYS and len(value) <= 6):
        raise InvalidFilter(f"“{name}” is a whole number of days from 1 to {MAX_DAYS}.", field=name)
    return str(int(value))


def _checked_day(name: str, value: str) -> str:
    try:
        # The library reads other spellings of ISO 8601 too; one of them is the canonical one.
        day = date.fromisoformat(value) if len(value) == len("2026-01-31") else None
    except ValueError:
        day = None
    if day is None or day.isoformat() != value or day.year < EARLIEST_YEAR:
        raise InvalidFilter(f"“{name}” is a day such as 2026-01-31.", field=name)
    return value
