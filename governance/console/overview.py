"""The first page: what there is, what is open, what waits for whom, and whether the picture can be trusted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q
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
from identities.models import GrantVersion, Identity, Source
from identities.selectors.inventory import list_sources, sees_everything, visible_identities
from identities.selectors.sources import freshness_of
from identities.selectors.use import with_last_use
from reviews.models import Campaign, Order, ReviewItem
from reviews.states import SETTLED_ORDERS, CampaignState, ItemState, OrderState

DORMANT = timedelta(days=90)
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
    facts = _inventory(identities, now)
    context = {
        "has_inventory": facts["total"] > 0,
        "sees_all": sees_everything(actor),
        "tiles": _tiles(facts, actor),
        "use": _use(facts),
        "kinds": _kinds(identities),
        "campaigns": _campaigns(actor),
        "sources": [_source_line(source, now) for source in list_sources(actor=actor).order_by("name")],
        "events": _events(actor),
    }
    return render_page(request, "console/overview.html", context)


def _inventory(identities: Any, now: datetime) -> dict[str, int]:
    """Everything the tiles say about identities, in one pass."""
    privileged = GrantVersion.objects.filter(
        grant__identity=OuterRef("pk"), grant__retired_at=None, seen_until=None, is_privileged=True
    )
    limit = now - DORMANT
    silent = Q(last_seen_at=None, watched_since__isnull=False, watched_since__lte=limit)
    return (
        with_last_use(identities.filter(retired_at=None))
        .annotate(holds_privileged=Exists(privileged))
        .aggregate(
            total=Count("pk"),
            ownerless=Count("pk", filter=Q(owner=None)),
            privileged=Count("pk", filter=Q(holds_privileged=True)),
            used=Count("pk", filter=Q(last_seen_at__gt=limit)),
            dormant=Count("pk", filter=Q(last_seen_at__lte=limit) | silent),
            unseen=Count("pk", filter=Q(last_seen_at=None) & ~silent),
        )
    )


def _tiles(facts: dict[str, int], actor: Actor) -> list[dict[str, Any]]:
    identities = reverse("identities:identity_list")
    mine = ReviewItem.objects.filter(
        assignee=actor.person_id, state__in=UNDECIDED, campaign__state=CampaignState.OPEN
    ).count()
    tiles = [
        {"label": "Waiting for you", "value": mine, "url": reverse("reviews:inbox"), "tone": "warn" if mine else ""},
        {"label": "Identities", "value": facts["total"], "url": identities},
        {
            "label": "With privileged access",
            "value": facts["privileged"],
            "url": f"{identities}?privileged=yes",
            "tone": "warn" if facts["privileged"] else "",
        },
        {
            "label": "Nobody accountable",
            "value": facts["ownerless"],
            "url": f"{identities}?owner=none",
            "tone": "danger" if facts["ownerless"] else "success",
        },
    ]
    if sees_everything(actor):
        tiles.append(_order_tile())
    return tiles


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


def _use(facts: dict[str, int]) -> list[Segment]:
    return [
        Segment(facts["used"], "Used in the last 90 days", "success"),
        Segment(facts["dormant"], "Not seen for 90 days or more", "warn"),
        Segment(facts["unseen"], "Use not observable", "unknown"),
    ]


def _kinds(identities: Any) -> list[Segment]:
    counted = identities.filter(retired_at=None).values("kind").annotate(total=Count("pk")).order_by("-total")
    labels = dict(Identity._meta.get_field("kind").flatchoices)
    return [Segment(row["total"], str(labels.get(row["kind"], row["kind"])), "accent") for row in counted]


def _campaigns(actor: Actor) -> list[Progress]:
    campaigns = Campaign.objects.filter(state__in=[CampaignState.OPENING, CampaignState.OPEN, CampaignState.CLOSING])
    if not sees_everything(actor):
        campaigns = campaigns.filter(items__assignee=actor.person_id).distinct()
    counted = campaigns.annotate(
        total=Count("items"), waiting=Count("items", filter=Q(items__state__in=UNDECIDED))
    ).order_by("deadline_at")[:6]
    return [
        Progress(
            name=campaign.name,
            url=reverse("reviews:campaign_detail", args=[campaign.pk]),
            decided=campaign.total - campaign.waiting,
            total=campaign.total,
            deadline_at=campaign.deadline_at,
        )
        for campaign in counted
    ]


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
