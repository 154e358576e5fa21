"""Compare a staged reading with the inventory and write what differs: a fixed number of statements per run.

The cost grows with the change: unchanged objects are compared by hash and never fetched or written. What people
said about an identity (owner, edited purpose …) stands in columns that no statement here touches, with one exception:
`resolve_people` fills an owner in where nobody has ever edited the identity.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from identities.sync import staging, statistics

Parameters = dict[str, Any]
Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class _Merged:
    """How one kind of record becomes rows of one table.

    columns: (column, member of the record, SQL type). old: members that the row itself does not hold, as SQL.
    fixed: columns that a new row needs beside these.
    """

    kind: str
    table: str
    columns: tuple[tuple[str, str, str], ...]
    old: str = ""
    fixed: tuple[tuple[str, str], ...] = ()
    has_identity: bool = True
    has_last_use: bool = False


_VERSION_OLD = ", 'permission', v.permission, 'valid_from', v.valid_from, 'valid_until', v.valid_until"

# Identities first: the others refer to them.
MERGED = (
    _Merged(
        "identity",
        "identities_identity",
        (
            ("kind", "kind", "text"),
            ("name", "name", "text"),
            ("status", "status", "text"),
            ("custody", "custody", "text"),
            ("environment", "environment", "text"),
            ("purpose", "purpose", "text"),
            ("source_owner", "owner", "text"),
            ("source_sponsor", "sponsor", "text"),
            ("acts_for", "acts_for", "text"),
            ("source_tags", "tags", "text[]"),
            ("attributes", "attributes", "jsonb"),
            ("created_at", "created_at", "timestamptz"),
        ),
        fixed=(
            *(("version", "1"), ("purpose_edited", "''"), ("environment_edited", "''"), ("tags", "'{}'")),
            *(("grant_count", "0"), ("privileged_count", "0"), ("credential_count", "0")),
        ),
        has_identity=False,
        has_last_use=True,
    ),
    _Merged(
        "credential",
        "identities_credential",
        (
            ("kind", "kind", "text"),
            ("status", "status", "text"),
            ("created_at", "created_at", "timestamptz"),
            ("expires_at", "expires_at", "timestamptz"),
            ("never_expires", "never_expires", "boolean"),
            ("last_rotated_at", "last_rotated_at", "timestamptz"),
            ("storage", "storage", "text"),
            ("audience", "audience", "text"),
            ("fingerprint", "fingerprint", "text"),
            ("attributes", "attributes", "jsonb"),
        ),
        has_last_use=True,
    ),
    _Merged(
        "grant",
        "identities_grant",
        (
            ("label", "label", "text"),
            ("path", "path", "jsonb"),
            ("revocability", "revocability", "text"),
            ("shared_with", "shared_with", "integer"),
            ("native_ref", "native_ref", "jsonb"),
        ),
        old=_VERSION_OLD,
    ),
    _Merged(
        "trust",
        "identities_trustrelation",
        (
            ("issuer", "issuer", "text"),
            ("subject", "subject", "text"),
            ("audience", "audience", "text"),
            ("conditions", "conditions", "jsonb"),
        ),
    ),
    _Merged(
        "resource",
        "identities_resource",
        (("name", "name", "text"), ("properties", "properties", "jsonb")),
        has_identity=False,
    ),
)

# New ids rise with time, so that a first load fills every index from left to right (RFC 9562, version 7).
NEW_ID = """encode(set_bit(set_bit(overlay(
    uuid_send(gen_random_uuid())
    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6
), 52, 1), 53, 1), 'hex')::uuid"""
_DIFF = """
INSERT INTO sync_diff (kind, id, external_id, action, has_new_version, old)
SELECT s.kind, coalesce(t.id, {new_id}), s.external_id,
       CASE WHEN t.id IS NULL OR t.retired_at IS NOT NULL THEN 'added' ELSE 'changed' END,
       {has_new_version},
       CASE WHEN t.retired_at IS NOT NULL THEN jsonb_build_object('retired_at', t.retired_at){holder}
            WHEN t.id IS NOT NULL THEN {old} END
