"""A budget for what is taken away unseen: never exceeded, nothing lost, and two people to let it through."""

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from identities.connectors.contract import Execution, ExecutionState
from reviews.campaigns.mail import send_due_mail
from reviews.models import Brake, BudgetUse, Decision, Order, OrderHold, ReviewMail
from reviews.remediation import drain_orders, execute_order, executing
from reviews.remediation.placing import OwnAccess
from reviews.remediation.releasing import (
    BrakeEnded,
    InvalidBudget,
    NotCalledOff,
    OwnBulk,
    ReleaseNeedsReason,
    SamePerson,
    call_off_brake,
    call_off_order,
    release_brake,
    set_source_budget,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def budgets(settings):
    settings.ORDER_BUDGET_PER_HOUR = 0
    settings.ORDER_BUDGET_PER_SOURCE = 2
    settings.ORDER_BUDGET_PRODUCTION = 0
    return settings


@pytest.fixture(autouse=True)
def _sources_obey(monkeypatch):
    done = Execution(state=ExecutionState.APPLIED, reason="")
    monkeypatch.setattr(executing, "_carry_out", lambda order: done)


@pytest.fixture
def orders(make):
    """`orders(3)`: planned revocations at one source, by the deadline unless `by` says who answered in bulk."""
    from reviews.models import OrderAction

    def go(number, *, by=None, bulk=True, source=None, action=OrderAction.REVOKE, **identity):
        source = source or make.source()
        campaign = make.campaign(is_open=False)
        made = []
        for _ in range(number):
            grant = make.grant(make.identity(source, **identity))
            item = campaign.items.create(
                kind="grant",
                identity=grant.identity,
                grant=grant,
                grant_version=grant.versions.get(),
                assignee=campaign.fallback_reviewer,
                state="decided",
            )
            author = {"decided_by": by, "is_bulk": bulk} if by else {"decided_by_policy": "graded"}
            decision = Decision.objects.create(item=item, answer="revoke", decided_at=make.NOW, **author)
            made.append(
                Order.objects.create(
                    decision=decision,
                    item=item,
                    source=source,
                    identity=grant.identity,
                    grant=grant,
                    action=action,
                    execute_after=make.NOW,
                )
            )
        return made

    return go


def send(orders, now):
    for order in orders:
        execute_order(order_id=str(order.pk), now=now)
    return [Order.objects.get(pk=order.pk).state for order in orders]


def two(make):
    return [make.actor(make.person(Role.ADMINISTRATOR)) for _ in range(2)]


# --- what is counted and held -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_is_more_than_the_budget_is_held_and_says_so(make, budgets, orders, verbs):
    made = orders(5)
    assert send(made, make.NOW) == ["applied", "applied", "planned", "planned", "planned"]
    held = Order.objects.get(pk=made[4].pk)
    assert "more than 2 changes in an hour" in held.outcome
    assert Brake.objects.get().holds.count() == 3
    assert verbs("brake.") == ["brake.tripped"]
    assert verbs("order.held") == ["order.held"] * 3


@pytest.mark.django_db
def test_asking_again_changes_nothing(make, budgets, orders):
    made = orders(3)
    send(made, make.NOW)
    before = (Order.objects.get(pk=made[2].pk).version, AuditEvent.objects.count())
    send(made[2:], make.NOW + HOUR * 5)
    assert (Order.objects.get(pk=made[2].pk).version, AuditEvent.objects.count()) == before


@pytest.mark.django_db
def test_held_orders_do_not_crowd_out_the_others(make, budgets, orders):
    send(orders(4), make.NOW)
    elsewhere = orders(1)
    assert drain_orders(now=make.NOW) == 1
    assert send(elsewhere, make.NOW) == ["applied"]


@pytest.mark.django_db
def test_while_a_brake_holds_nothing_more_passes_under_it_not_even_after_the_hour(make, budgets, orders):
    first = orders(3)
    send(first, make.NOW)
    assert send(orders(1, source=first[0].source), make.NOW + HOUR * 2) == ["planned"]
    assert Brake.objects.count() == 1


@pytest.mark.django_db
def test_the_hour_moves_on(make, budgets, orders):
    made = orders(4)
    send(made[:2], make.NOW)
    assert send(made[2:3], make.NOW + HOUR) == ["applied"]
    assert not Brake.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["one by one", "restore", "rotate"], ids=lambda kind: kind.replace(" ", "-"))
def test_what_somebody_looked_at_or_what_takes_nothing_is_not_counted(make, budgets, orders, kind):
    more = {
        "one by one": {"by": make.person(), "bulk": False},
        "restore": {"action": "restore"},
        "rotate": {"action": "rotate"},
    }[kind]
    assert set(send(orders(5, **more), make.NOW)) == {"applied"}
    assert not BudgetUse.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("action", ["revoke", "narrow", "quarantine", "deactivate"])
def test_everything_that_takes_away_is_counted(make, budgets, orders, action):
    assert send(orders(3, action=action), make.NOW) == ["applied", "applied", "planned"]


