"""Who may see webhooks, what was sent, and the tickets of orders."""

from uuid import UUID

from django.db.models import Count, Q, QuerySet

from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import NotFound
from reviews.models import DeliveryState, Order, WebhookDelivery, WebhookEndpoint

READERS = (Role.ADMINISTRATOR, Role.AUDITOR)


def list_endpoints(*, actor: Actor) -> QuerySet[WebhookEndpoint]:
    """Webhooks that were not removed: all for administrators, auditors and programs with the scope, else none."""
    endpoints = WebhookEndpoint.objects.filter(removed_at=None).select_related("created_by")
    is_reader = actor.has_role(*READERS) or bool(actor.scopes & {"webhooks:read", "webhooks:write"})
    return endpoints if is_reader or actor.kind is ActorKind.SYSTEM else endpoints.none()


def access_endpoint(*, actor: Actor, endpoint_id: UUID | str) -> WebhookEndpoint:
    """One webhook, or NotFound."""
    endpoint = list_endpoints(actor=actor).filter(pk=endpoint_id).first()
    if endpoint is None:
        raise NotFound("There is no such webhook, or it is not yours to see.")
    return endpoint


def list_deliveries(endpoint: WebhookEndpoint, *, state: str = "") -> QuerySet[WebhookDelivery]:
    """What was and will be sent, newest first, without the bodies."""
    deliveries = endpoint.deliveries.defer("body").order_by("-created_at", "-pk")
    return deliveries.filter(state=state) if state else deliveries


def access_delivery(endpoint: WebhookEndpoint, delivery_id: UUID) -> WebhookDelivery:
    """One delivery of an endpoint that the actor may see, or NotFound."""
    delivery = endpoint.deliveries.filter(pk=delivery_id).first()
    if delivery is None:
        raise NotFound("There is no such delivery, or it is not yours to see.")
    return delivery


def with_lines(endpoints: QuerySet[WebhookEndpoint]) -> QuerySet[WebhookEndpoint]:
    """Each with `in_line`, how many events wait for it."""
    waiting = Q(deliveries__state=DeliveryState.WAITING, deliveries__sequence__isnull=False)
    return endpoints.annotate(in_line=Count("deliveries", filter=waiting))


def access_ticket_order(*, actor: Actor, order_id: UUID) -> Order:
    """The order whose ticket a program names. Its scope lets it name tickets, not read orders. Raises NotFound."""
    order = Order.objects.filter(pk=order_id).first() if "tickets:write" in actor.scopes else None
    if order is None:
        raise NotFound("There is no such order, or it is not yours to see.")
    return order