FROM sync_stage s
LEFT JOIN {table} t ON t.source_id = %(source)s AND t.external_id = s.external_id
{joins}
WHERE s.kind = '{kind}' AND (t.id IS NULL OR t.retired_at IS NOT NULL OR t.content_hash <> s.hash)
"""
_RETIRED = """
WITH gone AS MATERIALIZED (
    SELECT t.id FROM {candidates} WHERE t.source_id = %(source)s AND t.retired_at IS NULL AND {is_gone}
)
INSERT INTO sync_diff (kind, id, external_id, action, old)
SELECT '{kind}', t.id, t.external_id, 'retired', {old}
FROM gone JOIN {table} t ON t.id = gone.id
{joins}
"""
_IS_ABSENT = """NOT EXISTS (
    SELECT 1 FROM sync_stage s WHERE s.kind = '{kind}' AND s.external_id = t.external_id)"""
# Where lines were recognised, only what none of them describes can be absent.
_UNRECOGNISED = "sync_current c JOIN {table} t ON t.id = c.id AND c.kind = '{kind}' AND c.line IS NULL"
_IS_NAMED = """EXISTS (
    SELECT 1 FROM sync_stage s WHERE s.kind = 'retire_{kind}' AND s.external_id = t.external_id)"""
# Who held it before it was gone, where that is another: the past asks for those alone (selectors/holders.py).
_OTHER_HOLDER = """
                || CASE WHEN o.external_id <> s.identity THEN jsonb_build_object('identity', o.external_id)
                        ELSE '{}' END"""
# What hangs on an identity goes with it, unless this very reading hangs it on another.
_WITH_IDENTITY = """({is_named} OR (
    NOT EXISTS (SELECT 1 FROM sync_stage s WHERE s.kind = '{kind}' AND s.external_id = t.external_id)
    AND t.identity_id IN (SELECT d.id FROM sync_diff d WHERE d.kind = 'identity' AND d.action = 'retired')))"""

_UPSERT = """
INSERT INTO {table} AS t ({columns}, source_id, external_id, {extra_columns}
                          id, first_seen_at, last_changed_at, retired_at, content_hash, line_hash)
SELECT {values}, %(source)s, s.external_id, {extra_values}
       d.id, %(observed)s, %(observed)s, NULL, s.hash, s.line_hash
FROM sync_diff d
JOIN sync_stage s ON s.kind = d.kind AND s.external_id = d.external_id
{joins}
CROSS JOIN LATERAL jsonb_to_record(s.body) AS b({record})
WHERE d.kind = '{kind}' AND d.action <> 'retired'
ON CONFLICT (source_id, external_id) DO UPDATE
SET {updates}, last_changed_at = EXCLUDED.last_changed_at, retired_at = NULL, content_hash = EXCLUDED.content_hash,
    line_hash = EXCLUDED.line_hash
"""
_RETIRE = """
UPDATE {table} t SET retired_at = %(observed)s, last_changed_at = %(observed)s
FROM sync_diff d WHERE d.kind = '{kind}' AND d.action = 'retired' AND t.id = d.id
"""
# Last use is an observation, not a change: no Change row, and it never goes back. Nor is it a change when a line says
# the same in other words.
_LAST_USE = ", last_used_at = greatest(t.last_used_at, s.last_used_at)"
_SAME_AGAIN = """
UPDATE {table} t SET line_hash = s.line_hash{last_use}
FROM sync_stage s
WHERE s.kind = '{kind}' AND t.source_id = %(source)s AND t.external_id = s.external_id
  AND t.line_hash IS DISTINCT FROM s.line_hash
"""
# What is no part of an object's content.
UNCHANGING = "ARRAY['type', 'id', 'last_used_at']"
_CHANGES = """
INSERT INTO identities_change (run_id, object_kind, object_id, external_id, action, old, new, created_at)
SELECT %(run)s, d.kind, d.id, d.external_id, d.action,
       CASE WHEN d.action = 'changed' THEN differing.old ELSE d.old END,
       CASE WHEN d.action = 'changed' THEN differing.new
            WHEN d.action = 'added' THEN s.body - {unchanging} END,
       %(now)s
