"""Webhooks: where notices go, what was sent there, and the tickets that came back."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reviews.models.order import Order


class WebhookPurpose(models.TextChoices):
    EVENTS = "events", "Events"
    TICKETS = "tickets", "Ticket system"


class WebhookEndpoint(models.Model):
    """An address of another system that is told what happened here.

    `position` is the place in the audit trail up to which everything was looked at; what lies behind it has its
    delivery or was not wanted. The signing secret is stored nowhere: it is derived from the key file and `salt`
    (docs/adr/0023), and `fingerprint` tells whether the key file is still the same. `previous_salt` signs too until
    `previous_until`. `alert_at` is when administrators are to be told that it was switched off; null when they know.
    A removed endpoint keeps its row, because the trail names it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    url = models.CharField(max_length=500)
    purpose = models.CharField(max_length=10, choices=WebhookPurpose.choices, default=WebhookPurpose.EVENTS)
    verbs = models.JSONField(default=list)
    sources = models.JSONField(default=list)
    campaigns = models.JSONField(default=list)
    position = models.BigIntegerField()
    salt = models.BinaryField()
    fingerprint = models.CharField(max_length=16)
    secret_made_at = models.DateTimeField()
    previous_salt = models.BinaryField(null=True, blank=True)
    previous_until = models.DateTimeField(null=True, blank=True)
    is_enabled = models.BooleanField(default=True)
    off_reason = models.CharField(max_length=300, blank=True, default="")
    off_at = models.DateTimeField(null=True, blank=True)
    alert_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            # Two endpoints of one name could not be told apart in mails and lists.
            models.UniqueConstraint(fields=["name"], condition=Q(removed_at=None), name="reviews_webhook_name_once"),
            models.CheckConstraint(
                condition=Q(purpose__in=WebhookPurpose.values), name="reviews_webhook_purpose_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class DeliveryState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed"


class WebhookDelivery(models.Model):
    """One event on its way to one endpoint. The row is the truth: it is sent until the endpoint has taken it.

    `body` is what is sent, byte for byte, however often. `event_id` is its `webhook-id` and never changes. `sequence`
    is the event's place in the trail; events of one endpoint go out in that order. Without one (a test) a delivery
    stands in no line. A worker that sends holds a lease, and writes an outcome only under the lease that it took.
    `tries` holds the latest attempts: at, status, milliseconds, problem.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    event_id = models.UUIDField()
    verb = models.CharField(max_length=60)
    subject_kind = models.CharField(max_length=40, blank=True, default="")
    subject_id = models.CharField(max_length=200, blank=True, default="")
    sequence = models.BigIntegerField(null=True, blank=True)
    body = models.TextField()
    state = models.CharField(max_length=10, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    leased_until = models.DateTimeField(null=True, blank=True)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)
    last_milliseconds = models.PositiveIntegerField(null=True, blank=True)
    last_problem = models.CharField(max_length=300, blank=True, default="")
    tries = models.JSONField(default=list)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            # Whatever plans twice, an endpoint has each event once.
            models.UniqueConstraint(fields=["endpoint", "event_id"], name="reviews_delivery_once"),
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="reviews_delivery_state_known"),
        ]
        indexes = [
            models.Index(fields=["endpoint", "sequence"], name="reviews_delivery_line", condition=Q(state="waiting")),
            models.Index(fields=["endpoint", "-created_at", "-id"], name="reviews_delivery_history"),
            models.Index(fields=["finished_at"], name="reviews_delivery_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} to {self.endpoint_id}: {self.state}"


class OrderTicket(models.Model):
    """A ticket that another system keeps for an order. An order may have several, one per system."""

    order = models.ForeignKey(Order, on_delete=models.RESTRICT, related_name="tickets")
    endpoint = models.ForeignKey(
        WebhookEndpoint, null=True, blank=True, on_delete=models.RESTRICT, related_name="tickets"
    )
    reference = models.CharField(max_length=100)
    url = models.CharField(max_length=500, blank=True, default="")
    noted_at = models.DateTimeField()

    class Meta:
        constraints = [
            # A receiver that answers twice names one ticket.
            models.UniqueConstraint(fields=["order", "reference"], name="reviews_ticket_once"),
        ]

    def __str__(self) -> str:
        return self.reference
