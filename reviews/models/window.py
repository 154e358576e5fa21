"""When orders may run: change windows that come round, and freezes that stop them for a time."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class ChangeWindow(models.Model):
    """Hours that come round in which orders may run at one source, or at all (`source` null).

    `rrule` is an RFC 5545 rule on the clock of `time_zone` from `starts_at`; each date opens the window for
    `duration_minutes`. A source with windows of its own runs in those only, one without in those for all; where there
    are none, orders run at any time. A window is never changed, only removed, so that the past stays readable.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(
        "identities.Source", null=True, blank=True, on_delete=models.RESTRICT, related_name="change_windows"
    )
    name = models.CharField(max_length=120)
    rrule = models.CharField(max_length=300)
    time_zone = models.CharField(max_length=64, default="UTC")
    starts_at = models.DateTimeField()
    duration_minutes = models.PositiveIntegerField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(duration_minutes__gte=1), name="reviews_window_lasts"),
        ]

    def __str__(self) -> str:
        return self.name


class Freeze(models.Model):
    """From `starts_at` until `ends_at` no order runs at one source, or at any (`source` null), for a reason.

    Lifting a freeze early moves nothing: `lifted_at` says when it stopped holding.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(
        "identities.Source", null=True, blank=True, on_delete=models.RESTRICT, related_name="freezes"
    )
    reason = models.CharField(max_length=300)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="reviews_freeze_ends_after_start"),
        ]

    def __str__(self) -> str:
        return f"{self.reason} until {self.ends_at}"
