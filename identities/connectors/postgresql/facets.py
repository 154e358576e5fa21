"""Facets: the small parts of a server's state that a plan changes, each with its state before and after.

A facet can read its own state, say which statements lead from one state to the other (in either direction, so the
inverse of a plan is the same computation turned around), and be stored. States are plain JSON in one canonical form:
they carry what rights mean, never the text of an access control list, which the server rewrites at will.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from psycopg import sql

from identities.connectors.postgresql import catalog
from identities.connectors.postgresql.catalog_queries import VALID_UNTIL
from identities.connectors.postgresql.session import Connection

State = Mapping[str, Any]
ABSENT: State = {}


@dataclass(frozen=True, slots=True)
class RoleRef:
    """A role by its lasting number and the name that the plan shows."""

    oid: int
    name: str


@dataclass(frozen=True, slots=True)
class Command:
    """One statement and the role it must be issued as."""

    acting: str
    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Facet:
    """acting: the role that issues the statements. before, after: canonical states."""

    acting: str
    before: State
    after: State

    kind = ""

    def read(self, connection: Connection) -> State:
        """The state at the server now; `{"problem": …}` when the thing itself is no longer what the plan meant."""
        raise NotImplementedError

    def commands(self) -> Iterator[Command]:
        """Statements that lead from `before` to `after`."""
        raise NotImplementedError

    def title(self) -> str:
        raise NotImplementedError

    def reversed(self) -> Self:
        return replace(self, before=self.after, after=self.before)

    def to_json(self) -> dict[str, Any]:
        values = {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}
        return {"kind": self.kind, **values}


def _plain(value: Any) -> Any:
    return {"oid": value.oid, "name": value.name} if isinstance(value, RoleRef) else value


@dataclass(frozen=True, slots=True)
class AclFacet(Facet):
    """What `grantee` holds on one object from one grantor: `{"privileges": {name: grantable}, "columns": {…}}`."""

    object_kind: str
    oid: int
    database: str
    schema: str | None
    name: str
    arguments: str | None
    grantee: RoleRef
    grantor: RoleRef

    kind = "acl"

    def read(self, connection: Connection) -> State:
        problem = _role_problem(connection, self.grantee, self.grantor)
        found = catalog.read_object(connection, self.object_kind, self.oid, self.database)
        if problem or found is None:
            return {"problem": problem or f"{self.title()} no longer exists"}
        target, entries = found
        if (target.schema, target.name, target.arguments) != (self.schema, self.name, self.arguments):
            return {"problem": f"{self.title()} is now called {target.title}"}
        for entry in entries:
            if (entry.grantee, entry.grantor) == (self.grantee.oid, self.grantor.oid):
                return acl_state(entry.privileges, entry.columns)
        return acl_state({}, {})

    def commands(self) -> Iterator[Command]:
        had, has = self.before["privileges"], self.after["privileges"]
        gone = sorted(set(had) - set(has))
        if gone:
            yield self._command("REVOKE {} ON {} FROM {}", gone)
        options = sorted(name for name in has if had.get(name) and not has[name])
        if options:
            yield self._command("REVOKE GRANT OPTION FOR {} ON {} FROM {}", options)
        # Revoking a privilege on the table takes it from every column too, so columns are compared with what is left.
        left = _pairs(self.before["columns"], without=set(gone))
        wanted = _pairs(self.after["columns"])
        for privileges in _by_columns(set(left) - set(wanted)):
            yield self._command("REVOKE {} ON {} FROM {}", *privileges)
        for grantable in (False, True):
            tail = " WITH GRANT OPTION" if grantable else ""
            new = sorted(name for name, option in has.items() if had.get(name) != option and option == grantable)
            new = [name for name in new if name not in options]
            if new:
                yield self._command(f"GRANT {{}} ON {{}} TO {{}}{tail}", new)
            pairs = {pair for pair, option in wanted.items() if left.get(pair) != option and option == grantable}
            for privileges in _by_columns(pairs):
                yield self._command(f"GRANT {{}} ON {{}} TO {{}}{tail}", *privileges)

    def _command(self, form: str, privileges: Sequence[str], columns: Sequence[str] = ()) -> Command:
        names: list[sql.Composable] = [sql.SQL(name) for name in privileges]
        if columns:
            listed = sql.SQL(", ").join(map(sql.Identifier, columns))
            names = [sql.SQL("{} ({})").format(name, listed) for name in names]
        text = sql.SQL(form).format(sql.SQL(", ").join(names), self._reference(), grantee_name(self.grantee))
        return Command(self.grantor.name, text.as_string(None))

    def _reference(self) -> sql.Composed:
        return object_reference(self.object_kind, self.schema, self.name, self.arguments)

    def title(self) -> str:
        return f"what {self.grantee.name} holds on {self.title_of_object()}"

    def title_of_object(self) -> str:
        words = ".".join(part for part in (self.schema, self.name) if part is not None)
        return f"{self.object_kind} {words}"


def object_reference(kind: str, schema: str | None, name: str, arguments: str | None) -> sql.Composed:
    """`TABLE "public"."payments"`, as statements name an object."""
    if kind == "largeobject":
        return sql.SQL("LARGE OBJECT {}").format(sql.Literal(int(name)))
    parts = [part for part in (schema, name) if part is not None]
    # Argument types were written, and quoted, by the server itself.
    tail = "" if arguments is None else f"({arguments})"
    return sql.SQL(f"{catalog.KINDS[kind].keyword} ") + sql.Identifier(*parts) + sql.SQL(tail)


def grantee_name(role: RoleRef) -> sql.Composable:
    """PUBLIC is a word of the language; a role could not be called so."""
    return sql.SQL("PUBLIC") if role.oid == catalog.PUBLIC else sql.Identifier(role.name)


@dataclass(frozen=True, slots=True)
class MembershipFacet(Facet):
    """One membership: absent, or `{"admin": …, "inherit": …, "set": …}` (the last two from version 16 on).

    grantor: None before version 16, where the server does not hold on to it.
    """

    role: RoleRef
    member: RoleRef
    grantor: RoleRef | None

    kind = "membership"

    def read(self, connection: Connection) -> State:
        problem = _role_problem(connection, self.role, self.member, *([self.grantor] if self.grantor else []))
        if problem:
            return {"problem": problem}
        return read_membership(connection, self.role.oid, self.member.oid, self.grantor.oid if self.grantor else None)

    def commands(self) -> Iterator[Command]:
        names = {"role": sql.Identifier(self.role.name), "member": sql.Identifier(self.member.name)}
        by = sql.SQL(" GRANTED BY {}").format(sql.Identifier(self.grantor.name)) if self.grantor else sql.SQL("")
        if self.after:
            options = sql.SQL("")
            if self.grantor:
                words = ", ".join(f"{name.upper()} {str(value).upper()}" for name, value in sorted(self.after.items()))
                options = sql.SQL(f" WITH {words}")
            elif self.after["admin"]:
                options = sql.SQL(" WITH ADMIN OPTION")
            text = sql.SQL("GRANT {role} TO {member}").format(**names) + options + by
        else:
            text = sql.SQL("REVOKE {role} FROM {member}").format(**names) + by
        yield Command(self.acting, text.as_string(None))

    def title(self) -> str:
        return f"the membership of {self.member.name} in {self.role.name}"


_ROLE_CLAUSES = {
    "login": ("LOGIN", "NOLOGIN"),
    "createrole": ("CREATEROLE", "NOCREATEROLE"),
    "createdb": ("CREATEDB", "NOCREATEDB"),
    "replication": ("REPLICATION", "NOREPLICATION"),
    "bypassrls": ("BYPASSRLS", "NOBYPASSRLS"),
}


@dataclass(frozen=True, slots=True)
class RoleFacet(Facet):
    """Flags of one role: any of login, connection_limit, valid_until and the attributes."""

    role: RoleRef

    kind = "role"

    def read(self, connection: Connection) -> State:
        problem = _role_problem(connection, self.role)
        return {"problem": problem} if problem else read_flags(connection, self.role.oid, self.before)

    def commands(self) -> Iterator[Command]:
        clauses = [_role_clause(name, self.after[name]) for name in sorted(self.after, reverse=True)]
        text = sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(self.role.name), sql.SQL(" ").join(clauses))
        yield Command(self.acting, text.as_string(None))

    def title(self) -> str:
        return f"role {self.role.name}"


def _role_clause(name: str, value: Any) -> sql.Composable:
    if name == "connection_limit":
        return sql.SQL(f"CONNECTION LIMIT {int(value)}")
    if name == "valid_until":
        return sql.SQL("VALID UNTIL {}").format(sql.Literal(value or "infinity"))
    return sql.SQL(_ROLE_CLAUSES[name][0 if value else 1])


_DEFAULT_KINDS = {"r": "TABLES", "S": "SEQUENCES", "f": "ROUTINES", "T": "TYPES", "n": "SCHEMAS"}


@dataclass(frozen=True, slots=True)
class DefaultFacet(Facet):
    """What `grantee` will get on later objects of `owner`: `{privilege: grantable}`."""

    owner: RoleRef
    schema: str | None
    object_type: str
    grantee: RoleRef

    kind = "default_privileges"

    def read(self, connection: Connection) -> State:
        problem = _role_problem(connection, self.owner, self.grantee)
        return {"problem": problem} if problem else read_default(connection, self)

    def commands(self) -> Iterator[Command]:
        head = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}").format(sql.Identifier(self.owner.name))
        if self.schema is not None:
            head += sql.SQL(" IN SCHEMA {}").format(sql.Identifier(self.schema))
        gone = sorted(set(self.before) - set(self.after))
        if gone:
            yield self._command(head, "REVOKE", gone, "FROM", "")
        for grantable, tail in ((False, ""), (True, " WITH GRANT OPTION")):
            new = sorted(p for p, option in self.after.items() if option == grantable and self.before.get(p) != option)
            if new:
                yield self._command(head, "GRANT", new, "TO", tail)

    def _command(self, head: sql.Composed, verb: str, privileges: list[str], link: str, tail: str) -> Command:
        words = f" {verb} {', '.join(privileges)} ON {_DEFAULT_KINDS[self.object_type]} {link} {{}}{tail}"
        return Command(self.acting, (head + sql.SQL(words).format(sql.Identifier(self.grantee.name))).as_string(None))

    def title(self) -> str:
        return f"what {self.grantee.name} gets on new objects of {self.owner.name}"


_FACETS: dict[str, type[Facet]] = {facet.kind: facet for facet in (AclFacet, MembershipFacet, RoleFacet, DefaultFacet)}
_REFERENCES = ("grantee", "grantor", "role", "member", "owner")


def from_json(data: Mapping[str, Any]) -> Facet:
    """The reverse of `Facet.to_json`."""
    values = {name: value for name, value in data.items() if name != "kind"}
    for name in _REFERENCES:
        if values.get(name) is not None:
            values[name] = RoleRef(**values[name])
    return _FACETS[data["kind"]](**values)


def state_hash(facets: Sequence[Facet], states: Sequence[State]) -> str:
    """sha256 (hex) of what the facets are about and the states they are in."""
    described = []
    for facet, state in zip(facets, states, strict=True):
        about = facet.to_json()
        described.append([{name: about[name] for name in about if name not in ("before", "after", "acting")}, state])
    return hashlib.sha256(json.dumps(described, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def acl_state(privileges: Mapping[str, bool], columns: Mapping[str, Mapping[str, bool]]) -> dict[str, Any]:
    """The canonical form: sorted, and without columns that carry nothing."""
    return {
        "privileges": dict(sorted(privileges.items())),
        "columns": {name: dict(sorted(held.items())) for name, held in sorted(columns.items()) if held},
    }


def difference(expected: State, found: State) -> str:
    """What is not as expected, in words."""
    if "problem" in found:
        return str(found["problem"])
    changed = []
    for name in sorted(set(expected) | set(found)):
        before, now = expected.get(name), found.get(name)
        if before != now:
            changed.append(f"{name} was {_words(before)}, is {_words(now)}")
    return "; ".join(changed)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        names = [f"{name} (may pass on)" if held is True else f"{name} {_words(held)}" if held else name
                 for name, held in value.items()]  # fmt: skip
        return ", ".join(names) or "nothing"
    return {True: "on", False: "off", None: "not set"}.get(value, str(value))


def _pairs(
    columns: Mapping[str, Mapping[str, bool]], without: set[str] | frozenset[str] = frozenset()
) -> dict[tuple[str, str], bool]:
    return {
        (name, column): option
        for column, held in columns.items()
        for name, option in held.items()
        if name not in without
    }


def _by_columns(pairs: set[tuple[str, str]]) -> Iterator[tuple[list[str], list[str]]]:
    """(privileges, columns) groups, one per privilege, in a stable order."""
    for privilege in sorted({name for name, _ in pairs}):
        yield [privilege], sorted(column for name, column in pairs if name == privilege)


def _role_problem(connection: Connection, *roles: RoleRef) -> str:
    rows = connection.execute(
        "SELECT oid, rolname FROM pg_catalog.pg_roles WHERE oid = ANY (%s::oid[])", [[role.oid for role in roles]]
    ).fetchall()
    names: dict[int, str] = dict(rows)
    for role in roles:
        if role.oid == catalog.PUBLIC:
            continue
        if role.oid not in names:
            return f"role {role.name} no longer exists"
        if names[role.oid] != role.name:
            return f"role {role.name} is now called {names[role.oid]}"
    return ""


def read_membership(connection: Connection, role: int, member: int, grantor: int | None) -> State:
    """The membership's options; absent when there is none. grantor None: by anybody (before version 16)."""
    columns = "admin_option, inherit_option, set_option" if grantor is not None else "admin_option"
    query = f"""SELECT {columns} FROM pg_catalog.pg_auth_members
                 WHERE roleid = %s AND member = %s AND (%s::oid IS NULL OR grantor = %s::oid)"""  # noqa: S608
    row = connection.execute(query, [role, member, grantor, grantor]).fetchone()
    return dict(zip(("admin", "inherit", "set"), row, strict=False)) if row else ABSENT


