"""Usage and what was observable: facts that only ever grow, written without Change rows."""

from uuid import UUID

from django.db import connection

# A snapshot knows the source's total; a delta says what came on top. Where a source only counts, the same number since
# the same moment says that nothing was called meanwhile.
_USAGE = """
INSERT INTO identities_usage AS t (identity_id, action, resource, first_seen_at, last_seen_at, count, counted_from)
SELECT i.id, b.action, b.resource, b.first_seen_at, b.last_seen_at, b.count, b.counted_from
FROM sync_stage s
JOIN identities_identity i ON i.source_id = %(source)s AND i.external_id = s.identity
CROSS JOIN LATERAL jsonb_to_record(s.body)
  AS b(action text, resource text, first_seen_at timestamptz, last_seen_at timestamptz, count bigint,
       counted_from timestamptz)
WHERE s.kind = 'usage'
ORDER BY i.id, b.action, b.resource
ON CONFLICT (identity_id, action, resource) DO UPDATE
SET first_seen_at = least(t.first_seen_at, EXCLUDED.first_seen_at),
    last_seen_at = {last},
    count = {count},
    counted_from = {counted_from}
WHERE (t.first_seen_at, t.last_seen_at, t.count, t.counted_from)
      IS DISTINCT FROM (least(t.first_seen_at, EXCLUDED.first_seen_at), {last}, {count}, {counted_from})
RETURNING (t.xmax = 0) AS is_new, t.id, t.identity_id, t.last_seen_at
"""
_DELTA = {
    "count": "least(t.count + EXCLUDED.count, 9007199254740991)",
    "last": "greatest(t.last_seen_at, EXCLUDED.last_seen_at)",
    "counted_from": "NULL::timestamptz",
}
_SNAPSHOT = {
    "count": "EXCLUDED.count",
    "last": """CASE WHEN (t.count, t.counted_from) = (EXCLUDED.count, EXCLUDED.counted_from) THEN t.last_seen_at
                    ELSE greatest(t.last_seen_at, EXCLUDED.last_seen_at) END""",
    "counted_from": "EXCLUDED.counted_from",
}
# A later window of the same log continues an earlier one where they touch and show the same; else it replaces it.
_WINDOWS = """
INSERT INTO identities_usagewindow AS t (source_id, identity_id, log, observed_from, observed_until, observable)
SELECT %(source)s, i.id, b.log, b."from", b.until, b.observable
FROM sync_stage s
LEFT JOIN identities_identity i ON i.source_id = %(source)s AND i.external_id = s.identity AND s.identity <> ''
CROSS JOIN LATERAL jsonb_to_record(s.body)
  AS b(log text, "from" timestamptz, until timestamptz, observable jsonb)
WHERE s.kind = 'usage_window'
ORDER BY i.id, b.log
ON CONFLICT (source_id, identity_id, log) DO UPDATE
SET observed_from = CASE WHEN {continues} THEN least(t.observed_from, EXCLUDED.observed_from)
                         ELSE EXCLUDED.observed_from END,
    observed_until = CASE WHEN {continues} THEN greatest(t.observed_until, EXCLUDED.observed_until)
                          ELSE EXCLUDED.observed_until END,
    observable = EXCLUDED.observable
WHERE (t.observed_from, t.observed_until, t.observable)
      IS DISTINCT FROM (EXCLUDED.observed_from, EXCLUDED.observed_until, EXCLUDED.observable)
RETURNING (t.xmax = 0) AS is_new, t.id, t.identity_id, t.observed_from, t.observable
"""
# What posture has to look at again: identities that did something new, or something on a later day than before, or are
# watched otherwise. That a window goes on is nothing new, and what concerns a whole source is noticed there. The tables
# are read as they were before this statement.
_NEWS = {
    "usage": """
        SELECT DISTINCT w.identity_id FROM written w LEFT JOIN identities_usage old ON old.id = w.id
        WHERE (old.last_seen_at AT TIME ZONE 'UTC')::date IS DISTINCT FROM (w.last_seen_at AT TIME ZONE 'UTC')::date""",
    "usage_window": """
        SELECT DISTINCT w.identity_id FROM written w LEFT JOIN identities_usagewindow old ON old.id = w.id
        WHERE w.identity_id IS NOT NULL
          AND (old.observed_from, old.observable) IS DISTINCT FROM (w.observed_from, w.observable)""",
}
_CONTINUES = """(t.observable = EXCLUDED.observable
    AND EXCLUDED.observed_from <= t.observed_until AND t.observed_from <= EXCLUDED.observed_until)"""


def write_usage(*, source_id: UUID, is_delta: bool) -> dict[str, dict[str, int]]:
    """Merge staged usage and windows; returns counts per kind. Identities must be written before."""
    return {
        "usage": _merge("usage", _USAGE.format(**(_DELTA if is_delta else _SNAPSHOT)), source_id),
        "usage_window": _merge("usage_window", _WINDOWS.format(continues=_CONTINUES), source_id),
    }


def _merge(kind: str, statement: str, source_id: UUID) -> dict[str, int]:
    counted = f"""
        WITH written AS ({statement}), marked AS (INSERT INTO identities_posturemark (identity_id) {_NEWS[kind]})
        SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new),
               (SELECT count(*) FROM sync_stage WHERE kind = '{kind}')
        FROM written
    """  # noqa: S608 - both parts are constants of this module
    with connection.cursor() as cursor:
        cursor.execute(counted, {"source": source_id})
        added, changed, staged = cursor.fetchone()
    return {"added": added, "changed": changed, "retired": 0, "unchanged": staged - added - changed}