@pytest.mark.django_db
def test_production_has_a_budget_over_all_sources(make, budgets, orders):
    budgets.ORDER_BUDGET_PRODUCTION = 1
    assert send(orders(1, environment="production") + orders(1, environment="production"), make.NOW) == [
        "applied", "planned",
    ]  # fmt: skip
    assert (Brake.objects.get().scope, Brake.objects.get().source) == ("production", None)
    assert send(orders(1, environment="staging"), make.NOW) == ["applied"]


@pytest.mark.django_db
def test_all_sources_together_have_a_budget(make, budgets, orders):
    budgets.ORDER_BUDGET_PER_HOUR = 2
    assert send(orders(1) + orders(1) + orders(1), make.NOW) == ["applied", "applied", "planned"]
    assert Brake.objects.get().scope == "all"


@pytest.mark.django_db
def test_a_source_can_have_its_own_number(make, budgets, orders):
    source, admin = make.source(), two(make)[0]
    set_source_budget(source=source, per_hour=1, reason="Fragile.", actor=admin, now=make.NOW)
    assert send(orders(2, source=source), make.NOW) == ["applied", "planned"]
    set_source_budget(source=source, per_hour=None, reason="Mended.", actor=admin, now=make.NOW)
    assert AuditEvent.objects.filter(verb="brake.budget_set").count() == 2


@pytest.mark.django_db
def test_a_budget_is_set_by_administrators_with_a_reason_and_a_number(make):
    facts = {"source": make.source(), "now": make.NOW}
    for role in set(Role) - {Role.ADMINISTRATOR}:
        with pytest.raises(Forbidden):
            set_source_budget(**facts, per_hour=1, reason="x", actor=make.actor(make.person(role)))
    with pytest.raises(InvalidBudget):
        set_source_budget(**facts, per_hour=-1, reason="x", actor=two(make)[0])
    with pytest.raises(ReleaseNeedsReason):
        set_source_budget(**facts, per_hour=1, reason=" ", actor=two(make)[0])


def test_workers_at_once_never_exceed_the_budget(committed_db, make, budgets, orders):
    budgets.ORDER_BUDGET_PER_SOURCE = 3
    made, start, problems = orders(16), threading.Barrier(8), []

    def work(mine):
        try:
            start.wait()
            send(mine, make.NOW)
        except Exception as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[made[n::8]]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    states = sorted(Order.objects.values_list("state", flat=True))
    assert states == ["applied"] * 3 + ["planned"] * 13
    assert BudgetUse.objects.count() == 3
    assert OrderHold.objects.filter(released_at=None).count() == 13
    assert Brake.objects.count() == AuditEvent.objects.filter(verb="brake.tripped").count() == 1


# --- telling ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_whoever_can_do_something_gets_one_mail(make, budgets, orders, settings, mailoutbox):
    settings.PUBLIC_URL = "https://remit.example.org"
    admin = make.person(Role.ADMINISTRATOR)
    made = orders(4)
    send(made, make.NOW)
    assert send_due_mail(now=make.NOW) == 2
    assert send_due_mail(now=make.NOW) == 0
    assert {mail.to[0] for mail in mailoutbox} == {admin.email, made[0].item.campaign.manager.email}
    assert "2 changes are held" in mailoutbox[0].subject
    assert f"https://remit.example.org/orders/brakes/{Brake.objects.get().pk}/" in mailoutbox[0].body
    assert "/m/" not in mailoutbox[0].body


@pytest.mark.django_db
def test_a_brake_that_ended_meanwhile_is_not_written_about(make, budgets, orders, mailoutbox):
    send(orders(3), make.NOW)
    call_off_brake(brake=Brake.objects.get(), reason="Wrong.", actor=two(make)[0], now=make.NOW)
    assert send_due_mail(now=make.NOW) == 0
    assert ReviewMail.objects.get(kind="brake").is_dropped


# --- releasing ----------------------------------------------------------------------------------------------------


@pytest.fixture
def tripped(make, budgets, orders):
    send(made := orders(5), make.NOW)
    return Brake.objects.get(), made


@pytest.mark.django_db
def test_two_different_people_release_and_everything_is_sent(make, tripped, verbs):
    brake, made = tripped
    first, second = two(make)
    release_brake(brake=brake, reason="Looked right.", actor=first, now=make.NOW)
    assert send(made, make.NOW)[2:] == ["planned"] * 3
    ended = release_brake(brake=brake, reason="Yes.", actor=second, now=make.NOW)
    assert (ended.state, str(ended.first_by_id), str(ended.ended_by_id)) == ("released", first.id, second.id)
    assert set(send(made, make.NOW)) == {"applied"}
    assert verbs("brake.") == ["brake.released", "brake.signed", "brake.tripped"]


