"""Why a schedule's interval is short enough: who wrote it, who approved it."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from reviews.models.schedule import ReviewSchedule


class IntervalReasoning(models.Model):
    """The written reason for one interval of a schedule, and its approval by somebody else (PCI DSS 4.0.1, 7.2.5.1).

    The latest one of a schedule counts. It is never changed but for its approval; another reason, or a longer interval,
    is another row. `rrule`, `starts_at` and `time_zone` are the interval that the reason was written for.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    schedule = models.ForeignKey(ReviewSchedule, on_delete=models.RESTRICT, related_name="reasonings")
    reason = models.TextField()
    rrule = models.CharField(max_length=300)
    starts_at = models.DateTimeField()
    time_zone = models.CharField(max_length=64)
    written_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    written_at = models.DateTimeField()
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            # Approving one's own reason would be no approval.
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("written_by")), name="reviews_reasoning_by_another"
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None, approved_at=None)
                | Q(approved_by__isnull=False, approved_at__isnull=False),
                name="reviews_reasoning_approved_at",
            ),
        ]
        indexes = [models.Index(fields=["schedule", "-written_at"], name="reviews_reasoning_latest")]

    def __str__(self) -> str:
        return f"{self.rrule} of {self.schedule_id}"
