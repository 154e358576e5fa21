"""Which part of the inbox somebody wants to see: order, filters and columns, all of them in the address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict

from reviews.models import Change, ItemKind
from reviews.queue import ORDERS, Fold, Wish

RECOMMENDATIONS = [
    ("approve", "Approve"),
    ("scope_down", "Scope down"),
    ("revoke", "Revoke"),
    ("keep", "Keep"),
    ("rotate", "Rotate"),
    ("deactivate", "Deactivate"),
    ("none", "Nothing"),
]
USES = [("used", "Used"), ("unused", "Not used while watched"), ("not_observable", "Use not observable")]
PRIVILEGES = [("yes", "Privileged"), ("no", "Not privileged")]
# Name in the address, column of the line, and the words that are known.
CHOICES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "kind": ("kind", list(ItemKind.choices)),
    "recommendation": ("recommendation", RECOMMENDATIONS),
    "use": ("use_state", USES),
    "privileged": ("rank", PRIVILEGES),
    "change": ("change", list(Change.choices)),
}
LONGEST = 200
KEPT = ("by", "campaign", "source", "same", "cols", *CHOICES)


@dataclass(frozen=True, slots=True)
class Column:
    """A column that can be shown or not."""

    name: str
    label: str


COLUMNS = (
    Column("use", "Last use"),
    Column("exposure", "Reach"),
    Column("owner", "Owner"),
    Column("last", "Last decision"),
    Column("recommendation", "Recommendation"),
)
SHOWN_AT_FIRST = ("use", "recommendation")


@dataclass(frozen=True, slots=True)
class Columns:
    """What the column menu needs. choices: (column, whether it is shown)."""

    choices: list[tuple[Column, bool]]

    @property
    def shown(self) -> list[Column]:
        return [column for column, is_shown in self.choices if is_shown]

    def __contains__(self, name: str) -> bool:
        return any(column.name == name for column in self.shown)


def wish_of(query: Mapping[str, str]) -> Wish:
    """Unknown words filter nothing: an old link still opens the inbox."""
    where: dict[str, Any] = {}
    for name, (column, choices) in CHOICES.items():
        value = query.get(name, "")
        if value in dict(choices):
            where[column] = value
    if "rank" in where:
        where["rank"] = 0 if where["rank"] == "yes" else 1
    if where.get("recommendation") == "none":
        where["recommendation"] = ""
    if source := query.get("source", "")[:LONGEST].replace("\x00", ""):
        where["source_name"] = source
    if same := query.get("same", "")[:64].replace("\x00", ""):
        where["sameness"] = same
    return Wish(ORDERS.get(query.get("by", ""), ORDERS["identity"]), uuid_of(query.get("campaign", "")), where)


def columns_of(query: QueryDict) -> Columns:
    """The columns that the address names, else the usual ones."""
    wanted = set(query.getlist("cols")) & {column.name for column in COLUMNS} or set(SHOWN_AT_FIRST)
    return Columns([(column, column.name in wanted) for column in COLUMNS])


def kept_query(query: QueryDict) -> str:
    """What of the address stays when somebody opens a question and comes back: everything except the place."""
    kept = [(name, value[:LONGEST]) for name in KEPT for value in query.getlist(name) if value]
    return urlencode(kept)


def query_of_fold(fold: Fold, query: QueryDict) -> str:
    """The address of the questions inside a folded row."""
    kept: dict[str, Any] = {
        "campaign": fold.campaign,
        "same": fold.sameness,
        "use": fold.use_state,
        "recommendation": fold.recommendation or "none",
        "privileged": "no" if fold.rank else "yes",
        "cols": query.getlist("cols"),
    }
    return urlencode(kept, doseq=True)


def uuid_of(text: str) -> UUID | None:
    """The id that the text is, if any."""
    try:
        return UUID(text)
    except ValueError:
        return None
