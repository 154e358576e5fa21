"""Ask for something to be sent: a test, or an event once more."""

import uuid
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict, NotFound
from governance.people.access import require_role
from reviews.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from reviews.notices.events import TEST_TYPE, test_body

# What was sent stays for so long; the trail keeps the events themselves.
KEPT_FOR = timedelta(days=30)
PRUNED_AT_ONCE = 5_000


class BeingSent(Conflict):
    """The delivery is on its way at this very moment."""

    code = "being-sent"


def send_test(*, endpoint_id: UUID, actor: Actor, now: datetime) -> WebhookDelivery:
    """Send a `remit.test` event at once, beside the line and once only; also to one that is off. Raises NotFound."""
    require_role(actor, Role.ADMINISTRATOR, scope="webhooks:write")
    with transaction.atomic(durable=True):
        endpoint = WebhookEndpoint.objects.select_for_update().filter(pk=endpoint_id, removed_at=None).first()
        if endpoint is None:
            raise NotFound("There is no such webhook, or it is not yours to see.")
        event_id = uuid.uuid4()
        delivery = WebhookDelivery.objects.create(
            endpoint=endpoint,
            event_id=event_id,
            verb=TEST_TYPE,
            subject_kind="webhook",
            subject_id=str(endpoint.pk),
            body=test_body(event_id, endpoint.pk, now),
            next_attempt_at=now,
            created_at=now,
        )
        _record(Verb.WEBHOOK_TEST_REQUESTED, delivery, actor, now)
        dispatch.after_commit("reviews.send_notices_to", endpoint_id=str(endpoint.pk))
    return delivery


def send_again(*, endpoint_id: UUID, delivery_id: UUID, actor: Actor, now: datetime) -> WebhookDelivery:
    """Send an event once more, or now instead of later: the same bytes under the same `webhook-id`.

    Raises NotFound, BeingSent, Conflict while the webhook is off.
    """
    require_role(actor, Role.ADMINISTRATOR, scope="webhooks:write")
    with transaction.atomic(durable=True):
        # The endpoint is locked first, as when its next delivery is chosen.
        endpoint = WebhookEndpoint.objects.select_for_update().filter(pk=endpoint_id, removed_at=None).first()
        delivery = WebhookDelivery.objects.filter(pk=delivery_id, endpoint=endpoint).first() if endpoint else None
        if endpoint is None or delivery is None:
            raise NotFound("There is no such delivery, or it is not yours to see.")
        if not endpoint.is_enabled and delivery.sequence is not None:
            raise Conflict("This webhook is off. Switch it on first.")
        if delivery.leased_until is not None and delivery.leased_until > now:
            raise BeingSent("It is being sent right now.")
        if delivery.state != DeliveryState.WAITING:
            delivery.state, delivery.attempts, delivery.finished_at = DeliveryState.WAITING, 0, None
        delivery.next_attempt_at, delivery.leased_until = now, None
        delivery.save(update_fields=["state", "attempts", "finished_at", "next_attempt_at", "leased_until"])
        delivery.endpoint = endpoint
        _record(Verb.WEBHOOK_RESEND_REQUESTED, delivery, actor, now)
        dispatch.after_commit("reviews.send_notices_to", endpoint_id=str(endpoint.pk))
    return delivery


def forget_old_deliveries(*, now: datetime) -> int:
    """Drop what was settled more than thirty days ago, some at a time."""
    old = WebhookDelivery.objects.filter(finished_at__lt=now - KEPT_FOR).values("pk")[:PRUNED_AT_ONCE]
    return WebhookDelivery.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()[0]


def _record(verb: Verb, delivery: WebhookDelivery, actor: Actor, now: datetime) -> None:
    log.record(
        verb=verb,
        actor=actor,
        subject=log.Subject("webhook", str(delivery.endpoint_id), "webhook"),
        now=now,
        context={"event": str(delivery.event_id), "type": delivery.verb},
    )
