"""Grant versions: close what a reading no longer shows, open what it shows instead.

What the kernel derives from a permission (plain words, segments, privilege) is computed once per distinct permission
among those that changed, however many grants hold it.
"""

from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from django.db import connection

from governance.kernel.permissions import Permission, describe
from governance.kernel.privileges import (
    CATALOGUE_VERSION,
    classes_of,
    further_segments_of,
    is_privileged,
    segment_of,
)
from identities.sync import known
from identities.sync.merge import NEW_ID

BATCH = 2_000
Facts = tuple[str, str, list[str], list[str], bool]
"""As `sync_facts` holds them behind the digest."""

_DISTINCT = """
SELECT DISTINCT ON (s.digest) s.digest, s.body ->> 'permission'
FROM sync_diff d JOIN sync_stage s ON s.kind = d.kind AND s.external_id = d.external_id
WHERE d.kind = 'grant' AND d.action <> 'retired'
ORDER BY s.digest
"""
_COPY_FACTS = """
COPY sync_facts (digest, plain, segment, further_segments, privilege_classes, is_privileged) FROM STDIN
"""
_CLOSE = """
UPDATE identities_grantversion v SET seen_until = greatest(v.seen_from, %(observed)s)
FROM sync_diff d
WHERE d.kind = 'grant' AND (d.action = 'retired' OR d.has_new_version) AND v.grant_id = d.id AND v.seen_until IS NULL
"""
# Earlier numbers are read once: looked up per grant in the table that is being filled, a small table that grows by a
# million rows would be walked over a million times.
_OPEN = f"""
WITH earlier AS MATERIALIZED (
    SELECT v.grant_id, max(v.number) AS number
    FROM sync_diff d JOIN identities_grantversion v ON v.grant_id = d.id
    WHERE d.kind = 'grant' AND d.has_new_version GROUP BY v.grant_id
)
INSERT INTO identities_grantversion (id, grant_id, number, permission, digest, valid_from, valid_until, plain, segment,
                                     further_segments, privilege_classes, is_privileged, catalogue_version, seen_from,
                                     seen_until)
SELECT {NEW_ID}, d.id, coalesce(earlier.number, 0) + 1, s.body -> 'permission', s.digest,
       (s.body ->> 'valid_from')::timestamptz, (s.body ->> 'valid_until')::timestamptz, f.plain, f.segment,
       f.further_segments, f.privilege_classes, f.is_privileged, %(catalogue)s, %(observed)s, NULL
FROM sync_diff d
JOIN sync_stage s ON s.kind = d.kind AND s.external_id = d.external_id
JOIN sync_facts f ON f.digest = s.digest
LEFT JOIN earlier ON earlier.grant_id = d.id
WHERE d.kind = 'grant' AND d.has_new_version
"""  # noqa: S608 - constants of this package


def derive_facts() -> None:
    """Fill `sync_facts` with what the kernel says about each permission among the grants that changed."""
    with connection.chunked_cursor() as found:
        found.execute(_DISTINCT)
        while batch := found.fetchmany(BATCH):
            _derive(batch)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sync_facts")


def _derive(batch: list[tuple[Any, str]]) -> None:
    """Facts of some permissions, and what is remembered of those that nobody ever held; each is read once."""
    unknown = known.find_unknown(bytes(digest) for digest, _ in batch)
    rows, new = [], []
    for digest, written in batch:
        if bytes(digest) in unknown:
            permission = Permission.from_json(orjson.loads(written))
            rows.append((digest, *_facts_of(permission)))
            new.append(known.known_row(bytes(digest), permission))
        else:
            rows.append((digest, *_facts(written)))
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(_COPY_FACTS) as copy:
        for row in rows:
            copy.write_row(row)
    known.collect(new)


def write_versions(*, observed_at: datetime) -> None:
    """Close and open versions as `sync_diff` says. The grants themselves must be written before."""
    parameters: dict[str, Any] = {"observed": observed_at, "catalogue": CATALOGUE_VERSION}
    with connection.cursor() as cursor:
        cursor.execute(_CLOSE, parameters)
        cursor.execute(_OPEN, parameters)
    known.write_known_permissions()


# Clients that push often push the same permissions again and again.
@lru_cache(maxsize=8_192)
def _facts(written: str) -> Facts:
    return _facts_of(Permission.from_json(orjson.loads(written)))


def _facts_of(permission: Permission) -> Facts:
    classes = sorted(each.value for each in classes_of(permission))
    plain = orjson.dumps(list(describe(permission))).decode()
    further = list(further_segments_of(permission))
    return plain, segment_of(permission), further, classes, is_privileged(permission)
