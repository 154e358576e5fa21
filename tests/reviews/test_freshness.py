"""A review over sources that were not read for too long: warned, without them, or waiting; never empty and never silent."""

from datetime import timedelta

import pytest

from governance import dispatch
from governance.kernel.actors import Role, system_actor
from governance.kernel.errors import Forbidden
from identities.models import Source
from reviews.campaigns import opening
from reviews.campaigns.closing import ReasonMissing, release_campaign
from reviews.campaigns.due import open_due_campaigns
from reviews.campaigns.gate import NotHeld
from reviews.campaigns.opening import open_campaign
from reviews.campaigns.plans import CampaignPlan, unsaved_campaign
from reviews.campaigns.preview import preview_campaign
from reviews.policies import InvalidPolicy, checked
from reviews.policies.freshness import Freshness, Stale

pytestmark = pytest.mark.django_db
SCHEDULER = system_actor("scheduler")


def rule(stale):
    return {"freshness": {"stale": stale}}


@pytest.fixture
def world(make):
    """One grant and one credential at a fresh source, and as much at one that was read nine days ago."""
    fresh, old = make.source(name="Fresh"), make.source(name="Old", last_success_at=make.NOW - timedelta(days=9))
    grants = {}
    for source in (fresh, old):
        identity = make.identity(source, owner=make.person(Role.OWNER))
        make.credential(identity)
        grants[source.name] = make.grant(identity)
    return grants


def look_again(campaign, now):
    return open_campaign(campaign_id=campaign.pk, actor=SCHEDULER, now=now)


def test_by_default_a_stale_source_is_asked_about_with_a_warning(make, world):
    campaign = make.campaign()
    assert (campaign.state, campaign.items.count()) == ("open", 2)
    assert ["Old was last read" in warning for warning in campaign.frozen["warnings"]] == [True]
    assert campaign.frozen["left_out"] == []


def test_a_source_that_is_left_out_is_named_with_what_is_not_asked(make, world):
    campaign = make.campaign(policy=rule("leave_out"), item_kinds=["grant", "credential"])
    [left_out] = campaign.frozen["left_out"]
    assert (left_out["name"], left_out["freshness"], left_out["questions"]) == ("Old", "stale", 2)
    assert set(campaign.items.values_list("identity__source__name", flat=True)) == {"Fresh"}
    assert campaign.frozen["expected"] == {"grant": 1, "credential": 1}
    assert [source["name"] for source in campaign.frozen["sources"]] == ["Fresh"]
    assert any("Old was left out" in warning for warning in campaign.frozen["warnings"])


