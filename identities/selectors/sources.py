"""Sources with what can be said about how far their picture can be trusted."""

from datetime import datetime, timedelta

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from governance.kernel.actors import Actor
from identities.models import Identity, Source, SyncRun, SyncState
from identities.selectors.inventory import list_sources


def freshness_of(source: Source, now: datetime) -> str:
    """fresh, stale, failed or never_read, in the words of governance.web.statuses."""
    if source.last_success_at is None:
        return "failed" if source.last_error else "never_read"
    if now - source.last_success_at > timedelta(seconds=source.freshness_limit_seconds):
        return "stale"
    return "failed" if source.last_error else "fresh"


def list_sources_with_facts(*, actor: Actor) -> QuerySet[Source]:
    """Visible sources by name, each with `identity_count`, `last_run_at`, `last_run_state` and `is_held`."""
    runs = SyncRun.objects.filter(source=OuterRef("pk")).exclude(state=SyncState.DRY_RUN).order_by("-started_at")
    identities = Identity.objects.filter(source=OuterRef("pk"), retired_at=None).order_by().values("source")
    return (
        list_sources(actor=actor)
        .annotate(
            identity_count=Coalesce(Subquery(identities.annotate(total=Count("pk")).values("total")), 0),
            last_run_at=Subquery(runs.values("started_at")[:1]),
            last_run_state=Subquery(runs.values("state")[:1]),
            is_held=Exists(runs.filter(state=SyncState.HELD)),
        )
        .order_by("name", "pk")
    )
