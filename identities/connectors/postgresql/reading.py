"""One reading of a server: a consistent snapshot per database, as inventory records ending with `end`."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from governance.kernel.dialects.paths import encode
from identities.connectors.contract import ReadIncomplete, Record
from identities.connectors.postgresql.catalog import (
    PUBLIC,
    Cluster,
    Database,
    DatabaseObject,
    Entry,
    read_cluster,
    read_database,
    read_shared_objects,
)
from identities.connectors.postgresql.records import inventory
from identities.connectors.postgresql.rights import Estate
from identities.connectors.postgresql.session import Connection, Settings, connect, plain_error
from identities.connectors.postgresql.usage import Name, Reading, RoleUse, candidates, read_statement

LONGEST_RESOURCE = 1000
LOG = "pg_stat_statements"

COVERAGE = {
    "identities": True,
    "purpose": True,
    "created_at": False,
    "credentials": True,
    "credential_expiry": True,
    "credential_created_at": False,
    "credential_last_used": False,
    "grants": True,
    "memberships": True,
    "ownership": True,
    "last_used": False,
    "usage": True,
    "grant_expiry": False,
    "conditions": False,
    "sessions": True,
}
NOT_OBSERVABLE = (
    "When a role or a right was created, and by which person.",
    "Whether a role has a password at all, its age and strength: only superusers may look.",
    "The last sign-in of a role that is not connected while it is read.",
    "When exactly a right was last used: pg_stat_statements counts calls since a date, without that of the last.",
    "Use of anything but SELECT, INSERT, UPDATE, DELETE and TRUNCATE on tables, and of rights inside functions.",
    "Network rules (pg_hba.conf), certificates and other ways to sign in.",
    "Which rows row-level security hides, and privileges on large objects.",
    "Rights that PUBLIC holds on the system catalogues and on types.",
)


def read(settings: Settings) -> Iterator[Record]:
    """Every record of the server. Raises SourceUnreachable, or ReadIncomplete when something broke underway."""
    count = 0
    try:
        for record in _records(settings):
            count += 1
            yield record
    except psycopg.Error as error:
        raise ReadIncomplete(f"The server could not be read to the end: {plain_error(error)}") from error
    yield {"type": "end", "records": count}


@dataclass
class _Observed:
    """Use seen per role; None where the log is not there or may not be read."""

    since: datetime
    until: datetime
    has_gaps: bool
    by_role: dict[int, RoleUse]


def _records(settings: Settings) -> Iterator[Record]:
    cluster: Cluster | None = None
    databases: list[Database] = []
    shared: Database | None = None
    last_used: dict[str, str] = {}
    observed: list[tuple[Database, _Observed]] = []
    for name in settings.databases:
        with connect(settings, name) as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if cluster is None:
                cluster = read_cluster(connection)
                shared = read_shared_objects(connection)
                last_used = _connected(connection)
            database = read_database(connection, name)
            databases.append(database)
            seen = _observe(connection, cluster, database)
            if seen is not None:
                observed.append((database, seen))
    if cluster is not None:
        estate = Estate(cluster, databases, shared)
        yield from inventory(estate, last_used)
        yield from _usage(estate, observed)


def _connected(connection: Connection) -> dict[str, str]:
    """Roles with an open session: in use right now, which is all the server says about sign-ins."""
    now = datetime.now(UTC).isoformat()
    rows = connection.execute(
        "SELECT DISTINCT usename FROM pg_catalog.pg_stat_activity WHERE usename IS NOT NULL AND pid <> pg_backend_pid()"
    )
    return {name: now for (name,) in rows}


def _observe(connection: Connection, cluster: Cluster, database: Database) -> _Observed | None:
    """Use in this database. None without the extension, or without the right to see other roles' statements."""
    row = connection.execute(
        """SELECT quote_ident(n.nspname), x.extversion FROM pg_catalog.pg_extension x
             JOIN pg_catalog.pg_namespace n ON n.oid = x.extnamespace WHERE x.extname = 'pg_stat_statements'"""
    ).fetchone()
    if row is None or not _may_read_statements(connection):
        return None
    schema = row[0]
    connection.execute("SAVEPOINT usage")
    try:
        info = connection.execute(
            f"SELECT stats_reset, dealloc > 0, clock_timestamp() FROM {schema}.pg_stat_statements_info"  # noqa: S608
        ).fetchone()
        since = "stats_since" if cluster.version >= 17 else "NULL::timestamptz"
        rows = connection.execute(
            f"""SELECT userid, query, calls, {since} FROM {schema}.pg_stat_statements
                 WHERE calls > 0 AND dbid = (SELECT oid FROM pg_catalog.pg_database
                                              WHERE datname = current_database())"""  # noqa: S608
        ).fetchall()
    except psycopg.errors.ObjectNotInPrerequisiteState:
        connection.execute("ROLLBACK TO SAVEPOINT usage")  # the extension is there, its library was not loaded
        return None
    if info is None or info[0] is None:
        return None
    tracks_all = _tracking(connection) in ("top", "all")
    attributed = _Attribution(connection, Estate(cluster, [database]), database)
    for userid, query, calls, first in rows:
        attributed.add(userid, query, calls, first.isoformat() if first else None)
    return _Observed(info[0], info[2], info[1] or not tracks_all, attributed.by_role)


