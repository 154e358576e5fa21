"""From a decision to a plan: which facets change, to what, as whom, and what must be out of reach afterwards."""

from collections.abc import Mapping
from typing import Any

from governance.kernel.dialects.paths import encode
from governance.kernel.dialects.postgresql import CLUSTER, parts
from governance.kernel.permissions import Permission
from identities.connectors.contract import GrantRef, NotPossible, Plan
from identities.connectors.postgresql import catalog
from identities.connectors.postgresql.assembly import Samples, assemble, check_current
from identities.connectors.postgresql.catalog import Role
from identities.connectors.postgresql.desk import Desk
from identities.connectors.postgresql.facets import (
    ABSENT,
    AclFacet,
    DefaultFacet,
    Facet,
    MembershipFacet,
    RoleFacet,
    RoleRef,
    State,
    acl_state,
    object_reference,
    read_flags,
)
from identities.connectors.postgresql.public import columns_of, leave_public, public_default_refusal, role_ref
from identities.connectors.postgresql.records import DEFAULT_KINDS
from identities.connectors.postgresql.rights import Estate
from identities.connectors.postgresql.session import Settings

MOST_SPELLED = 5


# --- taking a grant away ----------------------------------------------------------------------------------------


def plan_revoke(desk: Desk, grant: GrantRef, lock_timeout: int) -> Plan:
    """The plan that takes the grant away. Raises NotPossible."""
    kind = grant.native_ref.get("kind")
    if kind == "public":
        return _revoke_public(desk, grant, lock_timeout)
    if kind == "public_default":
        raise NotPossible(public_default_refusal(desk, grant))
    if kind == "ownership":
        raise NotPossible(ownership_refusal(desk, grant))
    facet = revoked_facet(desk, grant)
    check_current(desk, [facet])
    notes = [*returning_defaults(desk, facet), *switching_note(grant.native_ref)]
    removes = _removed(desk, grant, facet)
    return assemble(
        desk, "revoke", grant.identity, grant.external_id, [facet],
        summary=f"Takes away {facet.title()}.", removes=removes, lock_timeout=lock_timeout,
        notes=notes, ends_sessions_of=switching_member(desk, grant.native_ref),
    )  # fmt: skip


def revoked_facet(desk: Desk, grant: GrantRef, after: State | None = None) -> Facet:
    """The facet of this grant, from what the inventory saw to `after` (by default: nothing). Raises NotPossible."""
    ref = grant.native_ref
    match ref.get("kind"):
        case "acl":
            facet = acl_facet(desk, ref, after if after is not None else acl_state({}, {}))
            _refuse_dependents(desk, facet)
            return facet
        case "membership":
            return membership_facet(desk, ref)
        case "attribute":
            return _attribute_facet(desk, ref)
        case "default_privileges":
            return _default_facet(desk, ref, after if after is not None else {})
    raise NotPossible(f"A grant of kind {ref.get('kind')!r} cannot be changed here.")


def acl_facet(desk: Desk, ref: Mapping[str, Any], after: State) -> AclFacet:
    grantor = role_ref(ref["grantor"])
    return AclFacet(
        acting=desk.act_as(grantor, "The right was granted by"),
        before=acl_state(ref["privileges"], columns_of(ref)),
        after=after,
        object_kind=ref["object_kind"],
        oid=ref["oid"],
        database=ref["database"] or "",
        schema=ref["schema"],
        name=ref["name"],
        arguments=ref["arguments"],
        grantee=role_ref(ref["grantee"]),
        grantor=grantor,
    )


def membership_facet(desk: Desk, ref: Mapping[str, Any]) -> MembershipFacet:
    """The membership, from as it is to absent; issued as whoever may do so on this version of the server."""
    role, member = role_ref(ref["role"]), role_ref(ref["member"])
    if desk.cluster.version < 16:
        acting = desk.granter_of(desk.by_oid(role)).name
        return MembershipFacet(acting, {"admin": ref["admin"]}, ABSENT, role, member, None)
    grantor = role_ref(ref["grantor"])
    acting = desk.act_as(grantor, f"The membership in {role.name!r} was granted by")
    before = {"admin": ref["admin"], "inherit": ref["inherit"], "set": ref["set"]}
    passed_on = [
        desk.cluster.name_of(row.member)
        for row in desk.cluster.memberships
        if row.role == role.oid and row.grantor == member.oid
    ]
    if ref["admin"] and passed_on:
        raise NotPossible(
            f"{member.name} passed the membership in {role.name} on to {', '.join(sorted(passed_on))}; they would lose "
            "it too. Take it from them first."
        )
    return MembershipFacet(acting, before, ABSENT, role, member, grantor)


