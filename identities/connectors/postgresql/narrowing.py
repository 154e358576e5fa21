"""Scope down: from a target permission to the rights that PostgreSQL can hold, and the plan that leaves just those.

What remains is built from rights that are held today, each of which the target permits, so the result lies inside
both. It is then compared with the target: a part that PostgreSQL cannot express is refused by name, never dropped.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from governance.kernel.dialects.paths import encode
from governance.kernel.dialects.postgresql import parts
from governance.kernel.dialects.postgresql import resource as resource_of
from governance.kernel.permissions import Answer, Permission, Proof, difference_samples, includes, matches
from identities.connectors.contract import GrantRef, NotPossible, Plan
from identities.connectors.postgresql.assembly import Part, assemble, check_current
from identities.connectors.postgresql.catalog import (
    COLUMN_PRIVILEGES,
    PUBLIC,
    DatabaseObject,
    Membership,
    read_column_names,
)
from identities.connectors.postgresql.desk import Desk
from identities.connectors.postgresql.facets import (
    AclFacet,
    MembershipFacet,
    RoleRef,
    acl_state,
    read_membership,
)
from identities.connectors.postgresql.plans import (
    columns_of,
    estate_of,
    held_samples,
    membership_facet,
    ownership_refusal,
    returning_defaults,
    revoked_facet,
    role_ref,
    switching_member,
    switching_note,
)
from identities.connectors.postgresql.public import leave_public, public_default_refusal
from identities.connectors.postgresql.rights import Estate, Right, entry_rights, permission_of

_PRIVILEGES = {
    "table": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"),
    "sequence": ("USAGE", "SELECT", "UPDATE"),
    "schema": ("USAGE", "CREATE"),
    "function": ("EXECUTE",),
    "database": ("CREATE", "CONNECT", "TEMPORARY"),
    "largeobject": ("SELECT", "UPDATE"),
    "tablespace": ("CREATE",),
}

Acl = dict[str, Any]


def plan_narrow(
    desk: Desk, grant: GrantRef, target: Permission, lock_timeout: int, others: Sequence[Desk] = ()
) -> Plan:
    """The plan after which only `target` is left of the grant. Raises NotPossible with what stands in the way.

    others: further databases that the target names; only a membership gives rights in several.
    """
    for statement in target.statements:
        if statement.conditions:
            raise NotPossible("PostgreSQL cannot tie a grant to conditions; take them out of the target.")
        if statement.until is not None:
            raise NotPossible("PostgreSQL cannot end a grant by itself; approve it until that date instead.")
    verdict = includes(grant.permission, target)
    if not isinstance(verdict, Proof):
        raise NotPossible(f"The target is not part of what is held: {verdict.explain()}")
    match grant.native_ref.get("kind"):
        case "acl":
            return _narrow_acl(desk, grant, target, lock_timeout)
        case "membership":
            return _narrow_membership([desk, *others], grant, target, lock_timeout)
        case "public":
            return _narrow_public(desk, grant, target, lock_timeout)
        case "public_default":
            raise NotPossible(public_default_refusal(desk, grant))
        case "ownership":
            raise NotPossible(ownership_refusal(desk, grant, target))
        case "default_privileges":
            return _narrow_default(desk, grant, target, lock_timeout)
    raise NotPossible("This grant is one thing that cannot be held in part; keep it or revoke it.")


# --- rights on one object ---------------------------------------------------------------------------------------


def _narrow_acl(desk: Desk, grant: GrantRef, target: Permission, lock_timeout: int) -> Plan:
    ref = grant.native_ref
    columns = read_column_names(desk.connection, ref["oid"]) if ref["object_kind"] == "table" else []
    held = held_samples(ref)
    after = _remaining_acl(ref, columns, held, target)
    facet = revoked_facet(desk, grant, after)
    assert isinstance(facet, AclFacet)  # noqa: S101 - revoked_facet makes the facet of this kind
    remaining = held_samples(_with_state(ref, after))
    _require_expressed(grant, target, remaining)
    check_current(desk, [facet])
    return assemble(
        desk, "narrow", grant.identity, grant.external_id, [facet],
        summary=f"Narrows {facet.title()}.", removes=_lost(held, remaining, target, facet, columns),
        keeps=remaining, lock_timeout=lock_timeout, notes=returning_defaults(desk, facet),
    )  # fmt: skip


def _remaining_acl(ref: Any, columns: list[str], held: list[tuple[str, str]], target: Permission) -> Acl:
    whole: dict[str, bool] = {}
    part: dict[str, dict[str, bool]] = {}
    path = next((resource for _, resource in held if not resource.startswith("column:")), "")
    if not path and held:
        path = "table:" + held[0][1].removeprefix("column:").rpartition("/")[0]
    for name, option in ref["privileges"].items():
        if _permits(target, name, path):
            whole[name] = option and _permits(target, f"GRANT:{name}", path)
        elif ref["object_kind"] == "table" and name in COLUMN_PRIVILEGES:
            _keep_columns(part, name, option, columns, path, target)
    for column, privileges in columns_of(ref).items():
        for name, option in privileges.items():
            _keep_columns(part, name, option, [column], path, target)
    return acl_state(whole, part)


def _with_state(ref: Any, state: Acl) -> dict[str, Any]:
    columns = [{"name": name, "privileges": held} for name, held in state["columns"].items()]
    return {**ref, "privileges": state["privileges"], "columns": columns}


def _keep_columns(
    part: dict[str, dict[str, bool]], name: str, option: bool, columns: Iterable[str], path: str, target: Permission
) -> None:
    for column in columns:
        resource = f"column:{path.partition(':')[2]}/{encode(column)}"
        if _permits(target, name, resource):
            part.setdefault(column, {})[name] = option and _permits(target, f"GRANT:{name}", resource)


def _permits(target: Permission, action: str, resource: str) -> bool:
    return matches(target, action, resource) is Answer.YES


def _lost(
    held: list[tuple[str, str]],
    remaining: list[tuple[str, str]],
    target: Permission,
    facet: AclFacet,
    columns: list[str],
) -> list[tuple[str, str]]:
    """What must be out of reach afterwards; of a table of which columns remain, each other column by name."""
    kept = set(remaining)
    lost = [sample for sample in held if sample not in kept]
    for action, resource in list(lost):
        if resource.startswith("table:") and action in COLUMN_PRIVILEGES:
            others = [f"column:{resource.partition(':')[2]}/{encode(column)}" for column in columns]
            if any((action, other) in kept for other in others):
                lost += [(action, other) for other in others if not _permits(target, action, other)]
    return lost


def _require_expressed(grant: GrantRef, target: Permission, remaining: Iterable[tuple[str, str]]) -> None:
    """Raises NotPossible unless the remaining rights are exactly the target, something, and less than before."""
    result = permission_of(Right(action, resource) for action, resource in remaining)
    if result.is_empty:
        raise NotPossible("Nothing that PostgreSQL could hold would remain of it; revoke it instead.")
    missing = difference_samples(target, result, limit=1)
    if missing:
        raise NotPossible(
            f"PostgreSQL cannot express this part of the target: {missing[0].action} on {missing[0].resource}. "
            "Name existing objects and columns; what is created later is given by default privileges."
        )
    if isinstance(includes(result, grant.permission), Proof):
        raise NotPossible("The target leaves everything as it is; approve the grant instead.")


def _narrow_default(desk: Desk, grant: GrantRef, target: Permission, lock_timeout: int) -> Plan:
    ref = grant.native_ref
    every = grant.permission.statements[0].resources.include[0]
    after = {name: option for name, option in sorted(ref["privileges"].items()) if _permits(target, name, every)}
    facet = revoked_facet(desk, grant, after)
    _require_expressed(grant, target, [(name, every) for name in after])
    check_current(desk, [facet])
    return assemble(
        desk, "narrow", grant.identity, grant.external_id, [facet], summary=f"Narrows {facet.title()}.",
        lock_timeout=lock_timeout,
    )  # fmt: skip


def _narrow_public(desk: Desk, grant: GrantRef, target: Permission, lock_timeout: int) -> Plan:
    ref = grant.native_ref
    columns = read_column_names(desk.connection, ref["oid"]) if ref["object_kind"] == "table" else []
    held = held_samples(ref)
    after = _remaining_acl(ref, columns, held, target)
    remaining = held_samples(_with_state(ref, after))
    _require_expressed(grant, target, remaining)
    leaving = leave_public(desk, grant, after)
    return assemble(
        desk, "narrow", grant.identity, grant.external_id, leaving.facets,
        summary=f"Takes {leaving.title} from PUBLIC and gives {grant.identity} directly what remains of it.",
        removes=_lost(held, remaining, target, leaving.public, columns), keeps=remaining,
        side_effects=leaving.side_effects, lock_timeout=lock_timeout,
    )  # fmt: skip


# --- membership in a role ---------------------------------------------------------------------------------------


def _narrow_membership(desks: Sequence[Desk], grant: GrantRef, target: Permission, lock_timeout: int) -> Plan:
    """Take the membership away and give the rest directly, in that order and in one transaction.

    The role itself is left alone, so its other members lose nothing. In further databases the rest is given before:
    it is held through the membership anyway.
    """
    desk, estates = desks[0], [estate_of(each) for each in desks]
    leaving = membership_facet(desk, grant.native_ref)
    check_current(desk, [leaving])
    membership = _membership(estates[0], leaving)
    groups = _kept_groups(desk, estates[0], membership, grant, target)
    covered = {
        (right.action, right.resource)
        for estate in estates
        for facet in groups
        for right in estate.rights_through(_as_membership(facet))
    }
    direct = [
        _kept_objects(each, estate, membership, target, covered) for each, estate in zip(desks, estates, strict=True)
    ]
    remaining = sorted(covered | {sample for found in direct for _, samples in found for sample in samples})
    _require_expressed(grant, target, remaining)
    _require_usable(estates, membership, remaining)
    lost = {
        (right.action, right.resource) for estate in estates for right in estate.rights_through(membership, expand=True)
    } - set(remaining)
    for each, found in zip(desks, direct, strict=True):
        for facet, _ in found:
            lost |= _other_columns(each, facet, target)
    elsewhere = zip(desks[1:], direct[1:], strict=True)
    return assemble(
        desk, "narrow", grant.identity, grant.external_id, [leaving, *groups, *(facet for facet, _ in direct[0])],
        first=[Part(each.database, [facet for facet, _ in found]) for each, found in elsewhere if found],
        summary=f"Ends {leaving.title()} and gives directly what remains of it.",
        removes=sorted(lost), keeps=remaining, lock_timeout=lock_timeout, notes=switching_note(grant.native_ref),
        ends_sessions_of=switching_member(desk, grant.native_ref),
    )  # fmt: skip


def _membership(estate: Estate, facet: MembershipFacet) -> Membership:
    for found in estate.memberships_of.get(facet.member.oid, ()):
        if found.role == facet.role.oid and (facet.grantor is None or found.grantor == facet.grantor.oid):
            return found
    raise NotPossible(f"{facet.member.name} is no longer a member of {facet.role.name}.")


def _as_membership(facet: MembershipFacet) -> Membership:
    grantor = facet.grantor.oid if facet.grantor else 0
    options = facet.after
    return Membership(
        facet.role.oid, facet.member.oid, grantor, admin=False,
        inherits=options.get("inherit", True), settable=options.get("set", True),
    )  # fmt: skip


def _kept_groups(
    desk: Desk, estate: Estate, membership: Membership, grant: GrantRef, target: Permission
) -> list[MembershipFacet]:
    """Groups above the one that is left which the target names: memberships in those take its place."""
    kept: list[MembershipFacet] = []
    inside: set[int] = set()
    for reach in estate.through(membership):
        name = desk.cluster.name_of(reach.role)
        if reach.role in inside or not _permits(target, "MEMBER", resource_of("role", name)):
            continue
        if reach.role == membership.role:
            raise NotPossible(
                f"A membership in {name} gives everything that {name} has; it cannot be kept while the rest goes."
            )
        facet = _joining(desk, membership, role_ref(grant.native_ref["member"]), RoleRef(reach.role, name))
        inside |= {above.role for above in estate.through(_as_membership(facet))}
        kept.append(facet)
    return kept


def _joining(desk: Desk, membership: Membership, member: RoleRef, group: RoleRef) -> MembershipFacet:
    granter = desk.granter_of(desk.cluster.roles[group.oid])
    if desk.cluster.version < 16:
        before = read_membership(desk.connection, group.oid, member.oid, None)
        return MembershipFacet(granter.name, before, before or {"admin": False}, group, member, None)
    before = read_membership(desk.connection, group.oid, member.oid, granter.oid)
    after = before or {"admin": False, "inherit": membership.inherits, "set": membership.settable}
    return MembershipFacet(granter.name, before, after, group, member, granter)


def _kept_objects(
    desk: Desk, estate: Estate, membership: Membership, target: Permission, covered: set[tuple[str, str]]
) -> list[tuple[AclFacet, list[tuple[str, str]]]]:
    """For every object of which something remains: the facet that gives it directly, and what that is."""
    held: dict[DatabaseObject, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for right in estate.rights_through(membership, expand=True):
        if right.target is not None:
            names = _PRIVILEGES.get(right.target.kind, ("USAGE",)) if right.action == "OWN" else (right.action,)
            held[right.target][right.column or ""].update(names)
    found = []
    for owned, by_column in held.items():
        ref = {
            "object_kind": owned.kind, "database": owned.database, "schema": owned.schema, "name": owned.name,
            "arguments": owned.arguments, "oid": owned.oid,
            "privileges": dict.fromkeys(sorted(_known(desk, by_column.get("", set()))), False),
            "columns": [
                {"name": column, "privileges": dict.fromkeys(sorted(_plain(names)), False)}
                for column, names in by_column.items() if column
            ],
        }  # fmt: skip
        columns = read_column_names(desk.connection, owned.oid) if owned.kind == "table" else []
        rest = _without(_remaining_acl(ref, columns, _samples_of(owned, ref), target), owned, covered)
        if rest["privileges"] or rest["columns"]:
            found.append((_giving(desk, estate, membership, owned, rest), held_samples(_with_state(ref, rest))))
    return found


def _samples_of(owned: DatabaseObject, ref: Any) -> list[tuple[str, str]]:
    return held_samples(ref) or [("", owned.resource)]


def _plain(names: Iterable[str]) -> set[str]:
    """Privileges without the right to pass them on: what is given in place of a membership is not passed on."""
    return {name.removeprefix("GRANT:") for name in names}


def _known(desk: Desk, names: set[str]) -> set[str]:
    plain = _plain(names)
    return plain if desk.cluster.version >= 17 else plain - {"MAINTAIN"}


def _without(rest: Acl, owned: DatabaseObject, covered: set[tuple[str, str]]) -> Acl:
    """What a kept group gives need not be given twice."""
    privileges = {name: option for name, option in rest["privileges"].items() if (name, owned.resource) not in covered}
    columns = {
        column: {name: option for name, option in held.items() if (name, owned.column(column)) not in covered}
        for column, held in rest["columns"].items()
    }
    return acl_state(privileges, columns)


def _giving(desk: Desk, estate: Estate, membership: Membership, owned: DatabaseObject, rest: Acl) -> AclFacet:
    owner, member = desk.ref(owned.owner), desk.ref(membership.member)
    before = acl_state({}, {})
    for entry in estate.entries_of.get(member.oid, ()):
        if (entry.target.kind, entry.target.oid, entry.grantor) == (owned.kind, owned.oid, owner.oid):
            before = acl_state(entry.privileges, entry.columns)
    columns = {name: {**held} for name, held in before["columns"].items()}
    for name, held in rest["columns"].items():
        columns[name] = {**held, **columns.get(name, {})}
    return AclFacet(
        acting=desk.act_as(owner, f"Giving the rest directly needs the owner of {owned.title},"),
        before=before,
        after=acl_state({**rest["privileges"], **before["privileges"]}, columns),
        object_kind=owned.kind, oid=owned.oid, database=owned.database or "", schema=owned.schema,
        name=owned.name, arguments=owned.arguments, grantee=member, grantor=owner,
    )  # fmt: skip


def _other_columns(desk: Desk, facet: AclFacet, target: Permission) -> set[tuple[str, str]]:
    """Columns that must be out of reach although others of the same table remain."""
    if not facet.after["columns"]:
        return set()
    names = {name for held in facet.after["columns"].values() for name in held} - set(facet.after["privileges"])
    found = set()
    for column in read_column_names(desk.connection, facet.oid):
        where = resource_of("column", facet.database, facet.schema or "", facet.name, column)
        found |= {(name, where) for name in names if not _permits(target, name, where)}
    return found


def _require_usable(estates: Sequence[Estate], membership: Membership, remaining: list[tuple[str, str]]) -> None:
    """Rights on a table are worth nothing without USAGE on its schema; that must remain or come from elsewhere."""
    others: list[Right] = []
    for estate in estates:
        others += estate.rights_of(membership.member)
        for other in estate.memberships_of.get(membership.member, ()):
            if other != membership:
                others += estate.rights_through(other)
        for entry in estate.entries_of.get(PUBLIC, ()):
            others += entry_rights(entry)
    usable = permission_of([*others, *(Right(action, name) for action, name in remaining)])
    for action, name in remaining:
        kind, names = parts(name)
        if kind not in ("table", "column", "sequence", "function"):
            continue
        schema = resource_of("schema", names[0], names[1])
        if not _permits(usable, "USAGE", schema):
            raise NotPossible(
                f"{action} on {'.'.join(names[1:])} would have no effect: the target leaves out USAGE on schema "
                f"{names[1]}."
            )
