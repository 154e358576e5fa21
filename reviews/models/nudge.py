"""What a person is to learn of: by the next mail, and by a sign in the inbox until they looked."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from reviews.models.item import ReviewItem
from reviews.models.mail import ReviewMail


class NudgeKind(models.TextChoices):
    """QUESTION and REPLY: somebody asked, or replied to, this person about an item. HANDED_ON: an item came to them by
    another person's word. RELEASE and URGENT: something waits for a second person; URGENT tells at once."""

    QUESTION = "question", "Asked about something"
    REPLY = "reply", "Got a reply"
    HANDED_ON = "handed_on", "Got a question from somebody"
    RELEASE = "release", "An order waits for a second person"
    URGENT = "urgent", "A brake or a window waits for a second person"


class Nudge(models.Model):
    """One thing that one person is to learn of; it is told by one mail, or by none where it is settled before.

    `about` is the remark, the item, or (RELEASE, URGENT) the round that stands as `told_in` on what was told together:
    five hundred orders are one round, and one row for each person who may release any of them. `mail` is the mail that
    tells it, `told_at` when it was put there; both are empty until then. `seen_at` is when the person opened the item.
    """

    person = models.ForeignKey(settings.AUTH_USER_MODEL, db_index=False, on_delete=models.RESTRICT, related_name="+")
    kind = models.CharField(max_length=12, choices=NudgeKind.choices)
    about = models.UUIDField()
    item = models.ForeignKey(
        ReviewItem, null=True, blank=True, db_index=False, on_delete=models.RESTRICT, related_name="+"
    )
    made_at = models.DateTimeField()
    mail = models.ForeignKey(ReviewMail, null=True, blank=True, on_delete=models.RESTRICT, related_name="nudges")
    told_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            # Whatever runs twice, nobody is told the same thing twice.
            models.UniqueConstraint(fields=["person", "kind", "about"], name="reviews_nudge_once"),
            models.CheckConstraint(
                condition=Q(mail=None, told_at=None) | Q(mail__isnull=False, told_at__isnull=False),
                name="reviews_nudge_told_by_a_mail",
            ),
        ]
        indexes = [
            models.Index(fields=["person"], name="reviews_nudge_untold", condition=Q(mail=None)),
            # Who was told lately, and what was told so long ago that nobody needs it.
            models.Index(fields=["told_at"], name="reviews_nudge_told", condition=Q(told_at__isnull=False)),
            # The sign in the inbox, and what goes away when an item is opened.
            models.Index(
                fields=["person", "item"], name="reviews_nudge_unseen", condition=Q(seen_at=None, item__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.person_id}"