def _attribute_facet(desk: Desk, ref: Mapping[str, Any]) -> RoleFacet:
    attribute, role = ref["attribute"], desk.by_oid(role_ref(ref["role"]))
    if attribute == "SUPERUSER":
        raise NotPossible(
            f"{role.name} is a superuser: every check is skipped for it, and nothing can be narrowed while that lasts. "
            "Another superuser has to run ALTER ROLE … NOSUPERUSER."
        )
    acting = desk.administrator_of(role, attribute=attribute)
    name = attribute.lower()
    return RoleFacet(acting, {name: True}, {name: False}, role_ref(ref["role"]))


def _default_facet(desk: Desk, ref: Mapping[str, Any], after: State) -> DefaultFacet:
    owner = role_ref(ref["owner"])
    acting = desk.act_as(owner, "New objects are created by")
    before = dict(sorted(ref["privileges"].items()))
    return DefaultFacet(acting, before, after, owner, ref["schema"], ref["object_type"], role_ref(ref["grantee"]))


def _refuse_dependents(desk: Desk, facet: AclFacet) -> None:
    """What the grantee passed on would fall with it (2BP01); that must be a decision of its own."""
    passing = {name for name, option in facet.before["privileges"].items() if option}
    passing |= {name for held in facet.before["columns"].values() for name, option in held.items() if option}
    found = catalog.read_object(desk.connection, facet.object_kind, facet.oid, facet.database) if passing else None
    if found is None:
        return
    dependents = sorted(
        f"{desk.cluster.name_of(entry.grantee)} ({', '.join(sorted({*entry.privileges, *_column_privileges(entry)}))})"
        for entry in found[1]
        if entry.grantor == facet.grantee.oid and {*entry.privileges, *_column_privileges(entry)} & passing
    )
    if dependents:
        raise NotPossible(
            f"{facet.grantee.name} passed this right on, and these would lose it too: {', '.join(dependents)}. "
            "Take it from them first."
        )


def _column_privileges(entry: catalog.Entry) -> set[str]:
    return {name for held in entry.columns.values() for name in held}


def _removed(desk: Desk, grant: GrantRef, facet: Facet) -> Samples:
    if isinstance(facet, AclFacet):
        return held_samples(grant.native_ref)
    if isinstance(facet, RoleFacet):
        return [(grant.native_ref["attribute"], CLUSTER)]
    if isinstance(facet, MembershipFacet):
        return sorted({
            (action, resource)
            for statement in grant.permission.statements
            for action in statement.actions.include
            for resource in statement.resources.include
        })  # fmt: skip
    return ()


