"""The second person: which orders wait, who may release or refuse them, and what a refusal does to the question."""

from datetime import timedelta

import pytest

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError, Forbidden
from reviews import remediation
from reviews.decisions import SelfReview, decide, list_awaiting, recall, refuse, release
from reviews.models import Order
from reviews.policies import InvalidPolicy, checked
from reviews.policies.remedies import Remedies
from reviews.states import OrderState

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(make):
    """`waiting(answer)`: the order of a decision on privileged production access, without an owner."""

    def go(answer="revoke", *, environment="production", permission=None, **campaign):
        reviewer = make.person(Role.REVIEWER)
        grant = make.grant(make.identity(environment=environment), permission or make.PRIVILEGED)
        opened = make.campaign(fallback_reviewer=reviewer, **campaign)
        item = make.get_item(opened, grant)
        decide(item=item, version=1, answer=answer, actor=make.actor(reviewer), now=make.NOW, reason="Unused.")
        return Order.objects.get(item=item)

    return go


@pytest.fixture
def second(make):
    return make.actor(make.person(Role.REVIEWER))


def test_a_destructive_order_on_privileged_production_access_waits_unless_settled_otherwise(waiting, make):
    assert waiting().state == OrderState.AWAITING_SECOND
    assert waiting(environment="staging").state == OrderState.TASK
    assert waiting(environment="unknown").state == OrderState.TASK
    assert waiting(permission=make.HELD).state == OrderState.TASK
    assert waiting(policy={"remedies": {"second_actions": []}}).state == OrderState.TASK
    everything = {"second_risk": "any", "second_environment": "any"}
    assert waiting(environment="staging", policy={"remedies": everything}).state == OrderState.AWAITING_SECOND


def test_nothing_is_sent_before_the_release_and_everything_after(waiting, make, second, verbs):
    order, later = waiting(), make.NOW + timedelta(days=1)
    assert remediation.drain_orders(now=later) == 0
    remediation.execute_order(order_id=str(order.pk), now=later)
    assert Order.objects.get().state == OrderState.AWAITING_SECOND
    Order.objects.update(instructions="")  # as where Remit makes the change itself

    released = release(order=order, reason="Agreed with the team.", actor=second, now=later)

    assert (released.state, released.second_by_id) == (OrderState.PLANNED, second.person_id)
    assert remediation.drain_orders(now=later) == 1
    assert verbs("order.") == ["order.approved", "order.planned"]


def test_who_decided_owns_holds_created_or_was_asked_does_not_release(waiting, make):
    order, people = waiting(), {name: make.person(Role.REVIEWER) for name in ("owner", "holder", "creator", "asked")}
    order.identity.owner = people["owner"]
    order.identity.save()
    make.credential(order.identity, holder=people["holder"])
    order.grant.created_by = people["creator"]
    order.grant.save()
    order.item.resolution += [{"rule": "delegated", "outcome": "asked", "person": "x", "by": str(people["asked"].pk)}]
    order.item.save()
    for person in (order.decision.decided_by, *people.values()):
        me = make.actor(person)
        assert not list_awaiting(actor=me).exists()
        for use_case in (release, refuse):
            with pytest.raises(SelfReview):
                use_case(order=order, reason="Mine.", actor=me, now=make.NOW)
    assert Order.objects.get().state == OrderState.AWAITING_SECOND


def test_only_a_person_with_a_role_releases_and_says_why(waiting, make, second):
    order = waiting()
    with pytest.raises(Forbidden):
        release(order=order, reason="x", actor=make.actor(make.person(Role.OWNER)), now=make.NOW)
    for use_case in (release, refuse):
        with pytest.raises(DomainError, match="Say why"):
            use_case(order=order, reason="  ", actor=second, now=make.NOW)
    assert list(list_awaiting(actor=second)) == [order]
    assert not list_awaiting(actor=make.actor(make.person(Role.OWNER))).exists()


def test_a_refusal_ends_the_order_and_asks_the_question_again(waiting, make, second, verbs):
    order = waiting()
    refused = refuse(order=order, reason="Payroll needs it.", actor=second, now=make.NOW)
    item = order.item
    item.refresh_from_db()
    assert (refused.state, refused.second_reason) == (OrderState.RECALLED, "Payroll needs it.")
    assert (item.state, item.assignee_id) == ("open", order.decision.decided_by_id)
    taken_back = item.decisions.get(recalls__isnull=False)
    assert (taken_back.decided_by_id, taken_back.reason) == (second.person_id, "Payroll needs it.")
    assert "order.refused" in verbs("order.")
    assert verbs("item.")[-1] == "item.recalled"
    with pytest.raises(DomainError):
        release(order=order, reason="After all.", actor=second, now=make.NOW)


def test_a_refusal_after_the_deadline_only_ends_the_order(waiting, make, second):
    order = waiting()
    refused = refuse(order=order, reason="Too late.", actor=second, now=make.NOW + timedelta(days=30))
    order.item.refresh_from_db()
    assert (refused.state, order.item.state) == (OrderState.RECALLED, "decided")


def test_whoever_decided_can_take_it_back_while_it_waits(waiting, make):
    order = waiting()
    recall(decision=order.decision, actor=make.actor(order.decision.decided_by), now=make.NOW)
    assert Order.objects.get().state == OrderState.RECALLED


def test_what_changed_after_its_release_asks_for_one_again(waiting, make, second):
    order = release(order=waiting(), reason="Fine.", actor=second, now=make.NOW)
    Order.objects.update(state=OrderState.DRIFTED)
    same = remediation.retry_order(order=order, actor=second, now=make.NOW)
    assert same.state == OrderState.PLANNED
    Order.objects.update(state=OrderState.DRIFTED)
    make.change_grant(order.grant, make.HELD)
    changed = remediation.retry_order(order=order, actor=second, now=make.NOW)
    assert changed.state == OrderState.AWAITING_SECOND


@pytest.mark.parametrize(("choice", "field"), [
    ({"second_actions": ["explode"]}, "second_actions"), ({"second_risk": "low"}, "second_risk"),
    ({"watch_days": 91}, "watch_days"), ({"watch_days": True}, "watch_days"), ({"colour": 1}, "colour"),
    ({"second_actions": "revoke"}, "second_actions"), ({"watch_environment": None}, "watch_environment"),
    ({"second_actions": [["x"]]}, "second_actions"), ({"second_risk": []}, "second_risk"),
], ids=str)  # fmt: skip
def test_rules_that_cannot_be_are_refused_beside_their_field(choice, field):
    with pytest.raises(InvalidPolicy) as refused:
        checked({"remedies": choice})
    assert list(refused.value.details["fields"]) == [f"remedies.{field}"]


def test_rules_come_back_as_they_were_kept():
    chosen = Remedies(second_actions=("narrow",), watch_days=7, watch_risk="privileged")
    assert Remedies.from_json(chosen.to_json()) == chosen
    assert Remedies.from_json({}) == Remedies()
