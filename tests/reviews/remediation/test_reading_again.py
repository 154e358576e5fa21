"""What a change at the source asks of the readings that follow it."""

import threading
import time
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from identities.models import Source
from identities.tasks import read_source
from reviews import remediation
from reviews.models import Order
from reviews.states import OrderState
from tests.plugins.governed import Governed


@pytest.fixture
def order(story: Any, governed: Governed) -> Order:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    return story.revoked(governed.app)


@pytest.mark.parametrize("asks", ["another order", "another message"])
def test_a_change_while_the_source_is_being_read_has_it_read_once_more(
    story: Any, governed: Governed, asks: str
) -> None:
    def read() -> None:
        try:
            read_source(source_id=str(story.source.pk))
        finally:
            connection.close()

    story.read()
    with psycopg.connect(governed.admin_url) as holder:
        holder.execute("LOCK TABLE pg_catalog.pg_auth_members IN ACCESS EXCLUSIVE MODE")
        reading = threading.Thread(target=read)
        reading.start()
        while governed.waiting() == 0:
            time.sleep(0.02)
        if asks == "another order":
            Source.objects.filter(pk=story.source.pk).update(next_read_at=timezone.now())
        else:
            read_source(source_id=str(story.source.pk))
    reading.join(30)

    story.source.refresh_from_db()
    assert story.source.last_success_at is not None
    assert story.source.next_read_at <= timezone.now()


def test_a_source_that_is_away_when_it_is_asked_keeps_the_order_waiting(
    story: Any, governed: Governed, order: Order
) -> None:
    run = story.read()
    Order.objects.filter(pk=order.pk).update(state=OrderState.APPLIED, verified_at=None)
    Source.objects.filter(pk=story.source.pk).update(settings=governed.settings | {"host": "/nowhere"})

    remediation.verify_orders(source_id=str(story.source.pk), run_id=str(run.pk), now=timezone.now())
    assert story.again(order).state == OrderState.APPLIED

    Source.objects.filter(pk=story.source.pk).update(settings=governed.settings)
    story.read()
    assert story.again(order).state == OrderState.VERIFIED


def test_access_that_is_back_before_the_reading_is_no_success(story: Any, governed: Governed, order: Order) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")

    story.read()

    assert story.again(order).state == OrderState.DRIFTED
    assert "something put it back" in story.again(order).outcome
    remediation.retry_order(order=story.again(order), actor=story.actor, now=timezone.now())
    assert story.carry_out(story.again(order)).state == OrderState.APPLIED
    story.read()
    assert story.again(order).state == OrderState.VERIFIED


def test_access_that_reappeared_can_be_taken_away_again(story: Any, governed: Governed, order: Order) -> None:
    story.read()
    governed.give(f"GRANT SELECT, INSERT ON payments TO {governed.app}")
    story.read()
    assert story.again(order).state == OrderState.REAPPEARED

    remediation.retry_order(order=story.again(order), actor=story.actor, now=timezone.now())
    retried = story.carry_out(story.again(order))
    story.read()

    assert retried.verified_at is None, "the earlier confirmation says nothing about the second change"
    assert story.again(order).state == OrderState.VERIFIED
    assert not any(governed.app in entry for entry in governed.acl())


def test_access_that_reappeared_and_went_again_needs_nobody(story: Any, governed: Governed, order: Order) -> None:
    story.read()
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    assert story.again(order).state == OrderState.REAPPEARED

    governed.give(f"REVOKE SELECT ON payments FROM {governed.app}")
    story.read()

    assert story.again(order).state == OrderState.VERIFIED


@pytest.mark.parametrize("state", [OrderState.BLOCKED, OrderState.FAILED, OrderState.DRIFTED])
def test_what_remit_could_not_do_is_confirmed_when_somebody_else_did_it(
    story: Any, governed: Governed, state: OrderState
) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    order = story.decide(story.grant(governed.app), "revoke")
    Order.objects.filter(pk=order.pk).update(state=state)
    story.read()
    assert story.again(order).state == state

    governed.give(f"REVOKE SELECT ON payments FROM {governed.app}")
    story.read()

    assert story.again(order).state == OrderState.VERIFIED


def test_an_order_with_a_damaged_plan_does_not_keep_others_waiting(story: Any, governed: Governed) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}", f"GRANT SELECT ON refunds TO {governed.app}")
    story.read()
    damaged, sound = story.revoked(governed.app, "payments"), story.revoked(governed.app, "refunds")
    Order.objects.filter(pk=damaged.pk).update(plan={"nonsense": True})

    story.read()

    assert story.again(damaged).state == OrderState.APPLIED
    assert story.again(sound).state == OrderState.VERIFIED
