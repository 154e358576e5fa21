"""What people ask each other about a question before they answer it."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from reviews.models.item import ReviewItem


class Remark(models.Model):
    """A question to a named person about an item, or that person's reply (`replies_to`); never changed afterwards.

    Asking moves nothing: the item stays with whoever is asked to decide. `asked` is empty on replies.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item = models.ForeignKey(ReviewItem, on_delete=models.RESTRICT, related_name="remarks")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    asked = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="remarks_asked"
    )
    replies_to = models.OneToOneField("self", null=True, blank=True, on_delete=models.RESTRICT, related_name="reply")
    text = models.TextField()
    item_version = models.PositiveIntegerField()
    made_at = models.DateTimeField()

    class Meta:
        constraints = [
            # Either a question to somebody, or the reply to one.
            models.CheckConstraint(
                condition=Q(asked__isnull=False, replies_to__isnull=True)
                | Q(asked__isnull=True, replies_to__isnull=False),
                name="reviews_remark_asks_or_replies",
            ),
            models.CheckConstraint(
                condition=Q(asked__isnull=True) | ~Q(asked=F("author")), name="reviews_remark_asks_another"
            ),
        ]
        indexes = [
            models.Index(fields=["item", "made_at"], name="reviews_remark_of_item"),
            models.Index(fields=["asked", "made_at"], name="reviews_remark_asked", condition=Q(asked__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"remark on {self.item_id}"
