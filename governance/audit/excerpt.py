"""Take a part of the trail out as evidence: chosen events as lines, and the proof that a checkpoint is over them all.

Nothing here holds the part in memory, and everything is read up to a signed size: what happens later changes neither a
line nor a proof. Only erasing a detail does, and the line then says so.
"""

from array import array
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from django.db import connection

from governance.audit.checkpoint import write_checkpoint
from governance.audit.lineage import current_epoch
from governance.audit.lines import SealedRow, line_of
from governance.audit.models import AuditCheckpoint
from governance.audit.notes import Checkpoint, read_checkpoint
from governance.kernel.actors import Actor
from governance.kernel.errors import Conflict

ROWS_AT_ONCE = 2_000
SUBJECTS_AT_ONCE = 5_000
NEWS_LOOKED_AT = 5_000


class NothingSigned(Conflict):
    """No checkpoint of this trail exists, so nothing can be proved to be under one."""

    code = "nothing-signed"


class TrailLine(NamedTuple):
    """One sealed event. `detail`: the text beside the chain, or None; `line`: how it is exported, with its end."""

    seq: int
    occurred_at: datetime
    verb: str
    subject_kind: str
    subject_id: str
    payload: str
    detail: str | None
    is_erased: bool
    line: str


def signed_now(*, now: datetime, actor: Actor) -> Checkpoint:
    """A checkpoint over everything that has committed. Raises CheckpointRefused, KeyUnusable, NothingSigned."""
    written = write_checkpoint(now=now, actor=actor)
    if written is not None:
        return written
    row = AuditCheckpoint.objects.filter(origin=current_epoch().origin).order_by("-size").first()
    if row is None:
        raise NothingSigned("The trail has not been signed yet.")
    return read_checkpoint(row.note)


def first_checkpoint_over(seq: int, *, origin: str, until: int) -> Checkpoint | None:
    """The earliest checkpoint that covers this event, of those up to the size `until`."""
    rows = AuditCheckpoint.objects.filter(origin=origin, size__gte=seq, size__lte=until).order_by("size")
    row = rows.first()
    return read_checkpoint(row.note) if row else None


def subjects_behind(size: int) -> list[tuple[str, str]] | None:
    """What the events behind this one are about (kind, id); None when they are too many to look at."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT e.subject_kind, e.subject_id
            FROM (SELECT event_id FROM audit_auditlink WHERE seq > %s ORDER BY seq LIMIT %s) l
            JOIN audit_auditevent e ON e.id = l.event_id
            """,
            [size, NEWS_LOOKED_AT],
        )
        found = cursor.fetchall()
    return found if len(found) < NEWS_LOOKED_AT else None


def lines_about(subjects: Iterable[tuple[str, str]], *, until: int) -> Iterator[TrailLine]:
    """Every event up to `until` about one of these subjects (kind, id), each named once, in the order of sealing.

    Their numbers are found first, eight bytes each, a few thousand subjects at a time: no statement then depends on
    what the database believes about tables that have grown a moment ago.
    """
    numbers = _numbers_about(subjects, until)
    with connection.cursor() as cursor:
        for start in range(0, len(numbers), ROWS_AT_ONCE):
            cursor.execute(
                """
                SELECT e.occurred_at, e.verb, e.subject_kind, e.subject_id,
                       l.seq, l.payload_hash, l.prev_hash, l.entry_hash, l.leaf_hash,
                       e.payload, d.salt, d.text, d.erased_at
                FROM audit_auditlink l
                JOIN audit_auditevent e ON e.id = l.event_id
                LEFT JOIN audit_auditdetail d ON d.event_id = e.id
                WHERE l.seq = ANY(%s) ORDER BY l.seq
                """,
                [numbers[start : start + ROWS_AT_ONCE].tolist()],
            )
            for at, verb, kind, subject, *sealed in cursor.fetchall():
                row = SealedRow(*sealed)
                is_erased = row.erased_at is not None
                yield TrailLine(row.seq, at, verb, kind, subject, row.payload or "", row.text, is_erased, line_of(row))


def _numbers_about(subjects: Iterable[tuple[str, str]], until: int) -> "array[int]":
    """The numbers of all events about them, ascending."""
    found = array("q")
    remaining = iter(subjects)
    with connection.cursor() as cursor:
        while some := list(islice(remaining, SUBJECTS_AT_ONCE)):
            kinds, ids = zip(*some, strict=True)
            cursor.execute(
                """
                SELECT l.seq FROM unnest(%s::text[], %s::text[]) AS s (kind, id)
                JOIN audit_auditevent e ON e.subject_id = s.id AND e.subject_kind = s.kind
                JOIN audit_auditlink l ON l.event_id = e.id
                WHERE l.seq <= %s
                """,
                [list(kinds), list(ids), until],
            )
            found.extend(seq for (seq,) in cursor.fetchall())
    return array("q", sorted(found))
