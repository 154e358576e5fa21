"""An identity that nobody saw in use for long, and that is used again, is asked about. Unwatched time is not silence."""

from datetime import timedelta

import pytest

from reviews.models import DormantIdentity, Trigger
from tests.reviews.continuous.conftest import START


def window(until, since=START - timedelta(days=100), **more):
    seen = {"observable": {"actions": ["*"], "resources": ["*"]}}
    span = {"from": since.isoformat(), "until": until.isoformat()}
    return {"type": "usage_window", "log": "statements", **span, **seen, **more}


def use(at, identity="etl"):
    table = "table:ledger/public/payments"
    return {
        "type": "usage",
        "identity": identity,
        "action": "SELECT",
        "resource": table,
        "last_seen_at": at.isoformat(),
    }


@pytest.fixture
def quiet(estate):
    """Used 95 days ago and watched since: dormant after 90 days."""
    estate.watch(Trigger.WOKE_UP, quiet_days=90)
    estate.connect(use(START - timedelta(days=95)), window(START), created_at="2025-01-01T00:00:00Z")
    return estate


def test_use_after_silence_is_a_question_about_all_its_access(quiet):
    assert DormantIdentity.objects.get().identity == quiet.get_identity()
    used_at = quiet.later(days=1)
    quiet.sync(use(used_at), window(used_at))

    quiet.tick()

    [item] = quiet.inbox()
    facts = item.seen["trigger"]["facts"]
    assert (item.seen["trigger"]["kind"], facts["quiet_days"]) == ("woke_up", 95)
    assert facts["used_at"] == used_at.isoformat()
    assert not DormantIdentity.objects.exists()


def test_it_is_asked_once_and_not_at_each_further_use(quiet):
    for _ in range(3):
        quiet.sync(use(quiet.later(days=1)), window(quiet.now))
        quiet.tick()
    assert len(quiet.inbox()) == 1


def test_use_that_a_late_log_places_inside_the_silence_breaks_no_silence(quiet):
    quiet.sync(use(START - timedelta(days=30)))
    assert quiet.tick() == []
    assert not DormantIdentity.objects.exists()


def test_silence_that_nobody_watched_is_none(estate):
    estate.watch(Trigger.WOKE_UP, quiet_days=90)
    watched = window(START, since=START - timedelta(days=20))
    estate.connect(use(START - timedelta(days=300)), watched, created_at="2025-01-01T00:00:00Z")
    estate.sync(use(estate.later(days=1)), window(estate.now))
    assert estate.tick() == []


def test_an_identity_that_is_newer_than_the_silence_was_never_dormant(estate):
    estate.watch(Trigger.WOKE_UP, quiet_days=90)
    estate.connect(window(START))
    estate.sync(use(estate.later(days=1)), window(estate.now))
    assert estate.tick() == []


def test_a_watch_with_a_longer_silence_does_not_ask(quiet):
    quiet.watch(Trigger.WOKE_UP, quiet_days=200, scope="environment=unknown")
    quiet.sync(use(quiet.later(days=1)), window(quiet.now))
    campaigns = quiet.tick()
    assert [campaign.scope for campaign in campaigns] == [""]
