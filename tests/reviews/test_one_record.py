"""Every use case of reviews leaves exactly its own record, and none when it refuses.

Each runs with the rights that production's programs have: they write the trail and cannot change it.
tests/architecture/test_every_verb.py looks here for a case of every verb.
"""

from datetime import timedelta

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from identities.connectors.contract import Execution, ExecutionState
from reviews.campaigns.acknowledging import acknowledge
from reviews.campaigns.asking import ask_about
from reviews.campaigns.closing import cancel_campaign, close_due_campaigns, release_campaign
from reviews.campaigns.due import open_due_campaigns, run_now
from reviews.campaigns.launching import launch_campaign
from reviews.campaigns.mail import send_due_mail
from reviews.campaigns.opening import open_campaign
from reviews.campaigns.reasoning import approve_interval
from reviews.campaigns.repinning import repin_item
from reviews.campaigns.rounds import ask_again
from reviews.campaigns.schedules import change_schedule, create_schedule, pause_schedule, resume_schedule
from reviews.continuous import change_watch, create_watch, open_batches
from reviews.deadline import expire_due_approvals
from reviews.decisions import (
    apply_delegations,
    ask_remark,
    create_delegation,
    decide,
    end_delegation,
    escalate_silent_items,
    reassign_item,
    recall,
    refuse,
    release,
    reply_to_remark,
    reroute_items_of,
    save_draft,
    submit_drafts,
)
from reviews.decisions.reassigning import reassign_all_of
from reviews.models import Brake, Campaign, Decision, EvidencePack, Order, OrderAction, WatchHit
from reviews.packs import build_pack, places, request_pack, take_out
from reviews.quality import quality_of_people
from reviews.remediation import execute_order, executing, report_task_done, settle_order, windows
from reviews.remediation.releasing import call_off_brake, call_off_order, release_brake, set_source_budget

pytestmark = pytest.mark.django_db


def answered(make, item, how="approve", **more):
    item.refresh_from_db()
    me = make.actor(item.assignee)
    return decide(item=item, version=item.version, answer=how, actor=me, now=make.NOW, reason="Because.", **more)


def case_create(make):
    boss = make.person(Role.CAMPAIGN_MANAGER)
    facts = {"name": "S", "rrule": "FREQ=MONTHLY", "starts_at": make.NOW, "interval_reason": "Nothing changes here."}
    return lambda: create_schedule(**facts, fallback_reviewer=boss, actor=make.actor(boss), now=make.NOW)


def case_change(make):
    schedule, boss = make.schedule(), make.actor(make.person(Role.ADMINISTRATOR))
    return lambda: change_schedule(schedule=schedule, version=1, changes={"duration_days": 5}, actor=boss, now=make.NOW)


def case_pause(make):
    schedule, boss = make.schedule(), make.actor(make.person(Role.ADMINISTRATOR))
    return lambda: pause_schedule(schedule=schedule, actor=boss, now=make.NOW)


def case_resume(make):
    schedule, boss = make.schedule(is_enabled=False), make.actor(make.person(Role.ADMINISTRATOR))
    return lambda: resume_schedule(schedule=schedule, actor=boss, now=make.NOW)


def case_approve(make):
    schedule, boss = make.schedule(), make.actor(make.person(Role.ADMINISTRATOR))
    return lambda: approve_interval(schedule=schedule, version=1, actor=boss, now=make.NOW)


def case_run_now(make):
    schedule, boss = make.schedule(), make.actor(make.person(Role.ADMINISTRATOR))
    return lambda: run_now(schedule=schedule, actor=boss, now=make.NOW)


def case_launch(make):
    make.grant()
    boss = make.person(Role.CAMPAIGN_MANAGER)
    return lambda: launch_campaign(name="Now", fallback_reviewer=boss, actor=make.actor(boss), now=make.NOW)


def case_hold(make):
    make.grant(make.identity(make.source(last_success_at=None)))
    campaign = make.campaign(is_open=False, policy={"freshness": {"stale": "hold"}})
    boss = make.actor(make.person(Role.ADMINISTRATOR))
    return lambda: open_campaign(campaign_id=campaign.pk, actor=boss, now=make.NOW)


def case_release(make):
    case_hold(make)()
    campaign = Campaign.objects.get()
    boss = make.actor(campaign.manager)
    return lambda: release_campaign(campaign=campaign, reason="Person 7 is away.", actor=boss, now=make.NOW)


def case_due(make):
    make.schedule()
    return lambda: open_due_campaigns(now=make.NOW)


