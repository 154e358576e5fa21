"""The inventory and the access in it as they were at a moment.

Versions are half-open: what was seen from noon until one o'clock is there at noon and gone at one. What a version does
not hold (label and path of a grant, and which identity held it) is taken back through the changes that readings wrote
since. What nobody can know, because a source had not been read completely yet, is said by `list_memories`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import Case, OuterRef, Q, QuerySet, Subquery, When

from governance.kernel.actors import Actor
from identities.models import (
    Grant,
    GrantVersion,
    Identity,
    IdentityVersion,
    Source,
    SyncMode,
    SyncRun,
    SyncState,
)
from identities.models.source import ON_REQUEST
from identities.selectors.holders import Moved, moved_since
from identities.selectors.inventory import list_sources, sees_everything, visible_identities
from identities.selectors.past_filter import PastFilter

Place = tuple[str, UUID, UUID]
"""Where a list of access stands: name of the identity at that time, its id, id of the grant."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What can be known of one source at a moment.

    known_since: when the source was first read completely, None if never; before that, absence says nothing.
    read_at, run_id: the last reading up to the moment, None if there was none: what is shown is the state of that time.
    """

    slug: str
    name: str
    known_since: datetime | None
    read_at: datetime | None
    is_known: bool
    run_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class PastAccess:
    """One grant as it was: what it allowed, who held it, how it was called and reached.

    is_in_force: whether the moment lies within the validity that the source gave it.
    """

    version: GrantVersion
    identity: IdentityVersion
    label: str
    path: list[dict[str, Any]]
    is_in_force: bool


@dataclass(frozen=True, slots=True)
class AccessPage:
    """A stretch of the list of access, in its order; `has_more` in the direction of reading."""

    rows: list[PastAccess]
    has_more: bool


# What pages and the API show: whole rows of four tables would cost more than finding them.
_OWN = tuple(field.attname for field in IdentityVersion._meta.concrete_fields)
_OTHERS = (
    *("source__slug", "source__name", "owner__name", "owner__email", "team__name"),
    *("identity__name", "identity__external_id", "identity__retired_at"),
)


def seen_at(at: datetime) -> Q:
    """The versions that hold at a moment: begun at or before it, not yet ended."""
    return Q(seen_from__lte=at) & (Q(seen_until=None) | Q(seen_until__gt=at))


def list_memories(*, actor: Actor, at: datetime, slug: str = "") -> list[Memory]:
    """What can be known of each source that the actor may see or holds identities of, by name."""
    complete = SyncRun.objects.filter(
        source=OuterRef("pk"),
        state=SyncState.APPLIED,
        mode=SyncMode.SNAPSHOT,
        is_complete=True,
        is_partial=False,
    ).order_by("started_at")
    first = SyncRun.objects.filter(source=OuterRef("pk"), state=SyncState.APPLIED).order_by("started_at")
    applied = SyncRun.objects.filter(
        source=OuterRef("pk"), state=SyncState.APPLIED, started_at__lte=at, observed_at__lte=at
    ).order_by("-started_at")
    sources = _sources_of(actor).annotate(
        # Nobody reads completely what Remit itself keeps; it is known since the first was given.
        known_since=Case(
            When(slug=ON_REQUEST, then=Subquery(first.values("observed_at")[:1])),
            default=Subquery(complete.values("observed_at")[:1]),
        ),
        read_at=Subquery(applied.values("observed_at")[:1]),
        run_id=Subquery(applied.values("pk")[:1]),
    )
    if slug:
        sources = sources.filter(slug=slug)
    return [
        Memory(slug, name, since, read, since is not None and since <= at, run)
        for slug, name, since, read, run in sources.order_by("name", "pk").values_list(
            "slug", "name", "known_since", "read_at", "run_id"
        )
    ]


def list_identities_as_of(*, actor: Actor, filters: PastFilter, at: datetime) -> QuerySet[IdentityVersion]:
    """The identities that were there, one version each, visible to the actor; unordered.

    Page by (name, identity_id): an index serves that order whatever the moment.
    """
    versions = past_identities(actor, filters, at)
    if filters.is_given:
        given = GrantVersion.objects.filter(seen_at(at), grant__source__slug=ON_REQUEST)
        versions = versions.filter(identity__in=given.values("grant__identity"))
    return versions.select_related("source", "owner", "team", "identity").only(*_OWN, *_OTHERS)


def access_as_of(identity: Identity, at: datetime) -> QuerySet[GrantVersion]:
    """What the identity held, privileged first, each with its grant as it is named now (see `as_they_were`)."""
    moved = moved_since(at)
    held = Q(grant__identity=identity)
    if moved:
        held = (held & ~Q(grant__in=moved.grants)) | Q(grant__in=moved.held_by(identity.pk))
    return (
        GrantVersion.objects.filter(held)
        .filter(seen_at(at))
        .select_related("grant", "grant__source")
        .order_by("-is_privileged", "segment", "grant__label", "pk")
    )


def identity_as_of(identity: Identity, at: datetime) -> IdentityVersion | None:
    """What the identity was, or None where it was not there."""
    return (
        IdentityVersion.objects.filter(seen_at(at), identity=identity).select_related("source", "owner", "team").first()
    )


def list_access_as_of(
    *,
    actor: Actor,
    filters: PastFilter,
    at: datetime,
    after: Place | None = None,
    backwards: bool = False,
    limit: int = 50,
    identity: Identity | None = None,
) -> AccessPage:
    """A stretch of all access that was there, identity by identity: up to `limit` rows beyond `after`.

    Five queries, whatever the place and the moment.
    """
    identities = past_identities(actor, filters, at)
    if identity is not None:
        identities = identities.filter(identity=identity)
    statement, parameters = _access_query(identities, filters, at, after, backwards=backwards, limit=limit + 1)
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found = cursor.fetchall()
    chosen = found[:limit]
    if backwards:
        chosen.reverse()
    return AccessPage(_past_access([(row[3], row[4]) for row in chosen], at), len(found) > limit)


def as_they_were(versions: Sequence[GrantVersion], holder: IdentityVersion, at: datetime) -> list[PastAccess]:
    """These versions of one holder with label and path of that time. One query."""
    before = members_before((version.grant_id for version in versions), at)
    return [_was(version, holder, before, at) for version in versions]


def members_before(grants: Iterable[UUID], at: datetime) -> dict[tuple[UUID, str], Any]:
    """`{(grant, "label"): "then"}`: label and path at a moment, of those grants where readings changed them since."""
    with connection.cursor() as cursor:
        cursor.execute(_MEMBERS, {"grants": list(grants), "at": at})
        return {(grant, member): orjson.loads(value) for grant, member, value in cursor.fetchall()}


# The earliest change after the moment says what a member was until then.
_MEMBERS = """
SELECT DISTINCT ON (c.object_id, member.name) c.object_id, member.name, (c.old -> member.name)::text
FROM identities_change c
JOIN identities_syncrun r ON r.id = c.run_id
CROSS JOIN (VALUES ('label'), ('path')) member(name)
WHERE c.object_id = ANY(%(grants)s) AND c.object_kind = 'grant' AND c.old ? member.name AND r.observed_at > %(at)s
ORDER BY c.object_id, member.name, c.id
"""
_ROWS = "SELECT iv.name, iv.identity_id, v.grant_id, v.id, iv.id"
_HELD_NOW = """
FROM ({identities}) iv
JOIN identities_grant g ON g.identity_id = iv.identity_id
JOIN identities_grantversion v ON v.grant_id = g.id
"""
_HELD_THEN = """
FROM unnest(%s::uuid[], %s::uuid[]) moved(grant_id, identity_id)
JOIN ({identities}) iv ON iv.identity_id = moved.identity_id
JOIN identities_grantversion v ON v.grant_id = moved.grant_id
"""
_SEEN = "v.seen_from <= %s AND (v.seen_until IS NULL OR v.seen_until > %s)"


def past_identities(actor: Actor, filters: PastFilter, at: datetime) -> QuerySet[IdentityVersion]:
    versions = IdentityVersion.objects.filter(seen_at(at))
    if not sees_everything(actor):
        versions = versions.filter(identity__in=visible_identities(actor).values("pk"))
    return filters.apply(versions, actor)


def _sources_of(actor: Actor) -> QuerySet[Source]:
    if sees_everything(actor):
        return list_sources(actor=actor)
    mine = Q(pk__in=visible_identities(actor).values("source"))
    return Source.objects.filter(mine | Q(pk__in=list_sources(actor=actor).values("pk")))


def _access_query(
    identities: QuerySet[IdentityVersion],
    filters: PastFilter,
    at: datetime,
    after: Place | None,
    *,
    backwards: bool,
    limit: int,
) -> tuple[str, list[Any]]:
    """One statement over the grants that have their holder still, and those that had another one."""
    inner, given = identities.order_by().values("id", "name", "identity_id").query.sql_with_params()
    moved = moved_since(at)
    order = "DESC" if backwards else "ASC"
    ending = f"ORDER BY 1 {order}, 2 {order}, 3 {order} LIMIT %s"
    where, where_given = _where(filters, at, after, backwards=backwards)
    statement = f"{_ROWS} {_HELD_NOW.format(identities=inner)} WHERE {where}"
    parameters = [*given, *where_given]
    if filters.is_given:
        # No reading brings these, so none has moved to another holder.
        statement += " AND g.source_id = (SELECT id FROM identities_source WHERE slug = %s)"
        parameters.append(ON_REQUEST)
        moved = Moved()
    if moved:
        statement += " AND g.id <> ALL(%s)"
        parameters.append(list(moved.grants))
    statement += f" {ending}"
    parameters.append(limit)
    if not moved:
        return statement, parameters
    then = f"{_ROWS} {_HELD_THEN.format(identities=inner)} WHERE {where} {ending}"
    parameters += [*moved.arrays, *given, *where_given, limit, limit]
    return f"({statement}) UNION ALL ({then}) {ending}", parameters


def _where(filters: PastFilter, at: datetime, after: Place | None, *, backwards: bool) -> tuple[str, list[Any]]:
    parts = [_SEEN]
    parameters: list[Any] = [at, at]
    if filters.privileged:
        parts.append("v.is_privileged" if filters.privileged == "yes" else "NOT v.is_privileged")
    if filters.segment:
        segments = filters.segment.split(",")
        parts.append("(v.segment = ANY(%s) OR v.further_segments && %s::varchar[])")
        parameters += [segments, segments]
    if after is not None:
        beyond = "<" if backwards else ">"
        # The first comparison alone lets the planner enter the index at the right place.
        parts.append(f"(iv.name, iv.identity_id) {beyond}= (%s, %s)")
        parts.append(f"(iv.name, iv.identity_id, v.grant_id) {beyond} (%s, %s, %s)")
        parameters += [*after[:2], *after]
    return " AND ".join(parts), parameters


def _past_access(pairs: Sequence[tuple[UUID, int]], at: datetime) -> list[PastAccess]:
    """Load what these pairs of a grant version and an identity version stand for, in their order. Three queries."""
    versions = GrantVersion.objects.select_related("grant", "grant__source").in_bulk([each for each, _ in pairs])
    holders = IdentityVersion.objects.select_related("source", "owner").in_bulk({each for _, each in pairs})
    before = members_before((version.grant_id for version in versions.values()), at)
    return [_was(versions[version], holders[holder], before, at) for version, holder in pairs]


def _was(
    version: GrantVersion, holder: IdentityVersion, before: Mapping[tuple[UUID, str], Any], at: datetime
) -> PastAccess:
    grant: Grant = version.grant
    return PastAccess(
        version=version,
        identity=holder,
        label=before.get((grant.pk, "label"), grant.label),
        path=before.get((grant.pk, "path"), grant.path),
        is_in_force=(version.valid_from is None or version.valid_from <= at)
        and (version.valid_until is None or version.valid_until > at),
    )
