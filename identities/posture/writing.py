"""Write judgements down: scores, their history, and the counts of the picture, with a fixed number of statements.

Inner steps of an evaluation's transaction, which one evaluator at a time holds: the counts move by the difference
between what stood there and what is written.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from identities.posture.judging import CATALOGUE_VERSION, Judgement

_COLUMNS = (
    ("identity_id", "uuid"),
    ("source_id", "uuid"),
    ("assurance_lower", "smallint"),
    ("assurance_upper", "smallint"),
    ("capped_by", "jsonb"),
    ("to_raise", "jsonb"),
    ("exposure_low", "numeric(4,1)"),
    ("exposure_high", "numeric(4,1)"),
    ("worst_case", "numeric(4,1)"),
    ("factors", "jsonb"),
    ("box", "text"),
    ("has_excess", "boolean"),
    ("failed", "varchar(12)[]"),
    ("passed", "varchar(12)[]"),
    ("not_applicable", "jsonb"),
    ("not_assessable", "jsonb"),
    ("worst_severity", "text"),
    ("facts_digest", "bytea"),
    ("due_at", "timestamptz"),
    ("hops", "uuid[]"),
)
_STORED = tuple(name for name, _ in _COLUMNS if name != "source_id")
_VERSIONED = (
    *("assurance_lower", "assurance_upper", "exposure_low", "exposure_high", "factors", "capped_by", "box"),
    *("has_excess", "failed"),
)
# What makes a stretch of history end; words about a cap that changed alone do not.
_COMPARED = tuple(name for name in _VERSIONED if name != "capped_by")
_TABLE = f"""
CREATE TEMPORARY TABLE posture_new ({", ".join(f"{name} {kind}" for name, kind in _COLUMNS)}) ON COMMIT DROP
"""
_COPY = f"COPY posture_new ({', '.join(name for name, _ in _COLUMNS)}) FROM STDIN"


def _listed(names: Sequence[str], before: str = "") -> str:
    return ", ".join(f"{before}{name}" for name in names)


_UPSERT = f"""
INSERT INTO identities_identityposture AS p ({_listed(_STORED)}, policy_id, catalogue_version, assessed_at)
SELECT {_listed(_STORED, "n.")}, %(policy)s, %(catalogue)s, %(now)s FROM posture_new n ORDER BY n.identity_id
ON CONFLICT (identity_id) DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in _STORED[1:])},
    policy_id = EXCLUDED.policy_id, catalogue_version = EXCLUDED.catalogue_version, assessed_at = EXCLUDED.assessed_at
"""  # noqa: S608
_CLOSE = f"""
UPDATE identities_postureversion v SET seen_until = greatest(v.seen_from, %(now)s)
FROM posture_new n
WHERE v.identity_id = n.identity_id AND v.seen_until IS NULL
  AND ({_listed(_COMPARED, "v.")}) IS DISTINCT FROM ({_listed(_COMPARED, "n.")})
"""  # noqa: S608
_OPEN = f"""
INSERT INTO identities_postureversion ({_listed(_VERSIONED)}, identity_id, policy_id, catalogue_version, seen_from)
SELECT {_listed(_VERSIONED, "n.")}, n.identity_id, %(policy)s, %(catalogue)s, %(now)s FROM posture_new n
WHERE NOT EXISTS (
    SELECT FROM identities_postureversion v WHERE v.identity_id = n.identity_id AND v.seen_until IS NULL)
