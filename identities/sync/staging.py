"""Bring a reading into the database's temporary memory in one COPY, and ask there what only the whole can answer.

The staging table lives and dies with the transaction of its run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from identities.sync.records import MOST_ERRORS, Row, RowError

_TABLES = """
DROP TABLE IF EXISTS pg_temp.sync_stage, pg_temp.sync_diff, pg_temp.sync_facts, pg_temp.sync_line,
    pg_temp.sync_current;
SET LOCAL work_mem = '64MB';
-- What a run looks up by key is in memory more often than not; else a small change would read whole tables.
SET LOCAL random_page_cost = 1.1;
CREATE TEMPORARY TABLE sync_stage (
    line integer NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    external_id text NOT NULL,
    identity text NOT NULL,
    hash bytea NOT NULL,
    digest bytea,
    last_used_at timestamptz,
    body jsonb NOT NULL,
    line_hash bytea NOT NULL
) ON COMMIT DROP;
-- Every line of the reading; and every current object, with the line that is as it was: such lines are not staged.
CREATE TEMPORARY TABLE sync_line (line integer NOT NULL, hash bytea NOT NULL) ON COMMIT DROP;
CREATE TEMPORARY TABLE sync_current (kind text NOT NULL, id uuid NOT NULL, line integer) ON COMMIT DROP;
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
    further_segments text[] NOT NULL,
    privilege_classes text[] NOT NULL,
    is_privileged boolean NOT NULL
) ON COMMIT DROP;
"""
_COPY = """COPY sync_stage (line, kind, key, external_id, identity, hash, digest, last_used_at, body, line_hash)
FROM STDIN"""
_INDEX = "CREATE INDEX ON sync_stage (kind, external_id); ANALYZE sync_stage"

_DUPLICATES = """
SELECT s.line, '/id', 'duplicate', 'says the same as line ' || d.first || ': each object stands once in a reading'
FROM (SELECT kind, key, min(line) AS first FROM sync_stage GROUP BY kind, key HAVING count(*) > 1) d
JOIN sync_stage s ON s.kind = d.kind AND s.key = d.key AND s.line <> d.first
"""
# The other of the two lines is as it was and was therefore not staged.
_DUPLICATES_OF_RECOGNISED = """
SELECT s.line, '/id', 'duplicate', 'says the same as line ' || r.line || ': each object stands once in a reading'
FROM sync_stage s
JOIN {table} t ON t.source_id = %(source)s AND t.external_id = s.external_id
JOIN sync_current r ON r.id = t.id
WHERE s.kind = '{kind}' AND r.line IS NOT NULL
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
  AND NOT EXISTS (SELECT 1 FROM identities_identity t JOIN sync_current r ON r.id = t.id
                  WHERE t.source_id = %(source)s AND t.external_id = s.identity AND r.line IS NOT NULL)
  {unless_known}
"""
# A line that is as it was still hangs in the air when the line of its identity went missing.
_LOST_IDENTITY = """
SELECT r.line, '/identity', 'unknown-identity', 'is no identity of this reading'
FROM {table} t JOIN sync_current r ON r.id = t.id AND r.line IS NOT NULL
WHERE t.identity_id IN (
    SELECT i.id FROM sync_current c JOIN identities_identity i ON i.id = c.id
    WHERE c.kind = 'identity' AND c.line IS NULL
      AND NOT EXISTS (SELECT 1 FROM sync_stage s WHERE s.kind = 'identity' AND s.external_id = i.external_id))
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
    "resource": "identities_resource",
}
# Kinds that hang on an identity.
_OF_IDENTITIES = ("credential", "grant", "trust")


_STRANGERS = """
WITH gone AS (
    DELETE FROM sync_stage s
    WHERE s.kind IN ('usage', 'usage_window') AND s.identity <> ''
      AND NOT EXISTS (SELECT 1 FROM identities_identity i WHERE i.source_id = %(source)s
                      AND i.external_id = s.identity AND i.retired_at IS NULL)
    RETURNING s.identity
)
SELECT count(*), count(DISTINCT identity), (array_agg(DISTINCT identity ORDER BY identity))[:5] FROM gone
"""


@dataclass(frozen=True, slots=True)
class Strangers:
    """Use by identities that the inventory does not know: how many records, of how many, the first few by name."""

    records: int
    identities: int
    first: Sequence[str]

    def noted_in(self, notes: dict[str, Any]) -> dict[str, Any]:
        """The notes of a run with this said in them."""
        counts = notes.get("counts", {}) | {"entries of unknown identities": self.records}
        more = f" and {self.identities - len(self.first):,} more" if self.identities > len(self.first) else ""
        sentence = f"Passed over, because nobody here knows these identities: {', '.join(self.first)}{more}."
        said = [*(each for each in notes.get("sentences", []) if each != sentence), sentence]
        strangers = {"identities": self.identities, "first": list(self.first)}
        return notes | {"counts": counts, "sentences": said, "strangers": strangers}


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
                        row.line_hash,
                    )
                )
        cursor.execute(_INDEX)


def find_faults(*, source_id: UUID, is_complete: bool, most: int = MOST_ERRORS) -> list[RowError]:
    """What is wrong between the records: repeated objects, identities that nobody knows, retired strangers."""
    known = "" if is_complete else _UNLESS_KNOWN
    checks = [
        _DUPLICATES,
        _CONTRADICTIONS,
        _UNKNOWN_IDENTITY.format(or_inventory="" if is_complete else " and not in the inventory", unless_known=known),
        *(_UNKNOWN_RETIRED.format(kind=kind, table=table) for kind, table in _TABLE_OF.items()),
    ]
    if has_recognised():
        checks += [_DUPLICATES_OF_RECOGNISED.format(kind=kind, table=table) for kind, table in _TABLE_OF.items()]
        if is_complete:
            checks += [_LOST_IDENTITY.format(table=_TABLE_OF[kind]) for kind in _OF_IDENTITIES]
    union = " UNION ALL ".join(f"({check})" for check in checks)
    with connection.cursor() as cursor:
        cursor.execute(f"{union} ORDER BY 1 LIMIT {most}", {"source": source_id})
        return [RowError(*found) for found in cursor.fetchall()]


def drop_strangers(*, source_id: UUID) -> Strangers:
    """Take use out again whose identity nobody knows: a log names whoever came by, an inventory whom it governs."""
    with connection.cursor() as cursor:
        cursor.execute(_STRANGERS, {"source": source_id})
        records, identities, first = cursor.fetchone()
    return Strangers(records, identities, first or [])


def drop_lines(lines: Iterable[int]) -> None:
    """Take these lines out again."""
    numbers = list(lines)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM sync_stage WHERE line = ANY(%s)", [numbers])
        cursor.execute("UPDATE sync_current SET line = NULL WHERE line = ANY(%s)", [numbers])


def has_recognised() -> bool:
    """Whether lines were compared with those of the last reading before anything was staged."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM sync_current)")
        return bool(cursor.fetchone()[0])


def _execute(script: str, parameters: dict[str, Any] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(script, parameters)
