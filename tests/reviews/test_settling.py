"""What a deadline takes away is written for many at once, and is worth what it is worth for each question alone."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg.errors import DeadlockDetected

from governance.audit.models import AuditEvent
from identities.models import Grant
from reviews.campaigns.closing import cancel_campaign, close_due_campaigns
from reviews.decisions import decide, decide_many, settling, together
from reviews.models import Ask, Campaign, Decision, Order, ReviewItem
from reviews.remediation import Prepared, prepare
from tests.reviews.simulated import cut_off_at

DB = pytest.mark.django_db
TWO_ASKED = {"stages": {"stages": [{"asks": ["owner", "backup"], "people": 2, "strategy": "accepted_if_not_denied"}]}}
GRADED = {
    "standard": {
        "unused": {
            "production": {"act": "quarantine"},
            "other": {"act": "revoke"},
            "unknown": {"act": "expire", "days": 9},
        },
    },
    "privileged": {"unused": {"production": {"act": "expire", "days": 3}}},
}


def past(campaign):
    return campaign.deadline_at + timedelta(minutes=1)


def mixed(make, times=1, **more):
    """One review in which silence means everything that it can mean, some of it overtaken before its deadline."""
    owner, backup = make.person(), make.person()
    campaigns = []
    for _ in range(times):
        source = make.source()
        make.window(source)
        place = {"source": source, "owner": owner, "backup_owner": backup}
        double = make.identity(**place, environment="production")
        at_work = make.identity(**place, environment="production", last_used_at=make.NOW)
        seen_at_work = make.identity(**place, environment="production")
        staged = make.identity(**place, environment="staging")
        plain = make.identity(**place)
        make.use(seen_at_work, "LOGIN", "server:elsewhere")
        for identity in (double, double, at_work, seen_at_work, staged, staged, plain, plain):
            make.grant(identity)
        make.grant(double, make.PRIVILEGED)
        gone, changed, approved = make.grant(staged), make.grant(staged), make.grant(plain)
        used = make.grant(make.identity(make.source(), owner=owner, backup_owner=backup))
        make.credential(staged, last_used_at=make.NOW - timedelta(days=400))
        make.credential(plain, last_used_at=make.NOW - timedelta(days=400))
        campaigns += [gone, changed, approved, used]
    table = {"deadline": {"table": GRADED}}
    kinds = {"item_kinds": ["grant", "credential", "ownership"]}
    first = make.campaign()
    for approved in campaigns[2::4]:
        item = make.get_item(first, approved)
        decide(item=item, version=1, answer="approve", actor=make.actor(owner), now=make.NOW)
    Campaign.objects.filter(pk=first.pk).update(state="completed")
    campaign = make.campaign(deadline_policy="table", policy=table, **kinds, **more)
    for gone in campaigns[0::4]:
        Grant.objects.filter(pk=gone.pk).update(retired_at=make.NOW)
    for changed in campaigns[1::4]:
        make.change_grant(changed, make.NARROWER)
    return campaign


def statements_of(spent):
    """Without the savepoints that stand for transactions in a test."""
    return len([each for each in spent if not each["sql"].startswith(("SAVEPOINT", "RELEASE"))])


def can_lock_out(monkeypatch):
    """Sources that can quarantine; for everything else whatever the product finds."""

    def plan(*, item, answer, target=None):
        is_quarantine = answer == "quarantine"
        return Prepared(action="quarantine", problem="Away.") if is_quarantine else prepare(item=item, answer=answer)

    monkeypatch.setattr(settling, "prepare", plan)


def rows(campaign):
    """Everything that the deadline leaves behind, without the ids that differ each time."""
    orders = Order.objects.filter(item__campaign=campaign)
    decisions = Decision.objects.filter(item__campaign=campaign)
    return {
        "items": sorted(
            map(str, campaign.items.values_list("pk", "state", "version", "decided_at", "escalated_at", "resolution"))
        ),
        "decisions": sorted(
            map(
                str,
                decisions.values_list(
                    *("item_id", "answer", "until", "decided_by_policy", "decided_at", "stage", "round", "generation")
                ),
            )
        ),
        # Of two questions about one identity, whichever comes first locks it out.
        "orders": sorted(
            map(
                str,
                orders.values_list(
                    *("identity_id", "grant_id", "credential_id", "action", "state", "execute_after", "instructions"),
                    *("outcome", "watch_days", "held", "state_since"),
                ),
            )
        ),
        "grants": sorted(
            map(str, Grant.objects.values_list("pk", "reviewed_at", "approved_until", "withheld_at", "withheld_why"))
        ),
        "records": sorted(_told(event) for event in AuditEvent.objects.filter(verb__regex=r"^(item|order)\.")),
    }


def _told(event):
    told = json.loads(event.payload)
    kept = {name: told[name] for name in ("actor", "old", "new", "context")}
    kept["context"] = {name: value for name, value in (told["context"] or {}).items() if name != "decision"}
    return f"{event.verb} {event.subject_kind} {json.dumps(kept, sort_keys=True)}"


@DB
def test_many_questions_together_end_as_each_of_them_alone(make, monkeypatch):
    can_lock_out(monkeypatch)
    campaign = mixed(make, times=2)

    def ended(chunk):
        monkeypatch.setattr(settling, "CHUNK", chunk)
        before = transaction.savepoint()
        close_due_campaigns(now=past(campaign))
        found = rows(campaign)
        transaction.savepoint_rollback(before)
        return found

    alone, at_once = ended(1), ended(500)
    assert alone == at_once
    answers = {row.split("'")[3] for row in alone["decisions"]}
    assert answers == {"revoke", "deactivate", "quarantine"}
    assert {row.split()[0] for row in alone["records"]} >= {"item.expired", "order.planned", "order.task_opened"}


@DB
def test_the_number_of_questions_does_not_change_the_number_of_statements(make, monkeypatch):
    can_lock_out(monkeypatch)

    def statements(times):
        campaign = mixed(make, times=times)
        with CaptureQueriesContext(connection) as spent:
            close_due_campaigns(now=past(campaign))
        assert not campaign.items.filter(state="open").exists()
        return statements_of(spent)

    few = statements(1)
    assert statements(5) <= few


@DB
def test_half_answered_stages_are_settled_with_as_many_statements_for_many_as_for_few(make):
    owner, backup = make.person(), make.person()

    def statements(number):
        source = make.source()
        for _ in range(number):
            make.grant(make.identity(source, owner=owner, backup_owner=backup))
        campaign = make.campaign(scope=f"source={source.slug}", policy=TWO_ASKED)
        ids = list(campaign.items.values_list("pk", flat=True))
        decide_many(item_ids=ids, answer="approve", actor=make.actor(owner), now=make.NOW)
        assert Ask.objects.filter(item__in=ids).count() + campaign.items.filter(assignee=backup).count() == number
        with CaptureQueriesContext(connection) as spent:
            close_due_campaigns(now=past(campaign))
        decided = campaign.items.filter(state="decided", decisions__decided_by_policy="accepted_if_not_denied")
        assert decided.count() == number
        assert not Ask.objects.filter(item__in=ids).exists()
        return statements_of(spent)

    few = statements(2)
    assert statements(12) <= few


@DB
def test_calling_off_costs_the_same_for_many_questions_and_counts_each_as_changed(make):
    def statements(number):
        source = make.source()
        for _ in range(number):
            make.grant(make.identity(source))
        campaign = make.campaign(scope=f"source={source.slug}")
        with CaptureQueriesContext(connection) as spent:
            cancel_campaign(campaign=campaign, reason="No.", actor=make.actor(campaign.manager), now=make.NOW)
        assert set(campaign.items.values_list("state", "version")) == {("cancelled", 2)}
        return statements_of(spent)

    assert statements(12) == statements(2)


@DB
def test_what_changes_while_its_end_is_planned_is_looked_at_again(make, monkeypatch):
    source = make.source()
    make.window(source)
    grants = [make.grant(make.identity(source, owner=make.person())) for _ in range(3)]
    campaign = make.campaign(deadline_policy="revoke")

    def overtaken(*, item, answer):
        if item.grant_id == grants[0].pk and not grants[0].versions.filter(number=2).exists():
            make.change_grant(grants[0], make.NARROWER)
        if item.grant_id == grants[1].pk:
            Grant.objects.filter(pk=grants[1].pk).update(retired_at=make.NOW)
        return prepare(item=item, answer=answer)

    monkeypatch.setattr(settling, "prepare", overtaken)
    close_due_campaigns(now=past(campaign))
    assert [make.get_item(campaign, grant).state for grant in grants] == ["expired", "cancelled", "decided"]
    assert [order.grant_id for order in Order.objects.all()] == [grants[2].pk]


@DB
def test_slow_sources_cost_a_worker_that_dies_no_more_than_what_it_was_just_planning(make, monkeypatch):
    for _ in range(5):
        make.grant(make.identity(owner=make.person()))
    campaign = make.campaign(deadline_policy="revoke")
    monkeypatch.setattr(together, "PLANNING_SECONDS", 0)
    asked = []

    def dies_at_the_fourth(*, item, answer):
        asked.append(item.pk)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return prepare(item=item, answer=answer)

    monkeypatch.setattr(settling, "prepare", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        close_due_campaigns(now=past(campaign))
    assert campaign.items.filter(state="decided").count() == Order.objects.count() == 3
    close_due_campaigns(now=past(campaign))
    assert campaign.items.filter(state="decided").count() == Order.objects.count() == 5


@DB
def test_a_deadlock_with_a_reading_is_tried_again_and_nothing_is_told_twice(make, monkeypatch):
    make.grant(make.identity(owner=make.person()))
    campaign = make.campaign(deadline_policy="revoke")
    real, calls = settling.lock_items, []

    def deadlocked_once(*given):
        calls.append(given)
        if len(calls) == 1:
            raise OperationalError("deadlock detected") from DeadlockDetected()
        return real(*given)

    monkeypatch.setattr(settling, "lock_items", deadlocked_once)
    close_due_campaigns(now=past(campaign))
    assert len(calls) == 2
    assert AuditEvent.objects.filter(verb="item.expired").count() == Order.objects.count() == 1


# --- cut off ------------------------------------------------------------------------------------------------------


def whole(campaign):
    """Nothing is half written: every end has its answer, its order and its records, once; the rest is untouched."""
    items = {str(item.pk): item for item in campaign.items.all()}
    told = AuditEvent.objects.filter(verb="item.expired", subject_id__in=items)
    ended = sorted(told.values_list("subject_id", flat=True))
    assert ended == sorted(pk for pk, item in items.items() if item.state != "open")
    assert {item.version for pk, item in items.items()} <= {1, 2}
    decided = sorted(str(pk) for pk in Decision.objects.filter(item__in=items).values_list("item_id", flat=True))
    assert decided == sorted(pk for pk, item in items.items() if item.state == "decided")
    orders = Order.objects.filter(item__in=items)
    planned = AuditEvent.objects.filter(verb__in=["order.planned", "order.task_opened"])
    assert sorted(planned.values_list("subject_id", flat=True)) == sorted(str(order.pk) for order in orders)
    assert orders.filter(decision__isnull=True).count() == 0
    return len(ended)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["exception", "connection"])
def test_a_closing_that_is_cut_off_at_any_statement_leaves_whole_batches_and_is_finished_by_the_next(
    committed_db, make, monkeypatch, end
):
    can_lock_out(monkeypatch)
    monkeypatch.setattr(settling, "CHUNK", 6)
    campaign = mixed(make)
    later, seen, statement = past(campaign), set(), 0
    while Campaign.objects.get(pk=campaign.pk).state in {"open", "closing"}:
        # Further and further: what was done before is done, so each attempt comes to other statements.
        with cut_off_at(statement, by=end):
            close_due_campaigns(now=later)
        seen.add(whole(campaign))
        statement += 3
    assert len(seen) > 2
    assert whole(campaign) == campaign.items.count()
    assert AuditEvent.objects.filter(verb="campaign.closed").count() == 1
    assert Order.objects.filter(action="quarantine").count() == 1


WORKER = """
import os, signal, sys
import django
django.setup()
from datetime import datetime
from django.db import connection
from reviews.campaigns.closing import close_due_campaigns
from reviews.decisions import settling
settling.CHUNK = 6
left = int(sys.argv[2])
def die(execute, sql, params, many, context):
    global left
    left -= sql.startswith('INSERT INTO "reviews_order"')
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(sql, params, many, context)
with connection.execute_wrapper(die):
    close_due_campaigns(now=datetime.fromisoformat(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_worker_killed_while_it_writes_the_second_batch_leaves_the_first(committed_db, make):
    campaign = mixed(make)
    run = subprocess.run(
        [sys.executable, "-c", WORKER, past(campaign).isoformat(), "2"],
        env=os.environ | {"DATABASE_URL": committed_db.url},
        check=False,
        timeout=120,
    )
    assert run.returncode == -signal.SIGKILL
    assert 0 < whole(campaign) < campaign.items.count()
    close_due_campaigns(now=past(campaign))
    assert whole(campaign) == campaign.items.count()
    assert ReviewItem.objects.filter(campaign=campaign, state="open").count() == 0
