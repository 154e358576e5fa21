"""How the whole programme of reviews stands over a period, beside the equally long one before. Plain JSON, no names.

What it says of answers comes from the kept figures of reviews that are over, what it says of the estate from the daily
measures; so it costs the same however many questions and identities there are. Where nothing was measured it says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Min, Q

from governance.kernel.actors import Actor
from identities.models import Source
from reviews.models import Answer, Campaign, CampaignFigures, EstateMeasure, Order, ReviewSchedule
from reviews.policies.calendar import InvalidRule, dates_after
from reviews.policies.quality import THRESHOLDS
from reviews.reports.campaign import KEPT_VERSION, Figures
from reviews.reports.estate import COLUMNS
from reviews.reports.period import Period
from reviews.selectors import list_campaigns
from reviews.states import ENDED_CAMPAIGNS, STOPPED_ORDERS, CampaignState, OrderState

FORMAT = 1
STUCK = (*sorted(STOPPED_ORDERS), OrderState.PARTIAL, OrderState.STILL_EFFECTIVE, OrderState.SESSIONS_REMAIN)
# What was called off proves nothing about how reviews end.
RUNNING = (CampaignState.OPENING, CampaignState.OPEN, CampaignState.CLOSING)
# How old a measure may be and still speak for today.
LATELY = timedelta(days=7)
MOST_REVIEWS = 40
MOST_SOURCES = 200
MOST_SCHEDULES = 50
NEXT_DATES = 5
EXPIRES_WITHIN = (30, 90)


def programme(period: Period, *, actor: Actor, now: datetime) -> Figures:
    """The report. actor: whose reviews are named one by one; numbers are over all. A fixed number of queries."""
    return {
        "format": FORMAT,
        "as_of": now,
        "period": {
            "first": period.first,
            "last": period.last,
            "days": period.days,
            "time_zone": period.zone.key,
            "before": {"first": period.before.first, "last": period.before.last},
        },
        "now": _now(now),
        "reviews": {"this": _reviews(period), "before": _reviews(period.before)},
        "removal": {"this": _removal(period), "before": _removal(period.before)},
        "trend": trend(period),
        "coverage": _coverage(now, period),
        "closed": _closed(period, actor),
        "next": next_dates(_schedules()),
    }


def _now(now: datetime) -> Figures:
    """What is under way at this moment, whatever the period."""
    running = Campaign.objects.filter(state__in=RUNNING).aggregate(
        running=Count("pk"), overdue=Count("pk", filter=Q(deadline_at__lt=now))
    )
    stuck: Any = (
        Order.objects.filter(state__in=STUCK)
        .order_by()
        .values("state")
        .annotate(count=Count("pk"), oldest=Min("state_since"))
    )
    expiring = Order.objects.filter(
        state=OrderState.PLANNED, decision__answer=Answer.APPROVE_UNTIL, execute_after__gte=now
    ).aggregate(
        **{
            f"within_{days}": Count("pk", filter=Q(execute_after__lt=now + timedelta(days=days)))
            for days in EXPIRES_WITHIN
        }
    )
    return running | {
        "stuck": sorted((dict(row) for row in stuck), key=lambda row: (-row["count"], row["state"])),
        "exceptions": expiring,
    }


def _kept(period: Period) -> Any:
    return CampaignFigures.objects.filter(
        campaign__state__in=ENDED_CAMPAIGNS,
        campaign__closed_at__gte=period.starts_at,
        campaign__closed_at__lt=period.ends_at,
        version=KEPT_VERSION,
        figures__quality__policy=THRESHOLDS.to_json(),
    )


def _reviews(period: Period) -> Figures:
    """What ended in the period. `uncounted`: ended so lately that their figures are not counted yet."""
    counts = Campaign.objects.filter(
        opened_at__isnull=False, closed_at__gte=period.starts_at, closed_at__lt=period.ends_at
    ).aggregate(
        ended=Count("pk", filter=Q(state__in=ENDED_CAMPAIGNS)),
        called_off=Count("pk", filter=Q(state=CampaignState.CANCELLED)),
    )
    rows = list(_kept(period).values_list("figures", flat=True))
    return counts | {"uncounted": max(0, counts["ended"] - len(rows))} | added_up(rows)


def added_up(rows: Iterable[Mapping[str, Any]]) -> Figures:
    """Kept figures of several reviews as one. Pure."""
    total = dict.fromkeys(
        ("asked", "decided", "in_time", "to_answer", "answers", "bulk", "approved", "approvable", "advised", "against"),
        0,
    )
    for row in rows:
        quality = row["quality"]
        evidence = quality["evidence"].values()
        for name, value in (
            ("asked", row["progress"]["asked"]),
            ("decided", row["progress"]["decided"]),
            ("in_time", row["on_time"]["count"]),
            ("to_answer", row["on_time"]["of"]),
            ("answers", quality["answers"]),
            ("bulk", quality["bulk"]["answers"]),
            ("approved", quality["approved"]["count"]),
            ("approvable", quality["approved"]["of"]),
            ("advised", sum(each["advised"] for each in evidence)),
            ("against", sum(each["against"] for each in evidence)),
        ):
            total[name] += value
    return total


_REMOVAL = """
SELECT count(*),
  count(*) FILTER (WHERE state = 'verified'),
  percentile_disc(0.5) WITHIN GROUP (ORDER BY took) FILTER (WHERE state = 'verified'),
  percentile_disc(0.9) WITHIN GROUP (ORDER BY took) FILTER (WHERE state = 'verified'),
  percentile_disc(0.5) WITHIN GROUP (ORDER BY CASE state WHEN 'verified' THEN took ELSE 'infinity'::float8 END),
  count(*) FILTER (WHERE state = 'restored')
