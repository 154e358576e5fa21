"""A rotation ends the old credential only after its successor was seen in use."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from identities.models import Credential, IdentityStatus
from reviews import remediation
from reviews.models import Order
from reviews.states import OrderState
from reviews.views.order_steps import steps_of
from tests.plugins.aws import Cloud, allow

SENT = ["order.planned", "order.sent"]


@pytest.fixture
def account(own_trail: None, committed_db: Any, cloud: Cloud, make_story: Callable[..., Any]) -> Any:
    return make_story(kind="aws", name="Payments account", settings=cloud.settings)


@pytest.fixture
def pushed(own_trail: None, committed_db: Any, make_story: Callable[..., Any]) -> Any:
    return make_story(kind="push", name="Tokens")


def rotate(story: Any, credential: str) -> Order:
    by = timezone.now() + timedelta(days=30)
    order = story.decide(Credential.objects.get(external_id=credential), "rotate", until=by)
    Order.objects.filter(pk=order.pk).update(execute_after=timezone.now())
    return story.again(order)


def states(cloud: Cloud) -> dict[str, str]:
    return {k["AccessKeyId"]: k["Status"] for k in cloud.iam.list_access_keys(UserName="app")["AccessKeyMetadata"]}


def test_the_old_key_stays_until_the_new_one_is_used_and_then_ends(
    account: Any, cloud: Cloud, verbs_of: Callable[[Order], list[str]]
) -> None:
    old = cloud.make_user("app", allow("iam:ListUsers"))
    account.read()

    order = rotate(account, old["AccessKeyId"])
    assert order.state == OrderState.TASK
    assert "issue a new one" in order.instructions and "keeps working" in order.instructions
    account.read()
    assert account.again(order).state == OrderState.TASK, "there is no new key yet"
    new = cloud.iam.create_access_key(UserName="app")["AccessKey"]
    account.read()
    assert account.again(order).state == OrderState.TASK, "the new key was not used yet"
    assert [each["label"] for each in steps_of(account.again(order))][1:3] == ["New one in use", "Old one ended"]
    assert cloud.can(old, lambda iam: iam.list_users()), "whoever still uses the old one is not disturbed"
    assert cloud.can(new, lambda iam: iam.list_users())

    account.read()
    order = account.again(order)
    assert order.state == OrderState.PLANNED
    assert new["AccessKeyId"] in order.outcome
    assert set(states(cloud).values()) == {"Active"}
    order = account.carry_out(order)

    assert order.state == OrderState.APPLIED, order.outcome
    assert states(cloud) == {old["AccessKeyId"]: "Inactive", new["AccessKeyId"]: "Active"}
    assert "update-access-key" in order.plan["steps"][0]["text"]
    account.read()
    order = account.again(order)
    assert order.state == OrderState.VERIFIED
    assert verbs_of(order) == ["order.task_opened", *SENT, "order.applied", "order.verified"]


def test_a_key_whose_successor_is_in_use_already_is_ended_at_once(account: Any, cloud: Cloud) -> None:
    old = cloud.make_user("app", allow("iam:ListUsers"))
    new = cloud.iam.create_access_key(UserName="app")["AccessKey"]
    assert cloud.can(new, lambda iam: iam.list_users())
    account.read()
    Credential.objects.filter(external_id=old["AccessKeyId"]).update(created_at=timezone.now() - timedelta(days=900))

    order = rotate(account, old["AccessKeyId"])

    assert order.state == OrderState.PLANNED and order.plan is not None
    account.carry_out(order)
    assert states(cloud)[old["AccessKeyId"]] == "Inactive"


def rotated(account: Any, cloud: Cloud, old: dict[str, str]) -> Order:
    """A rotation from the decision to the confirmed end of the old key."""
    account.read()
    order = rotate(account, old["AccessKeyId"])
    new = cloud.iam.create_access_key(UserName="app")["AccessKey"]
    cloud.can(new, lambda iam: iam.list_users())
    account.read()
    account.carry_out(account.again(order))
    account.read()
    order = account.again(order)
    assert order.state == OrderState.VERIFIED, order.outcome
    return order


def test_an_ended_key_can_be_restored_and_ends_again_on_its_date(account: Any, cloud: Cloud) -> None:
    old = cloud.make_user("app", allow("iam:ListUsers"))
    order = rotated(account, cloud, old)

    restoration = remediation.restore_order(
        order=account.again(order), reason="One job was forgotten.", days=3, actor=account.actor, now=timezone.now()
    )
    account.carry_out(restoration)

    assert states(cloud)[old["AccessKeyId"]] == "Active"
    account.read()
    assert account.again(restoration).state == OrderState.VERIFIED
    repetition = Order.objects.get(action="rotate", state=OrderState.PLANNED)
    account.carry_out(repetition, now=repetition.execute_after + timedelta(seconds=1))
    assert states(cloud)[old["AccessKeyId"]] == "Inactive"


def test_an_old_key_that_becomes_active_again_is_noticed(account: Any, cloud: Cloud) -> None:
    old = cloud.make_user("app", allow("iam:ListUsers"))
    order = rotated(account, cloud, old)

    cloud.iam.update_access_key(UserName="app", AccessKeyId=old["AccessKeyId"], Status="Active")
    account.read()

    assert account.again(order).state == OrderState.REAPPEARED


def token(identifier: str, made: datetime, **more: Any) -> dict[str, Any]:
    return {
        "type": "credential", "id": identifier, "identity": "worker", "kind": "token", "created_at": made.isoformat(),
        **{name: value.isoformat() if isinstance(value, datetime) else value for name, value in more.items()},
    }  # fmt: skip


LONG_AGO = timezone.now() - timedelta(days=400)
RECENTLY = timezone.now() - timedelta(days=2)
WORKER = {"type": "identity", "id": "worker", "kind": "service_account", "name": "worker"}


def test_where_remit_cannot_end_it_a_person_is_asked_to_once_the_new_one_is_used(
    pushed: Any, push: Callable[..., Any], verbs_of: Callable[[Order], list[str]]
) -> None:
    push(pushed, [WORKER, token("old", LONG_AGO)])
    order = rotate(pushed, "old")
    used = [WORKER, token("old", LONG_AGO), token("new", RECENTLY, last_used_at=timezone.now())]
    push(pushed, used)
    order = pushed.again(order)
    assert order.state == OrderState.PLANNED

    order = pushed.carry_out(order)

    assert order.state == OrderState.TASK
    assert "End the old one now" in order.instructions and "old" in order.instructions
    push(pushed, used)
    assert pushed.again(order).state == OrderState.TASK, "it is asked for once, not at every reading"
    push(pushed, [WORKER, token("new", RECENTLY)])
    assert pushed.again(order).state == OrderState.VERIFIED
    assert verbs_of(order) == ["order.task_opened", *SENT, "order.task_opened", "order.verified"]


@pytest.mark.parametrize(
    "other",
    [
        token("new", RECENTLY),
        token("new", RECENTLY, last_used_at=timezone.now(), status="disabled"),
        token("new", RECENTLY, last_used_at=timezone.now(), expires_at=timezone.now() - timedelta(hours=1)),
        token("older", LONG_AGO - timedelta(days=1), last_used_at=timezone.now()),
        token("new", RECENTLY, last_used_at=timezone.now()) | {"kind": "ssh_key"},
        token("new", RECENTLY, last_used_at=timezone.now()) | {"identity": "somebody"},
    ],
    ids=["not-used", "not-active", "expired", "not-newer", "of-another-kind", "of-somebody-else"],
)
def test_nothing_else_counts_as_a_successor_in_use(
    pushed: Any, push: Callable[..., Any], other: dict[str, Any]
) -> None:
    everybody = [WORKER, {**WORKER, "id": "somebody"}, token("old", LONG_AGO)]
    push(pushed, everybody)
    order = rotate(pushed, "old")

    push(pushed, [*everybody, other])

    assert pushed.again(order).state == OrderState.TASK


def test_a_key_that_somebody_ends_by_hand_closes_the_rotation(account: Any, cloud: Cloud) -> None:
    old = cloud.make_user("app", allow("iam:ListUsers"))
    account.read()
    order = rotate(account, old["AccessKeyId"])

    cloud.iam.update_access_key(UserName="app", AccessKeyId=old["AccessKeyId"], Status="Inactive")
    account.read()

    assert Credential.objects.get(external_id=old["AccessKeyId"]).status == IdentityStatus.DISABLED
    assert account.again(order).state == OrderState.VERIFIED
