import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from governance.people.models import Team
from identities.models import Grant, SyncRun
from reviews.campaigns import opening
from reviews.campaigns.opening import open_campaign, population_digest
from reviews.campaigns.repinning import NothingToRepin, repin_item
from reviews.decisions import AccessChanged, decide
from reviews.models import Campaign, ReviewItem
from reviews.selectors import opening_progress

SCHEDULER = system_actor("scheduler")


@pytest.fixture
def _db(db):
    pass


db = pytest.mark.usefixtures("_db")


@db
def test_every_current_grant_in_scope_becomes_exactly_one_question(make, verbs):
    source = make.source(slug="ledger")
    wanted = {make.grant(make.identity(source)).pk for _ in range(3)}
    make.grant()
    make.grant(make.identity(source), retired_at=make.NOW)
    make.grant(make.identity(source, retired_at=make.NOW))
    campaign = make.campaign(scope="source=ledger")
    assert set(campaign.items.values_list("grant_id", flat=True)) == wanted
    assert campaign.state == "open"
    assert verbs() == ["campaign.opened"]


@db
def test_what_the_reviewer_sees_is_frozen_with_its_evidence(make):
    source = make.source()
    run = SyncRun.objects.create(
        source=source,
        mode="snapshot",
        origin="api",
        state="applied",
        actor_id="x",
        started_at=make.NOW,
        observed_at=make.NOW,
    )
    identity = make.identity(source, purpose="Pays suppliers", owner=make.person())
    make.credential(identity, kind="api_key", never_expires=True)
    make.use(identity, "SELECT", "table:ledger/public/payments", days_ago=2, count=7)
    grant = make.grant(identity)
    campaign = make.campaign()
    item = make.get_item(campaign, grant)
    seen = item.seen
    assert seen["plain"] == item.grant_version.plain
    assert (seen["use"]["state"], seen["use"]["calls"]) == ("used", 7)
    assert seen["identity"]["purpose"] == "Pays suppliers"
    assert seen["credentials"][0]["never_expires"] is True
    assert seen["owner"] == str(identity.owner_id)
    assert (seen["shared_with"], seen["revocability"]) == (0, "here")
    assert campaign.frozen["sources"][0]["run"] == str(run.pk)
    assert campaign.frozen["population"] == population_digest(campaign)


@db
def test_stale_and_never_read_sources_are_named(make):
    make.grant(make.identity(make.source(name="Old", last_success_at=make.NOW - timedelta(days=9))))
    make.grant(make.identity(make.source(name="Blank", last_success_at=None)))
    make.grant(make.identity(make.source(name="Fresh")))
    warnings = " ".join(make.campaign().frozen["warnings"])
    assert "Old was last read" in warnings
    assert "Blank was never read" in warnings
    assert "Fresh" not in warnings


@db
def test_a_campaign_that_would_ask_nothing_is_called_off_never_opened(make, verbs):
    make.grant()
    campaign = make.campaign(scope="source=nowhere")
    assert campaign.state == "cancelled"
    assert "nothing to review" in campaign.cancelled_reason
    assert verbs() == ["campaign.cancelled"]


@db
def test_credentials_are_as_privileged_as_the_access_of_their_identity(make):
    strong, weak = make.identity(), make.identity()
    make.grant(strong, make.PRIVILEGED)
    make.grant(weak)
    credentials = [make.credential(strong), make.credential(weak)]
    campaign = make.campaign(item_kinds=["grant", "credential"])
    assert [make.get_item(campaign, each).needs_independent for each in credentials] == [True, False]
    assert campaign.items.count() == 4


@db
def test_what_came_after_the_freezing_is_not_part_of_the_population(make):
    make.grant(first_seen_at=make.NOW + timedelta(seconds=1))
    kept = make.grant()
    assert list(make.campaign().items.values_list("grant_id", flat=True)) == [kept.pk]


@db
def test_opening_twice_changes_nothing(make, verbs):
    make.grant()
    campaign = make.campaign()
    version = campaign.version
    again = open_campaign(campaign_id=campaign.pk, actor=SCHEDULER, now=make.NOW)
    assert (again.version, again.items.count()) == (version, 1)
    assert verbs() == ["campaign.opened"]


