"""The trail as lines of text, one sealed event each: what is exported, archived, and checked without Remit.

A line is canonical JSON in ASCII: `seq`, `prev_hash`, `entry_hash`, the `payload` exactly as it was sealed, and
`detail`: null, salt and text, or when it was erased. An event that was retired has no payload but its two hashes.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Max

from governance.audit.canonical import rfc3339
from governance.audit.models import AuditRetirement
from governance.kernel.errors import DomainError

ROWS_PER_READ = 2000
LEAVES_PER_READ = 20_000


class EventMissing(DomainError):
    """An event that was sealed is not in the database and was not retired either."""

    code = "event-missing"
    status = 500
    title = "The trail is not whole"


class SealedRow(NamedTuple):
    """One link with its event and detail; `payload` is None when the event is not in the database."""

    seq: int
    payload_hash: bytes
    prev_hash: bytes
    entry_hash: bytes
    leaf_hash: bytes
    payload: str | None
    salt: bytes | None
    text: str | None
    erased_at: datetime | None


def trail_lines(*, after: int = 0, until: int | None = None) -> Iterator[tuple[SealedRow, str]]:
    """Rows with `after < seq <= until` and their lines, in order, a few thousand rows in memory at a time.

    Links never change, so no snapshot is needed; a detail that is erased meanwhile is told as erased. Raises
    EventMissing rather than telling an event that somebody removed as one that was retired.
    """
    retired = retired_until()
    while until is None or after < until:
        rows = _read(after, until)
        if not rows:
            return
        for row in rows:
            yield whole(row, retired), line_of(row)
        after = rows[-1].seq


def leaves_until(size: int) -> Iterator[bytes]:
    """The leaf hashes of the first `size` events, in order, some thousand in memory at a time."""
    for first in range(0, size, LEAVES_PER_READ):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT leaf_hash FROM audit_auditlink WHERE seq > %s AND seq <= %s ORDER BY seq",
                [first, min(first + LEAVES_PER_READ, size)],
            )
            for (leaf,) in cursor.fetchall():
                yield bytes(leaf)


def retired_until() -> int:
    """The last event that has left for an archive; its payload, and whatever says what it is about, is there."""
    found: int | None = AuditRetirement.objects.aggregate(last=Max("last_seq"))["last"]
    return found or 0


def whole(row: SealedRow, retired: int) -> SealedRow:
    """The row, if its event is there or was retired. Raises EventMissing."""
    if row.payload is None and row.seq > retired:
        raise EventMissing(f"Event {row.seq} is gone and was never retired. Run manage.py verify_audit.")
    return row


def line_of(row: SealedRow) -> str:
    """The event's line, with its end."""
    facts: dict[str, Any] = {
        "seq": row.seq,
        "prev_hash": bytes(row.prev_hash).hex(),
        "entry_hash": bytes(row.entry_hash).hex(),
        "payload": row.payload,
        "detail": _detail(row),
    }
    if row.payload is None:
        facts |= {"payload_hash": bytes(row.payload_hash).hex(), "leaf_hash": bytes(row.leaf_hash).hex()}
    return json.dumps(facts, sort_keys=True, separators=(",", ":")) + "\n"


def _detail(row: SealedRow) -> dict[str, str] | None:
    if row.erased_at:
        return {"erased_at": rfc3339(row.erased_at)}
    if row.text is None or row.salt is None:
        return None
    return {"salt": bytes(row.salt).hex(), "text": row.text}


def _read(after: int, until: int | None) -> list[SealedRow]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT l.seq, l.payload_hash, l.prev_hash, l.entry_hash, l.leaf_hash, e.payload, d.salt, d.text, d.erased_at
            FROM (
                SELECT * FROM audit_auditlink WHERE seq > %s AND seq <= coalesce(%s, seq) ORDER BY seq LIMIT %s
            ) l
            LEFT JOIN audit_auditevent e ON e.id = l.event_id
            LEFT JOIN audit_auditdetail d ON d.event_id = l.event_id
            ORDER BY l.seq
            """,
            [after, until, ROWS_PER_READ],
        )
        return [SealedRow(*columns) for columns in cursor.fetchall()]