def held_samples(ref: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(action, resource) of everything that an access control entry gives."""
    path = [encode(part) for part in (ref["database"], ref["schema"], _full_name(ref)) if part is not None]
    where = "/".join(path)
    found = []
    for name, option in ref["privileges"].items():
        found += [(action, f"{ref['object_kind']}:{where}") for action in _with_option(name, option)]
    for column, held in columns_of(ref).items():
        for name, option in held.items():
            found += [(action, f"column:{where}/{encode(column)}") for action in _with_option(name, option)]
    return sorted(found)


def _full_name(ref: Mapping[str, Any]) -> str:
    return str(ref["name"]) if ref["arguments"] is None else f"{ref['name']}({ref['arguments']})"


def _with_option(name: str, option: bool) -> list[str]:
    return [name, f"GRANT:{name}"] if option else [name]


def returning_defaults(desk: Desk, facet: Facet) -> list[str]:
    """A warning where default privileges will give the same again on objects that do not exist yet."""
    if not isinstance(facet, AclFacet):
        return []
    database = catalog.read_defaults(desk.connection, desk.database)
    owners = sorted(
        desk.cluster.name_of(default.owner)
        for default in database
        if default.grantee == facet.grantee.oid
        and default.schema in (None, facet.schema)
        and DEFAULT_KINDS.get(default.object_type, ("",))[0] == facet.object_kind
    )
    if not owners:
        return []
    return [
        f"Default privileges of {', '.join(owners)} still give {facet.grantee.name} rights on new {facet.object_kind}s."
    ]


def switching_member(desk: Desk, ref: Mapping[str, Any]) -> Role | None:
    """Whose sessions must end with a membership that is used by SET ROLE only: one that has switched keeps the role.

    Raises NotPossible when the connector may not end them.
    """
    if ref.get("kind") != "membership" or not ref["set"] or ref["inherit"]:
        return None
    member = desk.by_oid(role_ref(ref["member"]))
    desk.require_signal(member)
    return member


def switching_note(ref: Mapping[str, Any]) -> list[str]:
    """A warning where a session may have switched to the role although it need not."""
    if ref.get("kind") != "membership" or not (ref["set"] and ref["inherit"]):
        return []
    return [f"A session that has said SET ROLE {ref['role']['name']} before keeps that role until it ends."]


def _revoke_public(desk: Desk, grant: GrantRef, lock_timeout: int) -> Plan:
    leaving = leave_public(desk, grant, acl_state({}, {}))
    return assemble(
        desk, "revoke", grant.identity, grant.external_id, leaving.facets,
        summary=f"Takes {leaving.title} from PUBLIC; everybody but {grant.identity} keeps it as a right of their own.",
        removes=held_samples(grant.native_ref), side_effects=leaving.side_effects, lock_timeout=lock_timeout,
    )  # fmt: skip


def ownership_refusal(desk: Desk, grant: GrantRef, target: Permission | None = None) -> str:
    """Why ownership stays, and the statements with which a person can change it."""
    role = desk.role(grant.identity)
    owned = estate_of(desk).owned_by.get(role.oid, [])
    references = [
        object_reference(each.kind, each.schema, each.name, each.arguments).as_string(None)
        for each in sorted(owned, key=lambda each: each.resource)
    ]
    more = f" and {len(references) - MOST_SPELLED} more" if len(references) > MOST_SPELLED else ""
    changes = "; ".join(f"ALTER {reference} OWNER TO …" for reference in references[:MOST_SPELLED])
    then = ""
    if target is not None:
        then = f" Then GRANT {grant.identity} what should remain, and read the source again."
    return (
        f"{grant.identity} owns these objects, and an owner can always give itself back whatever is taken away. Who "
        "else should own them is not for Remit to choose: as a superuser or a member of both roles, run in "
        f"{desk.database}: {changes}{more}.{then}"
    )


# --- locking out ------------------------------------------------------------------------------------------------


def plan_quarantine(desk: Desk, identity: str, lock_timeout: int) -> Plan:
    """Nobody signs in as this role any more, and its open sessions end; what it holds stays. Raises NotPossible."""
    role = desk.role(identity)
    flags = read_flags(desk.connection, role.oid, {"login": None, "connection_limit": None})
    if not role.login:
        raise NotPossible(f"{identity} cannot log in already.")
    acting = desk.administrator_of(role)
    desk.require_signal(role)
    # The limit marks the role as a locked account, which nothing else would tell from a group.
    facet = RoleFacet(acting, flags, {"connection_limit": 0, "login": False}, RoleRef(role.oid, role.name))
    return assemble(
        desk, "quarantine", identity, "", [facet], summary=f"Locks {identity} out and ends its open sessions.",
        ends_sessions_of=role, lock_timeout=lock_timeout,
    )  # fmt: skip


def plan_deactivate(desk: Desk, identity: str, credential: str, lock_timeout: int) -> Plan:
    """The password stops working, and open sessions end. Raises NotPossible."""
    if credential != f"password:{identity}":
        raise NotPossible(f"PostgreSQL knows no credential {credential!r} of {identity}.")
    role = desk.role(identity)
    if role.is_expired:
        raise NotPossible(f"The password of {identity} has ended already.")
    acting = desk.administrator_of(role)
    desk.require_signal(role)
    row = desk.connection.execute(
        "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\".000000Z\"')"
    ).fetchone()
    facet = RoleFacet(
        acting,
        {"valid_until": role.valid_until},
        {"valid_until": row[0] if row else None},
        RoleRef(role.oid, role.name),
    )
    return assemble(
        desk, "deactivate", identity, "", [facet], ends_sessions_of=role, lock_timeout=lock_timeout,
        summary=f"Ends the password of {identity} and its open sessions.",
        notes=["Only password sign-in respects this date; certificate, peer and trust sign-in do not."],
    )  # fmt: skip


def estate_of(desk: Desk) -> Estate:
    """The roles and the objects of the desk's database."""
    return Estate(desk.cluster, [catalog.read_database(desk.connection, desk.database)])


def databases_of(target: Permission, settings: Settings) -> list[str]:
    """The governed databases that the objects of a target lie in, where a plan for it runs; the last of them last."""
    names = set()
    for statement in target.statements:
        for name in statement.resources.include:
            kind, path = parts(name)
            if kind in ("table", "column", "sequence", "function", "schema", "type", "language", "wrapper", "server"):
                names.add(path[0])
    return sorted(names - {"*"}) or [settings.first_database]