def case_open(make):
    make.grant()
    campaign, boss = make.campaign(is_open=False), make.actor(make.person(Role.ADMINISTRATOR))
    return lambda: open_campaign(campaign_id=campaign.pk, actor=boss, now=make.NOW)


def case_watch(make):
    boss = make.actor(make.person(Role.CAMPAIGN_MANAGER))
    person = make.person(Role.REVIEWER)
    return lambda: create_watch(trigger="changed", fallback_reviewer=person, actor=boss, now=make.NOW)


def case_change_watch(make):
    watch, boss = make.watch(), make.actor(make.person(Role.ADMINISTRATOR))
    return lambda: change_watch(watch=watch, version=1, changes={"is_enabled": False}, actor=boss, now=make.NOW)


def case_batch(make):
    grant, watch = make.grant(permission=make.PRIVILEGED), make.watch()
    of = {"source": grant.source, "identity": grant.identity, "grant": grant}
    WatchHit.objects.create(watch=watch, noticed_at=make.NOW, **of)
    return lambda: open_batches(now=make.NOW + timedelta(hours=1))


def case_ask(make):
    grant, asker = make.grant(), make.actor(make.person(Role.REVIEWER))
    target = Permission.from_json(make.NARROWER)
    return lambda: ask_about(grant=grant, proposal=target, actor=asker, now=make.NOW, why="Person 7 never writes.")


def case_cancel(make):
    campaign = make.item().campaign
    return lambda: cancel_campaign(campaign=campaign, reason="x", actor=make.actor(campaign.manager), now=make.NOW)


def case_read_quality(make):
    campaign = make.item().campaign
    return lambda: quality_of_people(campaign=campaign, actor=make.actor(campaign.manager), now=make.NOW)


def case_close(make):
    item = make.item()
    answered(make, item, "revoke")
    return lambda: close_due_campaigns(now=make.NOW + timedelta(days=20))


def case_decide(make):
    item = make.item()
    return lambda: answered(make, item)


def case_attest(make):
    item = make.item(make.PRIVILEGED)
    return lambda: answered(make, item)


def case_not_mine(make):
    item = make.item()
    return lambda: answered(make, item, "not_mine")


def case_mine(make):
    make.identity(owner=make.person())
    item = make.campaign(item_kinds=["ownership"]).items.get()
    return lambda: answered(make, item, "mine")


def case_move_all(make):
    item = make.item()
    boss = make.actor(item.campaign.manager)
    return lambda: reassign_all_of(
        campaign=item.campaign, person=item.assignee, to=make.person(), reason="x", actor=boss, now=make.NOW
    )


def case_recall(make):
    item = make.item()
    decision = answered(make, item)
    return lambda: recall(decision=decision, actor=make.actor(decision.decided_by), now=make.NOW)


def case_reassign(make):
    item = make.item()
    me, to = make.actor(item.assignee), make.person()
    return lambda: reassign_item(item=item, version=1, to=to, reason="x", actor=me, now=make.NOW)


def case_reroute(make):
    item = make.item()
    item.assignee.is_active = False
    item.assignee.save()
    return lambda: reroute_items_of(person=item.assignee, now=make.NOW)


def case_escalate(make):
    make.item(make.PRIVILEGED)
    return lambda: escalate_silent_items(now=make.NOW + timedelta(days=11))


def case_name_stand_in(make):
    person, friend = make.person(), make.person()
    times = {"starts_at": make.NOW, "ends_at": make.NOW + timedelta(days=3), "now": make.NOW}
    return lambda: create_delegation(
        person=person, delegate=friend, reason="Person 9 is ill.", actor=make.actor(person), **times
    )


def case_end_stand_in(make):
    delegation = case_name_stand_in(make)()
    return lambda: end_delegation(delegation=delegation, actor=make.actor(delegation.person), now=make.NOW)


def case_start_of_absence(make):
    case_name_stand_in(make)()
    return lambda: apply_delegations(now=make.NOW)


def case_ask_again(make):
    campaign = make.item().campaign
    close_due_campaigns(now=campaign.deadline_at)
    campaign.refresh_from_db()
    return lambda: ask_again(campaign=campaign, actor=make.actor(campaign.manager), now=make.NOW)


def case_budget(make):
    source, admin = make.source(), make.actor(make.person(Role.ADMINISTRATOR))
    return lambda: set_source_budget(source=source, per_hour=5, reason="x", actor=admin, now=make.NOW)


