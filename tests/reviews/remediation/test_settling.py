"""Orders that no reading can close: a person lets them rest. And what Remit took away itself alarms nobody."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from identities.models import Grant, Source, SyncRun, SyncState
from reviews.models import Order
from reviews.remediation import report_task_done, restore_order, settle_order
from reviews.remediation.placing import NothingToSettle, OwnAccess, SettlingNeedsReason
from reviews.states import OrderState

Push = Callable[..., SyncRun]


def estate(*held: str) -> list[dict[str, Any]]:
    permission = {"dialect": "aws", "statements": [{"actions": ["sqs:SendMessage"], "resources": ["*"]}]}
    return [
        {"type": "identity", "id": "worker", "kind": "service_account"},
        *({"type": "grant", "id": id, "identity": "worker", "label": id, "permission": permission} for id in held),
    ]


@pytest.fixture
def pushed(own_trail: None, committed_db: Any, make_story: Callable[..., Any], push: Push) -> Any:
    story = make_story(kind="push", name="Queues", max_retire_percent=20)
    push(story, estate("orders", "refunds"))
    return story


def test_a_task_that_nobody_can_do_is_settled_with_a_reason(
    pushed: Any, verbs_of: Callable[[Order], list[str]]
) -> None:
    order = pushed.decide(pushed.grant("worker", "orders"), "revoke")

    with pytest.raises(SettlingNeedsReason):
        settle_order(order=order, reason=" ", actor=pushed.actor, now=timezone.now())
    settled = settle_order(order=order, reason="The queue goes next week.", actor=pushed.actor, now=timezone.now())

    assert settled.state == OrderState.SETTLED
    assert verbs_of(order) == ["order.task_opened", "order.settled"]
    with pytest.raises(NothingToSettle):
        settle_order(order=order, reason="Again.", actor=pushed.actor, now=timezone.now())


def test_an_owner_cannot_settle(pushed: Any, make_user: Callable[..., Any], actor_of: Callable[..., Any]) -> None:
    order = pushed.decide(pushed.grant("worker", "orders"), "revoke")
    owner = actor_of(make_user(Role.OWNER))

    with pytest.raises(Forbidden):
        settle_order(order=order, reason="Fine by me.", actor=owner, now=timezone.now())

    assert pushed.again(order).state == OrderState.TASK


def test_what_was_taken_away_on_an_order_does_not_hold_the_reading(pushed: Any, push: Push) -> None:
    order = pushed.decide(pushed.grant("worker", "orders"), "revoke")
    Order.objects.filter(pk=order.pk).update(execute_after=timezone.now())
    report_task_done(order=order, note="Removed.", actor=pushed.actor, now=timezone.now())

    run = push(pushed, estate("refunds"))

    assert run.state == SyncState.APPLIED, "half of the grants went, but on our own order"
    assert pushed.again(order).state == OrderState.VERIFIED
    assert not Grant.objects.exclude(removal_expected_at=None).exists()


def test_what_went_without_an_order_still_holds_the_reading(pushed: Any, push: Push) -> None:
    assert Source.objects.get().max_retire_percent == 20

    run = push(pushed, estate("refunds"))

    assert run.state == SyncState.HELD


def test_nobody_settles_or_restores_access_that_they_answer_for(pushed: Any) -> None:
    order = pushed.decide(pushed.grant("worker", "orders"), "revoke")
    order.identity.owner_id = pushed.actor.person_id
    order.identity.save(update_fields=["owner"])

    with pytest.raises(OwnAccess):
        settle_order(order=order, reason="Fine by me.", actor=pushed.actor, now=timezone.now())
    with pytest.raises(OwnAccess):
        restore_order(order=order, reason="Mine again.", actor=pushed.actor, now=timezone.now())

    assert pushed.again(order).state == OrderState.TASK
