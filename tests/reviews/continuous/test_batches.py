"""However much changes: one review per watch and source at a time, bounded, each access once, whatever crashes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from django.db import connections

from reviews import continuous
from reviews.campaigns.opening import open_campaign
from reviews.continuous import batching, pulling
from reviews.continuous.pulling import WATCHER
from reviews.models import Campaign, ReviewItem, Trigger, WatchCursor, WatchHit
from tests.reviews import conftest as make
from tests.reviews.continuous.conftest import ADMIN

ROOT = Path(__file__).parents[3]


def admins(estate, number, first=0):
    return [estate.grant(f"admin {n}", ADMIN) for n in range(first, first + number)]


def test_a_reading_of_thousands_opens_one_review(estate):
    estate.watch(Trigger.PRIVILEGED, most_questions=10_000)
    estate.connect()
    estate.sync(*admins(estate, 3_000))
    [campaign] = estate.tick()
    assert campaign.frozen["counts"]["grants"] == campaign.frozen["watch"]["questions"] == 3_000


def test_readings_that_follow_each_other_while_things_settle_are_one_review(estate):
    estate.watch(Trigger.PRIVILEGED)
    estate.connect()
    for n in range(4):
        estate.sync(*admins(estate, 1, n))
        continuous.watch(now=estate.now)
    [campaign] = estate.tick()
    assert campaign.items.count() == 4


def test_before_things_have_settled_nothing_opens(estate):
    estate.watch(Trigger.PRIVILEGED, settle_minutes=60)
    estate.connect()
    estate.sync(*admins(estate, 1))
    assert estate.tick() == []
    estate.later(minutes=60)
    assert len(estate.tick()) == 1


def test_each_source_has_a_review_of_its_own(estate):
    estate.watch(Trigger.PRIVILEGED)
    estate.connect()
    other = make.make_source(slug="other", name="Other", last_success_at=None)
    estate.sync(estate.identity(), source=other)
    continuous.watch(now=estate.now)
    estate.sync(*admins(estate, 1))
    estate.sync(*admins(estate, 2), source=other)
    campaigns = estate.tick()
    assert sorted(campaign.name.split(":")[1].split(",")[0] for campaign in campaigns) == [" Ledger", " Other"]


def test_never_more_questions_than_the_watch_allows_and_the_rest_waits_its_turn(estate):
    watch = estate.watch(Trigger.PRIVILEGED, most_questions=5)
    estate.connect()
    estate.sync(*admins(estate, 8))

    [first] = estate.tick()
    assert (first.items.count(), first.frozen["watch"]["waiting"]) == (5, 3)
    assert estate.tick() == []

    for item in estate.inbox()[:2]:
        estate.answer(item)
    [second] = estate.tick()
    assert (second.items.count(), second.frozen["watch"]["waiting"]) == (2, 1)
    assert batching.open_questions(watch, estate.source.pk) == 5


def test_access_about_which_a_question_is_open_gets_no_second_one(estate):
    estate.watch(Trigger.PRIVILEGED)
    estate.connect()
    estate.sync(*admins(estate, 2))
    continuous.watch(now=estate.now)
    estate.later(minutes=1)
    draft = make.make_campaign(is_open=False, scope="privileged=yes", deadline_at=estate.now + make.timedelta(days=9))
    make.Grant.objects.filter(external_id="admin 1").update(first_seen_at=estate.later(minutes=2))
    open_campaign(campaign_id=draft.pk, actor=WATCHER, now=estate.now - make.timedelta(minutes=1))

    [campaign] = estate.tick()

    assert [item.grant.external_id for item in campaign.items.all()] == ["admin 1"]
    assert WatchHit.objects.get(grant=estate.get("admin 0")).outcome == "asked_already"


def test_the_record_says_how_much_was_left_out_and_why(estate, verbs):
    from governance.audit.models import AuditEvent

    estate.watch(Trigger.PRIVILEGED)
    estate.connect()
    estate.sync(*admins(estate, 2))
    continuous.watch(now=estate.now)
    estate.sync(estate.retire("admin 0"))
    [campaign] = estate.tick()
    [created] = AuditEvent.objects.filter(verb="campaign.created")
    assert '"left_out": {"moot": 1}' in created.payload or '"left_out":{"moot":1}' in created.payload
    assert created.subject_id == str(campaign.pk)


def test_an_error_in_the_middle_moves_nothing(estate, monkeypatch):
    estate.watch(Trigger.PRIVILEGED)
    estate.connect()
    estate.sync(*admins(estate, 3))
    before = WatchCursor.objects.get().position

    with monkeypatch.context() as patch:
        patch.setattr(pulling, "_lapse_changed_tools", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            continuous.watch(now=estate.now)
    assert (WatchHit.objects.count(), WatchCursor.objects.get().position) == (0, before)

    continuous.watch(now=estate.now)
    estate.later(minutes=11)
    with monkeypatch.context() as patch:
        patch.setattr(batching, "_record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            continuous.watch(now=estate.now)
    assert not Campaign.objects.exists()
    assert set(WatchHit.objects.values_list("outcome", flat=True)) == {"waiting"}

    [campaign] = estate.tick()
    assert campaign.items.count() == 3


def test_a_page_that_is_read_again_adds_nothing(estate):
    estate.watch(Trigger.PRIVILEGED)
    estate.connect()
    start = WatchCursor.objects.get().position
    estate.sync(*admins(estate, 3))
    continuous.watch(now=estate.now)
    WatchCursor.objects.update(position=start)
    [campaign] = estate.tick()
    assert (campaign.items.count(), WatchHit.objects.count()) == (3, 3)


def test_a_cursor_of_another_database_goes_on_from_its_time(estate):
    estate.watch(Trigger.PRIVILEGED)
    estate.connect()
    WatchCursor.objects.update(position="99-7-0123456789ab", moved_at=estate.now)
    estate.sync(*admins(estate, 1))
    [campaign] = estate.tick()
    assert campaign.items.count() == 1


def test_the_feed_is_read_in_pages(estate, monkeypatch):
    monkeypatch.setattr(pulling, "PAGE", 2)
    estate.watch(Trigger.PRIVILEGED)
    estate.connect()
    estate.sync(*admins(estate, 7))
    [campaign] = estate.tick()
    assert campaign.items.count() == 7


def test_two_workers_at_once_open_everything_once(committed_db, make_estate, monkeypatch):
    monkeypatch.setattr(pulling, "PAGE", 3)
    estate = make_estate()
    estate.watch(Trigger.PRIVILEGED)
    estate.connect()
    estate.sync(*admins(estate, 20))
    errors, drafts, barrier = [], [], threading.Barrier(4)

    def work():
        try:
            for minutes in (0, 11, 11):
                barrier.wait(60)
                now = estate.now + make.timedelta(minutes=minutes)
                drafts.extend(continuous.watch(now=now))
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    assert errors == []
    [campaign] = drafts
    open_campaign(campaign_id=campaign.pk, actor=WATCHER, now=estate.later())
    assert ReviewItem.objects.count() == WatchHit.objects.count() == 20


WORKER = """
import os, sys, time, django
django.setup()
from datetime import datetime
from governance.kernel.actors import system_actor
from reviews import continuous
from reviews.campaigns import opening
from reviews.continuous import batching, pulling
where, stop = sys.argv[2], open(sys.argv[3], "w")
def hang(*args, **kwargs):
    stop.write("there"); stop.flush(); time.sleep(600)
