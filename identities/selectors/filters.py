"""The inventory's filter: the same text in the list's address, in the API and as the scope of a campaign."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from urllib.parse import parse_qsl, urlencode

from governance.kernel.errors import DomainError
from identities.models import Environment, IdentityKind, IdentityStatus

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
MAX_TEXT = 200
MAX_DAYS = 3650
# What a page adds to the same address; not part of the filter.
IGNORED = frozenset({"cursor", "sort", "cols", "columns", "format", "page_size", "tab", "item", "view"})


class InvalidFilter(DomainError):
    """A filter that nobody could mean: the field and the reason are named, and nothing is listed instead."""

    code = "invalid-filter"
    status = 400
    title = "The filter could not be understood"


@dataclass(frozen=True, slots=True)
class InventoryFilter:
    """Which identities. Every field is optional; an empty filter means everything that is not retired.

    owner: an e-mail address, "none" (nobody is accountable) or "me". privileged, retired: "yes" or "no".
    unused_days: identities whose last use was seen at least so many days ago, or that were watched for so long without
    any; those that nobody watches are not unused.
    path: how a grant is held; it narrows the grants of a campaign, not the identities.
    """

    q: str = ""
    source: str = ""
    kind: str = ""
    environment: str = ""
    owner: str = ""
    status: str = ""
    privileged: str = ""
    unused_days: str = ""
    segment: str = ""
    team: str = ""
    path: str = ""
    retired: str = ""

    @classmethod
    def parse(cls, given: str | Mapping[str, str]) -> "InventoryFilter":
        """Read a query string or a mapping of single values. Raises InvalidFilter naming the field."""
        pairs = parse_qsl(given.lstrip("?"), keep_blank_values=True) if isinstance(given, str) else given.items()
        values: dict[str, str] = {}
        for name, value in pairs:
            if name in IGNORED or value == "":
                continue
            if name not in _NAMES:
                known = ", ".join(sorted(_NAMES))
                raise InvalidFilter(f"“{name[:40]}” is not something to filter by. Known: {known}.", field=name[:40])
            if name in values:
                raise InvalidFilter(f"“{name}” is given twice.", field=name)
            values[name] = _checked(name, str(value))
        return cls(**values)

    def to_text(self) -> str:
        """The canonical query string: the same filter always gives the same text."""
        return urlencode({name: value for name in sorted(_NAMES) if (value := getattr(self, name))})

    @property
    def is_empty(self) -> bool:
        return not self.to_text()


_NAMES = frozenset(field.name for field in fields(InventoryFilter))
_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": tuple(IdentityKind.values),
    "environment": tuple(Environment.values),
    "status": tuple(IdentityStatus.values),
    "privileged": ("yes", "no"),
    "retired": ("yes", "no"),
    "segment": SEGMENTS,
    "path": PATHS,
}


def _checked(name: str, value: str) -> str:
    value = value.strip()
    if len(value) > MAX_TEXT or "\x00" in value:
        raise InvalidFilter(f"“{name}” is too long or holds characters that cannot be searched for.", field=name)
    if name in _CHOICES:
        # Several kinds are separated by commas: any of them.
        for part in value.split(","):
            if part not in _CHOICES[name]:
                allowed = ", ".join(_CHOICES[name])
                raise InvalidFilter(f"“{part[:40]}” is not a known {name}. Known: {allowed}.", field=name)
    if name == "unused_days" and not (value.isascii() and value.isdigit() and 1 <= int(value[:6]) <= MAX_DAYS):
        raise InvalidFilter(f"“unused_days” is a whole number of days from 1 to {MAX_DAYS}.", field=name)
    if name == "team":
        try:
            uuid.UUID(value)
        except ValueError:
            raise InvalidFilter("“team” is the identifier of a team.", field=name) from None
    return value
