"""Tickets of other systems: an order that a person has to carry out is handed over, its reference is kept.

The order itself does not change: a reading of the source still has the last word, whatever the ticket says.
"""

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import DomainError
from governance.people.access import require_role
from identities.services.request_keys import Once, remember, require_new
from reviews.models import Order, OrderTicket, WebhookDelivery, WebhookEndpoint, WebhookPurpose

LONGEST_REFERENCE = 100
LONGEST_URL = 500
MOST_TICKETS = 20


class TicketRefused(DomainError):
    """The reference of a ticket cannot be kept as given."""

    code = "ticket-refused"
    title = "This ticket can't be noted"


def note_ticket(
    *,
    order: Order,
    reference: str,
    url: str = "",
    endpoint: WebhookEndpoint | None = None,
    actor: Actor,
    now: datetime,
    once: Once[OrderTicket] | None = None,
) -> OrderTicket:
    """Keep the reference that another system has for the order. Naming it again only changes its address.

    endpoint: the ticket system that answered. Raises TicketRefused, Forbidden; with `once` AlreadyDone and KeyReused.
    """
    require_role(actor, Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER, scope="tickets:write")
    reference, url = _checked(reference, url)
    with transaction.atomic(durable=True):
        if once is not None:
            require_new(once)
        order = Order.objects.select_for_update(of=("self",)).get(pk=order.pk)
        ticket, is_news = _written(order, reference, url, endpoint or _only_system(actor), now)
        if is_news:
            _record(ticket, actor, now)
        if once is not None:
            remember(once, ticket, now=now)
    return ticket


def take_answer(*, delivery: WebhookDelivery, body: bytes, actor: Actor, now: datetime) -> str:
    """Note the ticket that a ticket system named in its answer. Returns what to say about the answer, if anything.

    The answer is `{"reference": "OPS-123", "url": "https://…"}`; anything else is no error: it may come later by the
    API. Raises TicketRefused.
    """
    try:
        said = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or "reference" not in said:
        return "Taken, without a reference in the answer."
    order = Order.objects.filter(pk=delivery.subject_id).first()
    if order is None:
        return "Taken; the order is unknown."
    reference, url = said["reference"], said.get("url") or ""
    if not isinstance(reference, str) or not isinstance(url, str):
        raise TicketRefused("Taken, but reference and url must be texts.")
    ticket = note_ticket(order=order, reference=reference, url=url, endpoint=delivery.endpoint, actor=actor, now=now)
    return f"Ticket {ticket.reference}."


def _checked(reference: str, url: str) -> tuple[str, str]:
    reference, url = reference.strip(), url.strip()
    if not reference or len(reference) > LONGEST_REFERENCE or not reference.isprintable():
        raise TicketRefused(f"A reference has 1 to {LONGEST_REFERENCE} printable characters.", field="reference")
    if url and not _is_link(url):
        raise TicketRefused("The address of a ticket begins with https:// or http://.", field="url")
    return reference, url


def _is_link(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_plain = len(url) <= LONGEST_URL and url.isprintable() and " " not in url
    return is_plain and parts.scheme in ("https", "http") and bool(parts.hostname) and parts.username is None


def _only_system(actor: Actor) -> WebhookEndpoint | None:
    """The ticket system behind a program, where there is only one: it hears what becomes of the order."""
    if actor.kind is not ActorKind.API_CLIENT:
        return None
    systems = WebhookEndpoint.objects.filter(purpose=WebhookPurpose.TICKETS, removed_at=None)[:2]
    return systems[0] if len(systems) == 1 else None


def _written(
    order: Order, reference: str, url: str, endpoint: WebhookEndpoint | None, now: datetime
) -> tuple[OrderTicket, bool]:
    """The ticket, and whether anything about it is new."""
    ticket = OrderTicket.objects.filter(order=order, reference=reference).first()
    if ticket is None:
        if order.tickets.count() >= MOST_TICKETS:
            raise TicketRefused(f"An order has at most {MOST_TICKETS} tickets.")
        facts: dict[str, Any] = {"reference": reference, "url": url, "endpoint": endpoint, "noted_at": now}
        return OrderTicket.objects.create(order=order, **facts), True
    before = (ticket.url, ticket.endpoint_id)
    ticket.url = url or ticket.url
    ticket.endpoint = ticket.endpoint or endpoint
    ticket.save(update_fields=["url", "endpoint"])
    return ticket, before != (ticket.url, ticket.endpoint_id)


def _record(ticket: OrderTicket, actor: Actor, now: datetime) -> None:
    # A reference is another system's text: it may be anything, so it stands where it can be erased.
    log.record(
        verb=Verb.ORDER_TICKET_LINKED,
        actor=actor,
        subject=log.Subject("order", str(ticket.order_id)),
        now=now,
        context={"webhook": str(ticket.endpoint_id) if ticket.endpoint_id else None},
        personal={"reference": ticket.reference, "url": ticket.url},
    )
