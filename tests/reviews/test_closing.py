import threading
from datetime import timedelta

import pytest
from django.db import connection

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from identities.models import Grant
from reviews.campaigns import closing
from reviews.campaigns.closing import ReasonMissing, cancel_campaign, close_campaign, close_due_campaigns
from reviews.decisions import decide, settling
from reviews.models import Decision, Order, ReviewMail
from reviews.states import IllegalMove


@pytest.fixture
def _db(db):
    pass


db = pytest.mark.usefixtures("_db")


def after_deadline(campaign):
    return campaign.deadline_at + timedelta(minutes=1)


def unused_grant(make, permission=None):
    source = make.source()
    make.window(source)
    return make.grant(make.identity(source, owner=make.person()), permission)


@db
def test_before_the_deadline_nothing_closes(make):
    campaign = make.item().campaign
    assert close_due_campaigns(now=campaign.deadline_at - timedelta(seconds=1)) == []


@db
def test_what_nobody_answered_is_kept_escalated_and_never_approved(make, verbs):
    items = [make.item(), make.item(make.PRIVILEGED)]
    [first, second] = close_due_campaigns(now=after_deadline(items[0].campaign))
    for item, campaign in zip(items, (first, second), strict=True):
        item.refresh_from_db()
        campaign.refresh_from_db()
        assert (item.state, item.escalated_at is not None) == ("expired", True)
        assert campaign.state == "completed"
        assert Grant.objects.get(pk=item.grant_id).reviewed_at is None
    assert not Decision.objects.exists()
    assert verbs() == [
        "campaign.closed", "campaign.closed", "campaign.completed", "campaign.completed", "campaign.opened",
        "campaign.opened", "item.expired", "item.expired", "item.expired",
    ]  # fmt: skip


@db
@pytest.mark.parametrize(
    ("policy_name", "permission", "is_watched", "fate"),
    [
        ("keep_and_escalate", "HELD", True, "expired"),
        ("revoke_unused", "HELD", True, "decided"),
        ("revoke_unused", "HELD", False, "expired"),
        ("revoke_unused", "PRIVILEGED", True, "expired"),
        ("revoke", "HELD", False, "decided"),
        ("revoke", "PRIVILEGED", True, "decided"),
    ],
)
def test_the_policy_table(make, policy_name, permission, is_watched, fate):
    grant = (
        unused_grant(make, getattr(make, permission))
        if is_watched
        else make.grant(permission=getattr(make, permission))
    )
    campaign = make.campaign(deadline_policy=policy_name)
    close_due_campaigns(now=after_deadline(campaign))
    item = make.get_item(campaign, grant)
    assert item.state == fate
    decided = list(item.decisions.values_list("answer", "decided_by", "decided_by_policy"))
    assert decided == ([("revoke", None, policy_name)] if fate == "decided" else [])
    assert Order.objects.count() == len(decided)


@db
def test_use_that_was_seen_is_no_silence(make):
    grant = unused_grant(make)
    make.use(grant.identity, "SELECT", "table:ledger/public/payments")
    campaign = make.campaign(deadline_policy="revoke_unused")
    close_due_campaigns(now=after_deadline(campaign))
    assert make.get_item(campaign, grant).state == "expired"


@db
def test_an_attestation_alone_is_not_a_decision(make):
    item = make.item(make.PRIVILEGED)
    decide(item=item, version=1, answer="approve", actor=make.actor(item.assignee), now=make.NOW, reason="Needed.")
    close_due_campaigns(now=after_deadline(item.campaign))
    item.refresh_from_db()
    assert item.state == "expired"
    assert Grant.objects.get(pk=item.grant_id).reviewed_at is None


@db
def test_access_that_changed_unseen_is_kept_and_escalated_under_every_policy(make):
    item = make.item(deadline_policy="revoke")
    make.change_grant(item.grant, make.NARROWER)
    close_due_campaigns(now=after_deadline(item.campaign))
    item.refresh_from_db()
    assert item.state == "expired"


@db
def test_a_question_about_access_that_is_gone_ends_without_an_answer(make):
    item = make.item(deadline_policy="revoke")
    Grant.objects.filter(pk=item.grant_id).update(retired_at=make.NOW)
    close_due_campaigns(now=after_deadline(item.campaign))
    item.refresh_from_db()
    assert (item.state, item.escalated_at) == ("cancelled", None)


