"""The trail as a file: sealed events in the order of their seals, as lines that a verifier reads.

A stream holds one block of events in memory, whatever the size of the trail. Each line names its `seq`, and the next
download goes on behind it, so one that was cut loses and repeats nothing. docs/audit.md describes the lines.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from governance.audit.actions import Verb
from governance.audit.canonical import rfc3339
from governance.audit.feed import newest_position
from governance.audit.lines import SealedRow, retired_until, whole
from governance.audit.log import Subject, record
from governance.audit.selectors import DESCRIPTIONS, TrailFilter, conditions_of
from governance.kernel.actors import Actor

# Seals looked at for one block; with a filter a block may hold few events, or none.
BLOCK = 2_000
NDJSON, CSV = "ndjson", "csv"
ID = re.compile(r"[0-9a-f-]{32,36}|system:[a-z-]+")
CSV_HEADER = (
    "seq",
    "event",
    "occurred_at",
    "verb",
    "what_happened",
    "outcome",
    "actor_kind",
    "actor",
    "actor_label",
    "session",
    "subject_kind",
    "subject",
    "subject_label",
    "request",
    "reason",
    "old",
    "new",
    "context",
    "personal",
    "erased_at",
    "entry_hash",
)


class SealedEvent(NamedTuple):
    """One event with its seal and what stands beside it."""

    event_id: UUID
    row: SealedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Which seals a download covers: `after < seq <= through`."""

    after: int
    through: int


def begin_export(
    *,
    form: str,
    after: int,
    actor: Actor,
    now: datetime,
    through: int | None = None,
    wanted: TrailFilter | None = None,
) -> Stretch:
    """Write down that the actor takes this part of the trail out, and say which part that is. Before the first line.

    form: NDJSON or CSV. The end is fixed here, at the newest seal or at `through` if that is earlier: a download ends
    although events keep coming, and its own record is the first of the next one. Nothing new leaves no record, so
    that a program which asks every minute does not make the trail grow by asking.
    """
    newest = newest_position()
    end = newest if through is None else min(through, newest)
    stretch = Stretch(after=after, through=max(after, end))
    if stretch.through == after:
        return stretch
    with transaction.atomic(durable=True):
        record(
            verb=Verb.AUDIT_EXPORTED,
            actor=actor,
            subject=Subject("trail", "events", "audit trail"),
            now=now,
            new={"format": form, "after": after, "through": stretch.through, "filter": _plain(wanted)},
        )
    return stretch


def read_stretch(stretch: Stretch, wanted: TrailFilter | None = None) -> Iterator[SealedEvent]:
    """The events of a stretch that fit, in ascending `seq`; a few thousand in memory at a time.

    Raises EventMissing at an event that is gone although it was never retired: that is no export's to hide.
    """
    rest, values = conditions_of(wanted) if wanted else ("TRUE", {})
    statement = f"""
        SELECT l.event_id,
               l.seq, l.payload_hash, l.prev_hash, l.entry_hash, l.leaf_hash, e.payload, d.salt, d.text, d.erased_at
        FROM (
            SELECT * FROM audit_auditlink WHERE seq > %(first)s AND seq <= %(last)s ORDER BY seq
        ) l
        LEFT JOIN audit_auditevent e ON e.id = l.event_id
        LEFT JOIN audit_auditdetail d ON d.event_id = l.event_id
        WHERE {rest} ORDER BY l.seq
    """  # noqa: S608 - literals of the selectors
    retired = retired_until()
    for first in range(stretch.after, stretch.through, BLOCK):
        with connection.cursor() as cursor:
            cursor.execute(statement, values | {"first": first, "last": min(first + BLOCK, stretch.through)})
            rows = cursor.fetchall()
        for event_id, *sealed in rows:
            yield SealedEvent(event_id, whole(SealedRow(*sealed), retired))


def csv_row(event: SealedEvent) -> tuple[Any, ...]:
    """The event as cells under CSV_HEADER: for reading and sorting. What proves something is the JSON line."""
    row = event.row
    said = json.loads(row.payload) if row.payload else {}
    detail = json.loads(row.text) if row.text else {}
    actor, subject = said.get("actor", {}), said.get("subject", {})
    verb = said.get("verb", "")
    return (
        row.seq,
        str(event.event_id),
        said.get("at", ""),
        verb,
        DESCRIPTIONS.get(verb, ""),
        said.get("outcome", ""),
        actor.get("kind", ""),
        actor.get("id", ""),
        actor.get("label", ""),
        actor.get("auth", ""),
        subject.get("kind", ""),
        subject.get("id", ""),
        subject.get("label", ""),
        said.get("request", ""),
        detail.get("reason", ""),
        *(_cell(said.get(part)) for part in ("old", "new", "context")),
        _cell(detail.get("personal")),
        rfc3339(row.erased_at) if row.erased_at else "",
        bytes(row.entry_hash).hex(),
    )


def _cell(facts: Any) -> str:
    return json.dumps(facts, ensure_ascii=False, sort_keys=True) if facts else ""


def _plain(wanted: TrailFilter | None) -> dict[str, str]:
    """The filter as the trail keeps it: ids and words of the trail, and nothing that somebody typed freely."""
    if wanted is None:
        return {}
    values = {name: getattr(wanted, name) for name in wanted.__slots__}
    return {name: _told(name, value) for name, value in values.items() if value}


def _told(name: str, value: Any) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    return str(value) if name in ("verb", "subject_kind", "outcome") or ID.fullmatch(value) else "(text)"
