"""What somebody reaches who takes an identity over: by its own grants, by escalation, and by one step on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import Count, Q

from governance.kernel import dialects
from governance.kernel.actors import Actor
from governance.kernel.algebra import effective
from governance.kernel.breadth import ACCOUNT, ORDER, ORGANISATION, breadth_of
from governance.kernel.documents import Permission
from governance.kernel.escalation import Primitive, primitives_of_all
from governance.kernel.naming import place_and_name
from governance.kernel.privileges import SEGMENTS, PrivilegeClass
from governance.kernel.statements import Statement
from identities.models import Grant
from identities.selectors.inventory import visible_identities
from identities.selectors.reach import Hop, hops_of
from identities.selectors.reach.starts import Instead

MOST_GRANTS = 2_000
MOST_TARGETS = 5_000
_PRIVILEGED = frozenset({PrivilegeClass.ADMIN, PrivilegeClass.DESTRUCTIVE, PrivilegeClass.SECRET_READ})


@dataclass(frozen=True, slots=True)
class Target:
    """One thing, or pattern of things, that is reached. place, name: short; resource: as the source writes it."""

    dialect: str
    segment: str
    place: str
    name: str
    resource: str
    classes: frozenset[str]
    grants: tuple[tuple[UUID, str], ...]

    @property
    def key(self) -> tuple[str, str]:
        return self.dialect, self.resource

    @property
    def is_privileged(self) -> bool:
        return bool(self.classes & _PRIVILEGED)


@dataclass(frozen=True, slots=True)
class Onward:
    """One step, and what lies behind it: grants of the other identity by segment, (segment, all, privileged)."""

    hop: Hop
    segments: tuple[tuple[str, int, int], ...]
    is_visible: bool = True


@dataclass(frozen=True, slots=True)
class Radius:
    """Everything together. breadth: the widest of its grants, None where one cannot be told. is_cut: not all listed.

    unread: grants whose permission nobody could read, which may reach anything.
    """

    targets: list[Target]
    primitives: tuple[Primitive, ...]
    breadth: str | None
    onward: list[Onward]
    grants: int
    unread: int
    is_cut: bool

    @property
    def steps(self) -> int:
        """Identities one step away, also those beyond what is listed."""
        listed = len(self.onward)
        return max([listed, *(each.hop.whole for each in self.onward)])


_GRANTS = f"""
SELECT g.id, g.label, k.permission::text
FROM identities_grant g
JOIN identities_grantversion v ON v.grant_id = g.id AND v.seen_until IS NULL
LEFT JOIN identities_knownpermission k ON k.digest = v.digest
WHERE g.identity_id = %s AND g.retired_at IS NULL
  AND (v.valid_from IS NULL OR v.valid_from <= now()) AND (v.valid_until IS NULL OR v.valid_until > now())
