"""All grants as one list: who may do what, anywhere. A million of them cost no more than a hundred."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from governance.kernel.actors import Actor
from identities.models import Grant, GrantVersion, Source
from identities.selectors.conditions import first_seen_condition, grant_conditions, identity_conditions
from identities.selectors.filters import InventoryFilter
from identities.selectors.inventory import list_sources, sees_everything, visible_identities
from identities.selectors.unused import grant_use_condition

# What a row of the list shows; the rest, some of it large, stays in the database.
_COLUMNS = (
    *("id", "external_id", "label", "path", "revocability", "shared_with", "segment", "further_segments"),
    *("is_privileged", "first_seen_at", "last_changed_at", "retired_at", "source_id", "identity_id"),
    *("identity__name", "identity__kind", "identity__effective_environment", "source__slug", "source__name"),
)


def list_grants(*, actor: Actor, filters: InventoryFilter, now: datetime) -> QuerySet[Grant]:
    """The grants that fit the filter and that the actor may see, with identity and source. Unordered."""
    grants = Grant.objects.filter(
        identity_conditions(filters, actor=actor, now=now, at="identity__", grant=""),
        grant_conditions(filters),
        first_seen_condition(filters, now=now),
        grant_use_condition(filters, now=now),
        retired_at__isnull=filters.retired != "yes",
    )
    if not sees_everything(actor):
        grants = grants.filter(identity__in=visible_identities(actor).values("pk"))
    return grants.select_related("identity", "source").only(*_COLUMNS)


def current_contents(grant_ids: Iterable[UUID], *, is_whole: bool = False) -> dict[UUID, GrantVersion]:
    """What each of these grants says now, by grant: the sentences and the end, or, if `is_whole`, all of it."""
    versions = GrantVersion.objects.filter(grant__in=list(grant_ids), seen_until=None)
    if not is_whole:
        versions = versions.only("grant_id", "plain", "valid_until")
    return {version.grant_id: version for version in versions}


def known_total(actor: Actor, what: str) -> int | None:
    """How many of `what` ("identities", "grants" …) the readings counted, or None where only a part is visible.

    None also while nothing was counted, so that a list with rows is never called empty.
    """
    if not sees_everything(actor):
        return None
    totals: Iterable[dict[str, Any]] = list_sources(actor=actor).values_list("totals", flat=True)
    return sum(int(each.get(what, 0)) for each in totals) or None


def source_names(actor: Actor) -> list[tuple[str, str]]:
    """The sources to choose from, short name first."""
    sources: QuerySet[Source] = list_sources(actor=actor).order_by("name")
    return list(sources.values_list("slug", "name"))
