"""Access that an order took away and that is held again is asked about, with the order."""

from reviews import remediation
from reviews.models import Order, Trigger, WatchHit
from reviews.states import OrderState
from tests.reviews.continuous.conftest import ADMIN


def revoked(estate, name):
    """The order is carried out by hand at the source, and a later reading confirms it."""
    estate.approve(name, "revoke")
    order = Order.objects.get(grant=estate.get(name))
    Order.objects.filter(pk=order.pk).update(state=OrderState.APPLIED, applied_at=estate.now)
    run = estate.sync(estate.retire(name))
    remediation.verify_orders(source_id=str(estate.source.pk), run_id=str(run.pk), now=estate.now)
    order.refresh_from_db()
    assert order.state == "verified"
    return order


def returned(estate, name, *permission):
    run = estate.sync(estate.grant(name, *permission))
    remediation.verify_orders(source_id=str(estate.source.pk), run_id=str(run.pk), now=estate.now)


def test_revoked_access_that_a_reading_shows_again_is_a_question(estate):
    estate.watch(Trigger.REAPPEARED)
    estate.connect()
    order = revoked(estate, "reads")
    assert estate.tick() == []

    returned(estate, "reads")
    estate.tick()

    [item] = estate.inbox()
    assert (item.grant, item.seen["trigger"]["kind"]) == (estate.get("reads"), "reappeared")
    assert item.seen["trigger"]["facts"]["order"] == str(order.pk)


def test_it_is_asked_once_for_each_time_that_it_comes_back(estate):
    estate.watch(Trigger.REAPPEARED)
    estate.connect()
    revoked(estate, "reads")
    returned(estate, "reads")
    estate.tick()
    assert (estate.tick(), WatchHit.objects.count()) == ([], 1)


def test_privileged_access_that_came_back_is_one_question_and_not_two(estate):
    estate.watch(Trigger.PRIVILEGED, settle_minutes=0)
    estate.watch(Trigger.REAPPEARED, settle_minutes=10)
    estate.connect(estate.grant("admin", ADMIN))
    revoked(estate, "admin")
    returned(estate, "admin", ADMIN)

    estate.tick()
    estate.tick()

    [item] = estate.inbox()
    assert item.seen["trigger"]["kind"] == "reappeared"
    outcomes = dict(WatchHit.objects.values_list("watch__trigger", "outcome"))
    assert outcomes == {"reappeared": "asked", "privileged": "asked_already"}
