"""What a plan is worked out with: an open connection, the roles, and as whom the connector may act."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import psycopg

from identities.connectors.contract import NotPossible, SourceUnreachable
from identities.connectors.postgresql.catalog import Cluster, Role, read_cluster
from identities.connectors.postgresql.facets import RoleRef
from identities.connectors.postgresql.session import Connection, Settings, connect, plain_error

BOOTSTRAP = 10
"""The oid of the superuser that initdb made; whatever a superuser grants among roles is recorded as granted by it."""


@dataclass
class Desk:
    connection: Connection
    cluster: Cluster
    database: str

    @cached_property
    def me(self) -> Role:
        """The role that the connector signed in as."""
        row = self.connection.execute("SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user").fetchone()
        return self.cluster.roles[row[0]] if row else self.cluster.roles[BOOTSTRAP]

    @cached_property
    def actable(self) -> list[Role]:
        """Roles that the connector may act as, itself first."""
        mode = "SET" if self.cluster.version >= 16 else "MEMBER"
        rows = self.connection.execute(
            "SELECT oid FROM pg_catalog.pg_roles WHERE pg_has_role(session_user, oid, %s) ORDER BY oid", [mode]
        )
        others = [self.cluster.roles[oid] for (oid,) in rows if oid in self.cluster.roles and oid != self.me.oid]
        return [self.me, *others]

    def role(self, name: str) -> Role:
        """The role of this external id. Raises NotPossible when the server has no such role."""
        found = self.cluster.by_external_id(name)
        if found is None:
            raise NotPossible(f"The server has no role {name!r} any more.")
        return found

    def by_oid(self, ref: RoleRef) -> Role:
        """Raises NotPossible when the server has no such role any more."""
        found = self.cluster.roles.get(ref.oid)
        if found is None:
            raise NotPossible(f"The server has no role {ref.name!r} any more.")
        return found

    def ref(self, oid: int) -> RoleRef:
        return RoleRef(oid, self.cluster.name_of(oid))

    def act_as(self, role: RoleRef, why: str) -> str:
        """The role's name, if the connector may act as it. Raises NotPossible with the missing right."""
        if any(found.oid == role.oid for found in self.actable):
            return role.name
        owner = self.cluster.roles.get(role.oid)
        if owner is not None and owner.superuser:
            raise NotPossible(f"{why} {role.name!r}, a superuser, and only a superuser can take that back.")
        raise NotPossible(
            f"{why} {role.name!r}, and the connector's role {self.me.name!r} may not act as it. "
            f"GRANT {role.name} TO {self.me.name} would allow that."
        )

    def administrator_of(self, role: Role, *, attribute: str = "") -> str:
        """A role the connector may act as that may ALTER this one. Raises NotPossible with the missing right."""
        if role.oid == self.me.oid:
            raise NotPossible("This is the role that Remit itself connects as; it cannot take its own access away.")
        for candidate in self.actable:
            if candidate.superuser:
                return candidate.name
            if role.superuser or not candidate.createrole or not self._may_change(candidate, role, attribute):
                continue
            return candidate.name
        if role.superuser:
            raise NotPossible(f"{role.name!r} is a superuser, and only a superuser can change a superuser.")
        need = f"CREATEROLE and ADMIN OPTION on {role.name}" if self.cluster.version >= 16 else "CREATEROLE"
        extra = f" and {attribute}" if attribute else ""
        raise NotPossible(
            f"The connector's role {self.me.name!r} may not change role {role.name!r}: neither it nor a role it may "
            f"act as has {need}{extra}."
        )

    def _may_change(self, candidate: Role, role: Role, attribute: str) -> bool:
        if self.cluster.version < 16:
            return attribute not in ("REPLICATION", "BYPASSRLS")
        if attribute and attribute != "CREATEROLE" and attribute not in candidate.attributes:
            return False
        return self._is_admin(candidate, role)

    def _is_admin(self, candidate: Role, role: Role) -> bool:
        row = self.connection.execute(
            "SELECT pg_has_role(%s::oid, %s::oid, 'MEMBER WITH ADMIN OPTION')", [candidate.oid, role.oid]
        ).fetchone()
        return bool(row and row[0])

    def granter_of(self, group: Role) -> RoleRef:
        """A role the connector may act as that may grant membership in `group`. Raises NotPossible."""
        if self.me.superuser and self.cluster.version >= 16:
            return self.ref(BOOTSTRAP)
        for candidate in self.actable:
            if candidate.superuser or (self.cluster.version < 16 and candidate.createrole and not group.superuser):
                return RoleRef(candidate.oid, candidate.name)
            if any(
                (row.role, row.member, row.admin) == (group.oid, candidate.oid, True)
                for row in self.cluster.memberships
            ):
                return RoleRef(candidate.oid, candidate.name)
        raise NotPossible(
            f"The connector's role {self.me.name!r} may not give membership in {group.name!r}: neither it nor a role "
            "it may act as has ADMIN OPTION on it."
        )

    def require_signal(self, role: Role) -> None:
        """Raises NotPossible unless the connector may end this role's sessions."""
        if self.me.superuser:
            return
        row = self.connection.execute(
            "SELECT pg_has_role(session_user, %s::oid, 'USAGE')"
            " OR pg_has_role(session_user, 'pg_signal_backend', 'USAGE')",
            [role.oid],
        ).fetchone()
        if not (row and row[0]) or role.superuser:
            raise NotPossible(
                f"The connector's role {self.me.name!r} may not end sessions of {role.name!r}, so they would go on "
                f"working. GRANT pg_signal_backend TO {self.me.name} would allow it (not for superusers)."
            )


@contextmanager
def open_desk(settings: Settings, database: str) -> Iterator[Desk]:
    """Connect and read the roles. Raises SourceUnreachable; also when the connection is lost underway."""
    if database not in settings.databases:
        raise NotPossible(f"Database {database!r} is not among those this source governs.")
    with connect(settings, database) as connection:
        try:
            yield Desk(connection, read_cluster(connection), database)
        except psycopg.Error as error:
            raise SourceUnreachable(f"Reading from {database!r} failed: {plain_error(error)}") from error