ORDER BY g.is_privileged DESC, g.label, g.id
LIMIT {MOST_GRANTS + 1}
"""  # noqa: S608 - constants of this module


def radius_of(identity_id: UUID, *, actor: Actor, instead: Instead | None = None) -> Radius:
    """The reach of one identity, which the actor may see; other identities keep their names to those who may.

    instead: permissions to take for those that some of its grants hold. The number of queries is fixed.
    """
    with connection.cursor() as cursor:
        cursor.execute(_GRANTS, [identity_id])
        rows = cursor.fetchall()
    changed = instead or {}
    held = [
        (grant_id, label, changed[grant_id] if grant_id in changed else _permission(written))
        for grant_id, label, written in rows[:MOST_GRANTS]
        if written is not None
    ]
    permissions = [permission for _, _, permission in held if not permission.is_empty or _denies(permission)]
    targets = _targets(held)
    hops = hops_of([identity_id], instead=changed).get(identity_id, ())
    return Radius(
        targets=targets[:MOST_TARGETS],
        primitives=primitives_of_all(permissions),
        breadth=_widest(permissions),
        onward=_onward(hops, actor),
        grants=len(held),
        unread=sum(written is None for _, _, written in rows),
        is_cut=len(rows) > MOST_GRANTS or len(targets) > MOST_TARGETS,
    )


def _denies(permission: Permission) -> list[Statement]:
    return [each for each in permission.statements if each.effect == "deny"]


def _targets(held: Sequence[tuple[UUID, str, Permission]]) -> list[Target]:
    """One per pattern, whichever grants lead there, the most harmful first in each segment."""
    denies: dict[str, list[Statement]] = {}
    for _, _, permission in held:
        denies.setdefault(permission.dialect, []).extend(_denies(permission))
    found: dict[tuple[str, str], tuple[str, set[str], dict[UUID, str]]] = {}
    for grant_id, label, permission in held:
        whole = Permission(
            permission.dialect, tuple(dict.fromkeys((*permission.statements, *denies[permission.dialect])))
        )
        for resource, segment, classes in _reached(whole):
            known = found.setdefault((permission.dialect, resource), (segment, set(), {}))
            known[1].update(classes)
            known[2][grant_id] = label
    listed = [
        Target(
            dialect,
            segment,
            *place_and_name(dialect, resource),
            resource,
            frozenset(classes),
            tuple(grants.items()),
        )
        for (dialect, resource), (segment, classes, grants) in found.items()
    ]
    return sorted(
        listed, key=lambda each: (SEGMENTS.index(each.segment), not each.is_privileged, each.place, each.name, each.key)
    )


@lru_cache(maxsize=4_096)
def _reached(permission: Permission) -> tuple[tuple[str, str, frozenset[str]], ...]:
    """(resource pattern, segment, classes) of everything that a permission allows."""
    spoken = dialects.get(permission.dialect)
    return tuple(
        (
            resource,
            spoken.segment(statement.actions.include, [resource]),
            frozenset().union(*(spoken.classes(action, resource) for action in statement.actions.include)),
        )
        for statement in effective(permission).statements
        if statement.effect == "allow"
        for resource in statement.resources.include
    )


def _widest(permissions: Iterable[Permission]) -> str | None:
    found = [breadth_of(each) for each in permissions if not each.is_empty]
    known = [ORDER.index(each) for each in found if each is not None]
    widest = ORDER[max(known)] if known else None
    return widest if None not in found or widest in (ACCOUNT, ORGANISATION) else None


def _onward(hops: Sequence[Hop], actor: Actor) -> list[Onward]:
    if not hops:
        return []
    ids = [hop.identity_id for hop in hops]
    visible = set(visible_identities(actor).filter(pk__in=ids).values_list("pk", flat=True))
    counted: dict[UUID, list[tuple[str, int, int]]] = {}
    rows = (
        Grant.objects.filter(identity__in=ids, retired_at=None)
        .values("identity", "segment")
        .annotate(count=Count("pk"), privileged=Count("pk", filter=Q(is_privileged=True)))
        .order_by("identity", "segment")
        .values_list("identity", "segment", "count", "privileged")
    )
    for identity, segment, count, privileged in rows:
        counted.setdefault(identity, []).append((segment, count, privileged))
    return [Onward(hop, tuple(counted.get(hop.identity_id, ())), hop.identity_id in visible) for hop in hops]


@dataclass(frozen=True, slots=True)
class Compared:
    """One target before and after a narrowing: it stays, shrinks (some of what could be done there), goes, is left."""

    target: Target
    becomes: str
    lost: frozenset[str] = frozenset()


def compare(before: Radius, after: Radius) -> list[Compared]:
    """Every target of either, what goes first."""
    later: Mapping[tuple[str, str], Target] = {each.key: each for each in after.targets}
    earlier = {each.key for each in before.targets}
    found = [*_seen_before(before.targets, later)]
    found += [Compared(each, "is left") for each in after.targets if each.key not in earlier]
    order = ("goes", "shrinks", "is left", "stays")
    return sorted(found, key=lambda each: order.index(each.becomes))


def _seen_before(targets: Iterable[Target], later: Mapping[tuple[str, str], Target]) -> Iterator[Compared]:
    for each in targets:
        kept = later.get(each.key)
        if kept is None:
            yield Compared(each, "goes", each.classes)
        else:
            lost = each.classes - kept.classes
            yield Compared(each, "shrinks" if lost else "stays", lost)


@lru_cache(maxsize=4_096)
def _permission(written: str) -> Permission:
    return Permission.from_json(orjson.loads(written))