def test_an_interrupted_opening_goes_on_without_the_source_even_if_it_is_fresh_by_then(make, world, monkeypatch):
    identity = make.identity(Source.objects.get(name="Fresh"))
    make.grant(identity)
    monkeypatch.setattr(opening, "CHUNK", 1)
    calls, real = [], opening.make_grant_items

    def dies_in_the_second_chunk(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(opening, "make_grant_items", dies_in_the_second_chunk)
    campaign = make.campaign(is_open=False, policy=rule("leave_out"))
    with pytest.raises(KeyboardInterrupt):
        look_again(campaign, make.NOW)
    Source.objects.update(last_success_at=make.NOW)
    opened = look_again(campaign, make.NOW + timedelta(minutes=5))
    assert (opened.state, opened.items.count(), opened.frozen["expected"]) == ("open", 2, {"grant": 2})
    assert set(opened.items.values_list("identity__source__name", flat=True)) == {"Fresh"}


def test_leaving_out_never_empties_a_review_it_waits_instead(make, world):
    Source.objects.update(last_success_at=None)
    campaign = make.campaign(policy=rule("leave_out"))
    assert (campaign.state, campaign.items.count()) == ("draft", 0)
    assert "Fresh, Old" in campaign.frozen["held"]["why"]


def test_a_waiting_review_opens_by_itself_once_its_source_was_read_and_nobody_loses_a_day(make, world, verbs):
    campaign = make.campaign(policy=rule("hold"))
    deadline = campaign.deadline_at
    assert campaign.state == "draft"
    later = make.NOW + timedelta(days=3)
    Source.objects.filter(name="Fresh").update(last_success_at=later)
    assert look_again(campaign, later).state == "draft"
    Source.objects.filter(name="Old").update(last_success_at=later)
    opened = look_again(campaign, later)
    assert (opened.state, opened.items.count(), opened.frozen["warnings"]) == ("open", 2, [])
    assert opened.deadline_at == deadline + timedelta(days=3)
    assert opened.frozen["held"]["since"] == make.NOW.isoformat()
    assert verbs() == ["campaign.held", "campaign.opened"]


def test_every_beat_looks_at_a_waiting_review_again(make, world, monkeypatch):
    campaign, sent = make.campaign(policy=rule("hold")), []
    monkeypatch.setattr(dispatch, "after_commit", lambda name, **about: sent.append((name, about)))
    open_due_campaigns(now=make.NOW)
    assert sent == [("reviews.open_campaign", {"campaign_id": str(campaign.pk)})]


def test_its_manager_releases_it_with_a_reason_and_it_opens_with_the_warning(make, world, verbs):
    campaign = make.campaign(policy=rule("hold"))
    boss = make.actor(campaign.manager)
    with pytest.raises(ReasonMissing):
        release_campaign(campaign=campaign, reason="  ", actor=boss, now=make.NOW)
    release_campaign(campaign=campaign, reason="The exporter is gone.", actor=boss, now=make.NOW)
    opened = look_again(campaign, make.NOW)
    assert (opened.state, opened.items.count()) == ("open", 2)
    assert opened.frozen["released"]["reason"] == "The exporter is gone."
    assert "Old was last read" in opened.frozen["warnings"][0]
    assert verbs() == ["campaign.held", "campaign.opened", "campaign.released"]
    with pytest.raises(NotHeld):
        release_campaign(campaign=opened, reason="Again.", actor=boss, now=make.NOW)


@pytest.mark.parametrize("role", [Role.CAMPAIGN_MANAGER, Role.REVIEWER, Role.AUDITOR], ids=str)
def test_nobody_else_releases_it(make, world, role):
    campaign = make.campaign(policy=rule("hold"))
    with pytest.raises(Forbidden):
        release_campaign(campaign=campaign, reason="x", actor=make.actor(make.person(role)), now=make.NOW)


def test_a_released_review_that_matches_nothing_is_still_called_off(make, world):
    campaign = make.campaign(policy=rule("hold"))
    release_campaign(campaign=campaign, reason="x", actor=make.actor(campaign.manager), now=make.NOW)
    for grant in world.values():
        grant.retired_at = make.NOW
        grant.save()
    assert look_again(campaign, make.NOW).state == "cancelled"


@pytest.mark.parametrize(
    ("stale", "total", "left_out", "is_held"),
    [("warn", 2, 0, False), ("leave_out", 1, 1, False), ("hold", 2, 0, True)],
)
def test_a_preview_says_what_the_rule_would_do(make, world, stale, total, left_out, is_held):
    plan = CampaignPlan(fallback_reviewer=make.person(Role.REVIEWER), policy=rule(stale))
    campaign = unsaved_campaign(plan, name="x", manager=make.person(Role.CAMPAIGN_MANAGER), now=make.NOW)
    told = preview_campaign(campaign=campaign, now=make.NOW)
    assert (told.total, len(told.left_out), told.is_held) == (total, left_out, is_held)
    assert [each["name"] for each in told.sources] == ["Fresh", "Old"]


@pytest.mark.parametrize("value", [{"stale": "ignore"}, {"stale": None}, {"stale": []}, {"fresh": "warn"}, "hold", 7])
def test_a_rule_that_does_not_exist_is_refused(value):
    with pytest.raises(InvalidPolicy):
        checked({"freshness": value})


@pytest.mark.parametrize("stale", list(Stale), ids=str)
def test_a_rule_is_read_as_it_was_written(stale):
    assert Freshness.from_json(Freshness(stale).to_json()) == Freshness(stale)
    assert checked({"freshness": {}}) == rule("warn")
