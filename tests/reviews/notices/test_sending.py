"""What happens arrives, signed, in order, at least once; and nothing is sent twice at a time."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from governance.audit.actions import Verb
from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.errors import Conflict
from reviews.models import DeliveryState, WebhookDelivery
from reviews.notices.alerts import send_alerts
from reviews.notices.asking import forget_old_deliveries, send_again, send_test
from reviews.notices.endpoints import rotate_secret, switch_off, switch_on
from reviews.notices.planning import plan_deliveries
from reviews.notices.retrying import MOST_REFUSALS
from reviews.notices.sending import queue_due, send_to, take
from tests.reviews.notices.verifying import verified

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=30)


def told(endpoint, now=None):
    now = now or timezone.now()
    plan_deliveries(now=now)
    return send_to(endpoint_id=endpoint.pk, now=now)


def test_an_event_arrives_as_a_signed_cloud_event(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    event_id = hooks.happened(
        new={"state": "verified"}, reason="Person 7 wrote this.", personal={"email": "p@example.org"}
    )
    assert told(endpoint) == 1
    request = receiver.received[0]
    event = verified(request.body, request.headers, hooks.secret)
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    assert request.headers["webhook-id"] == str(event_id) == event["id"]
    assert (event["specversion"], event["type"], event["source"]) == (
        "1.0",
        "order.verified",
        "https://remit.example.org",
    )
    assert (event["subject"], event["data"]["new"]) == ("order/x", {"state": "verified"})
    assert b"Person 7" not in request.body and b"p@example.org" not in request.body


def test_a_body_that_was_touched_fails_to_verify(hooks, receiver):
    endpoint = hooks.add()
    hooks.happened()
    told(endpoint)
    request = receiver.received[-1]
    with pytest.raises(ValueError, match="signature"):
        verified(request.body + b" ", request.headers, hooks.secret)


def test_events_come_in_the_order_of_the_trail_and_only_from_the_endpoints_start(hooks, receiver):
    hooks.happened()
    endpoint = hooks.add(verbs=["order"])
    wanted = [hooks.happened(verb) for verb in (Verb.ORDER_SENT, Verb.ORDER_APPLIED, Verb.ORDER_VERIFIED)]
    hooks.happened(Verb.SYNC_APPLIED)
    assert told(endpoint) == 3
    assert [request.event["id"] for request in receiver.received] == list(map(str, wanted))
    assert told(endpoint) == 0


def test_planning_twice_and_by_two_adds_nothing(hooks):
    hooks.add(verbs=["order"])
    hooks.happened()
    assert plan_deliveries(now=timezone.now()) == 1
    assert plan_deliveries(now=timezone.now()) == 0


def test_the_choice_of_sources_and_reviews_is_kept(hooks, receiver, make):
    item = make.item()
    other = make.source()
    by_source = hooks.add(sources=[item.identity.source.slug], verbs=["source", "campaign"])
    by_review = hooks.add(campaigns=[str(item.campaign_id)], verbs=["source", "campaign"])
    hooks.happened(Verb.SOURCE_CHANGED, item.identity.source)
    hooks.happened(Verb.SOURCE_CHANGED, other)
    hooks.happened(Verb.CAMPAIGN_CLOSED, item.campaign)
    plan_deliveries(now=timezone.now())
    assert list(by_source.deliveries.values_list("verb", flat=True)) == ["source.changed"]
    assert list(by_review.deliveries.values_list("verb", flat=True)) == ["campaign.closed"]


def test_a_receiver_that_is_down_holds_the_line_and_loses_nothing(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    first, second = hooks.happened(), hooks.happened()
    receiver.answer = lambda request: (503, {}, b"")
    now = timezone.now()
    assert told(endpoint, now) == 0
    assert [request.event["id"] for request in receiver.received] == [str(first)]
    receiver.answer = lambda request: (204, {}, b"")
    assert send_to(endpoint_id=endpoint.pk, now=now + LATER) == 2
    assert [request.event["id"] for request in receiver.received] == [str(first), str(first), str(second)]
    bodies = {request.body for request in receiver.received[:2]}
    assert len(bodies) == 1
    assert WebhookDelivery.objects.get(event_id=first).attempts == 2


def test_an_event_that_is_refused_is_set_aside_and_the_next_one_goes(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    bad, good = hooks.happened(), hooks.happened()
    receiver.answer = lambda request: (400 if request.event["id"] == str(bad) else 200, {}, b"")
    now = timezone.now()
    plan_deliveries(now=now)
    for number in range(MOST_REFUSALS):
        send_to(endpoint_id=endpoint.pk, now=now + timedelta(hours=3 * number))
    states = dict(endpoint.deliveries.values_list("event_id", "state"))
    assert states == {bad: DeliveryState.FAILED, good: DeliveryState.DELIVERED}


def test_the_receiver_may_ask_for_time(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    hooks.happened()
    receiver.answer = lambda request: (429, {"Retry-After": "7200"}, b"")
    now = timezone.now()
    told(endpoint, now)
    assert endpoint.deliveries.get().next_attempt_at >= now + timedelta(seconds=7200)


def test_redirects_are_not_followed(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    hooks.happened()
    receiver.answer = lambda request: (302, {"Location": receiver.url + "/elsewhere"}, b"")
    told(endpoint)
    assert [request.path for request in receiver.received] == ["/hook"]
    assert "redirect" in endpoint.deliveries.get().last_problem


def test_a_flood_of_an_answer_is_cut_off(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    hooks.happened()
    receiver.answer = lambda request: (200, {}, b"x" * 5_000_000)
    assert told(endpoint) == 1


def test_while_one_worker_sends_nobody_else_gets_the_delivery_or_the_next(hooks):
    endpoint = hooks.add(verbs=["order"])
    hooks.happened()
    hooks.happened()
    now = timezone.now()
    plan_deliveries(now=now)
    first = take(endpoint_id=endpoint.pk, now=now)
    assert first is not None
    assert take(endpoint_id=endpoint.pk, now=now) is None
    assert queue_due(now=now) <= 1
    again = take(endpoint_id=endpoint.pk, now=now + timedelta(minutes=2))
    assert (again.pk, again.event_id) == (first.pk, first.event_id)


def test_both_secrets_sign_while_the_old_one_is_still_good(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    old = hooks.secret
    now = timezone.now()
    _, new = rotate_secret(endpoint_id=endpoint.pk, actor=hooks.actor, now=now)
    hooks.happened()
    told(endpoint)
    request = receiver.received[-1]
    assert len(request.headers["webhook-signature"].split()) == 2
    assert verified(request.body, request.headers, old) == verified(request.body, request.headers, new)
    rotate_secret(endpoint_id=endpoint.pk, actor=hooks.actor, now=now, overlap=timedelta())
    hooks.happened()
    told(endpoint)
    request = receiver.received[-1]
    assert len(request.headers["webhook-signature"].split()) == 1
    with pytest.raises(ValueError, match="signature"):
        verified(request.body, request.headers, new)


def test_another_key_file_stops_sending_and_says_so(hooks, receiver, settings):
    endpoint = hooks.add(verbs=["order"])
    settings.WEBHOOK_KEY_FILE.write_bytes(b"k" * 32)
    hooks.happened()
    told(endpoint)
    assert receiver.received == []
    assert "another one" in endpoint.deliveries.get().last_problem


def test_nothing_that_signs_is_in_the_database(hooks):
    endpoint = hooks.add()
    row = repr(vars(endpoint)).encode() + bytes(endpoint.salt)
    assert hooks.secret.removeprefix("whsec_").encode() not in row
    assert hooks.secret.removeprefix("whsec_") not in "".join(AuditEvent.objects.values_list("payload", flat=True))


def test_an_endpoint_that_fails_for_days_is_switched_off_and_administrators_hear_of_it(hooks, receiver, make, verbs):
    second = make.person(Role.ADMINISTRATOR)
    make.person(Role.ADMINISTRATOR, is_active=False)
    endpoint = hooks.add(verbs=["order"])
    first = hooks.happened()
    receiver.answer = lambda request: (500, {}, b"")
    now = timezone.now()
    plan_deliveries(now=now)
    for days in range(7):
        send_to(endpoint_id=endpoint.pk, now=now + timedelta(days=days, hours=3 * days))
    endpoint.refresh_from_db()
    assert not endpoint.is_enabled and "5 days" in endpoint.off_reason
    assert "webhook.switched_off" in verbs("webhook.")
    assert send_alerts(now=now + timedelta(days=8)) == 2
    assert send_alerts(now=now + timedelta(days=8)) == 0
    assert second.email in {message.to[0] for message in mail.outbox}
    assert endpoint.name in mail.outbox[0].subject

    missed = hooks.happened()
    plan_deliveries(now=now)
    receiver.received.clear()
    receiver.answer = lambda request: (200, {}, b"")
    switch_on(endpoint_id=endpoint.pk, actor=hooks.actor, now=now)
    assert told(endpoint, now + timedelta(days=9)) == 2
    assert [request.event["id"] for request in receiver.received] == [str(first), str(missed)]


def test_a_receiver_that_is_gone_is_left_alone_at_once(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    hooks.happened()
    receiver.answer = lambda request: (410, {}, b"")
    told(endpoint)
    endpoint.refresh_from_db()
    assert not endpoint.is_enabled and "410" in endpoint.off_reason


def test_what_happened_while_it_was_off_can_be_skipped(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    switch_off(endpoint_id=endpoint.pk, actor=hooks.actor, now=timezone.now())
    hooks.happened()
    assert told(endpoint) == 0
    switch_on(endpoint_id=endpoint.pk, actor=hooks.actor, now=timezone.now(), skip=True)
    later = hooks.happened()
    assert told(endpoint) == 1
    assert receiver.received[0].event["id"] == str(later)


def test_a_test_event_goes_at_once_beside_the_line_and_is_not_repeated(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    hooks.happened()
    receiver.answer = lambda request: (500, {}, b"")
    told(endpoint)
    hooks.seal()
    send_test(endpoint_id=endpoint.pk, actor=hooks.actor, now=timezone.now())
    send_to(endpoint_id=endpoint.pk, now=timezone.now())
    assert receiver.types[-1] == "remit.test"
    verified(receiver.received[-1].body, receiver.received[-1].headers, hooks.secret)
    assert endpoint.deliveries.get(verb="remit.test").state == DeliveryState.FAILED


def test_an_event_can_be_sent_again_under_its_id(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    hooks.happened()
    told(endpoint)
    delivery = endpoint.deliveries.get()
    send_again(endpoint_id=endpoint.pk, delivery_id=delivery.pk, actor=hooks.actor, now=timezone.now())
    assert send_to(endpoint_id=endpoint.pk, now=timezone.now()) == 1
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"] and first.body == second.body
    assert len(WebhookDelivery.objects.get(pk=delivery.pk).tries) == 2


def test_what_is_being_sent_cannot_be_sent_again_beside_it(hooks):
    endpoint = hooks.add(verbs=["order"])
    hooks.happened()
    now = timezone.now()
    plan_deliveries(now=now)
    delivery = take(endpoint_id=endpoint.pk, now=now)
    with pytest.raises(Conflict):
        send_again(endpoint_id=endpoint.pk, delivery_id=delivery.pk, actor=hooks.actor, now=now)


def test_settled_deliveries_are_forgotten_after_thirty_days_and_waiting_ones_are_not(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    hooks.happened()
    told(endpoint)
    hooks.happened()
    plan_deliveries(now=timezone.now())
    assert forget_old_deliveries(now=timezone.now() + timedelta(days=31)) == 1
    assert endpoint.deliveries.get().state == DeliveryState.WAITING