@db
def test_an_interrupted_opening_continues_without_gaps_or_doubles(make, monkeypatch, verbs):
    monkeypatch.setattr(opening, "CHUNK", 2)
    grants = {make.grant().pk for _ in range(7)}
    campaign = make.campaign(is_open=False)
    calls, real = [], opening.make_grant_items

    def dies_in_the_third_chunk(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(opening, "make_grant_items", dies_in_the_third_chunk)
    with pytest.raises(KeyboardInterrupt):
        open_campaign(campaign_id=campaign.pk, actor=SCHEDULER, now=make.NOW)
    campaign.refresh_from_db()
    assert (campaign.state, campaign.items.count()) == ("opening", 4)

    open_campaign(campaign_id=campaign.pk, actor=SCHEDULER, now=make.NOW + timedelta(hours=5))

    campaign.refresh_from_db()
    assert campaign.state == "open"
    assert sorted(campaign.items.values_list("grant_id", flat=True)) == sorted(grants)
    assert verbs() == ["campaign.opened"]


@db
def test_nobody_can_answer_before_everything_is_asked(make, monkeypatch):
    make.grant(make.identity(owner=make.person()))
    campaign = make.campaign(is_open=False)
    monkeypatch.setattr(opening, "_finish", lambda *args: False)
    open_campaign(campaign_id=campaign.pk, actor=SCHEDULER, now=make.NOW)
    item = campaign.items.get()
    with pytest.raises(Exception, match="takes no answers"):
        decide(item=item, version=1, answer="approve", actor=make.actor(item.assignee), now=make.NOW)


@db
def test_forty_questions_cost_as_many_queries_as_three(make):
    def queries(number):
        owner, source = make.person(), make.source(slug=f"of-{number}")
        for _ in range(number):
            identity = make.identity(source, owner=owner)
            make.grant(identity)
            make.use(identity, "SELECT", "table:ledger/public/payments")
        campaign = make.campaign(is_open=False, scope=f"source=of-{number}")
        with CaptureQueriesContext(connection) as queries:
            open_campaign(campaign_id=campaign.pk, actor=SCHEDULER, now=make.NOW)
        assert campaign.items.count() == number
        return len(queries)

    assert queries(40) == queries(3)


@db
def test_a_chunk_costs_a_fixed_number_of_statements_whatever_its_size(make, monkeypatch):
    def statements(chunk, number):
        monkeypatch.setattr(opening, "CHUNK", chunk)
        source = make.source(slug=f"of-{chunk}-{number}")
        for _ in range(number):
            make.use(make.grant(make.identity(source)).identity, "SELECT", "table:ledger/public/payments")
        campaign = make.campaign(is_open=False, item_kinds=["grant", "credential"], scope=f"source={source.slug}")
        with CaptureQueriesContext(connection) as queries:
            open_campaign(campaign_id=campaign.pk, actor=SCHEDULER, now=make.NOW)
        return len(queries)

    one_small, two_small, two_large = statements(3, 3), statements(3, 6), statements(20, 40)
    assert two_large == two_small
    assert two_small - one_small <= 20


@db
def test_equal_permissions_are_judged_by_whose_they_are_and_how_they_were_used(make):
    """What is remembered between items must not leak from one to the next."""
    watched, blind, owner = make.source(), make.source(), make.person()
    make.window(watched)
    payments, refunds = "table:ledger/public/payments", "table:ledger/public/refunds"

    def grant(source=watched, uses=(), **fields):
        identity = make.identity(source, **({"owner": owner} | fields))
        for action, resource, count in uses:
            make.use(identity, action, resource, count=count)
        return make.grant(identity)

    idle = "Not used in the 90 days in which any use would have been seen."
    partly = f"Never used: INSERT on {payments}, SELECT on {refunds}, INSERT on {refunds}."
    whole = [(action, resource, 1) for action in ("SELECT", "INSERT") for resource in (payments, refunds)]
    told = "Last used 1 March 2026. Seen:"
    expected = {
        grant(): ("revoke", [idle], None),
        grant(owner=None): ("revoke", [idle, "Nobody is accountable for this identity."], None),
        grant(status="disabled"): ("revoke", ["The identity is disabled, so it cannot need this."], None),
        grant(blind): (
            "",
            ["Use of this access cannot be observed, so nothing is proposed. Unknown is not unused."],
            None,
        ),
        grant(blind, [("SELECT", payments, 4)]): (
            "",
            [f"{told} 4 calls of one kind.", "What was not used cannot be known here."],
            None,
        ),
        grant(uses=[("SELECT", payments, 7)]): (
            "scope_down",
            [f"{told} 7 calls of one kind.", partly, "0 of 7 calls seen would have been refused afterwards."],
            make.NARROWER,
        ),
        grant(uses=[("SELECT", payments, 1)]): (
            "scope_down",
            [f"{told} one call.", partly, "0 of 1 call seen would have been refused afterwards."],
            make.NARROWER,
        ),
        grant(uses=[("SELECT", "table:other/public/payments", 3)]): ("revoke", [idle], None),
        grant(uses=whole): ("approve", [f"{told} 4 calls of 4 kinds.", "No smaller set would do."], None),
    }

    campaign = make.campaign()

    items = {item.grant: item for item in campaign.items.select_related("grant")}
    found = {
        grant: (item.recommendation, item.recommendation_reasons, item.recommended_target)
        for grant, item in items.items()
    }
    assert found == expected
    assert {item.assignee_id for item in items.values() if item.seen["owner"]} == {owner.pk}
    assert all(len(item.seen["uses"]) == item.grant.identity.usages.count() for item in items.values())


# --- who is asked --------------------------------------------------------------------------------------------------


@db
@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (["owner"], "owner"),
        (["backup", "owner"], "backup"),
        (["team"], "member"),
        (["source_owner"], "source_owner"),
        (["manager"], "manager_of_owner"),
    ],
)
def test_the_rules_are_tried_in_their_order(make, rules, expected):
    people = {name: make.person() for name in ("backup", "member", "source_owner", "manager_of_owner")}
    people["owner"] = make.person(manager=people["manager_of_owner"])
    team = Team.objects.create(name="Payments")
    team.members.add(people["member"])
    source = make.source(owner=people["source_owner"])
    identity = make.identity(source, owner=people["owner"], backup_owner=people["backup"], team=team)
    grant = make.grant(identity)
    item = make.get_item(make.campaign(reviewer_rules=rules), grant)
    assert item.assignee == people[expected]
    kept = {"members": [str(people["member"].pk)]} if rules[0] == "team" else {}
    step = {"rule": rules[0], "person": str(item.assignee_id), "outcome": "asked", "why": ""}
    assert item.resolution == [step | kept]


