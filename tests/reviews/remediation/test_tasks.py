"""Where Remit cannot write, a person is asked; only a later reading closes what they say is done."""

from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from identities.models import Credential, SyncRun
from reviews.models import Order
from reviews.remediation import report_task_done
from reviews.remediation.placing import NotATask
from reviews.states import OrderState
from tests.plugins.governed import Governed

Push = Callable[..., SyncRun]


def permission(*actions: str) -> dict[str, Any]:
    return {"dialect": "aws", "statements": [{"actions": list(actions), "resources": ["arn:aws:sqs:*:*:orders"]}]}


READ_AND_SEND = permission("sqs:ReceiveMessage", "sqs:SendMessage")
READ = permission("sqs:ReceiveMessage")


def estate(held: dict[str, Any] | None, **credential: Any) -> list[dict[str, Any]]:
    found = [
        {"type": "identity", "id": "worker", "kind": "service_account", "name": "queue worker"},
        {"type": "identity", "id": "other", "kind": "service_account"},
        {"type": "credential", "id": "key-1", "identity": "worker", "kind": "access_key", **credential},
    ]
    if held is not None:
        found.append(
            {"type": "grant", "id": "orders", "identity": "worker", "label": "Orders queue", "permission": held}
        )
    return found


@pytest.fixture
def pushed(own_trail: None, committed_db: Any, make_story: Callable[..., Any], push: Push) -> Any:
    story = make_story(kind="push", name="Queues")
    push(story, estate(READ_AND_SEND))
    return story


def test_a_revocation_becomes_a_task_that_says_what_to_do(pushed: Any, verbs_of: Callable[[Order], list[str]]) -> None:
    order = pushed.decide(pushed.grant("worker"), "revoke")

    assert order.state == OrderState.TASK
    assert "Orders queue" in order.instructions and "queue worker" in order.instructions
    assert "Queues" in order.instructions
    assert "```\n# Then take the policy away from which worker has this access (orders).\n```" in order.instructions
    assert verbs_of(order) == ["order.task_opened"]


def test_saying_that_it_is_done_does_not_close_a_task(
    pushed: Any, push: Push, verbs_of: Callable[[Order], list[str]]
) -> None:
    order = pushed.decide(pushed.grant("worker"), "revoke")
    Order.objects.filter(pk=order.pk).update(execute_after=timezone.now())

    order = report_task_done(order=order, note="Removed in the console.", actor=pushed.actor, now=timezone.now())

    assert order.state == OrderState.TASK
    push(pushed, estate(READ_AND_SEND))
    assert pushed.again(order).state == OrderState.TASK, "the source still shows it"
    push(pushed, estate(None))
    assert pushed.again(order).state == OrderState.VERIFIED
    assert verbs_of(order) == ["order.task_opened", "order.task_done", "order.verified"]


def test_only_a_complete_and_later_snapshot_closes_a_task(pushed: Any, push: Push) -> None:
    before = timezone.now()
    order = pushed.decide(pushed.grant("worker"), "revoke")
    Order.objects.filter(pk=order.pk).update(execute_after=timezone.now())

    push(pushed, estate(None), complete=False)
    assert pushed.again(order).state == OrderState.TASK, "what is missing from a part may be in the rest"
    Order.objects.filter(pk=order.pk).update(created_at=timezone.now() + timedelta(hours=1))
    push(pushed, estate(None))
    assert pushed.again(order).state == OrderState.TASK, "the reading is older than the task"
    Order.objects.filter(pk=order.pk).update(created_at=before)
    push(pushed, estate(None))
    assert pushed.again(order).state == OrderState.VERIFIED


@pytest.mark.parametrize(
    ("left", "state"),
    [(READ, OrderState.VERIFIED), (None, OrderState.VERIFIED), (permission("sqs:SendMessage"), OrderState.TASK)],
    ids=["the-target", "nothing", "something-else"],
)
def test_narrowing_is_done_when_what_is_left_lies_inside_the_target(
    pushed: Any, push: Push, left: dict[str, Any] | None, state: OrderState
) -> None:
    order = pushed.decide(pushed.grant("worker"), "scope_down", READ)
    Order.objects.filter(pk=order.pk).update(execute_after=timezone.now())

    push(pushed, estate(left))

    assert pushed.again(order).state == state


@pytest.mark.parametrize(
    ("answer", "left", "state"),
    [
        ("deactivate", {"status": "disabled"}, OrderState.VERIFIED),
        ("deactivate", {"status": "active"}, OrderState.TASK),
        ("rotate", {"last_rotated_at": "later"}, OrderState.VERIFIED),
        ("rotate", {"last_rotated_at": "earlier"}, OrderState.TASK),
    ],
)
def test_credentials_are_ended_or_rotated_by_a_person(
    pushed: Any, push: Push, answer: str, left: dict[str, Any], state: OrderState
) -> None:
    credential = Credential.objects.get(external_id="key-1")
    earlier = timezone.now()
    until = earlier + timedelta(days=7) if answer == "rotate" else None
    order = pushed.decide(credential, answer, until=until)
    Order.objects.filter(pk=order.pk).update(execute_after=timezone.now())
    times: dict[str, datetime] = {"earlier": earlier, "later": timezone.now()}

    push(pushed, estate(READ_AND_SEND, **{k: times[v].isoformat() if v in times else v for k, v in left.items()}))

    assert order.state == OrderState.TASK and "key-1" in order.instructions
    assert pushed.again(order).state == state


def test_a_task_that_came_back_is_noticed(pushed: Any, push: Push) -> None:
    order = pushed.decide(pushed.grant("worker"), "revoke")
    Order.objects.filter(pk=order.pk).update(execute_after=timezone.now())
    push(pushed, estate(None))

    push(pushed, estate(READ_AND_SEND))

    assert pushed.again(order).state == OrderState.REAPPEARED


def test_only_the_owner_and_those_who_decide_report_a_task(pushed: Any, make: SimpleNamespace) -> None:
    order = pushed.decide(pushed.grant("worker"), "revoke")
    owner = make.person(Role.OWNER)

    with pytest.raises(Forbidden):
        report_task_done(order=order, note="", actor=make.actor(owner), now=timezone.now())
    order.identity.owner = owner
    order.identity.save()
    report_task_done(order=order, note="", actor=make.actor(owner), now=timezone.now())

    assert pushed.again(order).task_reported_by_id == owner.pk


def test_an_order_that_remit_carries_out_is_no_task(story: Any, governed: Governed) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    order = story.decide(story.grant(governed.app), "revoke")

    with pytest.raises(NotATask):
        report_task_done(order=order, note="", actor=story.actor, now=timezone.now())


def test_what_the_connector_may_not_change_becomes_a_task(story: Any, governed: Governed) -> None:
    governed.run("CREATE TABLE own (id int)", f"ALTER TABLE own OWNER TO {governed.app}")
    story.read()

    order = story.decide(story.grant(governed.app, "own"), "revoke")

    assert order.state == OrderState.TASK
    assert "OWNER TO" in order.instructions