FROM sync_diff d
LEFT JOIN sync_stage s ON s.kind = d.kind AND s.external_id = d.external_id AND d.action <> 'retired'
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(n.key, d.old -> n.key) AS old, jsonb_object_agg(n.key, n.value) AS new
    FROM jsonb_each(CASE WHEN d.action = 'changed' THEN s.body - {unchanging} END) n
    WHERE n.value IS DISTINCT FROM d.old -> n.key
) differing ON true
WHERE d.kind = '{kind}'
"""
_OWNERS = """
UPDATE identities_identity t SET {column} = u.id
FROM people_user u
WHERE t.source_id = %(source)s AND t.retired_at IS NULL AND t.{column} IS NULL AND t.version = 1
  AND t.{said} <> '' AND u.email = t.{said} AND u.left_at IS NULL
"""


def compare(*, source_id: UUID, is_complete: bool) -> None:
    """Fill `sync_diff` with every object that this reading adds, changes or retires."""
    parameters: Parameters = {"source": source_id}
    is_narrowed = staging.has_recognised()
    with connection.cursor() as cursor:
        for merged in MERGED:
            cursor.execute(_diff(merged), parameters)
            cursor.execute(_retired(merged, is_complete, is_narrowed), parameters)
        cursor.execute("CREATE INDEX ON sync_diff (kind, external_id); ANALYZE sync_diff")


def write(*, run_id: UUID, source_id: UUID, observed_at: datetime, now: datetime, counts: Counts) -> None:
    """Write `sync_diff` into the inventory, and the changes into its history. counts: what `count` said of it."""
    parameters: Parameters = {"run": run_id, "source": source_id, "observed": observed_at, "now": now}
    with connection.cursor() as cursor:
        for merged in MERGED:
            cursor.execute(_upsert(merged), parameters)
            statistics.refresh({merged.kind: counts[merged.kind]})
            cursor.execute(_RETIRE.format(table=merged.table, kind=merged.kind), parameters)
            if counts[merged.kind]["unchanged"]:
                cursor.execute(_same_again(merged), parameters)
            cursor.execute(_CHANGES.format(kind=merged.kind, unchanging=UNCHANGING), parameters)


def resolve_people(*, source_id: UUID) -> None:
    """Make the person whom the source names accountable, where nobody is and no person has edited the identity."""
    with connection.cursor() as cursor:
        for column, said in (("owner_id", "source_owner"), ("sponsor_id", "source_sponsor")):
            cursor.execute(_OWNERS.format(column=column, said=said), {"source": source_id})


def count(*, source_id: UUID) -> dict[str, dict[str, int]]:
    """Per kind: added, changed, retired, unchanged."""
    counts = {kind: {"added": 0, "changed": 0, "retired": 0, "unchanged": 0} for kind in (m.kind for m in MERGED)}
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, count(*) FROM sync_stage WHERE kind = ANY(%s) GROUP BY kind", [list(counts)])
        for kind, staged in cursor.fetchall():
            counts[kind]["unchanged"] = staged
        cursor.execute("SELECT kind, count(line) FROM sync_current GROUP BY kind")
        for kind, recognised in cursor.fetchall():
            counts[kind]["unchanged"] += recognised
        cursor.execute("SELECT kind, action, count(*) FROM sync_diff GROUP BY kind, action")
        for kind, action, number in cursor.fetchall():
            counts[kind][action] = number
            if action != "retired":
                counts[kind]["unchanged"] -= number
    return counts


def changed_number(counts: Counts) -> int:
    """How many objects a reading adds, changes or retires."""
    return sum(each["added"] + each["changed"] + each["retired"] for each in counts.values())


def expected_number(kind: str) -> int:
    """How many of the objects that would go were taken away by Remit itself."""
    if kind != "grant":
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM sync_diff d JOIN identities_grant t ON t.id = d.id"
            " WHERE d.kind = 'grant' AND d.action = 'retired' AND t.removal_expected_at IS NOT NULL"
        )
        return int(cursor.fetchone()[0])


def current_number(kind: str, *, source_id: UUID) -> int:
    """How many objects of this kind the inventory holds for the source now."""
    table = next(merged.table for merged in MERGED if merged.kind == kind)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE source_id = %s AND retired_at IS NULL", [source_id])  # noqa: S608
        return int(cursor.fetchone()[0])


def _old(merged: _Merged) -> str:
    members = ", ".join(f"'{member}', t.{column}" for column, member, _ in merged.columns)
    owner = ", 'identity', o.external_id" if merged.has_identity else ""
    return f"jsonb_build_object({members}{owner}{merged.old})"


def _joins(merged: _Merged) -> str:
    joins = ["LEFT JOIN identities_identity o ON o.id = t.identity_id"] if merged.has_identity else []
    if merged.kind == "grant":
        joins.append("LEFT JOIN identities_grantversion v ON v.grant_id = t.id AND v.seen_until IS NULL")
    return "\n".join(joins)


def _same_again(merged: _Merged) -> str:
    return _SAME_AGAIN.format(table=merged.table, kind=merged.kind, last_use=_LAST_USE if merged.has_last_use else "")


def _diff(merged: _Merged) -> str:
    has_new_version = "false"
    if merged.kind == "grant":
        has_new_version = """(v.id IS NULL OR v.digest <> s.digest
            OR v.valid_from IS DISTINCT FROM (s.body ->> 'valid_from')::timestamptz
            OR v.valid_until IS DISTINCT FROM (s.body ->> 'valid_until')::timestamptz)"""
    return _DIFF.format(
        table=merged.table,
        kind=merged.kind,
        old=_old(merged),
        joins=_joins(merged),
        has_new_version=has_new_version,
        new_id=NEW_ID,
        holder=_OTHER_HOLDER if merged.has_identity else "",
    )


def _retired(merged: _Merged, is_complete: bool, is_narrowed: bool) -> str:
    names = {"table": merged.table, "kind": merged.kind}
    is_named = _IS_NAMED.format(**names)
    candidates = f"{merged.table} t"
    if is_complete:
        is_gone = _IS_ABSENT.format(**names)
        if is_narrowed:
            candidates = _UNRECOGNISED.format(**names)
    elif merged.has_identity:
        is_gone = _WITH_IDENTITY.format(**names, is_named=is_named)
    else:
        is_gone = is_named
    return _RETIRED.format(**names, candidates=candidates, is_gone=is_gone, old=_old(merged), joins=_joins(merged))


def _upsert(merged: _Merged) -> str:
    extra: list[tuple[str, str]] = list(merged.fixed)
    updates = [column for column, _, _ in merged.columns]
    joins = ""
    if merged.has_identity:
        joins = "JOIN identities_identity i ON i.source_id = %(source)s AND i.external_id = s.identity"
        extra.append(("identity_id", "i.id"))
        updates.append("identity_id")
    if merged.kind == "grant":
        joins += "\nJOIN sync_facts f ON f.digest = s.digest"
        repeated = ("segment", "further_segments", "is_privileged")
        extra += [(column, f"f.{column}") for column in repeated]
        updates += repeated
    assignments = [f"{column} = EXCLUDED.{column}" for column in updates]
    if merged.has_last_use:
        extra.append(("last_used_at", "s.last_used_at"))
        assignments.append("last_used_at = greatest(t.last_used_at, EXCLUDED.last_used_at)")
    return _UPSERT.format(
        table=merged.table,
        kind=merged.kind,
        joins=joins,
        columns=", ".join(column for column, _, _ in merged.columns),
        values=", ".join(f"b.{member}" for _, member, _ in merged.columns),
        record=", ".join(f"{member} {sql_type}" for _, member, sql_type in merged.columns),
        extra_columns="".join(f"{column}, " for column, _ in extra),
        extra_values="".join(f"{value}, " for _, value in extra),
        updates=", ".join(assignments),
    )