@db
def test_who_left_is_passed_over_and_the_trace_says_so(make):
    fallback = make.person(Role.REVIEWER)
    identity = make.identity(owner=make.person(is_active=False))
    grant = make.grant(identity)
    item = make.get_item(make.campaign(reviewer_rules=["owner", "backup"], fallback_reviewer=fallback), grant)
    assert item.assignee == fallback
    assert [(step["rule"], step["outcome"]) for step in item.resolution] == [
        ("owner", "skipped"),
        ("backup", "skipped"),
        ("fallback", "asked"),
    ]


@db
def test_an_independent_reviewer_who_owns_it_attests_and_the_next_one_decides(make):
    independent, fallback = make.person(Role.REVIEWER), make.person(Role.REVIEWER)
    grant = make.grant(make.identity(owner=independent), make.PRIVILEGED)
    item = make.get_item(make.campaign(independent_reviewer=independent, fallback_reviewer=fallback), grant)
    assert item.assignee == independent
    decide(item=item, version=1, answer="approve", actor=make.actor(independent), now=make.NOW, reason="Needed.")
    item.refresh_from_db()
    assert (item.state, item.assignee) == ("attested", fallback)


@db
def test_where_fallback_and_manager_are_conflicted_any_other_reviewer_is_asked(make):
    owner, other = make.person(Role.CAMPAIGN_MANAGER), make.person(Role.REVIEWER)
    identity = make.identity()
    make.credential(identity, holder=owner)
    grant = make.grant(identity)
    item = make.get_item(make.campaign(manager=owner, fallback_reviewer=owner), grant)
    assert item.assignee == other
    assert item.resolution[-1]["rule"] == "anyone"
    assert "holds a credential" in item.resolution[-2]["why"]


@db
def test_where_nobody_may_decide_the_question_stays_visible_and_escalates(make, verbs):
    manager = make.person(Role.CAMPAIGN_MANAGER)
    identity = make.identity()
    make.credential(identity, holder=manager)
    campaign = make.campaign(manager=manager, fallback_reviewer=manager)
    assert campaign.state == "cancelled"
    grant = make.grant(identity)
    campaign = make.campaign(manager=manager, fallback_reviewer=manager)
    item = make.get_item(campaign, grant)
    assert (item.state, item.assignee, item.escalated_at) == ("open", manager, make.NOW)
    assert item.resolution[-1]["rule"] == "nobody"
    assert campaign.frozen["counts"]["nobody"] == 1
    assert "item.escalated" in verbs()


