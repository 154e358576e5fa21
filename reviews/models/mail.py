"""Which mail of a campaign went to whom."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from reviews.models.campaign import Campaign


class MailKind(models.TextChoices):
    INVITATION = "invitation", "Questions are waiting"
    REMINDER = "reminder", "The deadline is near"
    ESCALATION = "escalation", "Questions stayed unanswered"
    DIGEST = "digest", "What waits in all reviews"
    BRAKE = "brake", "Orders are held"
    ACCESS = "access", "Access is asked for, or was answered"
    NEWS = "news", "What a person is to learn of"


class ReviewMail(models.Model):
    """One mail of one kind to one person about one campaign: the row is written before the mail is sent.

    What is about no single campaign (a digest, a brake, a request for access) has none, and is told apart by its
    `occasion`: the day, or the id of what it is about. NEWS is about the nudges that name it as their mail.

    `claimed_at` is when a worker took it; a worker that died lets go after a while. `sent_at` is when the mail server
    accepted it; `is_dropped` says that by then there was nothing left to ask, so nothing was sent.
    """

    campaign = models.ForeignKey(Campaign, null=True, blank=True, on_delete=models.RESTRICT, related_name="mails")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    kind = models.CharField(max_length=12, choices=MailKind.choices)
    occasion = models.CharField(max_length=40, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    claimed_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    is_dropped = models.BooleanField(default=False)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            # Whatever ticks twice, a person gets each mail once.
            models.UniqueConstraint(fields=["campaign", "person", "kind"], name="reviews_mail_once"),
            models.UniqueConstraint(
                fields=["person", "kind", "occasion"],
                condition=models.Q(campaign__isnull=True),
                name="reviews_mail_once_per_occasion",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], name="reviews_mail_due", condition=models.Q(sent_at=None, is_dropped=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.campaign_id or self.occasion}"
