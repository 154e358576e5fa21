"""Everything that the report of one review says, as plain JSON: whole numbers, times in seconds, no names of people."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import BooleanField, Case, Value, When

from reviews.campaigns.closing import is_dated
from reviews.models import Campaign, CampaignFigures, Order
from reviews.policies.quality import THRESHOLDS
from reviews.quality.facts import Given, given_in, is_opening_known
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
from reviews.reports.removal import OrderFact, removal_times
from reviews.reports.removed import removed_by
from reviews.states import CampaignState, OrderState

FORMAT = 1
# Raised whenever the arithmetic of what is kept changes; older rows are then counted anew.
KEPT_VERSION = 1
MOST_KEPT_AT_ONCE = 20
# From here on people's answers do not change.
OVER = (CampaignState.CLOSED, CampaignState.COMPLETED, CampaignState.CANCELLED)


def campaign_report(campaign: Campaign, *, now: datetime, zone: ZoneInfo) -> Figures:
    """The report as of now. zone: on whose clock days begin. A fixed number of queries.

    What people answered in a review that is over is taken from its kept figures where they are there; its orders are
    always counted now, for they go on. Shapes: docs/reports.md.
    """
    progress, answers = progress_of(campaign), final_answers(campaign, until=now)
    people = kept_figures(campaign) or settled_figures(campaign, progress, answers, until=now)
    orders = _orders_of(campaign)
    return {
        "format": FORMAT,
        "campaign": _facts(campaign),
        "as_of": now,
        "time_zone": zone.key,
        "is_final": campaign.state in OVER,
        "progress": progress,
        "burn_down": _burn_down(campaign, progress, now, zone),
        "on_time": on_time(progress, answers),
        "answers": {
            "by": by_author(answers),
            "rows": answers,
            "stages": answers_by_stage(campaign, until=now),
            "teams": people["teams"],
        },
        "silence": {
            "policy": campaign.deadline_policy,
            "unanswered": progress["expired"],
            "decided": [
                {"kind": row["kind"], "answer": row["answer"], "count": row["count"]}
                for row in answers
                if row["by"] == SILENCE
            ],
        },
        "orders": {"states": _states(orders), **removal_times(orders)},
        "excess": excess_of(campaign),
        "removed": removed_by(campaign),
        "restored": sum(order.state == OrderState.RESTORED for order in orders),
        "reappeared": sum(order.state == OrderState.REAPPEARED for order in orders),
        "quality": people["quality"],
    }


def settled_figures(campaign: Campaign, progress: Figures, answers: Sequence[Figures], *, until: datetime) -> Figures:
    """What no longer changes once a review is over, without names of people; kept then (see `keep_due_figures`)."""
    given = given_in(campaign, until=until)
    return {
        "quality": quality_figures(given, is_known=is_opening_known(campaign)),
        "teams": _teams(campaign, given),
        "on_time": on_time(progress, answers),
        "by": by_author(answers),
        "progress": dict(progress),
    }


def kept_figures(campaign: Campaign) -> Figures | None:
    """The kept figures, where they were counted by the present arithmetic after the last answer."""
    if campaign.state not in OVER:
        return None
    kept = CampaignFigures.objects.filter(campaign=campaign, version=KEPT_VERSION).first()
    return kept.figures if kept and kept.figures["quality"]["policy"] == THRESHOLDS.to_json() else None


def keep_due_figures(*, now: datetime) -> int:
    """Count and keep what is said of reviews that are over and not counted yet; returns of how many.

    Leaves no audit record: it says nothing that the trail does not say, and may be thrown away and done again.
    """
    kept = CampaignFigures.objects.filter(version=KEPT_VERSION, figures__quality__policy=THRESHOLDS.to_json()).values(
        "campaign"
    )
    due = Campaign.objects.filter(state__in=OVER, opened_at__isnull=False).exclude(pk__in=kept).order_by("closed_at")
    total = 0
    for campaign in due[:MOST_KEPT_AT_ONCE]:
        figures = settled_figures(campaign, progress_of(campaign), final_answers(campaign, until=now), until=now)
        values = {"version": KEPT_VERSION, "until": now, "figures": figures, "made_at": now}
        with transaction.atomic(durable=True):
            CampaignFigures.objects.update_or_create(campaign=campaign, defaults=values)
        total += 1
    return total


def _teams(campaign: Campaign, given: Sequence[Given]) -> list[Figures]:
    return [
        {
            "team": line.name,
            "people": line.people,
            "answers": line.figures["answers"],
            "approved": line.figures["approved"],
            "bulk": line.figures["bulk"]["answers"],
            "median_ms": line.figures["time_per_decision"]["median_ms"],
        }
        for line in teams_of(campaign, given)
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


def _orders_of(campaign: Campaign) -> list[OrderFact]:
    """Restorations carry no decision and follow the order that they undo, so they are not counted again."""
    rows = (
        Order.objects.filter(item__campaign=campaign, decision__isnull=False)
        .annotate(waits=Case(When(is_dated(), then=Value(True)), default=Value(False), output_field=BooleanField()))
        .order_by()
        .values_list("state", "decision__decided_at", "verified_at", "waits")
    )
    return [OrderFact(*row) for row in rows.iterator(chunk_size=5000)]


def _states(orders: Sequence[OrderFact]) -> dict[str, int]:
    counts = Counter(str(order.state) for order in orders)
    return {state.value: counts[state.value] for state in OrderState if counts[state.value]}
