"""The first page: what there is, what is open, what waits for whom, and whether the picture can be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.audit.selectors import list_events
from governance.console.trail import READERS, Event, present
from governance.kernel.actors import Actor
from governance.web.access import page
from governance.web.charts import Segment
from governance.web.htmx import render_page
from governance.web.templatetags.remit import number, plural
from identities.models import Identity, Source
from identities.selectors.inventory import list_sources, sees_everything, visible_identities
from identities.selectors.sources import freshness_of
from identities.selectors.use import with_last_use
from identities.views.picture import picture_context
from reviews.models import Campaign, Order, ReviewItem
from reviews.states import SETTLED_ORDERS, CampaignState, ItemState, OrderState

DORMANT = timedelta(days=90)
# Tiles count no further, and the charts look at about so many.
MOST_COUNTED = 10_000
SAMPLED = 10_000
MOST_CAMPAIGNS = 6
UNDECIDED = (ItemState.OPEN, ItemState.ATTESTED)
STOPPED = (
    OrderState.DRIFTED,
    OrderState.PARTIAL,
    OrderState.STILL_EFFECTIVE,
    OrderState.SESSIONS_REMAIN,
    OrderState.BLOCKED,
    OrderState.FAILED,
    OrderState.REAPPEARED,
)


@dataclass(frozen=True, slots=True)
class Progress:
    """One running campaign as the overview prints it."""

    name: str
    url: str
    decided: int
    total: int
    deadline_at: datetime


@dataclass(frozen=True, slots=True)
class Sample:
    """Identities by kind: `{"kind", "total", "used", "dormant"}`, the most frequent first."""

    rows: list[dict[str, Any]]

    @property
    def total(self) -> int:
        return self.sum_of("total")

    def sum_of(self, name: str) -> int:
        return sum(row[name] for row in self.rows)


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One source and how far its picture can be trusted."""

    name: str
    url: str
    freshness: str
    last_success_at: datetime | None
    problem: str


