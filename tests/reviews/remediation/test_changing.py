"""A decision changes the source, and a later reading says so."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from identities.models import Credential, Grant
from reviews import remediation
from reviews.decisions import recall
from reviews.models import Order
from reviews.remediation.placing import TooLate
from reviews.states import OrderState
from tests.plugins.governed import Governed

APPLIED_STORY = ["order.planned", "order.sent", "order.applied"]


def narrowed_to(governed: Governed, *actions: str) -> dict[str, Any]:
    table = f"table:{governed.database}/public/payments"
    return {"dialect": "postgresql", "statements": [{"actions": list(actions), "resources": [table]}]}


def test_a_narrowed_right_is_refused_and_what_remains_still_works(
    story: Any, governed: Governed, verbs_of: Callable[[Order], list[str]]
) -> None:
    governed.give(f"GRANT SELECT, DELETE ON payments TO {governed.app}")
    story.read()

    order = story.decide(story.grant(governed.app), "scope_down", narrowed_to(governed, "SELECT"))
    assert governed.can("DELETE FROM payments"), "a decision alone changes nothing"
    order = story.carry_out(order)

    assert order.state == OrderState.APPLIED, order.outcome
    assert not governed.can("DELETE FROM payments")
    assert governed.can("SELECT * FROM payments")
    assert story.again(order).verified_at is None
    run = story.read()
    order = story.again(order)
    assert (order.state, order.verified_by_run_id) == (OrderState.VERIFIED, run.pk)
    assert verbs_of(order) == [*APPLIED_STORY, "order.verified"]


def test_a_revoked_right_is_gone_and_confirmed_by_every_path(
    story: Any, governed: Governed, verbs_of: Callable[[Order], list[str]]
) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()

    order = story.verified(governed.app)

    assert not governed.can("SELECT * FROM payments")
    assert "every path" in order.outcome
    assert verbs_of(order) == [*APPLIED_STORY, "order.verified"]


def test_what_everybody_held_is_taken_from_one_and_given_back(story: Any, governed: Governed) -> None:
    governed.give("GRANT SELECT ON payments TO PUBLIC")
    story.read()
    held = Grant.objects.filter(source=story.source, label__icontains="payments", path__contains=[{"kind": "public"}])
    order = story.decide(held.get(identity__external_id=governed.app), "revoke")
    assert any("created later" in sentence for sentence in order.plan["side_effects"])

    order = story.carry_out(order)

    assert order.state == OrderState.APPLIED, order.outcome
    assert not governed.can("SELECT * FROM payments")
    assert governed.acl() >= {f"{name}=r/{governed.keeper}" for name in (governed.group, governed.connector)}
    story.read()
    order = story.again(order)
    assert order.state == OrderState.VERIFIED, order.outcome
    back = remediation.restore_order(order=order, days=7, reason="Needed.", actor=story.actor, now=timezone.now())
    assert story.carry_out(back).state == OrderState.APPLIED
    assert governed.can("SELECT * FROM payments")


def test_a_reading_that_began_before_the_change_confirms_nothing(story: Any, governed: Governed) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    earlier = story.read()
    order = story.revoked(governed.app)

    remediation.verify_orders(source_id=str(story.source.pk), run_id=str(earlier.pk), now=timezone.now())

    assert story.again(order).state == OrderState.APPLIED


@pytest.mark.parametrize(
    ("give", "take", "via"),
    [
        (
            ["GRANT SELECT ON payments TO {group}", "RESET ROLE", "GRANT {group} TO {app}"],
            ["RESET ROLE", "REVOKE {group} FROM {app}"],
            "membership in {group}",
        ),
        (["GRANT SELECT ON payments TO PUBLIC"], ["REVOKE SELECT ON payments FROM PUBLIC"], "PUBLIC"),
        (
            [
                "GRANT SELECT ON payments TO {group} WITH GRANT OPTION",
                "RESET ROLE",
                "SET ROLE {group}",
                "GRANT SELECT ON payments TO {app}",
            ],
            ["RESET ROLE", "SET ROLE {group}", "REVOKE SELECT ON payments FROM {app}"],
            "its own grant from {group}",
        ),
    ],
    ids=["membership", "public", "another-grantor"],
)
def test_a_second_path_keeps_the_order_open_until_it_is_gone_too(
    story: Any,
    governed: Governed,
    give: list[str],
    take: list[str],
    via: str,
    verbs_of: Callable[[Order], list[str]],
) -> None:
    names = {"group": governed.group, "app": governed.app}
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    grant = story.grant(governed.app, "payments")
    governed.give(*[statement.format(**names) for statement in give])

    order = story.carry_out(story.decide(grant, "revoke"))
    story.read()

    order = story.again(order)
    assert order.state == OrderState.STILL_EFFECTIVE
    assert via.format(**names) in order.outcome
    assert governed.can("SELECT * FROM payments"), "it said so because it is so"
    story.read()
    assert story.again(order).state == OrderState.STILL_EFFECTIVE

    governed.give(*[statement.format(**names) for statement in take])
    story.read()

    assert story.again(order).state == OrderState.VERIFIED
    assert not governed.can("SELECT * FROM payments")
    assert verbs_of(order) == [*APPLIED_STORY, "order.still_effective", "order.verified"]


def test_approving_changes_nothing_at_the_source(story: Any, governed: Governed) -> None:
    governed.give(f"GRANT SELECT, DELETE ON payments TO {governed.app}")
    story.read()
    before = governed.acl()

    order = story.decide(story.grant(governed.app), "approve")

    assert order is None
    assert remediation.drain_orders(now=timezone.now() + timedelta(days=400)) == 0
    assert governed.acl() == before


def test_approve_until_is_planned_and_carried_out_on_its_day(story: Any, governed: Governed) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    day = timezone.now() + timedelta(days=30)
    order = story.decide(story.grant(governed.app), "approve_until", until=day)

    story.carry_out(order, now=day - timedelta(minutes=1))
    early = story.again(order)
    assert (early.state, early.plan) == (OrderState.PLANNED, None)
    assert remediation.drain_orders(now=day - timedelta(minutes=1)) == 0
    assert governed.can("SELECT * FROM payments")

    # Meanwhile more was given; the end is about whatever is there on the day.
    governed.give(f"GRANT INSERT ON payments TO {governed.app}")
    story.read()
    assert remediation.drain_orders(now=day) == 1
    order = story.carry_out(order, now=day)

    assert order.state == OrderState.APPLIED, order.outcome
    assert not any(governed.app in entry for entry in governed.acl())


def test_a_decision_can_be_recalled_before_it_is_sent_and_not_afterwards(
    story: Any, governed: Governed, verbs_of: Callable[[Order], list[str]]
) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    first = story.decide(story.grant(governed.app), "revoke")

    recall(decision=first.decision, actor=story.actor, now=timezone.now())

    assert story.carry_out(first).state == OrderState.RECALLED
    assert governed.can("SELECT * FROM payments")
    assert verbs_of(first) == ["order.planned", "order.recalled"]

    second = story.carry_out(story.decide(story.grant(governed.app), "revoke"))
    with pytest.raises(TooLate):
        recall(decision=second.decision, actor=story.actor, now=timezone.now())
    assert story.again(second).state == OrderState.APPLIED


def test_a_deactivated_password_ends_sign_ins_and_open_sessions(story: Any, governed: Governed) -> None:
    story.read()
    credential = Credential.objects.get(source=story.source, identity__external_id=governed.app)
    session = governed.sign_in()

    order = story.carry_out(story.decide(credential, "deactivate"))

    assert order.state == OrderState.APPLIED, order.outcome
    with pytest.raises(psycopg.OperationalError), session:
        session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        governed.sign_in()
    story.read()
    assert story.again(order).state == OrderState.VERIFIED


def test_a_change_between_plan_and_execution_stops_the_order_until_somebody_looks(
    story: Any, governed: Governed, verbs_of: Callable[[Order], list[str]]
) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    order = story.decide(story.grant(governed.app), "revoke")
    governed.give(f"GRANT UPDATE ON payments TO {governed.app}")
    before = governed.acl()

    order = story.carry_out(order)

    assert order.state == OrderState.DRIFTED
    assert "UPDATE" in order.outcome
    assert governed.acl() == before
    story.source.refresh_from_db()
    assert story.source.next_read_at <= timezone.now(), "a reading is asked for at once"

    story.read()
    remediation.retry_order(order=order, actor=story.actor, now=timezone.now())
    order = story.carry_out(story.again(order))
    story.read()

    assert story.again(order).state == OrderState.VERIFIED
    assert not any(governed.app in entry for entry in governed.acl())
    assert verbs_of(order) == [
        *["order.planned", "order.sent", "order.drifted"],
        *[*APPLIED_STORY, "order.verified"],
    ]


def test_an_order_that_could_not_be_planned_is_bound_to_what_the_reviewer_saw(story: Any, governed: Governed) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    order = story.decide(story.grant(governed.app), "revoke")
    Order.objects.filter(pk=order.pk).update(plan=None)
    governed.give(f"GRANT UPDATE ON payments TO {governed.app}")
    story.read()

    order = story.carry_out(story.again(order))

    assert order.state == OrderState.DRIFTED
    assert "changed since it was decided" in order.outcome
    assert governed.can("SELECT * FROM payments")


def test_access_that_comes_back_is_noticed(
    story: Any, governed: Governed, verbs_of: Callable[[Order], list[str]]
) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    order = story.verified(governed.app)

    story.read()
    assert story.again(order).state == OrderState.VERIFIED
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    story.read()

    assert story.again(order).state == OrderState.REAPPEARED
    assert verbs_of(order) == [*APPLIED_STORY, "order.verified", "order.reappeared"]


def test_a_password_that_is_given_back_is_noticed(story: Any, governed: Governed) -> None:
    story.read()
    credential = Credential.objects.get(source=story.source, identity__external_id=governed.app)
    order = story.carry_out(story.decide(credential, "deactivate"))
    story.read()
    assert story.again(order).state == OrderState.VERIFIED

    governed.run(f"ALTER ROLE {governed.app} VALID UNTIL 'infinity'")
    story.read()

    assert story.again(order).state == OrderState.REAPPEARED


def test_nothing_is_called_while_a_transaction_is_open(story: Any, governed: Governed) -> None:
    from django.db import transaction

    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    item = story.ask(story.grant(governed.app))

    with pytest.raises(RuntimeError, match="durable"), transaction.atomic(durable=True):
        remediation.prepare(item=item, answer="revoke")
