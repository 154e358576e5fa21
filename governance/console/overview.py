"""The first page: what there is, what is open, what waits for whom, and whether the picture can be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.audit.selectors import TrailRow, list_events
from governance.console.estate import Estate, counted, estate_of
from governance.console.trail import READERS
from governance.console.trail_events import Event, present
from governance.kernel.actors import Actor
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.templatetags.remit import number, plural
from identities.models import Source
from identities.selectors.inventory import list_sources, sees_everything
from identities.selectors.sources import freshness_of
from reviews.models import Campaign, Order, ReviewItem
from reviews.states import SETTLED_ORDERS, CampaignState, ItemState, OrderState

MOST_CAMPAIGNS = 6
# Lines of what happened last, and how many events are read for them.
MOST_LINES, MOST_EVENTS = 8, 40
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


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of what happened last, as the timeline prints it. detail: about what, or how many times in a row."""

    at: datetime
    title: str
    detail: str
    who: str
    tone: str
    icon: str
    url: str


@require_safe
@page()
def overview(request: HttpRequest) -> HttpResponse:
    """The first page after signing in; owners see their own part."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    now = timezone.now()
    sources = list(list_sources(actor=actor).order_by("name"))
    estate = estate_of(actor=actor, sources=sources, now=now)
    context = {
        "sees_all": sees_everything(actor),
        "estate": estate,
        "tiles": _tiles(estate, actor),
        "campaigns": _campaigns(actor),
        "sources": [_source_line(source, now) for source in sources],
        "events": _events(actor),
    }
    return render_page(request, "console/overview.html", context)


def _tiles(estate: Estate, actor: Actor) -> list[dict[str, Any]]:
    identities = reverse("identities:identity_list")
    mine = ReviewItem.objects.filter(
        assignee=actor.person_id, state__in=UNDECIDED, campaign__state=CampaignState.OPEN
    ).count()
    tiles: list[dict[str, Any]] = [
        {"label": "Waiting for you", "value": mine, "url": reverse("reviews:inbox"), "tone": "warn" if mine else ""},
        {
            "label": "Identities",
            "value": estate.total,
            "url": identities,
            "note": f"hold {plural(estate.grants, 'grant,grants')}" if estate.grants else "",
        },
        {
            "label": "With privileged access",
            "value": estate.privileged,
            "shown": counted(estate.privileged),
            "url": f"{identities}?privileged=yes",
            "tone": "warn" if estate.privileged else "",
        },
        {
            "label": "Nobody accountable",
            "value": estate.ownerless,
            "shown": counted(estate.ownerless),
            "url": f"{identities}?owner=none",
            "tone": "danger" if estate.ownerless else "success",
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


def _events(actor: Actor) -> list[Happened]:
    """What happened last; what happened several times in a row is said once."""
    if not actor.has_role(*READERS):
        return []
    rows = list_events(limit=MOST_EVENTS).rows
    runs = [list(alike) for _, alike in groupby(rows, key=lambda row: (row.verb, row.actor_id, row.outcome))]
    shown = runs[:MOST_LINES]
    is_cut = len(runs) == len(shown) and len(rows) == MOST_EVENTS  # the last run may go on before what was read
    counts = [plural(len(run), "time,times") for run in shown]
    if is_cut:
        counts[-1] += " or more"
    events = present(run[0] for run in shown)
    return [_happened(event, run, count) for event, run, count in zip(events, shown, counts, strict=True)]


def _happened(event: Event, run: Sequence[TrailRow], count: str) -> Happened:
    if len(run) == 1:
        about = "" if run[0].subject_id == run[0].actor_id else event.subject
        return Happened(event.at, event.title, about, event.who, event.tone, event.icon, event.url)
    alike = f"{reverse('console:audit_trail')}?{urlencode({'verb': run[0].verb})}"
    return Happened(event.at, event.title, count, event.who, event.tone, event.icon, alike)
