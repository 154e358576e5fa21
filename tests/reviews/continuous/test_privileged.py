"""New privileged access opens a question; nothing else does."""

from reviews import continuous
from reviews.models import Campaign, Trigger, WatchHit
from tests.reviews.continuous.conftest import ADMIN, READ


def test_a_reading_with_new_privileged_access_ends_as_a_question_in_the_owners_inbox(estate):
    watch = estate.watch(Trigger.PRIVILEGED, days_to_answer=5)
    estate.connect()
    estate.sync(estate.grant("admin", ADMIN))

    [campaign] = estate.tick()

    [item] = estate.inbox()
    assert (item.campaign, item.grant, item.state) == (campaign, estate.get("admin"), "open")
    assert item.seen["trigger"]["kind"] == "privileged"
    assert (campaign.state, campaign.manager, campaign.scope) == ("open", estate.manager, "")
    assert (campaign.deadline_at - estate.now).days == 5
    assert campaign.frozen["watch"] | {"id": str(watch.pk), "questions": 1, "waiting": 0} == campaign.frozen["watch"]
    assert campaign.frozen["population"] and campaign.frozen["sources"][0]["freshness"] == "fresh"


def test_access_that_becomes_privileged_is_new_privileged_access(estate):
    estate.watch(Trigger.PRIVILEGED)
    estate.connect()
    estate.sync(estate.grant("reads", ADMIN))
    estate.tick()
    assert [item.grant.external_id for item in estate.inbox()] == ["reads"]


def test_what_the_first_reading_of_a_source_holds_is_no_news(estate):
    estate.watch(Trigger.PRIVILEGED)
    estate.tick()
    estate.sync(estate.identity(), estate.grant("admin", ADMIN))
    assert estate.tick() == []
    assert not WatchHit.objects.exists()


def test_what_happened_before_the_watching_began_is_left_to_the_calendar(estate):
    estate.watch(Trigger.PRIVILEGED)
    estate.sync(estate.identity())
    estate.sync(estate.grant("admin", ADMIN))
    assert estate.tick() == []


def test_plain_access_and_other_changes_of_privileged_access_ask_nothing(estate):
    estate.watch(Trigger.PRIVILEGED)
    estate.connect(estate.grant("admin", ADMIN))
    estate.sync(estate.grant("also reads", READ), estate.grant("admin", ADMIN, label="renamed"))
    assert estate.tick() == []


def test_access_that_is_gone_again_before_things_settled_is_not_asked_about(estate):
    estate.watch(Trigger.PRIVILEGED)
    estate.connect()
    estate.sync(estate.grant("admin", ADMIN))
    continuous.watch(now=estate.now)
    estate.sync(estate.retire("admin"))
    assert estate.tick() == []
    assert WatchHit.objects.get().outcome == "moot"
    assert not Campaign.objects.exists()


def test_a_watch_that_is_switched_off_notices_nothing(estate):
    estate.watch(Trigger.PRIVILEGED, is_enabled=False)
    estate.connect()
    estate.sync(estate.grant("admin", ADMIN))
    assert estate.tick() == []


def test_a_watch_asks_only_within_its_scope(estate):
    estate.watch(Trigger.PRIVILEGED, scope="environment=production")
    estate.connect(estate.identity("live", environment="production"))
    estate.sync(estate.grant("admin", ADMIN), estate.grant("live admin", ADMIN, identity="live"))
    estate.tick()
    assert [item.grant.external_id for item in estate.inbox()] == ["live admin"]
    assert WatchHit.objects.get(grant=estate.get("admin")).outcome == "out_of_scope"
