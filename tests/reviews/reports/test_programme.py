"""The programme over a period: added up from kept figures and daily measures, with gaps where there is nothing."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from governance.kernel.actors import Role
from reviews.campaigns.closing import cancel_campaign, close_due_campaigns
from reviews.decisions import decide
from reviews.models import Campaign, CampaignFigures, EstateMeasure, Order
from reviews.reports.campaign import campaign_report, keep_due_figures
from reviews.reports.period import Period
from reviews.reports.programme import next_dates, programme, trend

pytestmark = pytest.mark.django_db
UTC = ZoneInfo("UTC")


@pytest.fixture
def over(make):
    """`over(2, 1)`: a review that ended with two questions, one of them answered with revoke in time."""

    def go(asked, answered, **fields):
        grants = [make.grant(make.identity(owner=make.person(Role.OWNER))) for _ in range(asked)]
        campaign = make.campaign(**fields)
        for grant in grants[:answered]:
            item = make.get_item(campaign, grant)
            decide(item=item, version=1, answer="revoke", actor=make.actor(item.assignee), now=make.NOW)
        close_due_campaigns(now=make.NOW + timedelta(days=15))
        Campaign.objects.filter(pk=campaign.pk).update(closed_at=make.NOW + timedelta(days=15))
        return Campaign.objects.get(pk=campaign.pk)

    return go


def report(make, days=30, length=31, actor=None):
    now = make.NOW + timedelta(days=days)
    period = Period(now.date() - timedelta(days=length - 1), now.date(), UTC)
    return programme(period, actor=actor or make.actor(make.person(Role.AUDITOR)), now=now)


def measure(source, day, **counts):
    values = dict.fromkeys(
        (
            *("identities", "too_much", "contained", "not_assessable", "identities_reviewed_90"),
            *("identities_reviewed_365", "identities_never", "grants", "grants_reviewed_90"),
            *("grants_reviewed_365", "grants_never"),
        ),
        0,
    )
    values |= counts
    values["identities"] = values["too_much"] + values["contained"] + values["not_assessable"]
    return EstateMeasure.objects.create(
        source=source, day=day, is_privileged=False, measured_at=source.last_success_at, rule_version="x", **values
    )


def test_reviews_that_ended_are_added_up_from_what_was_kept_of_them(make, over):
    over(2, 1)
    assert report(make)["reviews"]["this"]["uncounted"] == 1
    assert keep_due_figures(now=make.NOW + timedelta(days=16)) == 1
    assert keep_due_figures(now=make.NOW + timedelta(days=16)) == 0

    found = report(make)

    this, before = found["reviews"]["this"], found["reviews"]["before"]
    assert (this["ended"], this["uncounted"], this["in_time"], this["to_answer"]) == (1, 0, 1, 2)
    assert (before["ended"], before["to_answer"]) == (0, 0)
    assert [row["asked"] for row in found["closed"]] == [2]


def test_what_was_kept_is_what_the_report_would_count_and_an_older_arithmetic_is_ignored(make, over):
    campaign = over(2, 1)
    now = make.NOW + timedelta(days=16)
    fresh = campaign_report(campaign, now=now, zone=UTC)
    keep_due_figures(now=now)
    assert campaign_report(campaign, now=now, zone=UTC) == fresh
    CampaignFigures.objects.update(version=0, figures={"quality": "of another kind"})
    assert campaign_report(campaign, now=now, zone=UTC) == fresh
    assert keep_due_figures(now=now) == 1


def test_a_large_review_that_runs_is_counted_in_the_background_and_once_more_when_it_is_over(make, over, monkeypatch):
    monkeypatch.setattr("reviews.reports.campaign.LIVE_UP_TO", 1)
    item, _ = make.item(), make.item()
    campaign, at = item.campaign, make.NOW + timedelta(minutes=5)
    Campaign.objects.update(frozen=campaign.frozen | {"expected": {"grant": 2}})
    campaign.refresh_from_db()
    assert keep_due_figures(now=at) == 2
    assert keep_due_figures(now=at + timedelta(minutes=10)) == 0
    decide(item=item, version=1, answer="approve", actor=make.actor(item.assignee), now=at)

    soon = campaign_report(campaign, now=at + timedelta(minutes=20), zone=UTC)
    late = campaign_report(campaign, now=at + timedelta(hours=2), zone=UTC)
    assert (soon["people_as_of"], soon["quality"]["answers"], soon["progress"]["decided"]) == (at, 0, 1)
    assert late["quality"]["answers"] == 1

    close_due_campaigns(now=make.NOW + timedelta(days=15))
    campaign.refresh_from_db()
    assert campaign_report(campaign, now=make.NOW + timedelta(days=15), zone=UTC)["quality"]["answers"] == 1
    assert keep_due_figures(now=make.NOW + timedelta(days=16)) == 2


def test_a_review_that_was_called_off_is_no_ended_one(make):
    campaign = make.item().campaign
    cancel_campaign(campaign=campaign, reason="x", actor=make.actor(campaign.manager), now=make.NOW)
    found = report(make)["reviews"]["this"]
    assert (found["ended"], found["called_off"], found["to_answer"]) == (0, 1, 0)


def test_a_manager_reads_every_number_and_only_their_own_reviews_by_name(make, over):
    mine = over(1, 1)
    keep_due_figures(now=make.NOW + timedelta(days=16))
    stranger = make.actor(make.person(Role.CAMPAIGN_MANAGER))
    assert [row["id"] for row in report(make, actor=make.actor(mine.manager))["closed"]] == [str(mine.pk)]
    assert report(make, actor=stranger)["closed"] == []
    assert report(make, actor=stranger)["reviews"]["this"]["ended"] == 1


def test_removal_is_timed_in_the_period_in_which_it_was_ordered(make, over):
    over(3, 3)
    orders = list(Order.objects.order_by("pk"))
    Order.objects.update(created_at=make.NOW)
    for order, hours in zip(orders[:2], (1, 4), strict=True):
        Order.objects.filter(pk=order.pk).update(state="verified", verified_at=make.NOW + timedelta(hours=hours))
    found = report(make)["removal"]
    assert found["this"] == {
        "orders": 3, "verified": 2, "not_verified": 1, "restored": 0,
        "median": 3600, "p90": 4 * 3600, "of_all_median": 4 * 3600,
    }  # fmt: skip
    assert found["before"]["orders"] == 0
    assert found["before"]["median"] is None

    Order.objects.filter(pk=orders[0].pk).update(state="recalled")
    Order.objects.filter(pk=orders[2].pk).update(state="failed")
    assert report(make)["removal"]["this"]["orders"] == 2
    assert report(make)["now"]["stuck"][0] | {"oldest": None} == {"state": "failed", "count": 1, "oldest": None}


def test_a_point_of_the_trend_takes_the_latest_measure_of_each_source_and_a_gap_stays_a_gap(make):
    one, two = make.source(), make.source()
    measure(one, date(2026, 3, 3), too_much=9)
    measure(one, date(2026, 3, 5), too_much=6, contained=2)
    measure(two, date(2026, 3, 4), contained=1, not_assessable=4)
    measure(one, date(2026, 3, 20), too_much=1, contained=7)
    points = trend(Period(date(2026, 3, 3), date(2026, 3, 23), UTC))
    assert [point["day"].day for point in points] == [2, 9, 16, 23]
    assert [point["too_much"] for point in points] == [None, 6, None, 1]
    assert points[1] == {
        "day": date(2026, 3, 9), "sources": 2, "identities": 13, "too_much": 6, "contained": 3, "not_assessable": 4
    }  # fmt: skip


def test_coverage_names_sources_without_a_late_measure(make):
    fresh, old = make.source(name="Fresh"), make.source(name="Old")
    measure(fresh, date(2026, 3, 31), too_much=1, grants=4, grants_reviewed_90=1, grants_never=3)
    measure(old, date(2026, 1, 1), too_much=1, grants=9)
    found = report(make)["coverage"]
    assert (found["total"]["grants"], found["total"]["grants_never"]) == (4, 3)
    assert found["not_measured"] == ["Old"]
    assert [row["source"] for row in found["rows"]] == ["Fresh"]


def test_the_next_five_dates_are_of_all_schedules_together(make):
    daily = make.schedule(name="Daily")
    weekly = make.schedule(name="Weekly", rrule="FREQ=WEEKLY", next_due_at=make.NOW + timedelta(hours=1))
    found = next_dates([daily, weekly])
    assert [row["schedule"] for row in found] == ["Daily", "Weekly", "Daily", "Daily", "Daily"]
    assert [row["at"] for row in found] == sorted(row["at"] for row in found)


def test_of_nothing_it_says_nothing(make):
    found = report(make)
    assert found["closed"] == found["next"] == found["now"]["stuck"] == []
    assert all(point["identities"] is None for point in found["trend"])


def test_it_costs_a_fixed_number_of_queries(make, over, django_assert_max_num_queries):
    for _ in range(3):
        over(2, 1)
    keep_due_figures(now=make.NOW + timedelta(days=16))
    auditor = make.actor(make.person(Role.AUDITOR))
    with django_assert_max_num_queries(15):
        report(make, actor=auditor)