@pytest.mark.django_db
def test_one_person_is_not_two(make, tripped):
    brake, _ = tripped
    first, _ = two(make)
    release_brake(brake=brake, reason="x", actor=first, now=make.NOW)
    with pytest.raises(SamePerson):
        release_brake(brake=brake, reason="x", actor=first, now=make.NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        Brake.objects.filter(pk=brake.pk).update(state="released", ended_by=first.person_id)


@pytest.mark.django_db
def test_whoever_answered_in_bulk_does_not_release(make, budgets, orders):
    author = make.person(Role.ADMINISTRATOR)
    send(orders(3, by=author), make.NOW)
    with pytest.raises(OwnBulk):
        release_brake(brake=Brake.objects.get(), reason="x", actor=make.actor(author), now=make.NOW)


@pytest.mark.django_db
def test_a_release_covers_only_what_both_could_see(make, tripped, orders):
    brake, made = tripped
    first, second = two(make)
    release_brake(brake=brake, reason="x", actor=first, now=make.NOW)
    later = orders(2, source=made[0].source)
    send(later, make.NOW + HOUR)
    brake = release_brake(brake=brake, reason="y", actor=second, now=make.NOW + HOUR)
    assert (brake.state, str(brake.first_by_id)) == ("held", second.id)
    assert set(send(made, make.NOW + HOUR)) == {"applied"}
    assert send(later, make.NOW + HOUR) == ["planned", "planned"]
    release_brake(brake=brake, reason="z", actor=first, now=make.NOW + HOUR * 2)
    assert send(later, make.NOW + HOUR * 2) == ["applied", "applied"]


@pytest.mark.django_db
@pytest.mark.parametrize("role", sorted(set(Role) - {Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER}))
@pytest.mark.parametrize("act", [release_brake, call_off_brake], ids=["release", "call_off"])
def test_others_neither_release_nor_call_off(make, tripped, role, act):
    with pytest.raises(Forbidden):
        act(brake=tripped[0], reason="x", actor=make.actor(make.person(role)), now=make.NOW)


@pytest.mark.django_db
@pytest.mark.parametrize("act", [release_brake, call_off_brake], ids=["release", "call_off"])
@pytest.mark.parametrize("reason", ["", "  ", "a\x00b", "x" * 4001], ids=["none", "blank", "nul", "long"])
def test_both_need_a_reason(make, tripped, act, reason):
    with pytest.raises(ReleaseNeedsReason):
        act(brake=tripped[0], reason=reason, actor=two(make)[0], now=make.NOW)


@pytest.mark.django_db
def test_calling_off_recalls_what_is_held_and_escalates_its_questions(make, tripped, verbs):
    brake, made = tripped
    call_off_brake(brake=brake, reason="Wrong scope.", actor=two(make)[0], now=make.NOW)
    states = [Order.objects.get(pk=order.pk).state for order in made]
    assert states == ["applied", "applied", "recalled", "recalled", "recalled"]
    assert made[0].item.campaign.items.filter(escalated_at__isnull=False).count() == 3
    assert verbs("brake.") == ["brake.recalled", "brake.tripped"]
    with pytest.raises(BrakeEnded):
        release_brake(brake=brake, reason="x", actor=two(make)[0], now=make.NOW)


def test_two_people_who_release_at_once_are_both_heard_and_sent_once(committed_db, make, budgets, orders):
    send(made := orders(4), make.NOW)
    brake, start, problems = Brake.objects.get(), threading.Barrier(2), []

    def work(actor):
        try:
            start.wait()
            release_brake(brake=brake, reason="x", actor=actor, now=make.NOW)
        except Exception as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[actor]) for actor in two(make)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert Brake.objects.get().state == "released"
    assert set(send(made, make.NOW)) == {"applied"}
    assert AuditEvent.objects.filter(verb="order.sent").count() == 4


# --- calling one off ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_order_of_silence_can_be_called_off_until_it_is_sent(make, budgets, orders):
    first, second = orders(2)
    manager = make.actor(first.item.campaign.manager)
    call_off_order(order=first, reason="Needed in March.", actor=manager, now=make.NOW)
    assert send([first, second], make.NOW) == ["recalled", "applied"]
    with pytest.raises(NotCalledOff):
        call_off_order(order=second, reason="x", actor=manager, now=make.NOW)


@pytest.mark.django_db
def test_nobody_calls_off_for_an_identity_that_they_own_nor_in_a_review_of_another_manager(make, orders):
    owner = make.person(Role.ADMINISTRATOR)
    [order] = orders(1, owner=owner)
    with pytest.raises(OwnAccess):
        call_off_order(order=order, reason="x", actor=make.actor(owner), now=make.NOW)
    with pytest.raises(Forbidden):
        stranger = make.actor(make.person(Role.CAMPAIGN_MANAGER))
        call_off_order(order=order, reason="x", actor=stranger, now=make.NOW)


@pytest.mark.django_db
def test_an_answer_of_a_person_is_not_called_off_but_taken_back(make, orders):
    [order] = orders(1, by=make.person())
    with pytest.raises(NotCalledOff):
        call_off_order(order=order, reason="x", actor=two(make)[0], now=make.NOW)
