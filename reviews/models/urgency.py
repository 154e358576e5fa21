"""Orders that do not wait for a window or the end of a freeze, because two people said so."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from reviews.models.order import Order


class UrgentRelease(models.Model):
    """What two different people said about one order that a window or a freeze held; it waits until both did.

    `plan` is the state of the source that the order was planned against (its plan's `pre_hash`, empty while there is no
    plan): an order that is planned anew is another change, and what was said about the first one no longer counts.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.OneToOneField(Order, on_delete=models.RESTRICT, related_name="urgency")
    plan = models.CharField(max_length=128, blank=True, default="")
    first_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    first_at = models.DateTimeField()
    first_reason = models.TextField()
    # The round (see Nudge) in which people learnt that a second of them is waited for; empty until they did.
    told_in = models.UUIDField(null=True, blank=True)
    second_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    second_at = models.DateTimeField(null=True, blank=True)
    second_reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            # One person alone never gets past a window, whoever writes the row.
            models.CheckConstraint(
                condition=Q(second_by=None) | ~Q(second_by=F("first_by")), name="reviews_urgency_by_two_people"
            ),
            models.CheckConstraint(
                condition=Q(second_by=None, second_at=None) | Q(second_by__isnull=False, second_at__isnull=False),
                name="reviews_urgency_second_is_dated",
            ),
        ]

    def __str__(self) -> str:
        return f"urgent release of {self.order_id}"