# --- access that changed after opening -----------------------------------------------------------------------------


@db
def test_a_question_can_be_brought_up_to_date_and_asks_the_owner_again(make, verbs):
    item = make.item(make.PRIVILEGED)
    owner = item.assignee
    decide(item=item, version=1, answer="approve", actor=make.actor(owner), now=make.NOW, reason="Needed.")
    item.refresh_from_db()
    make.change_grant(item.grant, make.NARROWER)
    fresh = repin_item(item=item, version=item.version, actor=make.actor(item.assignee), now=make.NOW)
    assert (fresh.state, fresh.assignee, fresh.is_privileged) == ("open", owner, False)
    assert fresh.seen["version"] == 2
    assert verbs("item.") == ["item.answered", "item.assigned"]
    decide(item=fresh, version=fresh.version, answer="approve", actor=make.actor(owner), now=make.NOW)


@db
def test_there_is_nothing_to_bring_up_to_date_where_nothing_changed_or_all_is_gone(make):
    item = make.item()
    with pytest.raises(NothingToRepin):
        repin_item(item=item, version=1, actor=make.actor(item.assignee), now=make.NOW)
    Grant.objects.filter(pk=item.grant_id).update(retired_at=make.NOW)
    with pytest.raises(NothingToRepin):
        repin_item(item=item, version=1, actor=make.actor(item.assignee), now=make.NOW)


# --- several processes ---------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import django
django.setup()
from django.utils import timezone
from governance.kernel.actors import system_actor
from reviews.campaigns import opening
opening.CHUNK = 2
calls, real = [], opening._record_escalations
def killed_while_the_second_chunk_is_uncommitted(*args):
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args)
opening._record_escalations = killed_while_the_second_chunk_is_uncommitted
opening.open_campaign(campaign_id=sys.argv[1], actor=system_actor("scheduler"), now=timezone.now())
"""


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_opening_leaves_nothing_half_done(committed_db, make, monkeypatch):
    grants = {make.grant().pk for _ in range(5)}
    campaign = make.campaign(is_open=False)
    root = Path(opening.__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(campaign.pk)],
        cwd=root,
        env={
            "PATH": "/usr/bin:/bin",
            "DATABASE_URL": committed_db.url,
            "DJANGO_SETTINGS_MODULE": "governance.settings",
        },
        check=False,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL
    campaign.refresh_from_db()
    assert (campaign.state, campaign.items.count()) == ("opening", 2)

    open_campaign(campaign_id=campaign.pk, actor=SCHEDULER, now=make.NOW)

    campaign.refresh_from_db()
    assert campaign.state == "open"
    assert sorted(campaign.items.values_list("grant_id", flat=True)) == sorted(grants)
    assert AuditEvent.objects.filter(verb="campaign.opened").count() == 1


# It gets some chunks further than where it is to be killed, and no further: a test process that comes late still finds
# it at work.
WORKER = """
import sys, time
import django
django.setup()
from django.utils import timezone
from governance.kernel.actors import system_actor
from reviews.campaigns import opening
from reviews.models import ReviewItem
opening.CHUNK = 150
real = opening._record_escalations
def no_further(*args):
    if ReviewItem.objects.filter(campaign_id=sys.argv[1]).count() >= int(sys.argv[2]):
        time.sleep(600)
    return real(*args)
opening._record_escalations = no_further
opening.open_campaign(campaign_id=sys.argv[1], actor=system_actor("scheduler"), now=timezone.now())
"""


def let_the_server_notice(campaign):
    """A killed client's statement runs to its end, and the campaign stays locked until then."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with transaction.atomic():
            if Campaign.objects.select_for_update(skip_locked=True).filter(pk=campaign.pk).exists():
                return
        time.sleep(0.05)


