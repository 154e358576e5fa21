"""Reading the system catalogues into values: roles, memberships, objects and who was given what by whom.

Every query works as an ordinary role: the catalogues used here are readable by everybody. Object identifiers (oid)
are kept beside names, because only they survive a rename and only they tell a re-created object from the old one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from governance.kernel.dialects.postgresql import resource
from identities.connectors.postgresql.catalog_queries import DEFAULTS, MEMBERSHIPS_15, MEMBERSHIPS_16, ROLES
from identities.connectors.postgresql.session import Connection

PUBLIC = 0
"""The oid that stands for PUBLIC in access control lists."""

_IS_SYSTEM = "n.nspname IN ('pg_catalog', 'information_schema') OR n.nspname ~ '^pg_(toast|temp)'"


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """One class of objects that privileges can be granted on.

    source: a SELECT of (oid, schema, name, arguments, owner, acl, is_system), arguments only for functions.
    default: the letter `acldefault` knows it by. check: the function that answers whether a role has a privilege,
    empty where there is none.
    public_default: what PUBLIC holds when nothing was ever granted or revoked.
    """

    keyword: str
    default: str
    source: str
    check: str
    shared: bool = False
    public_default: frozenset[str] = frozenset()


KINDS: Mapping[str, ObjectKind] = {
    "table": ObjectKind(
        "TABLE",
        "r",
        f"""SELECT c.oid, n.nspname, c.relname, NULL, c.relowner, c.relacl, {_IS_SYSTEM}
              FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')""",  # noqa: S608
        "has_table_privilege",
    ),
    "sequence": ObjectKind(
        "SEQUENCE",
        "s",
        f"""SELECT c.oid, n.nspname, c.relname, NULL, c.relowner, c.relacl, {_IS_SYSTEM}
              FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind = 'S'""",  # noqa: S608
        "has_sequence_privilege",
    ),
    "schema": ObjectKind(
        "SCHEMA",
        "n",
        f"""SELECT n.oid, NULL::name, n.nspname, NULL, n.nspowner, n.nspacl, {_IS_SYSTEM}
              FROM pg_catalog.pg_namespace n""",  # noqa: S608
        "has_schema_privilege",
    ),
    "function": ObjectKind(
        "ROUTINE",
        "f",
        f"""SELECT p.oid, n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes),
                   p.proowner, p.proacl, {_IS_SYSTEM}
              FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace""",  # noqa: S608
        "has_function_privilege",
        public_default=frozenset({"EXECUTE"}),
    ),
    "type": ObjectKind(
        "TYPE",
        "T",
        f"""SELECT t.oid, n.nspname, t.typname, NULL, t.typowner, t.typacl, {_IS_SYSTEM}
              FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
             WHERE t.typelem = 0 AND (t.typrelid = 0 OR EXISTS
                   (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))""",  # noqa: S608
        "has_type_privilege",
        public_default=frozenset({"USAGE"}),
    ),
    "language": ObjectKind(
        "LANGUAGE",
        "l",
        """SELECT oid, NULL::name, lanname, NULL, lanowner, lanacl, oid < 16384
             FROM pg_catalog.pg_language WHERE lanpltrusted""",
        "has_language_privilege",
        public_default=frozenset({"USAGE"}),
    ),
    "wrapper": ObjectKind(
        "FOREIGN DATA WRAPPER",
        "F",
        "SELECT oid, NULL::name, fdwname, NULL, fdwowner, fdwacl, false FROM pg_catalog.pg_foreign_data_wrapper",
        "has_foreign_data_wrapper_privilege",
    ),
    "server": ObjectKind(
        "FOREIGN SERVER",
        "S",
        "SELECT oid, NULL::name, srvname, NULL, srvowner, srvacl, false FROM pg_catalog.pg_foreign_server",
        "has_server_privilege",
    ),
    "database": ObjectKind(
        "DATABASE",
        "d",
        "SELECT oid, NULL::name, datname, NULL, datdba, datacl, false FROM pg_catalog.pg_database",
        "has_database_privilege",
        shared=True,
        public_default=frozenset({"CONNECT", "TEMPORARY"}),
    ),
    # One that only its owner may use is no question to anybody, and there may be millions.
    "largeobject": ObjectKind(
        "LARGE OBJECT",
        "L",
        """SELECT oid, NULL::name, oid::text, NULL, lomowner, lomacl, false
             FROM pg_catalog.pg_largeobject_metadata WHERE lomacl IS NOT NULL""",
        "",
    ),
    "tablespace": ObjectKind(
        "TABLESPACE",
        "t",
        "SELECT oid, NULL::name, spcname, NULL, spcowner, spcacl, false FROM pg_catalog.pg_tablespace",
        "has_tablespace_privilege",
        shared=True,
    ),
    "parameter": ObjectKind(
        "PARAMETER",
        "p",
        "SELECT oid, NULL::name, parname, NULL, 10::oid, paracl, false FROM pg_catalog.pg_parameter_acl",
        "has_parameter_privilege",
        shared=True,
    ),
}

COLUMN_PRIVILEGES = frozenset({"SELECT", "INSERT", "UPDATE", "REFERENCES"})


