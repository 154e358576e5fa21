"""Everything that the report of one review says, as plain JSON: whole numbers, times in seconds, no names of people."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import BooleanField, Case, Count, F, Q, QuerySet, Value, When
from django.db.models.functions import Extract

from reviews.campaigns.closing import is_dated
from reviews.models import Campaign, CampaignFigures, Order
from reviews.policies.quality import THRESHOLDS
from reviews.quality.facts import given_in, is_opening_known
from reviews.quality.measuring import Sheet, sheets_of
from reviews.quality.overall import quality_figures
from reviews.quality.people import teams_of
from reviews.reports.answers import (
    SILENCE,
    Figures,
    answers_by_stage,
    by_author,
    decided_on,
    final_answers,
    on_time,
    progress_of,
)
from reviews.reports.burndown import burn_down
from reviews.reports.excess import excess_of
from reviews.reports.removal import removal_times
from reviews.reports.removed import removed_by
from reviews.states import OVER_CAMPAIGNS, CampaignState, OrderState

FORMAT = 1
# Raised whenever the arithmetic of what is kept changes; older rows are then counted anew.
KEPT_VERSION = 1
MOST_KEPT_AT_ONCE = 20
# Larger reviews are counted in the background while they run; a report never shows what is older than an hour.
LIVE_UP_TO = 5_000
COUNTED_EVERY = timedelta(minutes=15)
OLDEST_WHILE_RUNNING = timedelta(hours=1)
RUNNING = (CampaignState.OPEN, CampaignState.CLOSING)
# From here on people's answers do not change.


def campaign_report(campaign: Campaign, *, now: datetime, zone: ZoneInfo) -> Figures:
    """The report as of now. zone: on whose clock days begin. A fixed number of queries.

    What was answered in a review that is over is taken from its kept figures where they are there, and so is how people
    answered in a large one that runs, as of `people_as_of`. Orders are always counted now, for they go on. Shapes:
    docs/reports.md.
    """
    kept = kept_figures(campaign, now)
    is_over = campaign.state in OVER_CAMPAIGNS
    if kept and is_over:
        settled = kept.figures
    else:
        settled = answer_figures(campaign, until=now) | (
            _people(kept.figures) if kept else people_figures(campaign, until=now)
        )
    progress = settled["progress"]
    orders = _orders(campaign)
    return {
        "format": FORMAT,
        "campaign": _facts(campaign),
        "as_of": now,
        "people_as_of": kept.until if kept and not is_over else now,
        "time_zone": zone.key,
        "is_final": is_over,
        "progress": progress,
        "burn_down": _burn_down(campaign, progress, now, zone),
        "on_time": settled["on_time"],
        "answers": {
            "by": settled["by"],
            "rows": settled["rows"],
            "stages": settled["stages"],
            "teams": settled["teams"],
        },
        "silence": {
            "policy": campaign.deadline_policy,
            "unanswered": progress["expired"],
            "decided": [
                {"kind": row["kind"], "answer": row["answer"], "count": row["count"]}
                for row in settled["rows"]
                if row["by"] == SILENCE
            ],
        },
        "orders": orders,
        "excess": excess_of(campaign),
        "removed": removed_by(campaign),
        "restored": orders["states"].get(OrderState.RESTORED, 0),
        "reappeared": orders["states"].get(OrderState.REAPPEARED, 0),
        "quality": settled["quality"],
    }


def people_figures(campaign: Campaign, *, until: datetime) -> Figures:
    """How people answered: `quality`, and `teams` without names of people. Looks at every answer."""
    sheets = sheets_of(given_in(campaign, until=until))
    return {
        "quality": quality_figures(sheets.values(), is_known=is_opening_known(campaign)),
        "teams": _teams(campaign, sheets),
    }


def _people(figures: Figures) -> Figures:
    return {name: figures[name] for name in ("quality", "teams")}


def answer_figures(campaign: Campaign, *, until: datetime) -> Figures:
    """What was asked and answered, as the database counts it."""
    progress, rows = progress_of(campaign), final_answers(campaign, until=until)
    return {
        "progress": progress,
        "rows": rows,
        "by": by_author(rows),
        "on_time": on_time(progress, rows),
        "stages": answers_by_stage(campaign, until=until),
    }


def kept_figures(campaign: Campaign, now: datetime) -> CampaignFigures | None:
    """What was counted by the present arithmetic: after the last answer, or lately where a large review still runs."""
    if campaign.state not in OVER_CAMPAIGNS and not _is_large(campaign):
        return None
    kept = _counted().filter(campaign=campaign).first()
    if kept is None:
        return None
    if campaign.state in OVER_CAMPAIGNS:
        return kept if campaign.closed_at is not None and kept.until >= campaign.closed_at else None
    return kept if now - kept.until < OLDEST_WHILE_RUNNING else None


def keep_due_figures(*, now: datetime) -> int:
    """Count and keep what is said of reviews that are over, and of large ones that run; returns of how many.

    Leaves no audit record: it says nothing that the trail does not say, and may be thrown away and done again.
    """
    done = _counted().filter(until__gte=F("campaign__closed_at")).values("campaign")
    over = Campaign.objects.filter(state__in=OVER_CAMPAIGNS, opened_at__isnull=False, closed_at__isnull=False)
    due = list(over.exclude(pk__in=done).order_by("closed_at")[:MOST_KEPT_AT_ONCE])
    lately = _counted().filter(until__gt=now - COUNTED_EVERY).values("campaign")
    running = Campaign.objects.filter(state__in=RUNNING).exclude(pk__in=lately)
    due += [campaign for campaign in running if _is_large(campaign)]
    for campaign in due:
        figures = answer_figures(campaign, until=now) | people_figures(campaign, until=now)
        values = {"version": KEPT_VERSION, "until": now, "figures": figures, "made_at": now}
        with transaction.atomic(durable=True):
            CampaignFigures.objects.update_or_create(campaign=campaign, defaults=values)
    return len(due)


def _counted() -> QuerySet[CampaignFigures]:
    return CampaignFigures.objects.filter(version=KEPT_VERSION, figures__quality__policy=THRESHOLDS.to_json())


def _is_large(campaign: Campaign) -> bool:
    return sum(campaign.frozen.get("expected", {}).values()) > LIVE_UP_TO


def _teams(campaign: Campaign, sheets: Mapping[UUID, Sheet]) -> list[Figures]:
    return [
        {
            "team": line.name,
            "people": line.people,
            "answers": line.figures["answers"],
            "approved": line.figures["approved"],
            "bulk": line.figures["bulk"]["answers"],
            "median_ms": line.figures["time_per_decision"]["median_ms"],
        }
        for line in teams_of(campaign, sheets)
    ]


def _facts(campaign: Campaign) -> Figures:
    frozen = campaign.frozen
    return {
        "id": str(campaign.pk),
        "name": campaign.name,
        "state": str(campaign.state),
        "scope": campaign.scope,
        "round": campaign.round,
        "opened_at": campaign.opened_at,
        "deadline_at": campaign.deadline_at,
        "closed_at": campaign.closed_at,
        "completed_at": campaign.completed_at,
        "population": frozen.get("population"),
        "sources": [
            {"name": each["name"], "read_at": each.get("read_at"), "freshness": each.get("freshness")}
            for each in frozen.get("sources", [])
        ],
        "left_out": [{"name": each["name"], "questions": each["questions"]} for each in frozen.get("left_out", [])],
    }


def _burn_down(campaign: Campaign, progress: Figures, now: datetime, zone: ZoneInfo) -> list[Figures]:
    if campaign.opened_at is None:
        return []
    ended = campaign.closed_at
    points = burn_down(
        decided_on(campaign, zone),
        progress["asked"],
        first=campaign.opened_at.astimezone(zone).date(),
        today=now.astimezone(zone).date(),
        deadline=campaign.deadline_at.astimezone(zone).date(),
        ended=ended.astimezone(zone).date() if ended else None,
    )
    return [{"day": point.day, "open": point.open, "planned": point.planned} for point in points]


def _orders(campaign: Campaign) -> Figures:
    """Orders by state and the times of the verified ones. Restorations carry no decision and are not counted again."""
    orders = Order.objects.filter(item__campaign=campaign, decision__isnull=False).order_by()
    verified = Q(state=OrderState.VERIFIED, verified_at__isnull=False)
    took = Extract(F("verified_at") - F("decision__decided_at"), "epoch")
    seconds = [max(0, int(each)) for each in orders.filter(verified).values_list(took, flat=True)]
    counted = (
        orders.exclude(verified)
        .annotate(waits=Case(When(is_dated(), then=Value(True)), default=Value(False), output_field=BooleanField()))
        .values_list("state", "waits")
        .annotate(n=Count("pk"))
    )
    others = {(state, waits): count for state, waits, count in counted}
    states = Counter({str(OrderState.VERIFIED): len(seconds)})
    for (state, _), count in others.items():
        states[state] += count
    return {
        "states": {state.value: states[state.value] for state in OrderState if states[state.value]},
        **removal_times(seconds, others),
    }
