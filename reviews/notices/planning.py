"""From the trail to deliveries: each endpoint reads on from its place, and what it wants gets a row.

The trail is the outbox. The place moves in the transaction that writes the rows, so an event is neither lost nor
written twice, whoever dies. Nothing is planned for an endpoint that is off or has a long line: the trail keeps it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from governance.audit.feed import FeedEvent, newest_position, read_after
from reviews.models import DeliveryState, Order, OrderTicket, WebhookDelivery, WebhookEndpoint, WebhookPurpose
from reviews.notices.concerning import NOTHING, Concern, concerns_of, uuids_of
from reviews.notices.events import TASK_TYPE, body_of, is_wanted

BATCH = 500
LONGEST_LINE = 1_000
# So many batches per endpoint and run; the next run goes on.
MOST_BATCHES = 20


def plan_deliveries(*, now: datetime) -> int:
    """Write what every endpoint has to be told. Returns how many deliveries were added."""
    newest = newest_position()
    behind = WebhookEndpoint.objects.filter(is_enabled=True, removed_at=None, position__lt=newest)
    return sum(plan_for(endpoint_id=pk, now=now) for pk in behind.values_list("pk", flat=True))


def plan_for(*, endpoint_id: UUID, now: datetime) -> int:
    """Write what one endpoint has to be told, up to the end of the trail or of what its line takes."""
    added = 0
    for _ in range(MOST_BATCHES):
        looked_at, wanted = _plan_batch(endpoint_id, now)
        added += wanted
        if looked_at < BATCH:
            break
    return added


def _plan_batch(endpoint_id: UUID, now: datetime) -> tuple[int, int]:
    with transaction.atomic(durable=True):
        endpoint = WebhookEndpoint.objects.select_for_update(of=("self",)).get(pk=endpoint_id)
        if not endpoint.is_enabled or endpoint.removed_at or _line_of(endpoint) >= LONGEST_LINE:
            return 0, 0
        events = read_after(endpoint.position, limit=BATCH)
        if not events:
            return 0, 0
        deliveries = _deliveries(endpoint, events, now)
        WebhookDelivery.objects.bulk_create(deliveries, ignore_conflicts=True)
        endpoint.position = events[-1].seq
        endpoint.save(update_fields=["position"])
    return len(events), len(deliveries)


def _line_of(endpoint: WebhookEndpoint) -> int:
    waiting = WebhookDelivery.objects.filter(
        endpoint=endpoint, state=DeliveryState.WAITING, sequence__isnull=False
    ).values("pk")
    return waiting[:LONGEST_LINE].count()


def _deliveries(endpoint: WebhookEndpoint, events: Sequence[FeedEvent], now: datetime) -> list[WebhookDelivery]:
    is_tickets = endpoint.purpose == WebhookPurpose.TICKETS
    events = _for_tickets(endpoint, events) if is_tickets else [e for e in events if is_wanted(e.verb, endpoint.verbs)]
    concerns = concerns_of(events)
    events = [event for event in events if _is_about(endpoint, concerns.get(event.event_id, NOTHING))]
    tasks = _tasks(events) if is_tickets else {}
    return [
        WebhookDelivery(
            endpoint=endpoint,
            event_id=event.event_id,
            verb=event.verb,
            subject_kind=event.subject_kind,
            subject_id=event.subject_id,
            sequence=event.seq,
            body=body_of(event, concerns.get(event.event_id, NOTHING), tasks.get(event.subject_id)),
            next_attempt_at=now,
            created_at=now + timedelta(microseconds=place),  # so that a list by time keeps their order
        )
        for place, event in enumerate(events)
    ]


def _is_about(endpoint: WebhookEndpoint, concern: Concern) -> bool:
    return (not endpoint.sources or concern.source in endpoint.sources) and (
        not endpoint.campaigns or concern.campaign in endpoint.campaigns
    )


def _for_tickets(endpoint: WebhookEndpoint, events: Sequence[FeedEvent]) -> list[FeedEvent]:
    """Tasks that open, and what becomes of orders for which this system keeps a ticket."""
    about = {
        event.event_id: pk for event in events if event.subject_kind == "order" for pk in uuids_of([event.subject_id])
    }
    kept = set(
        OrderTicket.objects.filter(endpoint=endpoint, order__in=set(about.values())).values_list("order", flat=True)
    )
    own = {"order.ticket_linked"}  # it said that itself
    return [
        event
        for event in events
        if event.event_id in about
        and (event.verb == TASK_TYPE or (about[event.event_id] in kept and event.verb not in own))
    ]


def _tasks(events: Sequence[FeedEvent]) -> dict[str, Order]:
    opened = {event.subject_id for event in events if event.verb == TASK_TYPE}
    orders = Order.objects.filter(pk__in=opened).select_related("identity", "source", "grant", "credential")
    return {str(order.pk): order for order in orders}
