"""kill -9 between sending and noting it: the event comes again, under the same id, with the same bytes."""

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import psycopg
import pytest
from django.utils import timezone

from governance.audit.actions import Verb
from reviews.models import DeliveryState, WebhookDelivery
from reviews.notices.planning import plan_deliveries
from reviews.notices.sending import send_to

pytestmark = pytest.mark.slow

WORKER = """
import sys
import django
django.setup()
from django.utils import timezone
from reviews.notices.sending import send_to
send_to(endpoint_id=sys.argv[1], now=timezone.now())
"""


def start(endpoint, database, receiver_settings):
    variables = {"DATABASE_URL": database.url, "WEBHOOK_INTERNAL_HOSTS": "127.0.0.1"}
    variables |= {"WEBHOOK_KEY_FILE": str(receiver_settings.WEBHOOK_KEY_FILE)}
    return subprocess.Popen([sys.executable, "-c", WORKER, str(endpoint.pk)], env=os.environ | variables)


def record(verb=Verb.ORDER_VERIFIED):
    from django.db import transaction

    from governance.audit import log
    from governance.kernel.actors import system_actor

    with transaction.atomic():
        return log.record(verb=verb, actor=system_actor("test"), subject=log.Subject("order", "x"), now=timezone.now())


def test_an_event_whose_worker_was_killed_comes_again_under_its_id(committed_db, hooks, receiver, settings):
    hooks.seal = lambda: None
    endpoint = hooks.add(verbs=["order"])
    events = [record(), record()]
    plan_deliveries(now=timezone.now())
    arrived, release = threading.Event(), threading.Event()

    def stall(request):
        arrived.set()
        release.wait(30)
        return 204, {}, b""

    receiver.answer = stall
    worker = start(endpoint, committed_db, settings)
    assert arrived.wait(60)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    release.set()
    receiver.answer = lambda request: (204, {}, b"")

    assert send_to(endpoint_id=endpoint.pk, now=timezone.now()) == 0, "the lease of the dead one still holds"
    assert len(receiver.received) == 1
    assert send_to(endpoint_id=endpoint.pk, now=timezone.now() + timedelta(minutes=2)) == 2
    assert [request.headers["webhook-id"] for request in receiver.received] == [str(events[0]), *map(str, events)]
    assert receiver.received[0].body == receiver.received[1].body
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {DeliveryState.DELIVERED}


def test_two_workers_at_once_send_each_event_once_and_in_order(committed_db, hooks, receiver, settings):
    hooks.seal = lambda: None
    endpoint = hooks.add(verbs=["order"])
    events = [str(record()) for _ in range(12)]
    plan_deliveries(now=timezone.now())
    workers = [start(endpoint, committed_db, settings) for _ in range(2)]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    send_to(endpoint_id=endpoint.pk, now=timezone.now())
    assert [request.headers["webhook-id"] for request in receiver.received] == events


def test_what_has_not_committed_is_not_sent_and_is_not_lost(committed_db, hooks, receiver):
    """A transaction that is open while others commit gets the later place in the trail."""
    hooks.seal = lambda: None
    endpoint = hooks.add(verbs=["order"])
    first = record()
    with psycopg.connect(committed_db.url) as open_one:
        open_one.execute(
            "INSERT INTO audit_auditevent (id, occurred_at, verb, actor_kind, actor_id, subject_kind, subject_id, payload)"
            " SELECT gen_random_uuid(), occurred_at, verb, actor_kind, actor_id, subject_kind, 'late',"
            " replace(payload, '\"x\"', '\"late\"') FROM audit_auditevent WHERE id = %s",
            [first],
        )
        second = record()
        plan_deliveries(now=timezone.now())
        assert send_to(endpoint_id=endpoint.pk, now=timezone.now()) == 2
    plan_deliveries(now=timezone.now())
    assert send_to(endpoint_id=endpoint.pk, now=timezone.now()) == 1
    subjects = [request.event["subject"] for request in receiver.received]
    assert subjects == ["order/x", "order/x", "order/late"]
    assert receiver.received[1].event["id"] == str(second)
