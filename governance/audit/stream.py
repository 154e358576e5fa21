"""The decision log: lines that come too often for the trail, chained in batches and anchored in the trail.

`append` writes lines without any lock, from as many processes as there are. `seal_pending` chains what is committed,
without gaps, and records each batch as one event of the trail (`decision_log.sealed`: number of lines, first and last,
Merkle root, end of the chain), which checkpoints then cover. Between the two a line is committed but not yet sealed;
`lag` says how many are. How it works in the database: governance/audit/stream_triggers.py.

A line is canonical JSON and stays for ever, so it holds neither secrets nor names, addresses or free text.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from governance.audit.actions import Verb
from governance.audit.canonical import portable, rfc3339, text_of
from governance.audit.log import Subject, new_id, record
from governance.audit.retry import once_more
from governance.audit.stream_triggers import MOST_PER_BATCH
from governance.kernel.actors import Actor
from governance.kernel.merkle import root

LINE_VERSION = 1
# Counting further would read the whole log to say what one glance says as well.
COUNTED = 100_000
LOG = Subject("decision_log", "decisions", "Decision log")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: when it happened, a kind ("decisions"), and what is to be kept of it.

    is_portable: whoever made the facts knows that they hold nothing but what `canonical.text_of` writes as it is, so
    that nobody looks once more.
    """

    at: datetime
    kind: str
    facts: Mapping[str, Any]
    is_portable: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines that were sealed together: numbers `first` to `last` of the log, their root, and the chain's end."""

    number: int
    first: int
    last: int
    root: bytes
    entry_hash: bytes

    @property
    def lines(self) -> int:
        return self.last - self.first + 1

    @property
    def is_full(self) -> bool:
        return self.lines >= MOST_PER_BATCH


@dataclass(frozen=True, slots=True)
class Lag:
    """The log is sealed through number `sealed`; `pending` lines wait, of which at most COUNTED are counted."""

    sealed: int
    sealed_at: datetime | None
    pending: int

    @property
    def sentence(self) -> str:
        more = "more than " if self.pending >= COUNTED else ""
        return f"sealed through #{self.sealed}; {more}{self.pending} pending"


def append(lines: Iterable[Line]) -> list[UUID]:
    """Write lines in the current transaction, or in one of their own; their ids in the order given.

    Takes no lock. Raises NotCanonical for facts without a canonical text.
    """
    ids: list[UUID] = []
    payloads: list[str] = []
    for line in lines:
        ids.append(new_id())
        said = {
            "v": LINE_VERSION,
            "id": str(ids[-1]),
            "at": rfc3339(line.at),
            "kind": line.kind,
            "facts": line.facts if line.is_portable else portable(line.facts, "/facts"),
        }
        payloads.append(text_of(said))
    with connection.wrap_database_errors, connection.cursor() as cursor:
        if len(payloads) == 1:
            cursor.execute("INSERT INTO audit_stream (payload) VALUES (%s)", payloads)
        elif payloads:
            with cursor.copy("COPY audit_stream (payload) FROM STDIN") as copy:
                # In canonical JSON control characters are escaped, so nothing but backslashes means anything to COPY.
                copy.write("".join(payload.replace("\\", "\\\\") + "\n" for payload in payloads))
    return ids


@once_more
def seal_pending(*, now: datetime, actor: Actor) -> Batch | None:
    """Chain the next committed lines, at most MOST_PER_BATCH, and record the batch; None when none is waiting.

    Sealers at once take turns; one that dies leaves nothing behind.
    """
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO audit_streambatch DEFAULT VALUES RETURNING number, first, last, entry_hash")
            made = cursor.fetchone()
        if made is None:
            return None
        number, first, last, entry_hash = made
        batch = Batch(number, first, last, root(_leaves(first, last)), bytes(entry_hash))
        record(
            verb=Verb.DECISION_LOG_SEALED,
            actor=actor,
            subject=LOG,
            now=now,
            new={
                "batch": batch.number,
                "count": batch.lines,
                "first": batch.first,
                "last": batch.last,
                "root": batch.root.hex(),
                "entry_hash": batch.entry_hash.hex(),
            },
        )
    return batch


def lag() -> Lag:
    """How far the log is sealed, and how many committed lines are not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT last, sealed_at, floor FROM audit_streambatch ORDER BY number DESC LIMIT 1")
        sealed, sealed_at, floor = cursor.fetchone() or (0, None, 0)
        cursor.execute(
            """
            SELECT count(*) FROM (
                SELECT FROM audit_stream s WHERE s.ordinal > %s
                AND NOT EXISTS (SELECT FROM audit_streamlink l WHERE l.ordinal = s.ordinal OFFSET 0) LIMIT %s
            ) pending
            """,
            [floor, COUNTED],
        )
        (pending,) = cursor.fetchone()
    return Lag(sealed, sealed_at, pending)


def _leaves(first: int, last: int) -> list[bytes]:
    """The Merkle leaves of these lines, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            r"""
            SELECT sha256('\x00'::bytea || convert_to(s.payload, 'UTF8'))
            FROM audit_streamlink l JOIN audit_stream s ON s.ordinal = l.ordinal
            WHERE l.seq BETWEEN %s AND %s ORDER BY l.seq
            """,
            [first, last],
        )
        return [bytes(leaf) for (leaf,) in cursor.fetchall()]
