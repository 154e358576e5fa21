"""Read the trail for people: pages of rows that are ready to print."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from governance.audit.actions import Verb

LARGEST_PAGE = 1000
DESCRIPTIONS = {verb.value: verb.description for verb in Verb}


@dataclass(frozen=True, slots=True)
class TrailRow:
    """One sealed event. `seq` is its place in the chain and the cursor of paging; `hash` its entry hash in hex.

    `description` says the verb in plain words. `reason` and `personal` are empty when there were none or when they
    were erased (`is_erased`). `old`, `new` and `context` are JSON objects, empty when the event has none.
    """

    seq: int
    event_id: UUID
    hash: str
    occurred_at: datetime
    verb: str
    description: str
    actor_kind: str
    actor_id: str
    actor_label: str
    auth_method: str
    request_id: str
    subject_kind: str
    subject_id: str
    subject_label: str
    outcome: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    context: Mapping[str, Any]
    reason: str
    personal: Mapping[str, Any]
    is_erased: bool


@dataclass(frozen=True, slots=True)
class TrailPage:
    """Rows, newest seal first, and the `before` of the next page (None on the last)."""

    rows: list[TrailRow]
    next_before: int | None


def list_events(
    *,
    verb: str = "",
    actor_id: str = "",
    subject_kind: str = "",
    subject_id: str = "",
    outcome: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int = 50,
) -> TrailPage:
    """One page of the trail in one query; empty filters are not applied.

    verb: a verb, or a noun ("order") for all of its verbs. since, until: half-open interval of `occurred_at`.
    before: only rows with a smaller `seq`, i.e. the `next_before` of the page before.
    """
    limit = max(1, min(limit, LARGEST_PAGE))
    verbs = [known.value for known in Verb if verb and f"{known}.".startswith(f"{verb}.")] or [verb]
    filters: list[tuple[str, Any]] = [
        ("l.seq < %s", before),
        ("e.verb = ANY (%s)", verbs if verb else None),
        ("e.actor_id = %s", actor_id),
        ("e.subject_kind = %s", subject_kind),
        ("e.subject_id = %s", subject_id),
        ("e.payload::jsonb ->> 'outcome' = %s", outcome),
        ("e.occurred_at >= %s", since),
        ("e.occurred_at < %s", until),
    ]
    used = [(condition, value) for condition, value in filters if value not in ("", None)]
    return _page([condition for condition, _ in used], [value for _, value in used], limit)


def get_event(event_id: UUID) -> TrailRow | None:
    """One sealed event, or None."""
    rows = _page(["e.id = %s"], [event_id], 1).rows
    return rows[0] if rows else None


def _page(conditions: list[str], values: list[Any], limit: int) -> TrailPage:
    where = " AND ".join(conditions) or "TRUE"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT l.seq, l.entry_hash, e.id, e.occurred_at, e.payload, d.text, d.erased_at
            FROM audit_auditlink l
            JOIN audit_auditevent e ON e.id = l.event_id
            LEFT JOIN audit_auditdetail d ON d.event_id = e.id
            WHERE {where} ORDER BY l.seq DESC LIMIT %s
            """,  # noqa: S608 - the conditions are the literals above
            [*values, limit + 1],
        )
        rows = [_row(*columns) for columns in cursor.fetchall()]
    has_more = len(rows) > limit
    rows = rows[:limit]
    return TrailPage(rows, rows[-1].seq if has_more else None)


def _row(
    seq: int, entry: bytes, event_id: UUID, at: datetime, payload: str, text: str | None, erased_at: datetime | None
) -> TrailRow:
    said = json.loads(payload)
    detail = json.loads(text) if text else {}
    return TrailRow(
        seq=seq,
        event_id=event_id,
        hash=bytes(entry).hex(),
        occurred_at=at,
        verb=said["verb"],
        description=DESCRIPTIONS.get(said["verb"], said["verb"]),
        actor_kind=said["actor"]["kind"],
        actor_id=said["actor"]["id"],
        actor_label=said["actor"]["label"],
        auth_method=said["actor"]["auth"],
        request_id=said["request"],
        subject_kind=said["subject"]["kind"],
        subject_id=said["subject"]["id"],
        subject_label=said["subject"]["label"],
        outcome=said["outcome"],
        old=said["old"] or {},
        new=said["new"] or {},
        context=said["context"] or {},
        reason=detail.get("reason", ""),
        personal=detail.get("personal", {}),
        is_erased=erased_at is not None,
    )