def external_id(role: str) -> str:
    """A role's name, as the inventory can hold it: written in percent where it could not be shown on a line."""
    fit = role.strip() and role.isprintable()
    return role if fit else quote(role, safe="")


@dataclass(frozen=True, slots=True)
class Role:
    """A row of pg_roles. valid_until: ISO 8601 in UTC, None for never. is_expired: passwords no longer work."""

    oid: int
    name: str
    superuser: bool
    inherit: bool
    createrole: bool
    createdb: bool
    login: bool
    replication: bool
    bypassrls: bool
    connection_limit: int
    valid_until: str | None
    is_expired: bool
    comment: str

    @property
    def external_id(self) -> str:
        return external_id(self.name)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The role attributes that are powers, by their names in CREATE ROLE."""
        flags = {
            "SUPERUSER": self.superuser,
            "CREATEROLE": self.createrole,
            "CREATEDB": self.createdb,
            "REPLICATION": self.replication,
            "BYPASSRLS": self.bypassrls,
        }
        return tuple(name for name, is_set in flags.items() if is_set)

    @property
    def is_locked_account(self) -> bool:
        """An account that cannot log in, told from a group by what only accounts have.

        Quarantine leaves CONNECTION LIMIT 0 behind for this purpose; an end date of the password also tells.
        """
        return not self.login and (self.connection_limit == 0 or self.valid_until is not None)

    @property
    def is_identity(self) -> bool:
        return self.login or self.is_locked_account


@dataclass(frozen=True, slots=True)
class Membership:
    """`member` belongs to `role`. inherits: holds its rights at once. settable: may SET ROLE to it."""

    role: int
    member: int
    grantor: int
    admin: bool
    inherits: bool
    settable: bool


@dataclass(frozen=True, slots=True)
class DatabaseObject:
    """Something that privileges are granted on. A kind without schemas, or outside databases, has None there."""

    kind: str
    database: str | None
    oid: int
    schema: str | None
    name: str
    arguments: str | None
    owner: int
    is_system: bool = False

    @property
    def full_name(self) -> str:
        """The name, of a function with the types of its arguments."""
        return self.name if self.arguments is None else f"{self.name}({self.arguments})"

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(part for part in (self.database, self.schema, self.full_name) if part is not None)

    @property
    def resource(self) -> str:
        """Its name in permissions, e.g. `table:ledger/public/payments`."""
        return resource(self.kind, *self.path)

    def column(self, name: str) -> str:
        return resource("column", *self.path, name)

    @property
    def title(self) -> str:
        """For people: `public.payments`."""
        return ".".join(part for part in (self.schema, self.full_name) if part is not None)


@dataclass(slots=True)
class Entry:
    """What one grantee was given on one object by one grantor. Values say whether it may be passed on."""

    target: DatabaseObject
    grantee: int
    grantor: int
    privileges: dict[str, bool] = field(default_factory=dict)
    columns: dict[str, dict[str, bool]] = field(default_factory=dict)
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class DefaultPrivilege:
    """What `grantee` will get on objects that `owner` creates later (in `schema`, or anywhere)."""

    oid: int
    database: str
    owner: int
    schema: str | None
    object_type: str
    grantee: int
    privileges: Mapping[str, bool]


@dataclass(slots=True)
class Cluster:
    """Roles and memberships: the same in every database of the server."""

    version: int
    roles: dict[int, Role]
    memberships: list[Membership]

    def by_name(self, name: str) -> Role | None:
        return next((role for role in self.roles.values() if role.name == name), None)

    def by_external_id(self, external_id: str) -> Role | None:
        return next((role for role in self.roles.values() if role.external_id == external_id), None)

    def name_of(self, oid: int) -> str:
        if oid == PUBLIC:
            return "PUBLIC"
        role = self.roles.get(oid)
        return role.name if role else f"dropped role {oid}"

    def identities(self) -> list[Role]:
        return sorted((role for role in self.roles.values() if role.is_identity), key=lambda role: role.name)


@dataclass(slots=True)
class Database:
    """One database: its objects (also those nobody but the owner holds) and every access control entry."""

    name: str
    objects: dict[tuple[str, int], DatabaseObject]
    entries: list[Entry]
    defaults: list[DefaultPrivilege] = field(default_factory=list)

    @property
    def owner(self) -> int | None:
        return next((found.owner for found in self.objects.values() if found.kind == "database"), None)


def read_cluster(connection: Connection) -> Cluster:
    """Read roles and memberships."""
    version = connection.info.server_version // 10_000
    roles = {row[0]: Role(*row) for row in connection.execute(ROLES)}
    rows = connection.execute(MEMBERSHIPS_16 if version >= 16 else MEMBERSHIPS_15).fetchall()
    return Cluster(version, roles, [Membership(*row) for row in rows])


def read_database(connection: Connection, name: str) -> Database:
    """Read every object of one database that somebody but its owner could hold rights on, with its entries."""
    objects: dict[tuple[str, int], DatabaseObject] = {}
    entries: dict[tuple[str, int, int, int], Entry] = {}
    for kind in KINDS:
        if kind in {"tablespace", "parameter"}:
            continue
        for found, acl in _read_objects(connection, kind, name):
            if kind == "database" and found.name != name:
                continue
            if not found.is_system:
                objects[kind, found.oid] = found
            _add_entry(entries, found, acl)
    for oid, column, acl in _read_columns(connection):
        table = objects.get(("table", oid))
        if table is not None:
            _add_entry(entries, table, acl, column)
    return Database(name, objects, list(entries.values()), read_defaults(connection, name))


def read_shared_objects(connection: Connection) -> Database:
    """Tablespaces and server parameters: belong to no database, so they are read once."""
    entries: dict[tuple[str, int, int, int], Entry] = {}
    objects: dict[tuple[str, int], DatabaseObject] = {}
    for kind in ("tablespace", "parameter"):
        for found, acl in _read_objects(connection, kind, ""):
            objects[kind, found.oid] = found
            _add_entry(entries, found, acl)
    return Database("", objects, list(entries.values()))


@dataclass(frozen=True, slots=True)
class AclItem:
    """One line of an access control list; `is_default` when the list was never written and the built-in one holds."""

    grantee: int
    grantor: int
    privilege: str
    grantable: bool
    is_default: bool


def read_object(
    connection: Connection, kind: str, oid: int, database: str
) -> tuple[DatabaseObject, list[Entry]] | None:
    """One object with its entries, by oid; None when it no longer exists."""
    entries: dict[tuple[str, int, int, int], Entry] = {}
    found = None
    for found, acl in _read_objects(connection, kind, database, oid):
        _add_entry(entries, found, acl)
    if found is None:
        return None
    if kind == "table":
        for _, column, acl in _read_columns(connection, oid):
            _add_entry(entries, found, acl, column)
    return found, list(entries.values())


def _read_objects(
    connection: Connection, kind: str, database: str, oid: int | None = None
) -> Iterator[tuple[DatabaseObject, AclItem | None]]:
    spec = KINDS[kind]
    # Of the system's own objects only what somebody granted beyond the built-in rights is of interest.
    query = f"""
        SELECT o.oid, o.schema, o.name, o.arguments, o.owner, o.is_system,
               a.grantee, a.grantor, a.privilege_type, a.is_grantable, o.acl IS NULL
          FROM ({spec.source}) AS o (oid, schema, name, arguments, owner, acl, is_system)
          LEFT JOIN LATERAL aclexplode(coalesce(o.acl, acldefault('{spec.default}', o.owner))) a ON true
         WHERE (NOT o.is_system OR (a.grantee >= 16384 AND a.grantee <> o.owner))
           AND (%(oid)s::oid IS NULL OR o.oid = %(oid)s::oid)
         ORDER BY o.oid"""  # noqa: S608 - made of constants of this module only
    named = None if spec.shared else database
    for row in connection.execute(query, {"oid": oid}):
        found = DatabaseObject(kind, named, *row[:6])
        yield found, AclItem(*row[6:]) if row[6] is not None else None


def _read_columns(connection: Connection, oid: int | None = None) -> Iterator[tuple[int, str, AclItem]]:
    query = """
        SELECT c.attrelid, c.attname, a.grantee, a.grantor, a.privilege_type, a.is_grantable, false
          FROM pg_catalog.pg_attribute c CROSS JOIN LATERAL aclexplode(c.attacl) a
         WHERE c.attacl IS NOT NULL AND NOT c.attisdropped
           AND (%(oid)s::oid IS NULL OR c.attrelid = %(oid)s::oid)
         ORDER BY c.attrelid, c.attnum"""
    for row in connection.execute(query, {"oid": oid}):
        yield row[0], row[1], AclItem(*row[2:])


def read_column_names(connection: Connection, oid: int) -> list[str]:
    """The columns of a table, in their order."""
    query = """SELECT attname FROM pg_catalog.pg_attribute
                WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
    return [row[0] for row in connection.execute(query, [oid])]


def _add_entry(
    entries: dict[tuple[str, int, int, int], Entry],
    target: DatabaseObject,
    item: AclItem | None,
    column: str | None = None,
) -> None:
    if item is None:
        return
    key = (target.kind, target.oid, item.grantee, item.grantor)
    entry = entries.setdefault(key, Entry(target, item.grantee, item.grantor))
    entry.is_default = entry.is_default or item.is_default
    held = entry.privileges if column is None else entry.columns.setdefault(column, {})
    held[item.privilege] = item.grantable


def read_defaults(connection: Connection, database: str) -> list[DefaultPrivilege]:
    found: dict[tuple[int, int], dict[str, bool]] = {}
    heads: dict[tuple[int, int], tuple[int, str | None, str]] = {}
    for oid, owner, schema, kind, grantee, privilege, grantable in connection.execute(DEFAULTS):
        found.setdefault((oid, grantee), {})[privilege] = grantable
        heads[oid, grantee] = (owner, schema, kind)
    return [
        DefaultPrivilege(oid, database, *heads[oid, grantee], grantee, held) for (oid, grantee), held in found.items()
    ]
