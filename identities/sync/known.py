"""Remember every permission that some grant has or had, once: what "who could do X on Z" looks through.

Rows are collected beside the run and written at its end in one statement, in the order of their digests: two runs that
bring the same new permission at once then wait for each other only briefly, and never in a circle.
"""

from collections.abc import Iterable

import orjson
from django.db import connection

from governance.kernel.heads import heads_of
from governance.kernel.permissions import Permission

KnownRow = tuple[bytes, str, str, list[str], list[str]]

_TABLE = """
CREATE TEMPORARY TABLE IF NOT EXISTS sync_known (
    digest bytea NOT NULL,
    dialect text NOT NULL,
    permission jsonb NOT NULL,
    action_heads text[] NOT NULL,
    resource_heads text[] NOT NULL
) ON COMMIT DROP
"""
_COPY = "COPY sync_known (digest, dialect, permission, action_heads, resource_heads) FROM STDIN"
_WRITE = """
INSERT INTO identities_knownpermission (digest, dialect, permission, action_heads, resource_heads)
SELECT DISTINCT ON (digest) digest, dialect, permission, action_heads, resource_heads FROM sync_known ORDER BY digest
ON CONFLICT DO NOTHING
"""


def find_unknown(digests: Iterable[bytes]) -> set[bytes]:
    """Those of these digests that no row stands for yet. One query; call it for some thousands at a time."""
    asked = set(digests)
    with connection.cursor() as cursor:
        cursor.execute("SELECT digest FROM identities_knownpermission WHERE digest = ANY(%s)", [list(asked)])
        return asked - {bytes(digest) for (digest,) in cursor.fetchall()}


def known_row(digest: bytes, permission: Permission) -> KnownRow:
    """The row of one permission: digest, dialect, its document as JSON, heads of actions, heads of resources."""
    heads = heads_of(permission)
    document = orjson.dumps(permission.to_json()).decode()
    return digest, permission.dialect, document, list(heads.actions), list(heads.resources)


def collect(rows: Iterable[KnownRow]) -> None:
    """Keep these rows until `write_known_permissions`; the caller's transaction must be open."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLE)
        with connection.wrap_database_errors, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)


def write_known_permissions(rows: Iterable[KnownRow] = ()) -> None:
    """Write the collected rows (and these) where nobody has yet."""
    collect(rows)
    with connection.cursor() as cursor:
        cursor.execute(_WRITE)
        cursor.execute("TRUNCATE sync_known")
