"""That somebody had a question before them, and when."""

from django.conf import settings
from django.db import models

from reviews.models.item import ReviewItem


class Viewing(models.Model):
    """One person's look at one question that was theirs to answer: when it was shown, and when they drafted an answer.

    `shown_at` is the latest showing before the answer, null where the person answered from a list; `drafted_at` is when
    they last changed a draft of it. A measure of how reviews are done, read as numbers over many (docs/reports.md); no
    evidence, so the trail knows nothing of it.
    """

    item = models.ForeignKey(ReviewItem, on_delete=models.RESTRICT, related_name="viewings")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    shown_at = models.DateTimeField(null=True, blank=True)
    drafted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "person"], name="reviews_viewing_once_per_person")]

    def __str__(self) -> str:
        return f"{self.person_id} at {self.item_id}"
