"""From catalogue values to inventory records: what the server holds, in the words of docs/api.md. Pure."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from governance.kernel.dialects.paths import encode
from governance.kernel.dialects.postgresql import CLUSTER, resource
from identities.connectors.contract import Record
from identities.connectors.postgresql.catalog import PUBLIC, Database, DefaultPrivilege, Entry, Membership, Role
from identities.connectors.postgresql.rights import Estate, Right, entry_rights, permission_json

LONGEST_ID = 1000
LONGEST_LABEL = 500
MOST_NAMED = 3
LONGEST_PATH = 32

_SECRET = re.compile(
    r"://[^/\s:@]*:[^\s@]+@|PRIVATE KEY-|\b(?:password|passwd|pwd|secret|token|api.?key)\s*[:=]\s*\S", re.I
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_ATTRIBUTE_LABELS = {
    "SUPERUSER": "Superuser: may do everything",
    "CREATEROLE": "May create and change roles",
    "CREATEDB": "May create databases",
    "REPLICATION": "May replicate all data",
    "BYPASSRLS": "Sees rows in spite of row-level security",
}
DEFAULT_KINDS = {"r": ("table", "tables"), "S": ("sequence", "sequences"), "f": ("function", "functions"),
                  "T": ("type", "types")}  # fmt: skip


def inventory(estate: Estate, last_used: Mapping[str, str], network: Mapping[str, Sequence[str]]) -> Iterator[Record]:
    """Identities, credentials and grants. last_used: times by role name, for those connected right now.

    network: from where each role may sign in, by role name; empty where that is not known.
    """
    identities = estate.cluster.identities()
    for role in identities:
        yield _identity(role, last_used.get(role.name), network.get(role.name))
        yield _credential(role)
    for role in identities:
        yield from _attributes(role)
        yield from _ownership(estate, role)
        yield from _memberships(estate, role)
        yield from _direct(estate, role)
        yield from _defaults(estate, role)
    yield from _public(estate, identities)


def _identity(role: Role, last_used_at: str | None, network: Sequence[str] | None) -> Record:
    return {
        "type": "identity",
        "id": role.external_id,
        "name": role.external_id,
        "kind": "database_user",
        "status": "active" if role.login else "disabled",
        "custody": "self_held",
        "purpose": _without_secrets(role.comment),
        "created_at": None,
        "last_used_at": last_used_at,
        "attributes": {
            "oid": role.oid,
            "superuser": role.superuser,
            "inherit": role.inherit,
            "connection_limit": role.connection_limit,
            "valid_until": role.valid_until,
            **({"network": [printable(sentence) for sentence in network]} if network is not None else {}),
        },
    }


def _credential(role: Role) -> Record:
    """Whether a password is set at all is for superusers to see; the end of its validity is not."""
    usable = role.login and not role.is_expired
    return {
        "type": "credential",
        "id": f"password:{role.external_id}",
        "identity": role.external_id,
        "kind": "password",
        "status": "active" if usable else "disabled",
        "created_at": None,
        "expires_at": _storable_time(role.valid_until),
        "never_expires": role.valid_until is None,
        "attributes": {"is_set": "not observable"},
    }


def _grant(
    identity: str,
    external_id: str,
    label: str,
    rights: list[Right],
    path: list[dict[str, Any]],
    native_ref: dict[str, Any],
    *,
    revocability: str = "here",
    shared_with: int = 0,
) -> Record:
    return {
        "type": "grant",
        "id": external_id,
        "identity": identity,
        "label": shortened(printable(label), LONGEST_LABEL),
        "permission": permission_json(rights),
        "path": path[:LONGEST_PATH],
        "revocability": revocability,
        "shared_with": shared_with,
        "native_ref": native_ref,
        "valid_until": None,
    }


def _attributes(role: Role) -> Iterator[Record]:
    # A superuser may do everything, so its other attributes say nothing more.
    for attribute in ["SUPERUSER"] if role.superuser else role.attributes:
        yield _grant(
            role.external_id,
            make_id("attribute", role.name, attribute),
            _ATTRIBUTE_LABELS[attribute],
            [Right(attribute, CLUSTER)],
            [{"kind": "attribute", "id": attribute, "label": attribute}],
            {"kind": "attribute", "attribute": attribute, "role": _ref(role.oid, role.name)},
            revocability="provider_only" if attribute == "SUPERUSER" else "here",
        )


def _ownership(estate: Estate, role: Role) -> Iterator[Record]:
    """One grant per database: who owns something can take back whatever is taken from them, so it is one question."""
    for database in estate.databases:
        owned = [
            target for target in estate.owned_by.get(role.oid, ()) if (target.kind, target.oid) in database.objects
        ]
        if not owned:
            continue
        label = f"Owns {owned[0].kind} {owned[0].title}" if len(owned) == 1 else f"Owns {len(owned)} objects"
        yield _grant(
            role.external_id,
            make_id("ownership", role.name, database.name),
            f"{label} in {database.name}",
            [Right("OWN", target.resource, target) for target in owned],
            [{"kind": "ownership"}],
            {"kind": "ownership", "database": database.name, "role": _ref(role.oid, role.name)},
            revocability="provider_only",
        )


def _memberships(estate: Estate, role: Role) -> Iterator[Record]:
    for membership in estate.memberships_of.get(role.oid, ()):
        if membership.grantor == 0:  # implicit: the owner of a database, reported as ownership
            continue
        group = estate.cluster.name_of(membership.role)
        chain = [
            _step("role", estate.cluster.name_of(reach.role), " (only after SET ROLE)" if reach.by_set_role else "")
            for reach in estate.through(membership)
        ]
        grantor = estate.cluster.name_of(membership.grantor)
        by = f" (granted by {grantor})" if _is_granted_twice(estate, membership) else ""
        yield _grant(
            role.external_id,
            make_id("membership", role.name, group, grantor if estate.cluster.version >= 16 else ""),
            f"Member of {group}{by}",
            estate.rights_through(membership),
            chain,
            {
                "kind": "membership",
                "role": _ref(membership.role, group),
                "member": _ref(role.oid, role.name),
                "grantor": _ref(membership.grantor, grantor),
                "admin": membership.admin,
                "inherit": membership.inherits,
                "set": membership.settable,
                "other_members": _other_members(estate, membership),
            },
        )


def _is_granted_twice(estate: Estate, membership: Membership) -> bool:
    same = [other for other in estate.memberships_of[membership.member] if other.role == membership.role]
    return len(same) > 1


def _other_members(estate: Estate, membership: Membership) -> int:
    members = {other.member for other in estate.cluster.memberships if other.role == membership.role}
    return len(members - {membership.member})


def _direct(estate: Estate, role: Role) -> Iterator[Record]:
    for entry in estate.entries_of.get(role.oid, ()):
        if entry.target.owner == role.oid:
            continue  # an owner's own entry says nothing that ownership does not
        grantor = estate.cluster.name_of(entry.grantor)
        yield _grant(
            role.external_id,
            make_id("acl", role.name, grantor, entry.target.resource),
            _entry_label(entry),
            list(entry_rights(entry)),
            [{"kind": "direct", "id": printable(grantor), "label": printable(f"granted by {grantor}")}],
            _entry_ref(entry, role.name, grantor),
        )


def _entry_ref(entry: Entry, grantee: str, grantor: str) -> dict[str, Any]:
    target = entry.target
    return {
        "kind": "public" if entry.grantee == PUBLIC else "acl",
        "object_kind": target.kind,
        "oid": target.oid,
        "database": target.database,
        "schema": target.schema,
        "name": target.name,
        "arguments": target.arguments,
        "grantee": _ref(entry.grantee, grantee),
        "grantor": _ref(entry.grantor, grantor),
        "privileges": dict(sorted(entry.privileges.items())),
        # A list, because the names of columns are data: one may well be called "password".
        "columns": [
            {"name": name, "privileges": dict(sorted(held.items()))} for name, held in sorted(entry.columns.items())
        ],
    }


def _entry_label(entry: Entry) -> str:
    where = f"{entry.target.kind} {entry.target.title}"
    if entry.target.database:
        where += f" in {entry.target.database}"
    names = sorted(entry.privileges)
    # A long list says less than its length; the grant's sentences name each.
    whole = ", ".join(names) if len(names) <= MOST_NAMED else f"{len(names)} privileges"
    on_columns = ", ".join(sorted({name for held in entry.columns.values() for name in held}))
    count = len(entry.columns)
    part = f"{on_columns} on {count} column{'s' if count != 1 else ''}"
    if not entry.columns:
        return f"{whole} on {where}"
    return f"{whole}, and {part} of {where}" if whole else f"{part} of {where}"


def _defaults(estate: Estate, role: Role) -> Iterator[Record]:
    for database in estate.databases:
        for default in database.defaults:
            if default.grantee == role.oid and default.object_type in DEFAULT_KINDS and default.owner != role.oid:
                yield _default(estate, role, default)


def _default(estate: Estate, role: Role, default: DefaultPrivilege) -> Record:
    owner = estate.cluster.name_of(default.owner)
    kind, plural = DEFAULT_KINDS[default.object_type]
    schema = encode(default.schema) if default.schema is not None else "*"
    every = f"{kind}:{encode(default.database)}/{schema}/*"
    where = f"schema {default.schema}" if default.schema is not None else "any schema"
    return _grant(
        role.external_id,
        make_id("default", role.name, owner, default.object_type, every),
        f"Will get {', '.join(sorted(default.privileges))} on {plural} that {owner} creates in {where}"
        f" of {default.database}",
        [Right(privilege, every) for privilege in default.privileges],
        [{"kind": "default_privileges", "id": printable(owner), "label": printable(f"new {plural} of {owner}")}],
        {
            "kind": "default_privileges",
            "database": default.database,
            "schema": default.schema,
            "object_type": default.object_type,
            "owner": _ref(default.owner, owner),
            "grantee": _ref(role.oid, role.name),
            "privileges": dict(sorted(default.privileges.items())),
        },
    )


def _public(estate: Estate, identities: list[Role]) -> Iterator[Record]:
    """What everybody holds. Built-in rights on functions and types are one question per schema, not one per object."""
    logins = [role for role in identities if not role.superuser]
    for external_id, label, rights, native_ref in _public_holdings(estate):
        for role in logins:
            yield _grant(
                role.external_id,
                make_id("public", role.name, *external_id),
                label,
                rights,
                [{"kind": "public", "id": "PUBLIC", "label": "PUBLIC: every role of the server"}],
                native_ref,
                revocability="shared_role",
                shared_with=len(identities) - 1,
            )


def _public_holdings(estate: Estate) -> Iterator[tuple[tuple[str, str], str, list[Right], dict[str, Any]]]:
    for database in estate.databases:
        built_in: dict[tuple[str, str], list[Entry]] = {}
        for entry in database.entries:
            if entry.grantee != PUBLIC or entry.target.is_system or entry.target.kind == "language":
                continue
            if entry.is_default and entry.target.schema is not None:
                built_in.setdefault((entry.target.kind, entry.target.schema), []).append(entry)
                continue
            grantor = estate.cluster.name_of(entry.grantor)
            label = f"PUBLIC: {_entry_label(entry)}"
            yield (
                (grantor, entry.target.resource),
                label,
                list(entry_rights(entry)),
                _entry_ref(entry, "PUBLIC", grantor),
            )
        yield from _built_in(database, built_in)


def _built_in(
    database: Database, groups: dict[tuple[str, str], list[Entry]]
) -> Iterator[tuple[tuple[str, str], str, list[Right], dict[str, Any]]]:
    for (kind, schema), entries in sorted(groups.items()):
        if kind == "type":
            continue  # USAGE on every type is noise: it lets nobody read or change anything
        rights = [right for entry in entries for right in entry_rights(entry)]
        many = f"{len(entries)} {kind}s" if len(entries) != 1 else f"{kind} {entries[0].target.title}"
        label = f"PUBLIC: {', '.join(sorted({right.action for right in rights}))} on {many} in {database.name}"
        native_ref = {"kind": "public_default", "database": database.name, "schema": schema, "object_kind": kind}
        yield (kind, resource("schema", database.name, schema)), label, rights, native_ref


def _ref(oid: int, name: str) -> dict[str, Any]:
    return {"oid": oid, "name": name}


def _step(kind: str, name: str, extra: str = "") -> dict[str, Any]:
    return {"kind": kind, "id": printable(name), "label": printable(f"{name}{extra}")}


def printable(text: str) -> str:
    """The text on one line: control characters become spaces, which is only how it is shown, never how it is found."""
    return _CONTROL.sub(" ", text)


def _without_secrets(comment: str) -> str:
    """People write connection strings into comments; those stay at the server."""
    return "(not copied: the comment looks as if it held a secret)" if _SECRET.search(comment) else comment


def _storable_time(valid_until: str | None) -> str | None:
    """An end before 1970 is as much in the past as 1970, and one after 2999 is none."""
    if valid_until is None or valid_until >= "2999":
        return None
    return max(valid_until, "1970-01-01T00:00:00.000000Z")


def make_id(*parts: str) -> str:
    """A stable identifier of parts that may hold anything; over-long ones end in a hash of the whole."""
    whole = "|".join(
        _CONTROL.sub(lambda m: f"%{ord(m[0]):02X}", p.replace("%", "%25").replace("|", "%7C")) for p in parts
    )
    return shortened(whole, LONGEST_ID)


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and a hash of all of it. `longest` counts bytes, which no field has fewer of."""
    data = text.encode()
    if len(data) <= longest:
        return text
    return f"{data[: longest - 20].decode(errors='ignore')}…#{hashlib.sha256(data).hexdigest()[:16]}"
