"""What the planner knows of tables that a run fills.

A run that was cut off leaves pages without a living row; statistics taken then call the table small, and joins of the
next run would walk over all of it once per row.
"""

from collections.abc import Mapping

from django.db import connection

# A change of so many rows makes statistics misleading.
MANY = 10_000

_TABLES_OF = {
    "identity": ["identities_identity", "identities_identityversion"],
    "credential": ["identities_credential"],
    "grant": ["identities_grant", "identities_grantversion"],
    "usage": ["identities_usage"],
}
_KNOWN_SIZES = "SELECT relname, reltuples FROM pg_class WHERE oid = ANY(%s::regclass[])"


def refresh(counts: Mapping[str, Mapping[str, int]]) -> None:
    """Have the planner look at tables that a run more than doubled; else it takes a million new rows for none.

    counts: per kind, how many were added and changed. Smaller changes are left to autovacuum: looking costs most of a
    second, whatever the change. Tables that were looked at since they grew are not looked at again.
    """
    written = {
        table: counts[kind]["added"] + counts[kind]["changed"]
        for kind, tables in _TABLES_OF.items()
        if kind in counts
        for table in tables
    }
    written["identities_change"] = sum(counts[kind]["added"] for kind in counts)
    written = {table: number for table, number in written.items() if number >= MANY}
    if not written:
        return
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN_SIZES, [list(written)])
        grown = [table for table, known in cursor.fetchall() if written[table] > known]
        if grown:
            cursor.execute(f"ANALYZE {', '.join(grown)}")
