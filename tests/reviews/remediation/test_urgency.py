"""Orders that do not wait for a window or a freeze: two different people, both with a reason, for one plan."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from reviews import remediation
from reviews.models import Decision, Freeze, Order, OrderAction, UrgentRelease
from reviews.remediation.urgency import (
    NotHeld,
    OwnDecision,
    SamePerson,
    UrgencyNeedsReason,
    hold_of,
    may_release_urgently,
    release_urgently,
)
from reviews.remediation.windows import Calendar
from reviews.states import OrderState

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def held(make):
    """A due order that a freeze holds for an hour."""
    Freeze.objects.create(reason="year end", starts_at=NOW - HOUR, ends_at=NOW + HOUR)
    identity = make.identity()
    facts = {"action": OrderAction.QUARANTINE, "plan": {"pre_hash": "a" * 64}, "execute_after": NOW}
    return Order.objects.create(identity=identity, source=identity.source, **facts)


@pytest.fixture
def people(make):
    return [make.actor(make.person(Role.REVIEWER)) for _ in range(2)]


def hurry(order, actor, reason="Customers are being charged twice."):
    return release_urgently(order=order, reason=reason, actor=actor, now=NOW)


def test_two_people_send_a_held_order_past_a_freeze_and_one_does_not(held, people, django_capture_on_commit_callbacks):
    first, second = people
    assert remediation.drain_orders(now=NOW) == 0
    hurry(held, first)
    assert remediation.drain_orders(now=NOW) == 0, "one person is not enough"
    with pytest.raises(SamePerson):
        hurry(held, first)

    urgency = hurry(held, second, "Agreed, I see it too.")

    assert (urgency.first_by_id, urgency.second_by_id) == (first.person_id, second.person_id)
    assert remediation.drain_orders(now=NOW) == 1
    assert hold_of(Order.objects.get(), Calendar(NOW)) is None
    remediation.execute_order(order_id=str(held.pk), now=NOW)
    assert Order.objects.get().attempts == 1
    said = AuditEvent.objects.filter(verb__startswith="order.urgen").order_by("occurred_at", "id")
    assert {each.verb for each in said} == {"order.urgency_signed", "order.urgently_released"}


def test_an_order_that_is_planned_anew_waits_again(held, people):
    for each in people:
        hurry(held, each)
    Order.objects.update(plan={"pre_hash": "b" * 64})

    remediation.execute_order(order_id=str(held.pk), now=NOW)

    order = Order.objects.get()
    assert (order.state, order.attempts) == (OrderState.PLANNED, 0)
    assert hold_of(order, Calendar(NOW)) is not None
    hurry(order, people[1], "The new plan is right as well.")
    assert UrgentRelease.objects.get().second_by is None, "both look at the new plan"


def test_it_does_not_bring_an_order_forward_to_before_its_date(held, people):
    Order.objects.update(execute_after=NOW + HOUR / 2)
    with pytest.raises(NotHeld):
        hurry(held, people[0])
    assert not may_release_urgently(Order.objects.get(), people[0], NOW)


def test_who_owns_the_identity_or_decided_does_not_hurry(held, people, make):
    owner, decider = make.person(Role.REVIEWER), make.person(Role.REVIEWER)
    held.identity.owner = owner
    held.identity.save()
    grant = make.grant()
    item = make.get_item(make.campaign(), grant)
    answer = Decision.objects.create(item=item, answer="revoke", decided_by=decider, decided_at=NOW)
    Order.objects.update(decision=answer)
    order = Order.objects.get()

    with pytest.raises(Forbidden):
        hurry(order, make.actor(owner))
    with pytest.raises(OwnDecision):
        hurry(order, make.actor(decider))
    with pytest.raises(Forbidden):
        hurry(order, make.actor(make.person(Role.OWNER)))
    assert not may_release_urgently(order, make.actor(decider), NOW)
    assert may_release_urgently(order, people[0], NOW)


def test_without_a_reason_or_a_hold_nothing_is_said(held, people):
    with pytest.raises(UrgencyNeedsReason):
        hurry(held, people[0], " ")
    Freeze.objects.update(lifted_at=NOW)
    with pytest.raises(NotHeld):
        hurry(held, people[0])
    assert not UrgentRelease.objects.exists()


def test_the_database_refuses_one_person_twice(held, people):
    hurry(held, people[0])
    with pytest.raises(IntegrityError), transaction.atomic():
        UrgentRelease.objects.update(second_by=people[0].person_id, second_at=NOW)