if where == "pull":
    pulling._lapse_changed_tools = hang
if where == "batch":
    batching._record = hang
now = datetime.fromisoformat(sys.argv[1])
drafts = continuous.watch(now=now)
if where == "after":
    hang()
"""


@pytest.mark.parametrize(("where", "minutes"), [("pull", 0), ("batch", 11), ("after", 11)])
def test_a_worker_that_is_killed_anywhere_opens_each_exactly_once(committed_db, make_estate, tmp_path, where, minutes):
    estate = make_estate()
    estate.watch(Trigger.PRIVILEGED)
    estate.connect()
    estate.sync(*admins(estate, 6))
    if where != "pull":
        continuous.watch(now=estate.now)
    estate.later(minutes=minutes)
    reached = tmp_path / "reached"
    command = [sys.executable, "-c", WORKER, estate.now.isoformat(), where, str(reached)]
    environment = os.environ | {"DATABASE_URL": committed_db.url}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as worker:
        for _ in range(600):
            if reached.exists() and reached.read_text():
                break
            time.sleep(0.1)
        assert reached.read_text() == "there"
        worker.send_signal(signal.SIGKILL)

    estate.tick()
    for campaign in Campaign.objects.filter(state="draft"):
        open_campaign(campaign_id=campaign.pk, actor=WATCHER, now=estate.now)

    assert [campaign.items.count() for campaign in Campaign.objects.all()] == [6]
    assert sorted(item.grant.external_id for item in estate.inbox()) == [f"admin {n}" for n in range(6)]
