"""From statements to rights used: the tables, columns and functions of one database that they name."""

from collections import defaultdict

from governance.kernel.dialects.paths import encode
from identities.connectors.postgresql.audit_use import Executed
from identities.connectors.postgresql.catalog import PUBLIC, Database, DatabaseObject, Entry
from identities.connectors.postgresql.rights import Estate
from identities.connectors.postgresql.session import Connection
from identities.connectors.postgresql.usage import Name, Reading, RoleUse, candidates, read_statement


class Attribution:
    """Statements to rights used. A role that stands for several sign-ins counts for each that may act as it."""

    def __init__(self, connection: Connection, estate: Estate, database: Database) -> None:
        self.estate, self.database = estate, database
        self.by_role: dict[int, RoleUse] = defaultdict(RoleUse)
        self.tables: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self.functions: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self.sequences: dict[str, list[tuple[str, int]]] = defaultdict(list)
        kinds = {"table": self.tables, "function": self.functions, "sequence": self.sequences}
        for target in database.objects.values():
            if target.kind in kinds:
                kinds[target.kind][target.name].append((target.schema or "", target.oid))
        self.invoking = self._invoking(connection)
        self.lending = self._lending(connection)
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

    def _lending(self, connection: Connection) -> set[int]:
        """Roles whose rights others use, through their views and functions: no statement of theirs shows it."""
        rows = connection.execute(
            """SELECT relowner FROM pg_catalog.pg_class WHERE relkind IN ('v', 'm')
                UNION
               SELECT proowner FROM pg_catalog.pg_proc WHERE prosecdef"""
        )
        return {oid for (oid,) in rows}

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
        use.add("USAGE", self._schema(table), calls, since)
        if ("table", table.oid) in self.invoking:
            use.is_complete = False
        for resource in self._named(userid, table, action, reading.words):
            use.add(action, resource, calls, since)

    def _named(self, userid: int, table: DatabaseObject, action: str, words: set[str]) -> list[str]:
        """The table, where the right is held on it as a whole; else the columns that make it possible."""
        key = (userid, table.oid, action)
        if key not in self.held:
            self.held[key] = self._columns_held(userid, table, action)
        columns = self.held[key]
        if columns is None:
            return [table.resource]
        return [table.column(column) for column in sorted(columns & words or columns)]

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

    def add_audited(self, use: RoleUse, role: int, executed: Executed) -> None:
        """What one statement in the log of a sign-in used. What runs inside it has lines of its own."""
        use.is_complete = use.is_complete and executed.is_understood
        at = executed.at.isoformat()
        found: set[tuple[str, str]] = set()
        for action, name in executed.uses:
            for oid in candidates(name, self.tables):
                table = self.database.objects["table", oid]
                found |= {(action, where) for where in self._named(role, table, action, executed.words)}
                found.add(("USAGE", self._schema(table)))
        for names, kind, action in (
            (executed.sequences, "sequence", "SELECT"),
            (executed.calls, "function", "EXECUTE"),
        ):
            for name in names:
                for oid in candidates(name, self.functions if kind == "function" else self.sequences):
                    target = self.database.objects[kind, oid]
                    found |= {(action, target.resource), ("USAGE", self._schema(target))}
        for action, where in found:
            use.add(action, where, 1, at, at)

    def _schema(self, target: DatabaseObject) -> str:
        return f"schema:{encode(self.database.name)}/{encode(target.schema or '')}"

    def _calls(self, use: RoleUse, name: Name, calls: int, since: str | None) -> None:
        for oid in candidates(name, self.functions):
            target = self.database.objects["function", oid]
            use.add("EXECUTE", target.resource, calls, since)
            use.add("USAGE", self._schema(target), calls, since)
            if ("function", oid) in self.invoking:
                use.is_complete = False
