"""An answer that somebody has prepared and not given yet."""

import uuid

from django.conf import settings
from django.db import models

from reviews.models.item import Answer, ReviewItem


class Draft(models.Model):
    """One person's draft of one answer: private to them, changed and dropped at will, worth nothing until submitted.

    `version` is the question's version that the person saw; when the question has moved on, the draft is shown as out
    of date and not sent. `fields` is the form as typed (name to list of texts), so that also what is incomplete comes
    back as it was. `answer` and the columns behind it hold what the form meant; `problem` says what it still lacks.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item = models.ForeignKey(ReviewItem, on_delete=models.CASCADE, related_name="drafts")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    version = models.PositiveIntegerField()
    answer = models.CharField(max_length=20, choices=Answer.choices, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    until = models.DateTimeField(null=True, blank=True)
    target = models.JSONField(null=True, blank=True)
    named_person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    problem = models.CharField(max_length=500, blank=True, default="")
    fields = models.JSONField(default=dict)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "item"], name="reviews_draft_once_per_person")]
        indexes = [models.Index(fields=["person", "changed_at", "id"], name="reviews_draft_of_person")]

    def __str__(self) -> str:
        return f"draft of {self.answer or 'no answer yet'} on {self.item_id}"
