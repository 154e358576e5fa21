"""What all files of a pack share: the pin that they follow from, and what they counted while they were written."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from governance.audit.canonical import rfc3339
from reviews.models import EvidencePack, ReviewItem

ROWS_AT_ONCE = 2_000
# Rows of a table that a person reads; all of them stand in the files.
SHOWN = 20
ERASED = "(erased)"


@dataclass(frozen=True, slots=True)
class Pin:
    """Everything that a pack is made of besides rows that never change. See EvidencePack."""

    pack: UUID
    campaign: UUID
    origin: str
    size: int
    root: bytes
    note: str
    pinned_at: datetime
    frozen: dict[str, Any]

    @classmethod
    def of(cls, pack: EvidencePack) -> "Pin":
        """The pin of a pack that has one."""
        assert pack.size is not None and pack.root is not None and pack.pinned_at is not None  # noqa: S101
        pinned = pack.pinned_at.astimezone(UTC)
        return cls(pack.pk, pack.campaign_id, pack.origin, pack.size, bytes(pack.root), pack.note, pinned, pack.frozen)

    @property
    def review(self) -> dict[str, Any]:
        found: dict[str, Any] = self.frozen["campaign"]
        return found

    def name_of(self, person: Any) -> str:
        """A person's name as it was at the pin; empty for nobody."""
        return str(self.frozen["people"].get(str(person), "somebody unknown")) if person else ""

    def items(self) -> Any:
        """The questions of the review."""
        return ReviewItem.objects.filter(campaign=self.campaign)


@dataclass(slots=True)
class Tally:
    """What was counted on the way, so that the report says the numbers of the files and no others.

    seqs: the places of the trail's lines; leaves: their leaf hashes, one behind the other. milestones: (seq, verb).
    let_rest: by order, who let it rest unproved and why.
    """

    questions: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    use: Counter[str] = field(default_factory=Counter)
    privileged: int = 0
    asked_anew: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    by_policy: int = 0
    testimony: int = 0
    taken_back: int = 0
    in_time: int = 0
    independence: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    within_limit: Counter[str] = field(default_factory=Counter)
    proved: int = 0
    exceptions: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    seqs: "array[int]" = field(default_factory=lambda: array("q"))
    leaves: bytearray = field(default_factory=bytearray)
    erased: int = 0
    erased_decisions: set[str] = field(default_factory=set)
    erased_orders: set[str] = field(default_factory=set)
    let_rest: dict[str, tuple[str, str]] = field(default_factory=dict)
    milestones: list[tuple[int, str]] = field(default_factory=list)
    opened_seq: int | None = None
    first_answer_seq: int | None = None
    state_digest: str = ""
    quality: dict[str, Any] = field(default_factory=dict)
    completeness: dict[str, Any] = field(default_factory=dict)
    frozen_before: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def show(self, table: str, *row: Any) -> None:
        """Remember the first rows of a table for the report."""
        rows = self.shown.setdefault(table, [])
        if len(rows) < SHOWN:
            rows.append(row)

    @property
    def asked(self) -> int:
        return sum(self.questions.values())


def access_of(label: str | None, credential: Mapping[str, Any] | None) -> str:
    """What a question is about besides its identity; empty where it is about the identity itself."""
    return str(label or (credential or {}).get("name") or "")


def when(value: datetime | str | None) -> str:
    """A time as every file writes it (RFC 3339 in UTC), also from the text of a JSON document; empty for none."""
    if not value:
        return ""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return rfc3339(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def yes(value: Any) -> str:
    """Yes or no, as cells say it."""
    return "yes" if value else "no"


def pretty(value: Any) -> Iterator[str]:
    """A small JSON document that people read: keys in order, indented."""
    yield orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
