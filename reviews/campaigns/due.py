"""From a schedule's date to a campaign: exactly one per date, whatever crashes, overlaps or was missed."""

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, system_actor
from governance.kernel.errors import Conflict
from identities.services.request_keys import Once, remember, require_new
from reviews.campaigns.schedules import next_dates, require_schedule_manager
from reviews.models import Campaign, ReviewSchedule
from reviews.policies.calendar import InvalidRule, dates_between
from reviews.states import CampaignState

SCHEDULER = system_actor("scheduler")
UNDER_WAY = (CampaignState.DRAFT, CampaignState.OPENING, CampaignState.OPEN)
MOST_NAMED_DATES = 20


class StillUnderWay(Conflict):
    """A review of this schedule is open: another one would ask the same people the same. Close or cancel it first."""

    code = "review-under-way"
    title = "This review is under way"


def open_due_campaigns(*, now: datetime) -> list[Campaign]:
    """Draft the campaign of every schedule that is due, and have unfinished openings continued.

    Any number of beats may call it at once: a schedule is taken by one of them, and its date moves on in the same
    transaction. After a pause of the whole system only the latest missed date is caught up; the record names the rest.
    """
    opened: list[Campaign] = []
    while True:
        taken, campaign = _draft_one_due(now)
        if not taken:
            break
        if campaign is not None:
            opened.append(campaign)
    _continue_openings()
    return opened


def run_now(*, schedule: ReviewSchedule, actor: Actor, now: datetime, once: Once[Campaign] | None = None) -> Campaign:
    """Draft a campaign outside the calendar; the schedule's own dates stay as they are.

    once: the key of a request that must not be carried out twice. Raises Forbidden, StillUnderWay; with a key
    AlreadyDone, KeyReused.
    """
    require_schedule_manager(schedule, actor)
    with transaction.atomic(durable=True):
        if once is not None:
            require_new(once)
        _require_none_under_way(schedule)
        campaign = _draft(schedule, scheduled_for=now, now=now)
        _record(campaign, actor, now, {"run_now": True})
        if once is not None:
            campaign.refresh_from_db()
            remember(once, campaign, now=now)
    return campaign


def _require_none_under_way(schedule: ReviewSchedule) -> None:
    # Two who run it at the same moment wait here for each other.
    ReviewSchedule.objects.select_for_update().get(pk=schedule.pk)
    running = Campaign.objects.filter(schedule=schedule, state__in=UNDER_WAY).order_by("-scheduled_for").first()
    if running is not None:
        raise StillUnderWay(
            f"“{running.name}” is under way until {running.deadline_at:%-d %B %Y}. Close or cancel it first.",
            campaign=str(running.pk),
        )


def _draft_one_due(now: datetime) -> tuple[bool, Campaign | None]:
    with transaction.atomic(durable=True):
        schedule = (
            ReviewSchedule.objects.select_for_update(skip_locked=True)
            .filter(is_enabled=True, next_due_at__lte=now)
            .order_by("next_due_at", "pk")
            .first()
        )
        if schedule is None or schedule.next_due_at is None:
            return False, None
        due = _due_dates(schedule, now)
        following = _following(schedule, now)
        campaign = None
        try:
            with transaction.atomic():
                campaign = _draft(schedule, scheduled_for=due[-1], now=now)
        except IntegrityError:
            # The campaign of this date exists: somebody was faster, or the clock went back.
            campaign = None
        if campaign is not None:
            missed = [date.isoformat() for date in due[:-1]]
            _record(campaign, SCHEDULER, now, {"missed": missed[-MOST_NAMED_DATES:], "missed_count": len(missed)})
        ReviewSchedule.objects.filter(pk=schedule.pk).update(next_due_at=following)
    return True, campaign


def _due_dates(schedule: ReviewSchedule, now: datetime) -> list[datetime]:
    first = schedule.next_due_at
    assert first is not None  # noqa: S101 - the caller asked for it
    try:
        dates = dates_between(
            schedule.rrule, starts_at=schedule.starts_at, time_zone=schedule.time_zone, first=first, last=now
        )
    except InvalidRule:
        dates = []
    return dates or [first]


def _following(schedule: ReviewSchedule, now: datetime) -> datetime | None:
    try:
        dates = next_dates(schedule, count=1, after=now)
    except InvalidRule:
        # A time zone can vanish with an update of the system; the schedule then ends instead of stopping all others.
        return None
    return dates[0] if dates else None


def _draft(schedule: ReviewSchedule, *, scheduled_for: datetime, now: datetime) -> Campaign:
    campaign = Campaign.objects.create(
        schedule=schedule,
        scheduled_for=scheduled_for,
        name=f"{schedule.name}, {scheduled_for:%-d %B %Y}",
        scope=schedule.scope,
        item_kinds=schedule.item_kinds,
        reviewer_rules=schedule.reviewer_rules,
        fallback_reviewer_id=schedule.fallback_reviewer_id,
        independent_reviewer_id=schedule.independent_reviewer_id,
        deadline_policy=schedule.deadline_policy,
        policy=schedule.policy,
        manager_id=schedule.created_by_id,
        # From now on, not from the date: after a catch-up people still get all their days.
        deadline_at=now + timedelta(days=schedule.duration_days),
    )
    dispatch.after_commit("reviews.open_campaign", campaign_id=str(campaign.pk))
    return campaign


def _continue_openings() -> None:
    """Messages get lost and workers die; whoever is at work holds the row, so a second one leaves at once."""
    waiting = Campaign.objects.filter(state__in=[CampaignState.DRAFT, CampaignState.OPENING])
    with transaction.atomic(durable=True):
        for pk in waiting.values_list("pk", flat=True):
            dispatch.after_commit("reviews.open_campaign", campaign_id=str(pk))


def _record(campaign: Campaign, actor: Actor, now: datetime, context: dict[str, Any]) -> None:
    log.record(
        verb=Verb.CAMPAIGN_CREATED,
        actor=actor,
        subject=log.Subject("campaign", str(campaign.pk), "campaign"),
        now=now,
        new={"state": str(CampaignState.DRAFT), "deadline_at": campaign.deadline_at},
        context=context | {"schedule": str(campaign.schedule_id), "scheduled_for": campaign.scheduled_for},
    )