ORDER BY n.identity_id
"""  # noqa: S608
_COUNTS = """
count(*)::int AS identities,
(count(*) FILTER (WHERE box = 'proven_contained'))::int AS proven_contained,
(count(*) FILTER (WHERE box = 'unproven_contained'))::int AS unproven_contained,
(count(*) FILTER (WHERE box = 'proven_broad'))::int AS proven_broad,
(count(*) FILTER (WHERE box = 'unproven_broad'))::int AS unproven_broad,
(count(*) FILTER (WHERE box = 'unmeasured'))::int AS unmeasured,
(count(*) FILTER (WHERE assurance_lower = assurance_upper))::int AS assurance_known,
(count(*) FILTER (WHERE exposure_low IS NOT NULL))::int AS exposure_known,
(count(*) FILTER (WHERE exposure_low = exposure_high))::int AS exposure_exact,
(count(*) FILTER (WHERE has_excess))::int AS excess,
(count(*) FILTER (WHERE NOT has_excess))::int AS no_excess
"""
_MEASURED = (
    *("identities", "proven_contained", "unproven_contained", "proven_broad", "unproven_broad", "unmeasured"),
    *("assurance_known", "exposure_known", "exposure_exact", "excess", "no_excess"),
)
# The rows as they stand before anything is written, with the opposite sign beside those that come.
_DIFFERENCE = f"""
WITH gone AS (
    SELECT i.source_id, p.* FROM identities_identityposture p JOIN identities_identity i ON i.id = p.identity_id
    WHERE p.identity_id = ANY(%(ids)s::uuid[])
), moved AS (
    SELECT source_id, {", ".join(f"-{name} AS {name}" for name in _MEASURED)}
    FROM (SELECT source_id, {_COUNTS} FROM gone GROUP BY source_id) old
    UNION ALL
    SELECT source_id, {_listed(_MEASURED)} FROM (SELECT source_id, {_COUNTS} FROM posture_new GROUP BY source_id) new
)
INSERT INTO identities_posturemeasure AS m (source_id, day, {_listed(_MEASURED)})
SELECT source_id, %(day)s, {", ".join(f"sum({name})" for name in _MEASURED)} FROM moved GROUP BY source_id
ON CONFLICT (source_id, day) DO UPDATE SET {", ".join(f"{name} = m.{name} + EXCLUDED.{name}" for name in _MEASURED)}
"""  # noqa: S608
# A new day begins as the last one ended.
_NEW_DAY = f"""
INSERT INTO identities_posturemeasure (source_id, day, {_listed(_MEASURED)})
SELECT source_id, %(day)s, {_listed(_MEASURED)} FROM (
    SELECT DISTINCT ON (source_id) * FROM identities_posturemeasure ORDER BY source_id, day DESC) latest
WHERE latest.day < %(day)s
ON CONFLICT (source_id, day) DO NOTHING
"""  # noqa: S608
_RETIRE = """
UPDATE identities_postureversion SET seen_until = greatest(seen_from, %(now)s)
WHERE identity_id = ANY(%(gone)s::uuid[]) AND seen_until IS NULL
"""
_FORGET = "DELETE FROM identities_identityposture WHERE identity_id = ANY(%(gone)s::uuid[])"


def begin_day(now: datetime) -> date:
    """Carry the counts into today, if nobody has yet. Days are those of UTC."""
    day = now.astimezone(UTC).date()
    with connection.cursor() as cursor:
        cursor.execute(_NEW_DAY, {"day": day})
    return day


def write(judgements: Sequence[Judgement], *, gone: Collection[UUID], policy_number: int, now: datetime) -> None:
    """Replace what stands of these identities, and end what stands of those that are gone."""
    day = begin_day(now)
    ids = [*(judgement.facts.id for judgement in judgements), *gone]
    parameters: dict[str, Any] = {
        "ids": ids,
        "gone": list(gone),
        "policy": policy_number,
        "catalogue": CATALOGUE_VERSION,
        "now": now,
        "day": day,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TABLE)
    _copy(judgements)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE posture_new")
        for statement in (_DIFFERENCE, _CLOSE, _OPEN, _UPSERT, *((_RETIRE, _FORGET) if gone else ())):
            cursor.execute(statement, parameters)
        cursor.execute("DROP TABLE posture_new")


def _copy(judgements: Sequence[Judgement]) -> None:
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(_COPY) as copy:
        for judgement in judgements:
            copy.write_row(_row(judgement))


def _row(judgement: Judgement) -> tuple[Any, ...]:
    facts, assurance, exposure = judgement.facts, judgement.assurance, judgement.exposure
    low, high = (exposure.low, exposure.high) if exposure.is_assessable else (None, None)
    return (
        facts.id,
        facts.source.id,
        assurance.lower,
        assurance.upper,
        _json(assurance.capped_by),
        _json(assurance.to_raise),
        low,
        high,
        exposure.worst_case,
        _json([factor.as_json() for factor in exposure.factors]),
        str(judgement.box.value),
        judgement.has_excess,
        list(judgement.failed),
        list(judgement.passed),
        _json(judgement.not_applicable),
        _json(judgement.not_assessable),
        judgement.worst_severity,
        judgement.digest,
        judgement.due_at,
        list(dict.fromkeys(hop.identity_id for hop in facts.hops)),
    )


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
