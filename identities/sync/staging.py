"""Bring a reading into the database's temporary memory in one COPY, and ask there what only the whole can answer.

The staging table lives and dies with the transaction of its run.
"""

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from django.db import connection

from identities.sync.records import MOST_ERRORS, Row, RowError

_TABLES = """
DROP TABLE IF EXISTS pg_temp.sync_stage, pg_temp.sync_diff, pg_temp.sync_facts;
SET LOCAL work_mem = '64MB';
CREATE TEMPORARY TABLE sync_stage (
    line integer NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    external_id text NOT NULL,
    identity text NOT NULL,
    hash bytea NOT NULL,
    digest bytea,
    last_used_at timestamptz,
    body jsonb NOT NULL
) ON COMMIT DROP;
CREATE TEMPORARY TABLE sync_diff (
    kind text NOT NULL,
    id uuid NOT NULL,
    external_id text NOT NULL,
    action text NOT NULL,
    has_new_version boolean NOT NULL DEFAULT false,
    old jsonb
) ON COMMIT DROP;
CREATE TEMPORARY TABLE sync_facts (
    digest bytea NOT NULL,
    plain jsonb NOT NULL,
    segment text NOT NULL,
    privilege_classes text[] NOT NULL,
    is_privileged boolean NOT NULL
) ON COMMIT DROP;
"""
_COPY = "COPY sync_stage (line, kind, key, external_id, identity, hash, digest, last_used_at, body) FROM STDIN"
_INDEX = "CREATE INDEX ON sync_stage (kind, external_id); ANALYZE sync_stage"

_DUPLICATES = """
SELECT unnest((array_agg(line ORDER BY line))[2:]) AS line, '/id', 'duplicate',
       'says the same as line ' || min(line) || ': each object stands once in a reading'
FROM sync_stage GROUP BY kind, key HAVING count(*) > 1
"""
_CONTRADICTIONS = """
SELECT r.line, '/id', 'contradiction', 'is retired here, but line ' || s.line || ' says it exists'
FROM sync_stage r JOIN sync_stage s ON r.kind = 'retire_' || s.kind AND r.external_id = s.external_id
"""
# A complete reading stands for itself; others may lean on what the inventory already holds.
_UNKNOWN_IDENTITY = """
SELECT s.line, '/identity', 'unknown-identity', 'is no identity of this reading{or_inventory}'
FROM sync_stage s
WHERE s.identity <> ''
  AND NOT EXISTS (SELECT 1 FROM sync_stage i WHERE i.kind = 'identity' AND i.external_id = s.identity)
  {unless_known}
"""
_UNLESS_KNOWN = """
  AND (NOT EXISTS (SELECT 1 FROM identities_identity t
                   WHERE t.source_id = %(source)s AND t.external_id = s.identity AND t.retired_at IS NULL)
       OR EXISTS (SELECT 1 FROM sync_stage r WHERE r.kind = 'retire_identity' AND r.external_id = s.identity))
"""
_UNKNOWN_RETIRED = """
SELECT s.line, '/id', 'unknown-object', 'was never an object of this source'
FROM sync_stage s
WHERE s.kind = 'retire_{kind}'
  AND NOT EXISTS (SELECT 1 FROM {table} t WHERE t.source_id = %(source)s AND t.external_id = s.external_id)
"""
_TABLE_OF = {
    "identity": "identities_identity",
    "credential": "identities_credential",
    "grant": "identities_grant",
    "trust": "identities_trustrelation",
}


def create_tables() -> None:
    """The temporary tables of one run. Call it inside the run's transaction."""
    _execute(_TABLES)


def copy_rows(rows: Iterable[Row]) -> None:
    """Write the rows as they come; memory does not grow with their number."""
    with connection.cursor() as cursor:
        # Unlike `execute`, a COPY is not wrapped by Django, whose errors the callers know.
        with connection.wrap_database_errors, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(
                    (
                        row.line,
                        row.kind,
                        row.key,
                        row.external_id,
                        row.identity,
                        row.hash,
                        row.digest,
                        row.last_used_at,
                        row.body,
                    )
                )
        cursor.execute(_INDEX)


def find_faults(*, source_id: UUID, is_complete: bool) -> list[RowError]:
    """What is wrong between the records: repeated objects, identities that nobody knows, retired strangers."""
    known = "" if is_complete else _UNLESS_KNOWN
    checks = [
        _DUPLICATES,
        _CONTRADICTIONS,
        _UNKNOWN_IDENTITY.format(or_inventory="" if is_complete else " and not in the inventory", unless_known=known),
        *(_UNKNOWN_RETIRED.format(kind=kind, table=table) for kind, table in _TABLE_OF.items()),
    ]
    union = " UNION ALL ".join(f"({check})" for check in checks)
    with connection.cursor() as cursor:
        cursor.execute(f"{union} ORDER BY 1 LIMIT {MOST_ERRORS}", {"source": source_id})
        return [RowError(*found) for found in cursor.fetchall()]


def staged_lines(batch: int = 5_000) -> Iterator[bytes]:
    """Everything staged, as the lines of a reading that says the same."""
    with connection.chunked_cursor() as cursor:
        cursor.execute("SELECT body::text FROM sync_stage ORDER BY line")
        while found := cursor.fetchmany(batch):
            for (body,) in found:
                yield body.encode()


def _execute(script: str, parameters: dict[str, Any] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(script, parameters)
