"""A task goes to the ticket system, its reference comes back, and the system hears how it ends."""

from types import SimpleNamespace

import pytest
from django.urls import reverse
from django.utils import timezone

from governance.audit.actions import Verb
from governance.audit.models import AuditDetail, AuditEvent
from governance.kernel.actors import Role
from reviews.decisions import decide
from reviews.models import DeliveryState, Order, OrderTicket
from reviews.notices.planning import plan_deliveries
from reviews.notices.sending import send_to
from reviews.notices.tickets import TicketRefused, note_ticket
from reviews.states import OrderState

pytestmark = pytest.mark.django_db
TICKET = b'{"reference": "OPS-123", "url": "https://tickets.example.org/OPS-123"}'


@pytest.fixture
def task(make, hooks, receiver) -> SimpleNamespace:
    """A ticket system, and an order that a person has to carry out."""
    item = make.item()
    endpoint = hooks.add(purpose="tickets", name="Tickets")
    decide(item=item, version=1, answer="revoke", actor=make.actor(item.assignee), now=make.NOW, reason="Old.")
    hooks.seal()
    order = Order.objects.get()
    assert order.state == OrderState.TASK
    return SimpleNamespace(endpoint=endpoint, order=order, item=item)


def told(endpoint):
    plan_deliveries(now=timezone.now())
    return send_to(endpoint_id=endpoint.pk, now=timezone.now())


def test_a_task_arrives_with_its_instructions_and_the_answer_names_the_ticket(task, receiver, verbs):
    receiver.answer = lambda request: (201, {}, TICKET)
    assert told(task.endpoint) == 1
    said = receiver.received[0].event["data"]["task"]
    assert said["order"] == str(task.order.pk)
    assert said["instructions"] == task.order.instructions
    ticket = OrderTicket.objects.get()
    assert (ticket.order, ticket.reference, ticket.endpoint) == (task.order, "OPS-123", task.endpoint)
    assert verbs("order.ticket") == ["order.ticket_linked"]
    assert "OPS-123" not in AuditEvent.objects.get(verb="order.ticket_linked").payload
    assert AuditDetail.objects.filter(text__contains="OPS-123").exists()


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"thank you", b"[]", b'{"reference": ""}', b'{"reference": 7}', b'{"reference": "' + b"x" * 2000),
        b'{"reference": "OPS-1", "url": "javascript:alert(1)"}',
        b"[" * 1000,
    ],
    ids=range(8),
)
def test_an_answer_that_names_no_ticket_is_taken_all_the_same(task, receiver, answer):
    receiver.answer = lambda request: (200, {}, answer)
    assert told(task.endpoint) == 1
    assert not OrderTicket.objects.exists()
    assert task.endpoint.deliveries.get().state == DeliveryState.DELIVERED


def test_the_system_with_the_ticket_hears_how_the_order_ends_and_no_other_orders(task, hooks, receiver):
    receiver.answer = lambda request: (200, {}, TICKET)
    told(task.endpoint)
    hooks.happened(Verb.ORDER_VERIFIED, task.order)
    hooks.happened(Verb.ORDER_VERIFIED)
    told(task.endpoint)
    assert receiver.types == ["order.task_opened", "order.verified"]


def test_a_program_names_the_ticket_later_and_repeating_it_is_harmless(task, client, make_token, verbs):
    def say(key, **body):
        return client.post(
            reverse("api_order_ticket", args=[task.order.pk]),
            {"reference": "OPS-9"} | body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {plain}", "Idempotency-Key": key},
        )

    plain = make_token({"tickets:write"})[1]
    first, again = say("k1"), say("k1")
    assert first.status_code == again.status_code == 200
    assert again["Idempotency-Replayed"] == "true"
    assert first.json() == again.json()
    assert say("k2").status_code == 200
    assert say("k1", url="https://t.example.org/").json()["code"] == "idempotency-key-reused"
    assert say("k3", url="javascript:1").json()["code"] == "ticket-refused"
    assert OrderTicket.objects.get().endpoint == task.endpoint
    assert verbs("order.ticket") == ["order.ticket_linked"]


def test_a_ticket_changes_nothing_of_the_order(task, hooks, make):
    before = Order.objects.values().get()
    note_ticket(order=task.order, reference="OPS-1", actor=hooks.actor, now=timezone.now())
    assert Order.objects.values().get() == before


@pytest.mark.parametrize("reference", ["", " ", "x" * 101, "a\nb", "a\0"], ids=range(5))
def test_a_reference_is_a_short_line(task, hooks, reference):
    with pytest.raises(TicketRefused):
        note_ticket(order=task.order, reference=reference, actor=hooks.actor, now=timezone.now())


def test_the_orders_page_shows_its_tickets_and_takes_one_by_hand(task, make, client, sign_in):
    reviewer = sign_in(client, make.person(Role.REVIEWER))
    page = reviewer.get(reverse("reviews:order_detail", args=[task.order.pk])).content.decode()
    address = reverse("reviews:order_tickets", args=[task.order.pk])
    assert address in page
    said = reviewer.post(address, {"reference": "OPS-7", "url": "https://t.example.org/7"})
    assert 'href="https://t.example.org/7"' in said.content.decode()
    assert reviewer.post(address, {"reference": "OPS-8", "url": "javascript:1"}).status_code == 422