def _may_read_statements(connection: Connection) -> bool:
    row = connection.execute("SELECT pg_has_role(session_user, 'pg_read_all_stats', 'USAGE')").fetchone()
    return bool(row and row[0])


def _tracking(connection: Connection) -> str:
    """What is recorded here: 'none' also where a role has a setting of its own that hides its statements."""
    row = connection.execute(
        """SELECT CASE WHEN EXISTS (
                      SELECT FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) c
                       WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database
                                                    WHERE datname = current_database()))
                         AND c IN ('pg_stat_statements.track=none', 'pg_stat_statements.track_utility=off')
                  ) THEN 'none' ELSE coalesce(current_setting('pg_stat_statements.track', true), 'none') END"""
    ).fetchone()
    return str(row[0]) if row else "none"


class _Attribution:
    """Statements to rights used. A role that stands for several sign-ins counts for each that may act as it."""

    def __init__(self, connection: Connection, estate: Estate, database: Database) -> None:
        self.estate, self.database = estate, database
        self.by_role: dict[int, RoleUse] = defaultdict(RoleUse)
        self.tables: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self.functions: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for target in database.objects.values():
            if target.kind == "table":
                self.tables[target.name].append((target.schema or "", target.oid))
            elif target.kind == "function":
                self.functions[target.name].append((target.schema or "", target.oid))
        self.invoking = self._invoking(connection)
        self.users = self._users()
        self.held: dict[tuple[int, int, str], set[str] | None] = {}
        self.entries_on: dict[int, list[Entry]] = defaultdict(list)
        for entry in database.entries:
            if entry.target.kind == "table":
                self.entries_on[entry.target.oid].append(entry)
        self.read: dict[str, Reading] = {}

    def _invoking(self, connection: Connection) -> set[tuple[str, int]]:
        """What runs more under the caller's own rights than its statement shows."""
        rows = connection.execute(
            """SELECT 'function', oid FROM pg_catalog.pg_proc WHERE NOT prosecdef
                UNION ALL
               SELECT 'table', t.tgrelid FROM pg_catalog.pg_trigger t
                 JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal AND NOT p.prosecdef
                UNION ALL
               SELECT 'table', c.oid FROM pg_catalog.pg_class c
                WHERE c.relkind = 'v'
                  AND c.reloptions && ARRAY['security_invoker=true', 'security_invoker=on', 'security_invoker=1']
                UNION ALL
               SELECT 'table', polrelid FROM pg_catalog.pg_policy"""
        )
        return {(kind, oid) for kind, oid in rows}

    def _users(self) -> dict[int, set[int]]:
        """For each role, the sign-ins that may have acted as it."""
        found: dict[int, set[int]] = defaultdict(set)
        for role in self.estate.cluster.identities():
            found[role.oid].add(role.oid)
            for membership in self.estate.memberships_of.get(role.oid, ()):
                if membership.settable:
                    for reach in self.estate.through(membership):
                        group = self.estate.cluster.roles.get(reach.role)
                        if group is not None and not group.is_identity:
                            found[reach.role].add(role.oid)
        return found

    def add(self, userid: int, query: str, calls: int, since: str | None) -> None:
        if query not in self.read:
            self.read[query] = read_statement(query)
        reading = self.read[query]
        for role in self.users.get(userid, ()):
            use = self.by_role[role]
            use.is_complete = use.is_complete and reading.is_understood
            for action, name in reading.uses:
                for oid in candidates(name, self.tables):
                    self._table(use, userid, self.database.objects["table", oid], action, reading, calls, since)
            for name in reading.calls:
                self._calls(use, name, calls, since)

    def _table(
        self, use: RoleUse, userid: int, table: DatabaseObject, action: str, reading: Reading, calls: int,
        since: str | None,
    ) -> None:  # fmt: skip
        use.add("USAGE", f"schema:{encode(self.database.name)}/{encode(table.schema or '')}", calls, since)
        if ("table", table.oid) in self.invoking:
            use.is_complete = False
        for resource in self._named(userid, table, action, reading):
            use.add(action, resource, calls, since)

    def _named(self, userid: int, table: DatabaseObject, action: str, reading: Reading) -> list[str]:
        """The table, where the right is held on it as a whole; else the columns that make it possible."""
        key = (userid, table.oid, action)
        if key not in self.held:
            self.held[key] = self._columns_held(userid, table, action)
        columns = self.held[key]
        if columns is None:
            return [table.resource]
        return [table.column(column) for column in sorted(columns & reading.words or columns)]

    def _columns_held(self, userid: int, table: DatabaseObject, action: str) -> set[str] | None:
        """The columns on which the role holds the right; None when it holds it on the table, in whatever way."""
        roles = {userid, PUBLIC}
        for membership in self.estate.memberships_of.get(userid, ()):
            roles |= {reach.role for reach in self.estate.through(membership)}
        columns: set[str] = set()
        for entry in self.entries_on.get(table.oid, ()):
            if entry.grantee in roles:
                if action in entry.privileges:
                    return None
                columns |= {column for column, held in entry.columns.items() if action in held}
        return columns or None

    def _calls(self, use: RoleUse, name: Name, calls: int, since: str | None) -> None:
        for oid in candidates(name, self.functions):
            target = self.database.objects["function", oid]
            use.add("EXECUTE", target.resource, calls, since)
            use.add("USAGE", f"schema:{encode(self.database.name)}/{encode(target.schema or '')}", calls, since)
            if ("function", oid) in self.invoking:
                use.is_complete = False


