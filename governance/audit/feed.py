"""The trail as an outbox: sealed events in the order of their commits, from a place onwards.

A seal takes its number under a lock that is held until the commit is visible, so whoever has read up to a number has
missed nothing below it: no event appears later with a smaller one, and none is read before it committed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One sealed event. `payload` is the record as docs/audit.md describes it: no free text, no personal data."""

    seq: int
    event_id: UUID
    verb: str
    subject_kind: str
    subject_id: str
    payload: Mapping[str, Any]


def newest_position() -> int:
    """The number of the newest seal; 0 for an empty trail."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(seq), 0) FROM audit_auditlink")
        found: int = cursor.fetchone()[0]
    return found


def read_after(position: int, *, limit: int = 500) -> list[FeedEvent]:
    """The next events behind `position`, oldest first, at most `limit`; their `seq` follow each other without gaps."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT l.seq, e.id, e.verb, e.subject_kind, e.subject_id, e.payload
            FROM (SELECT seq, event_id FROM audit_auditlink WHERE seq > %s ORDER BY seq LIMIT %s) l
            JOIN audit_auditevent e ON e.id = l.event_id ORDER BY l.seq
            """,
            [position, limit],
        )
        return [
            FeedEvent(seq, event_id, verb, kind, subject, json.loads(payload))
            for seq, event_id, verb, kind, subject, payload in cursor.fetchall()
        ]
