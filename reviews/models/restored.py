"""Nothing is sent after the database was restored, until a person has looked at each source."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q


class RestoreHold(models.Model):
    """Orders at one source wait since the database was restored to an earlier state.

    The systems outside are ahead of a restored database: what was carried out after `state_of` looks unsent. So every
    order at the source is held, also those that give access back, until a person has looked, after a reading that began
    later than `restored_at`. A second restore leaves an open hold in place and moves its dates.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey("identities.Source", on_delete=models.RESTRICT, related_name="restore_holds")
    state_of = models.DateTimeField()
    restored_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    end_reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source"], condition=Q(ended_at=None), name="reviews_restore_hold_one_per_source"
            ),
            # Nothing but a person's word ends it.
            models.CheckConstraint(
                condition=Q(ended_at=None, ended_by=None) | Q(ended_at__isnull=False, ended_by__isnull=False),
                name="reviews_restore_hold_ended_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"restore hold of {self.source_id}"