FROM (
  SELECT ordered.state,
    greatest(0, extract(epoch FROM ordered.verified_at - decision.decided_at))::float8 AS took
  FROM reviews_order ordered JOIN reviews_decision decision ON decision.id = ordered.decision_id
  WHERE ordered.created_at >= %(begin)s AND ordered.created_at < %(end)s AND ordered.state <> 'recalled'
    AND NOT (
      decision.until IS NOT NULL AND decision.answer <> 'rotate'
      AND ordered.state IN ('planned', 'awaiting_second') AND ordered.attempts = 0
    )
) due
"""


def _removal(period: Period) -> Figures:
    """Orders placed in the period: how many are verified by now and how long that took, in seconds.

    As in the report of one review: what was called off, or waits for an agreed day, is not counted.
    """
    with connection.cursor() as cursor:
        cursor.execute(_REMOVAL, {"begin": period.starts_at, "end": period.ends_at})
        placed, verified, median, p90, of_all, restored = cursor.fetchone()
    return {
        "orders": placed,
        "verified": verified,
        "not_verified": placed - verified,
        "restored": restored,
        "median": _whole(median),
        "p90": _whole(p90),
        "of_all_median": _whole(of_all),
    }


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None or seconds == float("inf") else int(seconds)


# The latest measure of each source and tier within each span, added up.
_TREND = """
SELECT place, count(DISTINCT source_id), sum(identities), sum(too_much), sum(contained), sum(not_assessable)
FROM (
  SELECT DISTINCT ON (spans.place, measure.source_id, measure.is_privileged) spans.place, measure.*
  FROM unnest(%(begins)s::date[], %(ends)s::date[]) WITH ORDINALITY AS spans(begins, ends, place)
  JOIN reviews_estatemeasure measure ON measure.day > spans.begins AND measure.day <= spans.ends
  ORDER BY spans.place, measure.source_id, measure.is_privileged, measure.day DESC
) latest
GROUP BY place
"""


def trend(period: Period) -> list[Figures]:
    """Who holds too much at each point of the period and at the end of the one before it, which comes first.

    Each point takes the latest measure of every source since the point before; None where nothing was measured, and
    `sources` says of how many it speaks.
    """
    ends = [period.first - timedelta(days=1), *period.points()]
    begins = [ends[0] - timedelta(days=7 if period.unit == "week" else 31), *ends[:-1]]
    with connection.cursor() as cursor:
        cursor.execute(_TREND, {"begins": begins, "ends": ends})
        found = {row[0]: [int(each) for each in row[1:]] for row in cursor.fetchall()}
    names = ("sources", "identities", "too_much", "contained", "not_assessable")
    return [
        {"day": day, **dict(zip(names, found.get(place, [0, None, None, None, None]), strict=True))}
        for place, day in enumerate(ends, start=1)
    ]


def _coverage(now: datetime, period: Period) -> Figures:
    """What was reviewed lately, by source and tier, from the latest measure; sources without a late one are named."""
    oldest = now.astimezone(period.zone).date() - LATELY
    latest = (
        EstateMeasure.objects.filter(day__gt=oldest)
        .order_by("source_id", "is_privileged", "-day")
        .distinct("source_id", "is_privileged")
        .values("source_id", "is_privileged", "day", *COLUMNS)
    )
    by_source: dict[Any, list[Figures]] = {}
    for row in latest:
        by_source.setdefault(row.pop("source_id"), []).append(row)
    names = dict(Source.objects.order_by("name").values_list("pk", "name"))
    rows = [
        {"source": name, **row}
        for pk, name in names.items()
        for row in sorted(by_source.get(pk, []), key=lambda row: not row["is_privileged"])
        if row["identities"]
    ]
    return {
        "total": {name: sum(row[name] for row in rows) for name in COLUMNS},
        "rows": rows[: 2 * MOST_SOURCES],
        "not_measured": [name for pk, name in names.items() if pk not in by_source][:MOST_SOURCES],
        "measured": len(by_source),
        "sources": len(names),
    }


def _closed(period: Period, actor: Actor) -> list[Figures]:
    """The reviews that ended in the period and that the actor may see, the latest first."""
    rows = (
        _kept(period)
        .filter(campaign__in=list_campaigns(actor=actor).order_by().values("pk"))
        .select_related("campaign")
        .order_by("-campaign__closed_at", "campaign_id")[:MOST_REVIEWS]
    )
    return [_closed_line(row.campaign, row.figures) for row in rows]


def _closed_line(campaign: Campaign, figures: Mapping[str, Any]) -> Figures:
    quality = figures["quality"]
    return {
        "id": str(campaign.pk),
        "name": campaign.name,
        "closed_at": campaign.closed_at,
        **added_up([figures]),
        "median_ms": quality["time_per_decision"]["median_ms"],
        "worth_a_look": quality["worth_a_look"]["people"],
    }


def _schedules() -> Sequence[ReviewSchedule]:
    return list(
        ReviewSchedule.objects.filter(is_enabled=True, next_due_at__isnull=False).order_by("next_due_at", "pk")[
            :MOST_SCHEDULES
        ]
    )


def next_dates(schedules: Iterable[ReviewSchedule]) -> list[Figures]:
    """The next five dates of all these schedules together."""
    dates = []
    for schedule in schedules:
        if schedule.next_due_at is None:
            continue
        try:
            following = dates_after(
                schedule.rrule,
                starts_at=schedule.starts_at,
                time_zone=schedule.time_zone,
                after=schedule.next_due_at,
                count=NEXT_DATES - 1,
            )
        except InvalidRule:
            following = []
        dates += [(at, schedule.name, str(schedule.pk)) for at in (schedule.next_due_at, *following)]
    return [{"at": at, "schedule": name, "id": pk} for at, name, pk in sorted(dates)[:NEXT_DATES]]
