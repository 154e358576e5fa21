"""Rights that PUBLIC holds: taking them from one role without taking them from anybody else.

PUBLIC is everybody, also whoever is created later. So everybody who holds such a right now gets it as their own, and
then PUBLIC loses it, in one transaction. What is new later does not get it: that is said before anybody agrees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from identities.connectors.contract import GrantRef, NotPossible
from identities.connectors.postgresql import catalog
from identities.connectors.postgresql.assembly import check_current
from identities.connectors.postgresql.catalog import Entry, Role
from identities.connectors.postgresql.desk import Desk
from identities.connectors.postgresql.facets import AclFacet, RoleRef, State, acl_state
from identities.connectors.postgresql.rights import Estate

# More direct grants on one object would help nobody to understand it.
MOST_OTHERS = 50
MOST_NAMED = 5
FIRST_OWN_OID = 16384


@dataclass(frozen=True, slots=True)
class Leaving:
    """facets: everybody else's own rights, then those that remain to the identity, then PUBLIC's loss (`public`)."""

    facets: Sequence[AclFacet]
    public: AclFacet
    side_effects: Sequence[str]
    title: str


def leave_public(desk: Desk, grant: GrantRef, remaining: State) -> Leaving:
    """What takes a right from PUBLIC so that only this identity loses it. Raises NotPossible.

    remaining: what the identity keeps, as a state of an access control list.
    """
    ref, role = grant.native_ref, desk.role(grant.identity)
    grantor = role_ref(ref["grantor"])
    acting = desk.act_as(grantor, "The right was given to PUBLIC by")
    held = acl_state(ref["privileges"], columns_of(ref))
    public = _facet(ref, acting, grantor, RoleRef(catalog.PUBLIC, "PUBLIC"), held, acl_state({}, {}))
    check_current(desk, [public])
    found = catalog.read_object(desk.connection, public.object_kind, public.oid, public.database)
    target, entries = found if found is not None else (None, [])
    reached = _reached_by(desk, role)
    others = [
        other
        for other in desk.cluster.roles.values()
        if other.oid >= FIRST_OWN_OID and not other.superuser and other.oid not in {role.oid, *reached}
        and (target is None or other.oid != target.owner) and not _has_already(other, entries, held)
    ]  # fmt: skip
    others.sort(key=lambda other: other.name)
    if len(others) > MOST_OTHERS:
        raise NotPossible(
            f"PUBLIC gives this to everybody, and {len(others)} roles besides {grant.identity} hold it in no other "
            f"way; Remit gives it to {MOST_OTHERS} at most. Make a role for those that need it, GRANT it the right and "
            "them the role, then REVOKE the right from PUBLIC at the source."
        )
    giving = [_giving(ref, acting, grantor, other, held, entries) for other in others]
    own = []
    if remaining["privileges"] or remaining["columns"]:
        own = [_giving(ref, acting, grantor, role, remaining, entries)]
    return Leaving(
        [*giving, *own, public],
        public,
        _told(desk, grant.identity, others, reached),
        f"what it holds on {public.title_of_object()}",
    )


def _told(desk: Desk, identity: str, others: Sequence[Role], reached: Sequence[int]) -> list[str]:
    told = []
    if others:
        plural = "other roles hold" if len(others) != 1 else "other role holds"
        told.append(
            f"{len(others)} {plural} this through PUBLIC and get it as a right of their own: "
            f"{_some([role.name for role in others])}."
        )
    told.append("Roles that are created later do not have it any more; it must be given to those that need it.")
    groups = [desk.cluster.name_of(oid) for oid in reached]
    if groups:
        told.append(
            f"{_some(groups)} lose it, because {identity} could use it through them; their other members keep it as "
            "themselves, but not after SET ROLE."
        )
    return told


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"


def _reached_by(desk: Desk, role: Role) -> list[int]:
    """Roles of whose rights this one can make use."""
    estate = Estate(desk.cluster, [])
    found = {reach.role for each in estate.memberships_of.get(role.oid, ()) for reach in estate.through(each)}
    return sorted(oid for oid in found if oid >= FIRST_OWN_OID)


def _has_already(role: Role, entries: Sequence[Entry], held: State) -> bool:
    """Whether the role was given all of it directly, by whomever."""
    mine = [entry for entry in entries if entry.grantee == role.oid]
    whole = {name for entry in mine for name in entry.privileges}
    columns = {(column, name) for entry in mine for column, names in entry.columns.items() for name in names}
    wanted = {(column, name) for column, names in held["columns"].items() for name in names}
    return set(held["privileges"]) <= whole and all(
        name in whole or (column, name) in columns for column, name in wanted
    )


def _giving(
    ref: Mapping[str, Any], acting: str, grantor: RoleRef, role: Role, wanted: State, entries: Sequence[Entry]
) -> AclFacet:
    before = acl_state({}, {})
    for entry in entries:
        if (entry.grantee, entry.grantor) == (role.oid, grantor.oid):
            before = acl_state(entry.privileges, entry.columns)
    columns = {name: {**held} for name, held in wanted["columns"].items()}
    for name, held in before["columns"].items():
        columns[name] = {**columns.get(name, {}), **held}
    after = acl_state({**wanted["privileges"], **before["privileges"]}, columns)
    return _facet(ref, acting, grantor, RoleRef(role.oid, role.name), before, after)


def _facet(
    ref: Mapping[str, Any], acting: str, grantor: RoleRef, grantee: RoleRef, before: State, after: State
) -> AclFacet:
    return AclFacet(
        acting=acting, before=before, after=after, object_kind=ref["object_kind"], oid=ref["oid"],
        database=ref["database"] or "", schema=ref["schema"], name=ref["name"], arguments=ref["arguments"],
        grantee=grantee, grantor=grantor,
    )  # fmt: skip


def public_default_refusal(desk: Desk, grant: GrantRef) -> str:
    """Why a right that PUBLIC has because nothing was ever revoked stays, and the ways to change that."""
    ref = grant.native_ref
    count = sum(1 for role in desk.cluster.roles.values() if role.login)
    schema, kind = ref["schema"], ref["object_kind"]
    return (
        f"PUBLIC gives this to all {count} login roles of the server, by default, on every {kind} of schema {schema}; "
        f"it cannot be taken from {grant.identity} alone. At the source: GRANT it to those that need it, then REVOKE "
        f"ALL ON ALL {kind.upper()}S IN SCHEMA {schema} FROM PUBLIC, and ALTER DEFAULT PRIVILEGES for those to come; "
        f"or REVOKE USAGE ON SCHEMA {schema}, where {grant.identity} needs nothing in it."
    )


def columns_of(ref: Mapping[str, Any]) -> dict[str, dict[str, bool]]:
    """The columns of an entry as the inventory keeps them, by name."""
    return {column["name"]: dict(column["privileges"]) for column in ref["columns"]}


def role_ref(data: Mapping[str, Any]) -> RoleRef:
    return RoleRef(data["oid"], data["name"])