@require_safe
@page()
def overview(request: HttpRequest) -> HttpResponse:
    """The first page after signing in; owners see their own part."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    now = timezone.now()
    identities = visible_identities(actor)
    sources = list(list_sources(actor=actor).order_by("name"))
    facts = _inventory(identities, sources if sees_everything(actor) else [])
    sample = _sample(identities, facts["total"], now)
    context = {
        "has_inventory": facts["total"] > 0,
        "sees_all": sees_everything(actor),
        "tiles": _tiles(facts, actor),
        "use": _use(sample),
        "kinds": _kinds(sample),
        "sampled": sample.total if facts["total"] > SAMPLED else None,
        "campaigns": _campaigns(actor),
        "sources": [_source_line(source, now) for source in sources],
        "events": _events(actor),
    }
    if facts["total"]:
        context |= picture_context(actor=actor, now=now)
    return render_page(request, "console/overview.html", context)


def _inventory(identities: QuerySet[Identity], sources: Sequence[Source]) -> dict[str, int]:
    """What the tiles say of identities. None of it costs more for a larger inventory.

    sources: all of them, where the actor sees everything in them and what their readings counted is the total.
    """
    present = identities.filter(retired_at=None)
    return {
        "total": sum(source.totals.get("identities", 0) for source in sources) or present.count(),
        "grants": sum(source.totals.get("grants", 0) for source in sources),
        "privileged": _up_to_most(present.filter(privileged_count__gt=0)),
        "ownerless": _up_to_most(present.filter(owner=None)),
    }


def _up_to_most(rows: QuerySet[Any]) -> int:
    return rows.values("pk")[: MOST_COUNTED + 1].count()


def _counted(count: int) -> str:
    return f"{number(MOST_COUNTED)}+" if count > MOST_COUNTED else number(count)


# Always the same blocks, so that the charts stand still while nothing changes.
_ON_RANDOM_BLOCKS = "SELECT id FROM identities_identity TABLESAMPLE SYSTEM (%s) REPEATABLE (1)"


def _sample(identities: QuerySet[Identity], total: int, now: datetime) -> Sample:
    """Kinds and use of all identities, or, of many, of those that stand on blocks chosen at random."""
    present = identities.filter(retired_at=None)
    if total > SAMPLED:
        present = present.filter(pk__in=RawSQL(_ON_RANDOM_BLOCKS, [100 * SAMPLED / total]))  # noqa: S611 - a constant
    limit = now - DORMANT
    silent = Q(last_seen_at=None, watched_since__isnull=False, watched_since__lte=limit)
    counted = (
        with_last_use(present)
        .values("kind")
        .annotate(
            total=Count("pk"),
            used=Count("pk", filter=Q(last_seen_at__gt=limit)),
            dormant=Count("pk", filter=Q(last_seen_at__lte=limit) | silent),
        )
        .order_by("-total", "kind")
    )
    return Sample([dict(row) for row in counted])


def _tiles(facts: dict[str, int], actor: Actor) -> list[dict[str, Any]]:
    identities = reverse("identities:identity_list")
    mine = ReviewItem.objects.filter(
        assignee=actor.person_id, state__in=UNDECIDED, campaign__state=CampaignState.OPEN
    ).count()
    tiles: list[dict[str, Any]] = [
        {"label": "Waiting for you", "value": mine, "url": reverse("reviews:inbox"), "tone": "warn" if mine else ""},
        {
            "label": "Identities",
            "value": facts["total"],
            "url": identities,
            "note": f"hold {plural(facts['grants'], 'grant,grants')}" if facts["grants"] else "",
        },
        {
            "label": "With privileged access",
            "value": facts["privileged"],
            "shown": _counted(facts["privileged"]),
            "url": f"{identities}?privileged=yes",
            "tone": "warn" if facts["privileged"] else "",
        },
        {
            "label": "Nobody accountable",
            "value": facts["ownerless"],
            "shown": _counted(facts["ownerless"]),
            "url": f"{identities}?owner=none",
            "tone": "danger" if facts["ownerless"] else "success",
        },
    ]
    if sees_everything(actor):
        tiles.append(_order_tile())
    return [{"shown": number(tile["value"]), **tile} for tile in tiles]


def _order_tile() -> dict[str, Any]:
    counts = Order.objects.exclude(state__in=SETTLED_ORDERS).aggregate(
        under_way=Count("pk"), stopped=Count("pk", filter=Q(state__in=STOPPED))
    )
    return {
        "label": "Orders under way",
        "value": counts["under_way"],
        "note": f"{counts['stopped']} need a look" if counts["stopped"] else "",
        "url": reverse("reviews:order_list"),
        "tone": "danger" if counts["stopped"] else "",
    }


def _use(sample: Sample) -> list[Segment]:
    used, dormant = sample.sum_of("used"), sample.sum_of("dormant")
    return [
        Segment(used, "Used in the last 90 days", "success"),
        Segment(dormant, "Not seen for 90 days or more", "warn"),
        Segment(sample.total - used - dormant, "Use not observable", "unknown"),
    ]


def _kinds(sample: Sample) -> list[Segment]:
    labels = dict(Identity._meta.get_field("kind").flatchoices)
    return [Segment(row["total"], str(labels.get(row["kind"], row["kind"])), "accent") for row in sample.rows]


def _campaigns(actor: Actor) -> list[Progress]:
    campaigns = Campaign.objects.filter(state__in=[CampaignState.OPENING, CampaignState.OPEN, CampaignState.CLOSING])
    if not sees_everything(actor):
        campaigns = campaigns.filter(items__assignee=actor.person_id).distinct()
    shown = list(campaigns.order_by("deadline_at")[:MOST_CAMPAIGNS])
    # Counted for these alone, and from an index.
    items = ReviewItem.objects.filter(campaign__in=[campaign.pk for campaign in shown]).order_by().values("campaign")
    counted = {
        row["campaign"]: row
        for row in items.annotate(total=Count("pk"), waiting=Count("pk", filter=Q(state__in=UNDECIDED)))
    }
    return [_progress(campaign, counted.get(campaign.pk, {"total": 0, "waiting": 0})) for campaign in shown]


def _progress(campaign: Campaign, counts: Mapping[str, Any]) -> Progress:
    return Progress(
        name=campaign.name,
        url=reverse("reviews:campaign_detail", args=[campaign.pk]),
        decided=counts["total"] - counts["waiting"],
        total=counts["total"],
        deadline_at=campaign.deadline_at,
    )


def _source_line(source: Source, now: datetime) -> SourceLine:
    return SourceLine(
        name=source.name,
        url=reverse("identities:source_detail", args=[source.slug]),
        freshness=freshness_of(source, now),
        last_success_at=source.last_success_at,
        problem=source.last_error,
    )


def _events(actor: Actor) -> list[Event]:
    return present(list_events(limit=8).rows) if actor.has_role(*READERS) else []
