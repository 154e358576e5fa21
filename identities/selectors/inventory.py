"""Who may see which part of the inventory, and the lists of it.

Objects that need authorisation are reached through `access_*` alone, which answers "absent" and "not yours" alike.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import NotFound
from identities.models import (
    Credential,
    Grant,
    GrantVersion,
    Identity,
    IdentityStatus,
    Source,
)
from identities.selectors.conditions import (
    first_seen_condition,
    grant_conditions,
    held_by,
    holding_conditions,
    identity_conditions,
)
from identities.selectors.filters import OF_THE_LISTED, InventoryFilter
from identities.selectors.unused import credential_use_condition, grant_use_condition, identity_use_condition

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
    return identities.filter(
        identity_conditions(filters, actor=actor, now=now),
        holding_conditions(filters),
        first_seen_condition(filters, now=now),
        identity_use_condition(filters, now=now),
        retired_at__isnull=filters.retired != "yes",
    )


def list_population_grants(*, filters: InventoryFilter, actor: Actor | None, now: datetime) -> QuerySet[GrantVersion]:
    """The current grant versions that a campaign with this scope asks about, with grant, identity and source.

    The same grants as `list_grants` gives for the filter, so a review of privileged access asks only about privileged
    grants; less those of shared paths that the scope does not name.
    """
    versions = GrantVersion.objects.filter(
        identity_conditions(filters, actor=actor, now=now, at="grant__identity__", grant="grant__"),
        grant_conditions(filters, at="grant__", facts=""),
        first_seen_condition(filters, now=now, at="grant__"),
        grant_use_condition(filters, now=now, at="grant__"),
        seen_until=None,
        grant__retired_at=None,
        grant__identity__retired_at__isnull=filters.retired != "yes",
    ).select_related("grant", "grant__identity", "grant__source")
    paths = filters.picked("path")
    if paths is None or paths.is_negated:
        return versions.exclude(held_by(SHARED_PATHS, "grant__"))
    return versions


def list_population_identities(*, filters: InventoryFilter, actor: Actor | None, now: datetime) -> QuerySet[Identity]:
    """The identities that a campaign about ownership with this scope asks about."""
    return filtered(Identity.objects.all(), filters, actor=actor, now=now)


def list_population_credentials(
    *, filters: InventoryFilter, actor: Actor | None, now: datetime
) -> QuerySet[Credential]:
    """The live credentials that a campaign with this scope asks about."""
    of_identity = replace(filters, **dict.fromkeys(OF_THE_LISTED, ""))
    identities = filtered(Identity.objects.all(), of_identity, actor=actor, now=now)
    return Credential.objects.filter(
        first_seen_condition(filters, now=now),
        credential_use_condition(filters, now=now),
        retired_at=None,
        status=IdentityStatus.ACTIVE,
        identity__in=identities.values("pk"),
    ).select_related("identity", "source")


def access_identity(
    *,
    actor: Actor,
    identity_id: UUID | str,
    shown: Callable[[QuerySet[Identity]], QuerySet[Identity]] = with_facts,
) -> Identity:
    """One identity, or NotFound when it is absent or not the actor's to see. shown: what is loaded beside it."""
    identity = shown(visible_identities(actor).filter(pk=identity_id)).first()
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


# What changes or feeds a source names it, and gets it back as the answer.
_SCOPES_OVER_SOURCES = frozenset({"sync:write", "inventory:write", "clients:narrow", "clients:restore"})


def list_sources(*, actor: Actor) -> QuerySet[Source]:
    """All sources for those who see the inventory; for others the ones they own."""
    sources = Source.objects.select_related("owner")
    if sees_everything(actor) or actor.scopes & _SCOPES_OVER_SOURCES:
        return sources
    return sources.filter(owner=actor.person_id) if actor.person_id else sources.none()


def access_source(*, actor: Actor, slug: str) -> Source:
    """One source by its slug, or NotFound."""
    source = list_sources(actor=actor).filter(slug=slug).first()
    if source is None:
        raise NotFound("There is no such source, or it is not yours to see.")
    return source


def effective_owner_email(identity: Identity) -> str:
    """Whom people name as owner, else whom the source names; empty when nobody does."""
    return identity.owner.email if identity.owner else identity.source_owner