def case_release_brake(make):
    brake = Brake.objects.create(scope="all", budget=1, tripped_at=make.NOW)
    first, second = (make.actor(make.person(Role.ADMINISTRATOR)) for _ in range(2))
    release_brake(brake=brake, reason="x", actor=first, now=make.NOW)
    return lambda: release_brake(brake=brake, reason="y", actor=second, now=make.NOW)


def case_call_off_brake(make):
    brake = Brake.objects.create(scope="all", budget=1, tripped_at=make.NOW)
    admin = make.actor(make.person(Role.ADMINISTRATOR))
    return lambda: call_off_brake(brake=brake, reason="x", actor=admin, now=make.NOW)


def case_repin(make):
    item = make.item()
    make.change_grant(item.grant, make.NARROWER)
    return lambda: repin_item(item=item, version=1, actor=make.actor(item.assignee), now=make.NOW)


def case_submit(make):
    item = make.item()
    me = make.actor(item.assignee)
    save_draft(item=item, version=1, actor=me, now=make.NOW, answer="approve")
    return lambda: submit_drafts(actor=me, now=make.NOW)


def asked_remark(make):
    item = make.item()
    me, boss = make.actor(item.assignee), item.campaign.manager
    return lambda: ask_remark(item=item, asked=boss, text="Still needed?", actor=me, now=make.NOW), boss


def case_ask_remark(make):
    return asked_remark(make)[0]


def case_reply(make):
    ask, boss = asked_remark(make)
    remark = ask()
    return lambda: reply_to_remark(remark=remark, text="It is.", actor=make.actor(boss), now=make.NOW)


def case_expire(make):
    campaign = make.item().campaign
    return lambda: close_due_campaigns(now=campaign.deadline_at)


def case_complete(make):
    case_close(make)()
    Order.objects.update(state="verified")
    return lambda: close_due_campaigns(now=make.NOW + timedelta(days=21))


def case_carry(make):
    answered(make, item := make.item())
    policy = {"carrying": {"is_on": True, "sample_percent": 0}}
    draft = make.campaign(is_open=False, policy=policy, deadline_at=make.NOW + timedelta(days=104))
    assert item.campaign_id != draft.pk
    later = make.NOW + timedelta(days=90)
    return lambda: open_campaign(campaign_id=draft.pk, actor=system_actor("scheduler"), now=later)


def case_lapse(make):
    until = make.NOW + timedelta(days=10)
    answered(make, make.item(), "approve_until", until=until)
    return lambda: expire_due_approvals(now=until)


def case_mail(make):
    make.item()
    return lambda: send_due_mail(now=make.NOW)


def waiting_order(make):
    """An order that takes privileged access in production away, and a second person for it."""
    reviewer = make.person(Role.REVIEWER)
    grant = make.grant(make.identity(environment="production"), make.PRIVILEGED)
    item = make.get_item(make.campaign(fallback_reviewer=reviewer), grant)
    decide(item=item, version=1, answer="revoke", actor=make.actor(reviewer), now=make.NOW, reason="Unused.")
    return Order.objects.get(item=item), make.actor(make.person(Role.REVIEWER))


def case_release_order(make):
    order, second = waiting_order(make)
    Order.objects.update(instructions="")  # as where Remit makes the change itself
    return lambda: release(order=order, reason="Agreed.", actor=second, now=make.NOW)


def case_refuse_order(make):
    order, second = waiting_order(make)
    return lambda: refuse(order=order, reason="Still used.", actor=second, now=make.NOW)


def case_task(make):
    item = make.item()
    return lambda: answered(make, item, "revoke")


def task(make):
    item = make.item()
    answered(make, item, "revoke")
    return Order.objects.get(), make.actor(item.assignee)


def case_task_done(make):
    order, me = task(make)
    return lambda: report_task_done(order=order, note="Done by hand.", actor=me, now=make.NOW)


def case_settle(make):
    order, _ = task(make)
    boss = make.actor(make.person(Role.CAMPAIGN_MANAGER))
    return lambda: settle_order(order=order, reason="It goes next week.", actor=boss, now=make.NOW)


def case_recall_order(make):
    item = make.item()
    decision = answered(make, item, "revoke")
    return lambda: recall(decision=decision, actor=make.actor(decision.decided_by), now=make.NOW)