def _usage(estate: Estate, observed: list[tuple[Database, _Observed]]) -> Iterator[Record]:
    for database, seen in observed:
        for role in estate.cluster.identities():
            use = seen.by_role.get(role.oid, RoleUse())
            for key in [key for key in use.counts if len(key[1].encode()) > LONGEST_RESOURCE]:
                del use.counts[key]  # too long to be kept, so what it stands for must not count as unused
                use.is_complete = False
            yield from _used(role.external_id, use, seen)
            if use.is_complete and not seen.has_gaps and not role.superuser:
                yield _window(role.external_id, database.name, seen)


def _used(identity: str, use: RoleUse, seen: _Observed) -> Iterator[Record]:
    for (action, resource), count in sorted(use.counts.items()):
        yield {
            "type": "usage",
            "identity": identity,
            "action": action,
            "resource": resource,
            "first_seen_at": use.first.get((action, resource)),
            "last_seen_at": seen.until.isoformat(),
            "count": count,
        }


def _window(identity: str, database: str, seen: _Observed) -> dict[str, Any]:
    return {
        "type": "usage_window",
        "identity": identity,
        "from": seen.since.isoformat(),
        "until": seen.until.isoformat(),
        "log": f"{LOG}:{database}"[:120],
        "observable": {
            "actions": ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"],
            "resources": [f"table:{encode(database)}/*/*"],
        },
    }
