"""The report of a real review, from the database."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from governance.kernel.actors import Role
from reviews.campaigns.closing import close_due_campaigns
from reviews.decisions import decide, recall
from reviews.models import Order
from reviews.reports.campaign import campaign_report
from reviews.reports.excess import excess_of

pytestmark = pytest.mark.django_db
UTC = ZoneInfo("UTC")


@pytest.fixture
def review(make):
    """`review("revoke", "", …)`: a campaign with one identity and one question per recommendation, and its items."""

    def go(*advice, permission=None, **fields):
        grants = [make.grant(make.identity(owner=make.person(Role.OWNER)), permission) for _ in advice]
        campaign = make.campaign(**fields)
        items = [make.get_item(campaign, grant) for grant in grants]
        for item, what in zip(items, advice, strict=True):
            item.recommendation = what
            item.recommended_target = make.NARROWER if what == "scope_down" else None
            item.save()
        return campaign, items

    return go


def answer(make, item, how, days=0, **more):
    item.refresh_from_db()
    me, now = make.actor(item.assignee), make.NOW + timedelta(days=days)
    return decide(item=item, version=item.version, answer=how, actor=me, now=now, reason="Because.", **more)


def verified(item, days, **fields):
    """The item's order as a later reading leaves it."""
    values = {"state": "verified", "verified_at": item.decided_at + timedelta(days=days)} | fields
    Order.objects.filter(item=item).update(**values)


def report_of(campaign, make, days=1, zone=UTC):
    campaign.refresh_from_db()
    return campaign_report(campaign, now=make.NOW + timedelta(days=days), zone=zone)


def test_a_review_that_is_over_says_who_answered_what_and_what_silence_did(make, review):
    campaign, items = review("revoke", "approve", "", "revoke", deadline_policy="keep_and_escalate")
    answer(make, items[0], "revoke", 1)
    answer(make, items[1], "approve", 2)
    recall(
        decision=answer(make, items[2], "approve", 3),
        actor=make.actor(items[2].assignee),
        now=make.NOW + timedelta(days=3),
    )
    close_due_campaigns(now=make.NOW + timedelta(days=14, hours=1))

    found = report_of(campaign, make, days=15)

    assert found["is_final"]
    assert found["answers"]["by"] == {"person": 2, "several": 0, "silence": 0, "carried": 0}
    assert [(row["answer"], row["count"]) for row in found["answers"]["rows"]] == [("approve", 1), ("revoke", 1)]
    assert found["on_time"] == {"count": 2, "of": 4}
    assert found["silence"] == {"policy": "keep_and_escalate", "unanswered": 2, "decided": []}
    assert [point["open"] for point in found["burn_down"]][:4] == [4, 3, 2, 2]
    assert found["progress"]["asked"] == 4


def test_silence_that_revokes_is_told_apart_from_people(make, review):
    campaign, items = review("revoke", "revoke", deadline_policy="revoke")
    answer(make, items[0], "approve", 1)
    close_due_campaigns(now=make.NOW + timedelta(days=14, hours=1))
    found = report_of(campaign, make, days=15)
    assert found["answers"]["by"] == {"person": 1, "several": 0, "silence": 1, "carried": 0}
    assert found["silence"]["decided"] == [{"kind": "grant", "answer": "revoke", "count": 1}]
    assert found["on_time"] == {"count": 1, "of": 2}


def test_every_ended_question_has_one_author(make, review):
    campaign, items = review("revoke", "approve", "", deadline_policy="revoke")
    answer(make, items[0], "not_mine")
    answer(make, items[1], "approve", 2)
    close_due_campaigns(now=make.NOW + timedelta(days=14, hours=1))
    found = report_of(campaign, make, days=15)
    assert sum(found["answers"]["by"].values()) == found["progress"]["decided"]
    assert sum(row["count"] for row in found["answers"]["rows"]) == found["progress"]["decided"]