def due_orders(make, number=1):
    """Planned revocations at one source that a deadline asked for."""
    source, campaign = make.source(), make.campaign(is_open=False)
    for _ in range(number):
        grant = make.grant(make.identity(source))
        about = {"kind": "grant", "identity": grant.identity, "grant": grant, "grant_version": grant.versions.get()}
        item = campaign.items.create(**about, assignee=campaign.fallback_reviewer, state="decided")
        author = {"decided_by_policy": "graded", "decided_at": make.NOW}
        decision = Decision.objects.create(item=item, answer="revoke", **author)
        values = {"source": source, "identity": grant.identity, "grant": grant, "action": OrderAction.REVOKE}
        Order.objects.create(decision=decision, item=item, execute_after=make.NOW, **values)
    return list(Order.objects.order_by("pk"))


def execution(make, ends):
    """A worker takes an order; `ends` is what the connector says, or what it raises."""
    [order] = due_orders(make)
    make.patch.setattr(executing, "_carry_out", lambda order: ends())
    return lambda: execute_order(order_id=str(order.pk), now=make.NOW)


def case_applied(make):
    return execution(make, lambda: Execution(state=ExecutionState.APPLIED, reason=""))


def case_drifted(make):
    return execution(make, lambda: Execution(state=ExecutionState.DRIFTED, reason="It was changed meanwhile."))


def case_blocked(make):
    return execution(make, lambda: Execution(state=ExecutionState.BLOCKED, reason="The role is not ours."))


def case_partial(make):
    return execution(make, lambda: Execution(state=ExecutionState.PARTIAL, reason="The second step failed."))


def case_failed(make):
    def fail():
        raise OSError("the network is down")

    return execution(make, fail)


def case_trip_brake(make):
    make.settings.ORDER_BUDGET_PER_SOURCE = 1
    first, second = due_orders(make, 2)
    make.patch.setattr(executing, "_carry_out", lambda order: Execution(state=ExecutionState.APPLIED, reason=""))
    execute_order(order_id=str(first.pk), now=make.NOW)
    return lambda: execute_order(order_id=str(second.pk), now=make.NOW)


def case_call_off_order(make):
    [order] = due_orders(make)
    admin = make.actor(make.person(Role.ADMINISTRATOR))
    return lambda: call_off_order(order=order, reason="Not this one.", actor=admin, now=make.NOW)


def window(make):
    boss = make.actor(make.person(Role.CAMPAIGN_MANAGER))
    facts = {"name": "Sunday", "rrule": "FREQ=WEEKLY;BYDAY=SU", "time_zone": "UTC", "duration_minutes": 60}
    facts |= {"starts_at": make.NOW, "source": None, "actor": boss, "now": make.NOW}
    return lambda: windows.create_window(**facts), boss


def case_window(make):
    return window(make)[0]


def case_remove_window(make):
    create, boss = window(make)
    made = create()
    return lambda: windows.remove_window(window=made, actor=boss, now=make.NOW)


def freeze(make):
    boss = make.actor(make.person(Role.CAMPAIGN_MANAGER))
    facts = {"reason": "Year end.", "starts_at": make.NOW, "ends_at": make.NOW + timedelta(days=1), "source": None}
    return lambda: windows.create_freeze(**facts, actor=boss, now=make.NOW), boss


def case_freeze(make):
    return freeze(make)[0]


def case_lift_freeze(make):
    create, boss = freeze(make)
    made = create()
    return lambda: windows.lift_freeze(freeze=made, actor=boss, now=make.NOW)


def case_sign_brake(make):
    brake = Brake.objects.create(scope="all", budget=1, tripped_at=make.NOW)
    admin = make.actor(make.person(Role.ADMINISTRATOR))
    return lambda: release_brake(brake=brake, reason="x", actor=admin, now=make.NOW)


def ended(make):
    campaign = make.item().campaign
    Campaign.objects.filter(pk=campaign.pk).update(state="closed", closed_at=make.NOW)
    campaign.refresh_from_db()
    return campaign, make.actor(campaign.manager)


def case_acknowledge(make):
    campaign, boss = ended(make)
    return lambda: acknowledge(campaign=campaign, statement="Person 7 has seen it.", actor=boss, now=make.NOW)


def case_request_pack(make):
    campaign, boss = ended(make)
    return lambda: request_pack(campaign=campaign, actor=boss, now=make.NOW)


def case_take_pack_out(make):
    campaign, boss = ended(make)
    pinned = {"size": 1, "root": bytes(32), "note": "n", "origin": "o", "sha256": "0" * 64, "file_size": 1}
    pack = EvidencePack.objects.create(
        campaign=campaign, requested_by={}, requested_at=make.NOW, state="ready", **pinned
    )
    places.file_of(pack).parent.mkdir(parents=True, exist_ok=True)
    places.file_of(pack).write_bytes(b"x")
    return lambda: take_out(pack=pack, actor=boss, now=make.NOW)


