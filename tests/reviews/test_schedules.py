import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from governance.kernel.errors import Conflict, Forbidden
from reviews.campaigns.due import StillUnderWay, open_due_campaigns, run_now
from reviews.campaigns.schedules import (
    InvalidSchedule,
    StaleSchedule,
    change_schedule,
    create_schedule,
    next_dates,
    pause_schedule,
    resume_schedule,
)
from reviews.models import Campaign, ReviewSchedule


@pytest.fixture
def draft(make, db):
    return {
        "name": "Quarterly",
        "rrule": "FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=1",
        "starts_at": make.NOW,
        "time_zone": "Europe/Berlin",
        "interval_reason": "Access changes slowly here, and incidents were none.",
        "fallback_reviewer": make.person(Role.REVIEWER),
    }


@pytest.fixture
def planner(make, db):
    return make.person(Role.CAMPAIGN_MANAGER)


def test_a_schedule_knows_its_next_dates_and_leaves_one_record(make, draft, planner, verbs):
    schedule = create_schedule(**draft, actor=make.actor(planner), now=make.NOW)
    assert schedule.created_by == planner
    assert [date.month for date in next_dates(schedule, after=make.NOW)] == [6, 9, 12, 3, 6]
    assert schedule.next_due_at == next_dates(schedule, 1, after=make.NOW)[0]
    assert verbs() == ["schedule.created"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "  "),
        ("name", "x" * 121),
        ("rrule", "FREQ=SECONDLY"),
        ("time_zone", "Mars/Phobos"),
        ("interval_reason", "so"),
        ("duration_days", 0),
        ("duration_days", 367),
        ("item_kinds", []),
        ("item_kinds", ["grant", "grant"]),
        ("item_kinds", ["unicorn"]),
        ("reviewer_rules", []),
        ("reviewer_rules", ["owner", "boss"]),
        ("deadline_policy", "approve"),
        ("scope", "colour=red"),
        ("scope", "owner=me"),
        ("scope", "retired=yes"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused_at_its_field(make, draft, planner, field, value):
    with pytest.raises(InvalidSchedule) as refusal:
        create_schedule(**(draft | {field: value}), actor=make.actor(planner), now=make.NOW)
    assert list(refusal.value.details["fields"]) == [field]


@pytest.mark.parametrize("field", ["fallback_reviewer", "independent_reviewer"])
def test_nobody_who_left_is_planned_with(make, draft, planner, field):
    draft[field] = make.person(is_active=False)
    with pytest.raises(InvalidSchedule) as refusal:
        create_schedule(**draft, actor=make.actor(planner), now=make.NOW)
    assert list(refusal.value.details["fields"]) == [field]


def test_two_schedules_never_share_a_name(make, draft, planner):
    create_schedule(**draft, actor=make.actor(planner), now=make.NOW)
    with pytest.raises(InvalidSchedule):
        create_schedule(**draft, actor=make.actor(planner), now=make.NOW)


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.OWNER, Role.AUDITOR])
def test_others_cannot_plan(make, draft, role):
    with pytest.raises(Forbidden):
        create_schedule(**draft, actor=make.actor(make.person(role)), now=make.NOW)


def test_a_campaign_manager_cannot_touch_the_schedule_of_another(make, draft, planner):
    schedule = create_schedule(**draft, actor=make.actor(planner), now=make.NOW)
    other = make.actor(make.person(Role.CAMPAIGN_MANAGER))
    with pytest.raises(Forbidden):
        change_schedule(schedule=schedule, version=1, changes={"duration_days": 3}, actor=other, now=make.NOW)
    with pytest.raises(Forbidden):
        run_now(schedule=schedule, actor=other, now=make.NOW)


def test_a_change_moves_the_next_date_and_names_what_changed(make, draft, planner, verbs):
    me = make.actor(planner)
    schedule = create_schedule(**draft, actor=me, now=make.NOW)
    changed = change_schedule(schedule=schedule, version=1, changes={"rrule": "FREQ=WEEKLY"}, actor=me, now=make.NOW)
    assert changed.next_due_at == make.NOW
    assert verbs() == ["schedule.changed", "schedule.created"]
    with pytest.raises(StaleSchedule):
        change_schedule(schedule=schedule, version=1, changes={"duration_days": 3}, actor=me, now=make.NOW)
    with pytest.raises(InvalidSchedule):
        change_schedule(schedule=schedule, version=2, changes={"next_due_at": None}, actor=me, now=make.NOW)


@pytest.mark.django_db
def test_a_paused_schedule_opens_nothing_and_does_not_catch_up_when_resumed(make, verbs):
    schedule = make.schedule(next_due_at=make.NOW)
    boss = make.actor(make.person(Role.ADMINISTRATOR))
    pause_schedule(schedule=schedule, actor=boss, now=make.NOW)
    assert open_due_campaigns(now=make.NOW + timedelta(days=5)) == []
    with pytest.raises(Conflict):
        pause_schedule(schedule=schedule, actor=boss, now=make.NOW)
    resumed = resume_schedule(schedule=schedule, actor=boss, now=make.NOW + timedelta(days=5, hours=1))
    assert resumed.next_due_at == make.NOW + timedelta(days=6)
    assert verbs() == ["schedule.paused", "schedule.resumed"]


