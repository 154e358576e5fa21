"""Who may see which part of the inventory, and the lists of it.

Objects that need authorisation are reached through `access_*` alone, which answers "absent" and "not yours" alike.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import NotFound
from identities.models import (
    Credential,
    Grant,
    GrantVersion,
    Identity,
    IdentityStatus,
    Source,
    SyncRun,
)
from identities.selectors.filters import InventoryFilter
from identities.selectors.use import with_last_use

SEES_EVERYTHING = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER, Role.AUDITOR)
# Paths that belong to nobody alone: taking them from one identity would take them from all, so a campaign asks about
# them only when its scope names them.
SHARED_PATHS = ("public",)


def sees_everything(actor: Actor) -> bool:
    """Whether the actor may read the whole inventory."""
    if actor.kind is ActorKind.PERSON:
        return actor.has_role(*SEES_EVERYTHING)
    return actor.kind is ActorKind.SYSTEM or "inventory:read" in actor.scopes


def visible_identities(actor: Actor) -> QuerySet[Identity]:
    """Every identity the actor may see: all for reviewers and auditors, their own for owners."""
    identities = Identity.objects.all()
    if sees_everything(actor):
        return identities
    person = actor.person_id
    if person is None:
        return identities.none()
    mine = Q(owner=person) | Q(backup_owner=person) | Q(sponsor=person) | Q(team__members=person)
    return identities.filter(pk__in=Identity.objects.filter(mine).values("pk"))


def list_identities(*, actor: Actor, filters: InventoryFilter, now: datetime) -> QuerySet[Identity]:
    """The inventory list: filtered, visible to the actor, with counts and the environment and purpose that hold.

    Unordered; the edge orders and pages.
    """
    return with_facts(filtered(visible_identities(actor), filters, actor=actor, now=now))


def with_facts(identities: QuerySet[Identity]) -> QuerySet[Identity]:
    """Load beside each row what a page shows of it."""
    return identities.select_related("source", "owner")


def filtered(
    identities: QuerySet[Identity], filters: InventoryFilter, *, actor: Actor | None, now: datetime
) -> QuerySet[Identity]:
    """Apply the filter. "me" means the actor; without one it matches nothing."""
    identities = identities.filter(retired_at__isnull=filters.retired != "yes")
    if filters.q:
        identities = identities.filter(search_text__contains=filters.q.upper())
    if filters.source:
        identities = identities.filter(source__slug=filters.source)
    if filters.kind:
        identities = identities.filter(kind__in=filters.kind.split(","))
    if filters.status:
        identities = identities.filter(status__in=filters.status.split(","))
    if filters.environment:
        identities = identities.filter(effective_environment__in=filters.environment.split(","))
    if filters.team:
        identities = identities.filter(team_id=UUID(filters.team))
    identities = _by_owner(identities, filters.owner, actor)
    if filters.unused_days:
        limit = now - timedelta(days=int(filters.unused_days))
        silent = Q(last_seen_at=None, watched_since__lte=limit)
        identities = with_last_use(identities).filter(Q(last_seen_at__lte=limit) | silent)
    return _by_access(identities, filters)


def _by_owner(identities: QuerySet[Identity], owner: str, actor: Actor | None) -> QuerySet[Identity]:
    if not owner:
        return identities
    if owner == "none":
        return identities.filter(owner=None)
    if owner == "me":
        person = actor.person_id if actor else None
        return identities.filter(owner=person) if person else identities.none()
    return identities.filter(owner__email__iexact=owner)


def _by_access(identities: QuerySet[Identity], filters: InventoryFilter) -> QuerySet[Identity]:
    versions = GrantVersion.objects.filter(grant__identity=OuterRef("pk"), grant__retired_at=None, seen_until=None)
    if filters.segment:
        identities = identities.filter(Exists(versions.filter(segment__in=filters.segment.split(","))))
    if filters.privileged:
        holds = Exists(versions.filter(is_privileged=True))
        identities = identities.filter(holds if filters.privileged == "yes" else ~holds)
    return identities


def list_population_grants(*, filters: InventoryFilter, actor: Actor | None, now: datetime) -> QuerySet[GrantVersion]:
    """The current grant versions that a campaign with this scope asks about, with grant, identity and source.

    `segment`, `privileged` and `path` narrow the grants themselves, so a review of privileged access asks only about
    privileged grants and not about everything else that the same identities hold.
    """
    identities = filtered(Identity.objects.all(), filters, actor=actor, now=now)
    versions = GrantVersion.objects.filter(
        seen_until=None, grant__retired_at=None, grant__identity__in=identities.values("pk")
    ).select_related("grant", "grant__identity", "grant__source")
    if filters.segment:
        versions = versions.filter(segment__in=filters.segment.split(","))
    if filters.privileged:
        versions = versions.filter(is_privileged=filters.privileged == "yes")
    if filters.path:
        return versions.filter(_held_by(filters.path.split(",")))
    return versions.exclude(_held_by(SHARED_PATHS))


def _held_by(kinds: tuple[str, ...] | list[str]) -> Q:
    held = Q(pk=None)
    for kind in kinds:
        held |= Q(grant__path__contains=[{"kind": kind}])
    return held


def list_population_credentials(
    *, filters: InventoryFilter, actor: Actor | None, now: datetime
) -> QuerySet[Credential]:
    """The live credentials that a campaign with this scope asks about."""
    identities = filtered(Identity.objects.all(), filters, actor=actor, now=now)
    return Credential.objects.filter(
        retired_at=None, status=IdentityStatus.ACTIVE, identity__in=identities.values("pk")
    ).select_related("identity", "source")


def access_identity(*, actor: Actor, identity_id: UUID | str) -> Identity:
    """One identity with its facts, or NotFound when it is absent or not the actor's to see."""
    identity = with_facts(visible_identities(actor).filter(pk=identity_id)).first()
    if identity is None:
        raise NotFound("There is no such identity, or it is not yours to see.")
    return identity


