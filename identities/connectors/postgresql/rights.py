"""Who effectively holds what: role chains, ownership, PUBLIC and predefined roles, computed from catalogue values."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from governance.kernel.dialects.postgresql import CLUSTER, resource
from governance.kernel.permissions import Permission
from identities.connectors.postgresql.catalog import Cluster, Database, DatabaseObject, Entry, Membership, Role

PREDEFINED: dict[str, tuple[tuple[str, str], ...]] = {
    "pg_read_all_data": (("SELECT", "table"), ("SELECT", "sequence"), ("USAGE", "schema")),
    "pg_write_all_data": (
        ("INSERT", "table"), ("UPDATE", "table"), ("DELETE", "table"), ("UPDATE", "sequence"), ("USAGE", "schema"),
    ),
    "pg_maintain": (("MAINTAIN", "table"),),
}  # fmt: skip
"""What the server's built-in roles give on every object (https://www.postgresql.org/docs/current/predefined-roles.html)."""

_EVERY = {"table": "table:*/*/*", "sequence": "sequence:*/*/*", "schema": "schema:*/*"}


@dataclass(frozen=True, slots=True)
class Right:
    """One action on one resource; `target` (and `column`) where it is an existing object."""

    action: str
    resource: str
    target: DatabaseObject | None = None
    column: str | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """A role whose rights somebody has. chain: from the first group to this one. by_set_role: not without SET ROLE."""

    role: int
    chain: tuple[int, ...]
    by_set_role: bool


@dataclass
class Estate:
    """Everything that was read of one server."""

    cluster: Cluster
    databases: Sequence[Database]
    shared: Database | None = None

    @property
    def everything(self) -> list[Database]:
        return [*self.databases, self.shared] if self.shared else list(self.databases)

    @cached_property
    def entries_of(self) -> dict[int, list[Entry]]:
        found: dict[int, list[Entry]] = defaultdict(list)
        for database in self.everything:
            for entry in database.entries:
                found[entry.grantee].append(entry)
        return found

    @cached_property
    def owned_by(self) -> dict[int, list[DatabaseObject]]:
        found: dict[int, list[DatabaseObject]] = defaultdict(list)
        for database in self.everything:
            for target in database.objects.values():
                if target.kind != "parameter":
                    found[target.owner].append(target)
        return found

    @cached_property
    def memberships_of(self) -> dict[int, list[Membership]]:
        found: dict[int, list[Membership]] = defaultdict(list)
        for membership in self.cluster.memberships:
            found[membership.member].append(membership)
        for membership in self._database_owners():
            found[membership.member].append(membership)
        return found

    def _database_owners(self) -> Iterator[Membership]:
        """The owner of a database is a member of pg_database_owner without any row that says so."""
        implicit = self.cluster.by_name("pg_database_owner")
        if implicit is None:
            return
        for owner in sorted({database.owner for database in self.databases if database.owner is not None}):
            yield Membership(implicit.oid, owner, 0, admin=False, inherits=True, settable=True)

    def through(self, membership: Membership) -> list[Reach]:
        """Every role whose rights this membership gives: first those held at once, then those after SET ROLE."""
        found: dict[int, Reach] = {}
        if membership.inherits:
            for role, chain in self._climb(membership.role, "inherits"):
                found[role] = Reach(role, chain, by_set_role=False)
        if membership.settable:
            for settable, path in self._climb(membership.role, "settable"):
                for role, chain in self._climb(settable, "inherits"):
                    found.setdefault(role, Reach(role, (*path, *chain[1:]), by_set_role=True))
        found.setdefault(membership.role, Reach(membership.role, (membership.role,), by_set_role=True))
        return list(found.values())

    def _climb(self, start: int, way: str) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Breadth first from `start` upward, along memberships that inherit, or that may be set."""
        seen = {start}
        queue: list[tuple[int, tuple[int, ...]]] = [(start, (start,))]
        while queue:
            role, chain = queue.pop(0)
            yield role, chain
            for membership in self.memberships_of.get(role, ()):
                if getattr(membership, way) and membership.role not in seen:
                    seen.add(membership.role)
                    queue.append((membership.role, (*chain, membership.role)))

    def rights_through(self, membership: Membership, *, expand: bool = False) -> list[Right]:
        """Every right the membership gives. expand: built-in roles are spelled out over the existing objects."""
        reaches = self.through(membership)
        usable = {reach.role for reach in reaches}
        if not membership.inherits and not membership.settable:
            usable = set()  # a membership with neither option gives no right, only (perhaps) its administration
        found = [right for role in sorted(usable) for right in self.rights_of(role, expand=expand)]
        found += [self._member(reach.role) for reach in reaches]
        if membership.admin:
            found.append(Right("GRANT:MEMBER", resource("role", self.cluster.name_of(membership.role))))
        return list(dict.fromkeys(found))

    def _member(self, role: int) -> Right:
        return Right("MEMBER", resource("role", self.cluster.name_of(role)))

    def rights_of(self, role: int, *, expand: bool = False) -> Iterator[Right]:
        """What the role itself was given: entries, ownership, attributes, built-in powers; not what reaches it."""
        owned = self.owned_by.get(role, [])
        yield from (Right("OWN", target.resource, target) for target in owned)
        for entry in self.entries_of.get(role, ()):
            if entry.target.owner != role:
                yield from entry_rights(entry)
        known = self.cluster.roles.get(role)
        if known:
            yield from (Right(attribute, CLUSTER) for attribute in known.attributes)
            yield from self._predefined(known, expand)

    def _predefined(self, role: Role, expand: bool) -> Iterator[Right]:
        for action, kind in PREDEFINED.get(role.name, ()):
            if not expand:
                yield Right(action, _EVERY[kind])
                continue
            for database in self.databases:
                for target in database.objects.values():
                    if target.kind == kind:
                        yield Right(action, target.resource, target)


def entry_rights(entry: Entry) -> Iterator[Right]:
    """The rights of one access control entry, columns included."""
    for privilege, grantable in entry.privileges.items():
        yield Right(privilege, entry.target.resource, entry.target)
        if grantable:
            yield Right(f"GRANT:{privilege}", entry.target.resource, entry.target)
    for column, held in entry.columns.items():
        for privilege, grantable in held.items():
            yield Right(privilege, entry.target.column(column), entry.target, column)
            if grantable:
                yield Right(f"GRANT:{privilege}", entry.target.column(column), entry.target, column)


def permission_json(rights: Iterable[Right]) -> dict[str, Any]:
    """The permission in as few statements as there are different sets of actions."""
    actions_on: dict[str, set[str]] = defaultdict(set)
    for right in rights:
        actions_on[right.resource].add(right.action)
    resources_of: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, actions in actions_on.items():
        resources_of[tuple(sorted(actions))].append(name)
    statements = [
        {"actions": list(actions), "resources": sorted(names)} for actions, names in sorted(resources_of.items())
    ]
    return {"dialect": "postgresql", "statements": statements}


def permission_of(rights: Iterable[Right]) -> Permission:
    return Permission.from_json(permission_json(rights))