@pytest.mark.django_db
def test_a_due_date_makes_one_campaign_however_often_it_is_asked(make, verbs):
    schedule = make.schedule()
    [campaign] = open_due_campaigns(now=make.NOW)
    assert open_due_campaigns(now=make.NOW) == []
    schedule.refresh_from_db()
    assert (campaign.scheduled_for, schedule.next_due_at) == (make.NOW, make.NOW + timedelta(days=1))
    assert campaign.manager == schedule.created_by
    assert verbs() == ["campaign.created"]


@pytest.mark.django_db
def test_the_database_is_the_last_guard_of_one_campaign_per_date(make):
    schedule = make.schedule()
    open_due_campaigns(now=make.NOW)
    ReviewSchedule.objects.filter(pk=schedule.pk).update(next_due_at=make.NOW)
    assert open_due_campaigns(now=make.NOW) == []
    assert Campaign.objects.count() == 1
    schedule.refresh_from_db()
    assert schedule.next_due_at > make.NOW


@pytest.mark.django_db
def test_after_a_long_pause_only_the_latest_date_is_caught_up_and_the_others_are_named(make):
    schedule = make.schedule(duration_days=10)
    now = make.NOW + timedelta(days=4, hours=2)
    [campaign] = open_due_campaigns(now=now)
    assert campaign.scheduled_for == make.NOW + timedelta(days=4)
    assert campaign.deadline_at == now + timedelta(days=10)
    payload = AuditEvent.objects.get(verb="campaign.created").payload
    assert '"missed_count":4' in payload
    schedule.refresh_from_db()
    assert schedule.next_due_at == make.NOW + timedelta(days=5)


@pytest.mark.django_db
def test_a_rule_that_ended_falls_due_no_more(make):
    schedule = make.schedule(rrule="FREQ=DAILY;COUNT=1")
    assert len(open_due_campaigns(now=make.NOW)) == 1
    schedule.refresh_from_db()
    assert schedule.next_due_at is None


@pytest.mark.django_db
def test_one_schedule_that_lost_its_time_zone_does_not_stop_the_others(make):
    make.schedule(time_zone="Atlantis/Capital", next_due_at=make.NOW - timedelta(hours=1))
    make.schedule()
    assert len(open_due_campaigns(now=make.NOW)) == 2


@pytest.mark.django_db
def test_running_now_leaves_the_calendar_as_it_is(make, verbs):
    schedule = make.schedule(next_due_at=make.NOW + timedelta(days=3))
    boss = make.actor(make.person(Role.ADMINISTRATOR))
    campaign = run_now(schedule=schedule, actor=boss, now=make.NOW)
    schedule.refresh_from_db()
    assert campaign.scheduled_for == make.NOW
    assert schedule.next_due_at == make.NOW + timedelta(days=3)
    assert verbs() == ["campaign.created"]


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["draft", "opening", "open"])
def test_a_schedule_is_not_run_again_while_a_review_of_it_is_under_way(make, state):
    schedule, boss = make.schedule(), make.actor(make.person(Role.ADMINISTRATOR))
    running = run_now(schedule=schedule, actor=boss, now=make.NOW)
    Campaign.objects.filter(pk=running.pk).update(state=state)

    with pytest.raises(StillUnderWay) as refused:
        run_now(schedule=schedule, actor=boss, now=make.NOW + timedelta(minutes=1))

    assert refused.value.details == {"campaign": str(running.pk)}
    Campaign.objects.filter(pk=running.pk).update(state="closed")
    assert run_now(schedule=schedule, actor=boss, now=make.NOW + timedelta(minutes=2)).pk != running.pk


def test_two_who_run_a_schedule_at_the_same_moment_start_one_review(committed_db, make):
    schedule, boss = make.schedule(), make.actor(make.person(Role.ADMINISTRATOR))

    def run(number: int) -> bool:
        try:
            run_now(schedule=schedule, actor=boss, now=make.NOW + timedelta(seconds=number))
        except StillUnderWay:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(run, range(4))) == [False, False, False, True]


@pytest.mark.django_db
def test_a_program_plans_in_the_name_of_a_person(make, draft):
    with pytest.raises(InvalidSchedule):
        create_schedule(**draft, actor=system_actor("demo"), now=make.NOW)
    boss = make.person(Role.CAMPAIGN_MANAGER)
    schedule = create_schedule(**draft, manager=boss, actor=system_actor("demo"), now=make.NOW)
    assert schedule.created_by == boss


def test_beats_at_once_make_one_campaign_per_date(committed_db, make):
    schedules = [make.schedule() for _ in range(3)]
    start, problems = threading.Barrier(4), []

    def beat():
        try:
            start.wait()
            open_due_campaigns(now=make.NOW)
        except Exception as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=beat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    open_due_campaigns(now=make.NOW)

    assert problems == []
    assert Campaign.objects.count() == len(schedules)
    assert AuditEvent.objects.filter(verb="campaign.created").count() == len(schedules)
