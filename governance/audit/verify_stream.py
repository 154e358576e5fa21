"""Check the decision log: every sealed line against its chain, every batch against the event that anchors it."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.db import connection

from governance.audit.actions import Verb
from governance.kernel.merkle import leaf_hash, root

ROWS_PER_READ = 5000
START = sha256(b"stream.v1").digest()


class Finds(Protocol):
    """Where problems and figures are put: the report of the trail's verification."""

    lines_sealed: int
    lines_pending: int

    def add(self, code: str, message: str, seq: int | None = None, event_id: UUID | None = None) -> None: ...


class Anchor(NamedTuple):
    """What an event of the trail says of one batch."""

    event_id: UUID
    first: int
    last: int
    root: bytes
    entry_hash: bytes


class Line(NamedTuple):
    """One link of the chain with its line; `payload` is None when the line is gone."""

    seq: int
    entry_hash: bytes
    payload: str | None


def check_stream(report: Finds, *, newest_only: bool = False) -> None:
    """Read the log along its anchors. newest_only: begin with the newest batch instead of the first."""
    anchors = _anchors()
    if newest_only:
        anchors = anchors[-1:]
    begin = anchors[0].first if newest_only and anchors else 1
    lines = _lines(begin)
    previous = _entry_hash(begin - 1) if begin > 1 else START
    expected = begin
    for anchor in anchors:
        if anchor.first != expected:
            report.add(
                "stream-anchor",
                f"No event anchors lines {expected} to {anchor.first - 1} of the decision log.",
                None,
                anchor.event_id,
            )
        leaves: list[bytes] = []
        for seq in range(anchor.first, anchor.last + 1):
            line = next(lines, None)
            if line is None or line.seq != seq:
                report.add(
                    "stream-cut", f"Line {seq} of the decision log was sealed and is gone.", seq, anchor.event_id
                )
                return
            _check(report, line, previous)
            leaves.append(leaf_hash((line.payload or "").encode()))
            previous = line.entry_hash
        if root(leaves) != anchor.root or previous != anchor.entry_hash:
            report.add(
                "stream-root",
                f"Lines {anchor.first} to {anchor.last} are not the ones that were sealed.",
                anchor.last,
                anchor.event_id,
            )
        expected = anchor.last + 1
        report.lines_sealed = anchor.last
    for line in lines:
        report.add("stream-anchor", f"Line {line.seq} was chained, but no event of the trail anchors it.", line.seq)
        break
    _look_for_left_over(report)


def _check(report: Finds, line: Line, previous: bytes) -> None:
    if line.payload is None:
        report.add("stream-line", f"Line {line.seq} of the decision log is gone; its link is still there.", line.seq)
        return
    payload_hash = sha256(line.payload.encode()).digest()
    if sha256(b"chain.v1\0" + previous + line.seq.to_bytes(8, "big") + payload_hash).digest() != line.entry_hash:
        report.add("stream-line", f"Line {line.seq} of the decision log was changed after it was sealed.", line.seq)


def _anchors() -> list[Anchor]:
    """What the trail says of batches, in the order of the log."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, payload FROM audit_auditevent WHERE verb = %s ORDER BY occurred_at, ordinal",
            [Verb.DECISION_LOG_SEALED.value],
        )
        found = [_anchor(event_id, json.loads(payload)["new"]) for event_id, payload in cursor.fetchall()]
    return sorted(found, key=lambda anchor: anchor.first)


def _anchor(event_id: UUID, said: dict[str, Any]) -> Anchor:
    return Anchor(event_id, said["first"], said["last"], bytes.fromhex(said["root"]), bytes.fromhex(said["entry_hash"]))


def _entry_hash(seq: int) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute("SELECT entry_hash FROM audit_streamlink WHERE seq = %s", [seq])
        found = cursor.fetchone()
    return bytes(found[0]) if found else START


def _lines(begin: int) -> Iterator[Line]:
    after = begin - 1
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT l.seq, l.entry_hash, s.payload
                FROM audit_streamlink l LEFT JOIN audit_stream s ON s.ordinal = l.ordinal
                WHERE l.seq > %s ORDER BY l.seq LIMIT %s
                """,
                [after, ROWS_PER_READ],
            )
            rows = [Line(seq, bytes(entry), payload) for seq, entry, payload in cursor.fetchall()]
        if not rows:
            return
        yield from rows
        after = rows[-1].seq


def _look_for_left_over(report: Finds) -> None:
    """Lines without a seal: waiting ones are counted, one below the floor can never be sealed and was put there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(floor), 0) FROM audit_streambatch")
        (floor,) = cursor.fetchone()
        cursor.execute(
            """
            SELECT count(*) FILTER (WHERE s.ordinal > %s), min(s.ordinal) FILTER (WHERE s.ordinal <= %s)
            FROM audit_stream s WHERE NOT EXISTS (SELECT FROM audit_streamlink l WHERE l.ordinal = s.ordinal)
            """,
            [floor, floor],
        )
        report.lines_pending, left_over = cursor.fetchone()
    if left_over is not None:
        report.add("stream-unsealed", f"The line with ordinal {left_over} of the decision log was never sealed.")