def access_grant(*, actor: Actor, grant_id: UUID | str) -> Grant:
    """One grant, or NotFound."""
    grant = (
        Grant.objects.filter(pk=grant_id, identity__in=visible_identities(actor).values("pk"))
        .select_related("source", "identity", "identity__owner")
        .first()
    )
    if grant is None:
        raise NotFound("There is no such grant, or it is not yours to see.")
    return grant


def list_current_grants(identity: Identity) -> QuerySet[GrantVersion]:
    """What the identity holds now, privileged first."""
    return (
        GrantVersion.objects.filter(grant__identity=identity, grant__retired_at=None, seen_until=None)
        .select_related("grant", "grant__source")
        .order_by("-is_privileged", "segment", "grant__label", "pk")
    )


def list_sources(*, actor: Actor) -> QuerySet[Source]:
    """All sources for those who see the inventory; for others the ones they own."""
    sources = Source.objects.select_related("owner")
    if sees_everything(actor) or actor.scopes & {"sync:write", "inventory:write"}:
        return sources
    return sources.filter(owner=actor.person_id) if actor.person_id else sources.none()


def access_source(*, actor: Actor, slug: str) -> Source:
    """One source by its slug, or NotFound."""
    source = list_sources(actor=actor).filter(slug=slug).first()
    if source is None:
        raise NotFound("There is no such source, or it is not yours to see.")
    return source


def access_sync_run(*, actor: Actor, run_id: UUID | str) -> SyncRun:
    """One run of a source that the actor may see, or NotFound."""
    run = (
        SyncRun.objects.filter(pk=run_id, source__in=list_sources(actor=actor).values("pk"))
        .select_related("source")
        .defer("held_payload")
        .first()
    )
    if run is None:
        raise NotFound("There is no such run, or it is not yours to see.")
    return run


def effective_owner_email(identity: Identity) -> str:
    """Whom people name as owner, else whom the source names; empty when nobody does."""
    return identity.owner.email if identity.owner else identity.source_owner