@pytest.mark.slow
def test_a_worker_killed_again_and_again_asks_each_of_thousands_exactly_once(committed_db, make, monkeypatch):
    grants = set(make.many_grants(3000))
    campaign = make.campaign(is_open=False)

    for enough in (300, 1200, 2100):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(campaign.pk), str(enough + 600)],
            env=os.environ | {"DATABASE_URL": committed_db.url},
        )
        deadline = time.monotonic() + 60
        while campaign.items.count() < enough and time.monotonic() < deadline:
            time.sleep(0.01)
        assert worker.poll() is None, "it was still at work"
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        let_the_server_notice(campaign)
        campaign.refresh_from_db()
        assert campaign.state == "opening"
        assert enough <= campaign.items.count() < 3000
        assert opening_progress(campaign) == {"written": campaign.items.count(), "expected": 3000}

    open_campaign(campaign_id=campaign.pk, actor=SCHEDULER, now=make.NOW + timedelta(hours=1))

    campaign.refresh_from_db()
    asked = list(campaign.items.values_list("grant_id", flat=True))
    assert campaign.state == "open"
    assert len(asked) == 3000
    assert set(asked) == grants
    assert campaign.frozen["counts"]["grants"] == 3000
    assert AuditEvent.objects.filter(verb="campaign.opened").count() == 1


def test_workers_opening_one_campaign_at_once_ask_every_question_once(committed_db, make, monkeypatch):
    monkeypatch.setattr(opening, "CHUNK", 3)
    grants = {make.grant().pk for _ in range(20)}
    campaign = make.campaign(is_open=False)
    start, problems = threading.Barrier(3), []

    def work():
        try:
            start.wait()
            open_campaign(campaign_id=campaign.pk, actor=SCHEDULER, now=make.NOW)
        except Exception as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    open_campaign(campaign_id=campaign.pk, actor=SCHEDULER, now=make.NOW)

    assert problems == []
    assert Campaign.objects.get(pk=campaign.pk).state == "open"
    assert sorted(ReviewItem.objects.values_list("grant_id", flat=True)) == sorted(grants)
    assert AuditEvent.objects.filter(verb="campaign.opened").count() == 1


@pytest.mark.parametrize("after", ["_begin", "_write_chunk"])
def test_who_finds_the_campaign_held_for_a_moment_leaves_no_question_out(committed_db, make, monkeypatch, after):
    monkeypatch.setattr(opening, "CHUNK", 3)
    grants = {make.grant().pk for _ in range(7)}
    campaign = make.campaign(is_open=False)
    step, holders = getattr(opening, after), []

    def hold(is_held):
        with transaction.atomic():
            Campaign.objects.select_for_update().get(pk=campaign.pk)
            is_held.set()
            time.sleep(0.3)
        connection.close()

    def step_and_be_overtaken(*args):
        done = step(*args)
        if not holders:
            is_held = threading.Event()
            holders.append(threading.Thread(target=hold, args=[is_held]))
            holders[0].start()
            is_held.wait()
        return done

    monkeypatch.setattr(opening, after, step_and_be_overtaken)
    opened = open_campaign(campaign_id=campaign.pk, actor=SCHEDULER, now=make.NOW)
    holders[0].join()

    assert opened.state == "open"
    assert set(opened.items.values_list("grant_id", flat=True)) == grants


def test_of_two_reviewers_at_once_one_decides_and_the_other_is_told(committed_db, make):
    item = make.item()
    start, outcomes = threading.Barrier(2), []

    def answer(how):
        try:
            start.wait()
            decide(item=item, version=1, answer=how, actor=make.actor(item.assignee), now=make.NOW)
            outcomes.append("decided")
        except Exception as problem:
            outcomes.append(problem.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=answer, args=[how]) for how in ("approve", "revoke")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["decided", "stale-item"]
    assert item.decisions.count() == 1
    assert AuditEvent.objects.filter(verb="item.decided").count() == 1


@pytest.mark.parametrize("how", ["approve", "revoke"])
def test_what_a_reading_changed_while_the_question_was_waited_for_is_seen(committed_db, make, how):
    item = make.item()
    is_held = threading.Event()

    def read():
        with transaction.atomic():
            ReviewItem.objects.select_for_update().get(pk=item.pk)
            is_held.set()
            time.sleep(0.5)
            make.change_grant(item.grant, make.NARROWER)
        connection.close()

    reading = threading.Thread(target=read)
    reading.start()
    is_held.wait()
    with pytest.raises(AccessChanged):
        decide(item=item, version=1, answer=how, actor=make.actor(item.assignee), now=make.NOW)
    reading.join()


def test_the_trail_is_signed_when_a_campaign_opens(committed_db, make, settings, tmp_path):
    settings.AUDIT_CHECKPOINT_DIR = tmp_path / "checkpoints"
    settings.AUDIT_KEY_FILE = tmp_path / "keys" / "key.pem"
    make.grant()
    make.campaign()
    assert any((tmp_path / "checkpoints").rglob("*"))
