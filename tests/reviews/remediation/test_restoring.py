"""What was taken can be brought back, for a time, with a reason, by those who may."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from identities.models import Credential
from reviews.models import Order, OrderAction
from reviews.remediation import restore_order
from reviews.remediation.restoring import NotRestorable, RestoreNeedsReason
from reviews.states import OrderState
from tests.plugins.governed import Governed


def restore(story: Any, order: Order, **more: Any) -> Order:
    wish = {"reason": "The month-end close needs it.", "days": 14, "actor": story.actor, "now": timezone.now()}
    return restore_order(order=story.again(order), **(wish | more))


@pytest.fixture
def verified(story: Any, governed: Governed) -> Order:
    """A revoked and verified grant of mixed rights: whole table, single column, grant option."""
    governed.give(
        f"GRANT SELECT ON payments TO {governed.app} WITH GRANT OPTION",
        f"GRANT INSERT ON payments TO {governed.app}",
        f"GRANT UPDATE (amount) ON payments TO {governed.app}",
    )
    story.read()
    return story.verified(governed.app)


def everything(governed: Governed) -> tuple[set[str], set[str]]:
    columns = governed.ask(
        "SELECT coalesce(array_agg(a::text), '{}') FROM pg_attribute, unnest(attacl) a WHERE attrelid = 'payments'::regclass"
    )
    return governed.acl(), set(columns)


def test_restoring_brings_back_exactly_what_was_taken(
    story: Any, governed: Governed, verbs_of: Callable[[Order], list[str]]
) -> None:
    governed.give(
        f"GRANT SELECT ON payments TO {governed.app} WITH GRANT OPTION",
        f"GRANT INSERT ON payments TO {governed.app}",
        f"GRANT UPDATE (amount) ON payments TO {governed.app}",
    )
    story.read()
    before = everything(governed)
    order = story.verified(governed.app)
    assert everything(governed) != before

    restoration = story.carry_out(restore(story, order))

    assert restoration.state == OrderState.APPLIED, restoration.outcome
    assert everything(governed) == before
    story.read()
    assert story.again(restoration).state == OrderState.VERIFIED
    assert story.again(order).state == OrderState.RESTORED
    assert verbs_of(order)[-1] == "order.restored"
    story.read()
    assert story.again(order).state == OrderState.RESTORED, "access that was restored has not reappeared"


def test_what_is_restored_ends_again_on_its_date(story: Any, governed: Governed, verified: Order) -> None:
    now = timezone.now()
    restoration = story.carry_out(restore(story, verified, days=14, now=now))
    story.read()

    repetition = Order.objects.get(action=OrderAction.REVOKE, state=OrderState.PLANNED)

    assert repetition.execute_after == now + timedelta(days=14)
    assert repetition.grant_id == verified.grant_id
    assert story.carry_out(repetition, now=now + timedelta(days=13)).state == OrderState.PLANNED
    assert governed.can("SELECT * FROM payments")
    repetition = story.carry_out(repetition, now=now + timedelta(days=14))
    assert repetition.state == OrderState.APPLIED, repetition.outcome
    assert not any(governed.app in entry for entry in governed.acl())
    story.read()
    assert story.again(repetition).state == OrderState.VERIFIED
    assert story.again(restoration).state == OrderState.VERIFIED


def test_a_change_is_restored_before_a_reading_confirmed_it(story: Any, governed: Governed) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    order = story.revoked(governed.app)

    restoration = story.carry_out(restore(story, order))
    story.read()

    assert story.again(restoration).state == OrderState.VERIFIED
    assert story.again(order).state == OrderState.RESTORED
    assert governed.can("SELECT * FROM payments")


def test_a_narrowed_right_is_wide_again(story: Any, governed: Governed) -> None:
    governed.give(f"GRANT SELECT, DELETE ON payments TO {governed.app}")
    story.read()
    before = governed.acl()
    table = f"table:{governed.database}/public/payments"
    target = {"dialect": "postgresql", "statements": [{"actions": ["SELECT"], "resources": [table]}]}
    order = story.carry_out(story.decide(story.grant(governed.app), "scope_down", target))
    story.read()

    story.carry_out(restore(story, order))
    story.read()

    assert story.again(order).state == OrderState.RESTORED
    assert governed.acl() == before


def test_a_deactivated_password_works_again(story: Any, governed: Governed) -> None:
    story.read()
    credential = Credential.objects.get(source=story.source, identity__external_id=governed.app)
    order = story.carry_out(story.decide(credential, "deactivate"))
    story.read()

    story.carry_out(restore(story, order))
    story.read()

    governed.sign_in().close()
    assert story.again(order).state == OrderState.RESTORED


def test_a_restored_right_that_is_changed_by_somebody_else_is_not_brought_back(
    story: Any, governed: Governed, verified: Order
) -> None:
    governed.give(f"GRANT DELETE ON payments TO {governed.app}")
    before = governed.acl()

    restoration = story.carry_out(restore(story, verified))

    assert restoration.state == OrderState.DRIFTED
    assert governed.acl() == before


def test_restoring_needs_a_reason_and_a_limited_time(story: Any, verified: Order) -> None:
    for wish in ({"reason": "  "}, {"days": 0}, {"days": 91}):
        with pytest.raises(RestoreNeedsReason):
            restore(story, verified, **wish)
    assert not Order.objects.filter(action=OrderAction.RESTORE).exists()


@pytest.mark.parametrize("role", [Role.OWNER, Role.AUDITOR])
def test_only_those_who_decide_may_restore(story: Any, make: SimpleNamespace, verified: Order, role: Role) -> None:
    with pytest.raises(Forbidden):
        restore(story, verified, actor=make.actor(make.person(role)))


def test_one_restoration_at_a_time(story: Any, verified: Order) -> None:
    restore(story, verified)

    with pytest.raises(NotRestorable, match="under way"):
        restore(story, verified)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": OrderState.PLANNED}, "has taken away"),
        ({"state": OrderState.DRIFTED}, "has taken away"),
        ({"plan": None}, "a person has to undo it"),
        ({"action": OrderAction.ROTATE, "plan": None}, "a person has to undo it"),
    ],
    ids=["not-sent", "drifted", "task", "rotation-by-hand"],
)
def test_what_was_not_taken_by_a_plan_cannot_be_restored(
    story: Any, verified: Order, change: dict[str, Any], words: str
) -> None:
    Order.objects.filter(pk=verified.pk).update(**change)

    with pytest.raises(NotRestorable, match=words):
        restore(story, verified)


def test_an_irreversible_change_cannot_be_restored(story: Any, verified: Order) -> None:
    Order.objects.filter(pk=verified.pk).update(plan=verified.plan | {"irreversible": True})

    with pytest.raises(NotRestorable, match="new credential"):
        restore(story, verified)