def test_excess_falls_only_by_what_is_verified(make, review):
    campaign, items = review("revoke", "revoke", "approve", "")
    answer(make, items[0], "revoke")
    answer(make, items[1], "revoke")
    before = {"too_much": 2, "contained": 1, "not_assessable": 1}
    assert excess_of(campaign) == {"identities": 4, "before": before, "after": before, "is_cut": False}

    items[0].refresh_from_db()
    verified(items[0], 2)
    assert excess_of(campaign)["after"] == {"too_much": 1, "contained": 2, "not_assessable": 1}

    Order.objects.filter(item=items[0]).update(state="restored")
    assert excess_of(campaign)["after"] == before


@pytest.mark.parametrize(
    ("actions", "state"),
    [(["SELECT"], "contained"), (["SELECT", "INSERT"], "too_much")],
    ids=["inside what was recommended", "wider than that"],
)
def test_another_scope_counts_where_it_is_proved_to_lie_inside_the_recommended_one(make, review, actions, state):
    campaign, (item,) = review("scope_down")
    target = {
        "dialect": "postgresql",
        "statements": [{"actions": actions, "resources": ["table:ledger/public/payments"]}],
    }
    wide = make.NARROWER | {"statements": [{"actions": ["SELECT"], "resources": ["table:ledger/public/*"]}]}
    item.recommended_target = wide
    item.save()
    decision = item.decisions.create(
        answer="scope_down", target=target, proof={}, decided_by=item.assignee, decided_at=make.NOW
    )
    Order.objects.create(
        decision=decision,
        item=item,
        source_id=item.identity.source_id,
        identity_id=item.identity_id,
        grant_id=item.grant_id,
        action="narrow",
        state="verified",
        target=target,
        execute_after=make.NOW,
        verified_at=make.NOW,
    )
    assert excess_of(campaign)["after"][state] == 1


def test_orders_are_timed_to_their_verification_and_told_what_they_took(make, review):
    campaign, items = review("revoke", "revoke", "revoke", permission=make.HELD)
    for item in items:
        answer(make, item, "revoke")
    for item, days in zip(items[:2], (1, 3), strict=True):
        item.refresh_from_db()
        verified(item, days)
    found = report_of(campaign, make)
    assert found["orders"]["verified_median"] == 86_400
    assert found["orders"]["verified_p90"] == 3 * 86_400
    assert found["orders"]["of_all_median"] == 3 * 86_400
    assert found["orders"]["not_verified"] == 1
    assert found["removed"]["revoked"] == 2
    assert found["removed"]["cells"] == [
        {"segment": "databases", "class": "write", "count": 2},
        {"segment": "databases", "class": "read", "count": 2},
    ]


def test_days_begin_on_the_clock_of_the_reader(make, review):
    campaign, (item,) = review("approve")
    late = make.NOW.replace(hour=23, minute=30)
    item.refresh_from_db()
    decide(item=item, version=item.version, answer="approve", actor=make.actor(item.assignee), now=late)
    in_utc = report_of(campaign, make)["burn_down"]
    in_tokyo = report_of(campaign, make, zone=ZoneInfo("Asia/Tokyo"))["burn_down"]
    assert [point["open"] for point in in_utc][:2] == [0, 0]
    assert [point["open"] for point in in_tokyo][:2] == [1, 0]


def test_a_review_nobody_answered_yet_says_so_without_dividing(make, review):
    campaign, _ = review("revoke")
    found = report_of(campaign, make, days=0)
    assert found["on_time"] == {"count": 0, "of": 1}
    assert found["orders"]["verified_median"] is None
    assert found["quality"]["time_per_decision"]["median_ms"] is None


def test_it_costs_a_fixed_number_of_queries(make, review, django_assert_max_num_queries):
    campaign, items = review(*["revoke"] * 6)
    for item in items:
        answer(make, item, "revoke")
    campaign.refresh_from_db()
    with django_assert_max_num_queries(15):
        campaign_report(campaign, now=make.NOW + timedelta(days=1), zone=UTC)