_FLAG_COLUMNS = {
    "login": "rolcanlogin",
    "connection_limit": "rolconnlimit",
    "valid_until": VALID_UNTIL,
    "createrole": "rolcreaterole",
    "createdb": "rolcreatedb",
    "replication": "rolreplication",
    "bypassrls": "rolbypassrls",
}


def read_flags(connection: Connection, oid: int, names: Mapping[str, Any]) -> State:
    """The named flags of one role."""
    wanted = sorted(names)
    columns = ", ".join(_FLAG_COLUMNS[name] for name in wanted)
    row = connection.execute(f"SELECT {columns} FROM pg_catalog.pg_roles WHERE oid = %s", [oid]).fetchone()  # noqa: S608
    return dict(zip(wanted, row, strict=True)) if row else ABSENT


def read_default(connection: Connection, facet: DefaultFacet) -> State:
    """What the grantee gets by default, as `{privilege: grantable}`."""
    rows = connection.execute(
        """SELECT a.privilege_type, a.is_grantable
             FROM pg_catalog.pg_default_acl d
             LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
            CROSS JOIN LATERAL aclexplode(d.defaclacl) a
            WHERE d.defaclrole = %s AND n.nspname IS NOT DISTINCT FROM %s AND d.defaclobjtype::text = %s
              AND a.grantee = %s ORDER BY 1""",
        [facet.owner.oid, facet.schema, facet.object_type, facet.grantee.oid],
    )
    return dict(rows.fetchall())