@db
def test_a_campaign_is_complete_only_when_every_order_is_settled(make):
    item = make.item()
    decide(item=item, version=1, answer="revoke", actor=make.actor(item.assignee), now=make.NOW)
    later = after_deadline(item.campaign)
    [campaign] = close_due_campaigns(now=later)
    campaign.refresh_from_db()
    assert campaign.state == "closed"
    Order.objects.update(state="verified")
    close_due_campaigns(now=later + timedelta(hours=1))
    campaign.refresh_from_db()
    assert (campaign.state, campaign.completed_at) == ("completed", later + timedelta(hours=1))


@db
def test_an_end_that_is_agreed_for_later_does_not_keep_a_campaign_incomplete(make):
    item = make.item()
    until = make.NOW + timedelta(days=300)
    decide(
        item=item,
        version=1,
        answer="approve_until",
        until=until,
        reason="x",
        actor=make.actor(item.assignee),
        now=make.NOW,
    )
    [campaign] = close_due_campaigns(now=after_deadline(item.campaign))
    campaign.refresh_from_db()
    assert campaign.state == "completed"
    assert '"dated":1' in AuditEvent.objects.get(verb="campaign.completed").payload


@db
def test_an_interrupted_closing_is_continued(make, monkeypatch):
    monkeypatch.setattr(settling, "CHUNK", 2)
    owner = make.person()
    for _ in range(5):
        make.grant(make.identity(owner=owner))
    campaign = make.campaign()
    real, calls = closing.settle_chunk, []

    def dies_after_the_first_chunk(**more):
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        return real(**more)

    monkeypatch.setattr(closing, "settle_chunk", dies_after_the_first_chunk)
    with pytest.raises(KeyboardInterrupt):
        close_due_campaigns(now=after_deadline(campaign))
    campaign.refresh_from_db()
    assert campaign.state == "closing"
    assert campaign.items.filter(state="expired").count() == 2
    monkeypatch.setattr(closing, "settle_chunk", real)
    close_due_campaigns(now=after_deadline(campaign))
    assert campaign.items.filter(state="expired").count() == 5
    assert AuditEvent.objects.filter(verb="item.expired").count() == 5


@db
def test_a_manager_closes_early_and_is_named_in_the_record(make):
    item = make.item()
    manager = item.campaign.manager
    campaign = close_campaign(campaign=item.campaign, actor=make.actor(manager), now=make.NOW)
    assert campaign.state == "closing"
    close_due_campaigns(now=make.NOW)
    event = AuditEvent.objects.get(verb="campaign.closed")
    assert (event.actor_kind, event.actor_id) == ("person", str(manager.pk))
    with pytest.raises(IllegalMove):
        close_campaign(campaign=campaign, actor=make.actor(manager), now=make.NOW)


@db
def test_calling_off_needs_a_reason_and_ends_every_question(make, verbs):
    item = make.item()
    manager = make.actor(item.campaign.manager)
    with pytest.raises(ReasonMissing):
        cancel_campaign(campaign=item.campaign, reason=" ", actor=manager, now=make.NOW)
    campaign = cancel_campaign(campaign=item.campaign, reason="Wrong scope.", actor=manager, now=make.NOW)
    item.refresh_from_db()
    assert (campaign.state, campaign.cancelled_reason, item.state) == ("cancelled", "Wrong scope.", "cancelled")
    assert verbs("campaign.") == ["campaign.cancelled", "campaign.opened"]


@db
@pytest.mark.parametrize("role", [Role.CAMPAIGN_MANAGER, Role.REVIEWER, Role.OWNER, Role.AUDITOR])
def test_others_neither_close_nor_call_off(make, role):
    campaign = make.item().campaign
    stranger = make.actor(make.person(role))
    with pytest.raises(Forbidden):
        close_campaign(campaign=campaign, actor=stranger, now=make.NOW)
    with pytest.raises(Forbidden):
        cancel_campaign(campaign=campaign, reason="x", actor=stranger, now=make.NOW)


@db
def test_the_manager_is_told_what_stayed_unanswered(make):
    item = make.item()
    close_due_campaigns(now=after_deadline(item.campaign))
    assert ReviewMail.objects.get(kind="escalation").person == item.campaign.manager


def test_workers_closing_at_once_answer_every_item_once(committed_db, make):
    grants = [unused_grant(make) for _ in range(8)]
    campaign = make.campaign(deadline_policy="revoke_unused")
    start, problems = threading.Barrier(3), []

    def work():
        try:
            start.wait()
            close_due_campaigns(now=after_deadline(campaign))
        except Exception as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close_due_campaigns(now=after_deadline(campaign))

    assert problems == []
    assert Decision.objects.count() == Order.objects.count() == len(grants)
    assert AuditEvent.objects.filter(verb="campaign.closed").count() == 1