def case_pack_that_fails(make):
    # Nothing was sealed inside this test's transaction, so there is no checkpoint to pin it to.
    campaign, boss = ended(make)
    pack = request_pack(campaign=campaign, actor=boss, now=make.NOW)
    return lambda: build_pack(pack_id=pack.pk, now=make.NOW)


@pytest.mark.parametrize(
    ("case", "verb"),
    [
        (case_expire, "campaign.closed campaign.completed item.expired"),
        (case_complete, "campaign.completed"),
        (case_carry, "campaign.opened item.carried"),
        (case_lapse, "approval.lapsed"),
        (case_mail, "mail.sent"),
        (case_release_order, "order.approved"),
        (case_refuse_order, "item.recalled order.refused"),
        (case_task, "item.decided order.task_opened"),
        (case_task_done, "order.task_done"),
        (case_settle, "order.settled"),
        (case_recall_order, "item.recalled order.recalled"),
        (case_applied, "order.applied order.sent"),
        (case_drifted, "order.drifted order.sent"),
        (case_blocked, "order.blocked order.sent"),
        (case_partial, "order.partial order.sent"),
        (case_failed, "order.failed order.sent"),
        (case_trip_brake, "brake.tripped order.held"),
        (case_call_off_order, "order.recalled"),
        (case_window, "window.created"),
        (case_remove_window, "window.removed"),
        (case_freeze, "freeze.created"),
        (case_lift_freeze, "freeze.lifted"),
        (case_sign_brake, "brake.signed"),
        (case_create, "schedule.created"),
        (case_change, "schedule.changed"),
        (case_pause, "schedule.paused"),
        (case_resume, "schedule.resumed"),
        (case_approve, "schedule.interval_approved"),
        (case_run_now, "campaign.created"),
        (case_launch, "campaign.created"),
        (case_due, "campaign.created"),
        (case_hold, "campaign.held"),
        (case_release, "campaign.released"),
        (case_open, "campaign.opened"),
        (case_ask, "campaign.opened"),
        (case_watch, "watch.created"),
        (case_change_watch, "watch.changed"),
        (case_batch, "campaign.created"),
        (case_cancel, "campaign.cancelled"),
        (case_read_quality, "quality.read"),
        (case_close, "campaign.closed"),
        (case_acknowledge, "campaign.acknowledged"),
        (case_request_pack, "evidence_pack.requested"),
        (case_take_pack_out, "evidence_pack.downloaded"),
        (case_pack_that_fails, "evidence_pack.failed"),
        (case_decide, "item.decided"),
        (case_attest, "item.answered"),
        (case_not_mine, "item.rerouted"),
        (case_mine, "item.decided"),
        (case_move_all, "item.delegated"),
        (case_recall, "item.recalled"),
        (case_reassign, "item.delegated"),
        (case_reroute, "item.rerouted"),
        (case_name_stand_in, "delegation.created"),
        (case_end_stand_in, "delegation.ended"),
        (case_start_of_absence, "delegation.started"),
        (case_ask_again, "campaign.created"),
        (case_budget, "brake.budget_set"),
        (case_release_brake, "brake.released"),
        (case_call_off_brake, "brake.recalled"),
        (case_escalate, "item.escalated"),
        (case_repin, "item.assigned"),
        (case_submit, "item.decided"),
        (case_ask_remark, "remark.asked"),
        (case_reply, "remark.answered"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_use_case_leaves_exactly_its_record(make, as_writer, settings, monkeypatch, case, verb):
    make.patch, make.settings = monkeypatch, settings
    act = case(make)
    before = set(AuditEvent.objects.values_list("pk", flat=True))
    with as_writer():
        act()
    left = AuditEvent.objects.exclude(pk__in=before)
    assert sorted(left.values_list("verb", flat=True)) == verb.split()
    written = "".join(left.values_list("payload", flat=True))
    assert "@example.org" not in written
    assert "Person " not in written.replace("person ", "")


def test_a_refusal_leaves_none(make):
    item = make.item()
    before = AuditEvent.objects.count()
    with pytest.raises(DomainError):
        decide(item=item, version=9, answer="approve", actor=make.actor(item.assignee), now=make.NOW)
    with pytest.raises(DomainError):
        cancel_campaign(campaign=item.campaign, reason="", actor=make.actor(item.campaign.manager), now=make.NOW)
    assert AuditEvent.objects.count() == before
