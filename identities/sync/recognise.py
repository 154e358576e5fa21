"""Recognise lines that the last reading already held: they were checked and taken in then, and need it no more.

Every object keeps a keyed hash of the line that last described it. A snapshot's lines are hashed, compared with those
in the database by one join, and only what is new goes through reading, checking and comparing: an unchanged million
costs two passes over a file and a join. The key covers everything that reading a line depends on beside the line
itself, so that another version of Remit, or another default of the source, recognises nothing and reads all anew.
"""

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from struct import Struct

from django.db import connection

import governance.kernel
import identities.models
import identities.sync
from identities import diff
from identities.models import Source, SyncMode
from identities.services import secret_shapes
from identities.sync.lines import Body
from identities.sync.progress import Progress
from identities.sync.records import RecordReader, line_hash

BATCH = 5_000
# Below this share of what the inventory holds, looking through the inventory costs more than reading the lines.
WORTH_IT = 0.1
_COPY = "COPY sync_line (line, hash) FROM STDIN (FORMAT binary)"
_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TAIL = b"\xff\xff"
# Two fields: a four-byte integer, sixteen bytes.
_ROW = Struct(">hiii16s")

_MATCH = """
INSERT INTO sync_current (kind, id, line)
SELECT k.kind, k.id, min(l.line)
FROM (
    SELECT 'identity' AS kind, id, line_hash FROM identities_identity
    WHERE source_id = %(source)s AND retired_at IS NULL
    UNION ALL
    SELECT 'credential', id, line_hash FROM identities_credential WHERE source_id = %(source)s AND retired_at IS NULL
    UNION ALL
    SELECT 'grant', id, line_hash FROM identities_grant WHERE source_id = %(source)s AND retired_at IS NULL
    UNION ALL
    SELECT 'trust', id, line_hash FROM identities_trustrelation WHERE source_id = %(source)s AND retired_at IS NULL
    UNION ALL
    SELECT 'resource', id, line_hash FROM identities_resource WHERE source_id = %(source)s AND retired_at IS NULL
) k
LEFT JOIN sync_line l ON l.hash = k.line_hash
GROUP BY k.kind, k.id
"""
_UNKNOWN = """
SELECT l.line FROM sync_line l LEFT JOIN sync_current k ON k.line = l.line WHERE k.line IS NULL ORDER BY l.line
"""


def line_key(source: Source) -> bytes:
    """What the hashes of this source's lines are keyed with, 32 bytes."""
    return blake2b(f"{source.pk} {source.environment}".encode(), key=_rules(), digest_size=32).digest()


@cache
def _rules() -> bytes:
    """A digest of the code that reads a line. One changed byte of it, and every line is read anew."""
    summary = blake2b(digest_size=32)
    places = [*governance.kernel.__path__, *identities.models.__path__, *identities.sync.__path__]
    files = [file for place in places for file in sorted(Path(place).rglob("*.py"))]
    for file in [*files, Path(str(diff.__file__)), Path(str(secret_shapes.__file__))]:
        summary.update(file.read_bytes())
    return summary.digest()


def unrecognised(
    body: Body, reader: RecordReader, source: Source, mode: str, progress: Progress
) -> Iterator[tuple[int, bytes]]:
    """The lines that must be read, with their numbers; the reader is told how many were passed over in between.

    Fills `sync_current` with every object of the source that is current, and the line that says that it still is.
    """
    if mode != SyncMode.SNAPSHOT or not _knows_lines(source):
        return progress.watch(enumerate(body.lines(), start=1), body)
    total = _hash_lines(body, reader.line_key, progress)
    if total < WORTH_IT * sum(source.totals.values()):
        return progress.watch(enumerate(body.lines(), start=1), body)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sync_line")
        cursor.execute(_MATCH, {"source": source.pk})
        cursor.execute("ANALYZE sync_current")
    progress.phase("reading")
    return _pass_over_known(body.lines(), reader, _unknown_lines(), total)


def _knows_lines(source: Source) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM identities_identity WHERE source_id = %s AND line_hash IS NOT NULL LIMIT 1)",
            [source.pk],
        )
        return bool(cursor.fetchone()[0])


def _hash_lines(body: Body, key: bytes, progress: Progress) -> int:
    total = 0
    numbered = progress.watch(enumerate(body.lines(), start=1), body)
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(_COPY) as copy:
        copy.write(_HEAD)
        while batch := list(islice(numbered, BATCH)):
            copy.write(b"".join([_ROW.pack(2, 4, number, 16, line_hash(line, key)) for number, line in batch]))
            total = batch[-1][0]
        copy.write(_TAIL)
    return total


def _pass_over_known(
    lines: Iterator[bytes], reader: RecordReader, unknown: Sequence[int], total: int
) -> Iterator[tuple[int, bytes]]:
    at = 0
    for wanted in unknown:
        _pass_over(lines, reader, at, wanted - 1)
        yield wanted, next(lines)
        at = wanted
    _pass_over(lines, reader, at, total)


def _pass_over(lines: Iterator[bytes], reader: RecordReader, at: int, until: int) -> None:
    if until > at:
        deque(islice(lines, until - at), maxlen=0)
        reader.pass_over(until - at, first_line=at + 1)


def _unknown_lines() -> Sequence[int]:
    """Four bytes a line: the connection is busy with a COPY while they are read, so they can't wait in the database."""
    lines = array("I")
    with connection.chunked_cursor() as cursor:
        cursor.execute(_UNKNOWN)
        while found := cursor.fetchmany(BATCH):
            lines.extend(line for (line,) in found)
    return lines
