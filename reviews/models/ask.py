"""Who else is asked, where a stage asks several people at once."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reviews.models.item import ReviewItem


class Ask(models.Model):
    """Somebody who is asked one question beside its assignee.

    A question that waits always has an assignee; only the others of its stage have a row here, so that a review which
    asks one person at a time writes none. The row goes away with the answer. `is_released` says that the stage was
    settled before this person answered: what they still say is kept, and changes nothing.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item = models.ForeignKey(ReviewItem, on_delete=models.RESTRICT, related_name="asks")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    stage = models.PositiveSmallIntegerField()
    round = models.PositiveSmallIntegerField()
    is_released = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "person"], name="reviews_ask_once_per_person"),
        ]
        indexes = [models.Index(fields=["person"], condition=Q(is_released=False), name="reviews_ask_waiting")]

    def __str__(self) -> str:
        return f"{self.person_id} on {self.item_id}"
