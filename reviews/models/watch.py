"""What is watched between reviews, what was noticed, and how far the watching is."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from reviews.models.campaign import Campaign
from reviews.models.schedule import DeadlinePolicy, ReviewerRule


class Trigger(models.TextChoices):
    """What makes a question outside of the calendar, in the order in which one object is asked about only once."""

    REAPPEARED = "reappeared", "Access came back after it was taken away"
    CHANGED = "changed", "Access or a tool changed since it was approved"
    PRIVILEGED = "privileged", "New privileged access"
    WOKE_UP = "woke_up", "A dormant identity became active"
    OWNER_LEFT = "owner_left", "The owner left"
    FINDING = "finding", "A finding of severity high or worse"


class ReviewWatch(models.Model):
    """The rules for one trigger: where it counts, who is asked, and how long they have.

    `scope` is a filter of the inventory, so that production can have other rules than the rest. What happens within
    `settle_minutes` of the first event at a source becomes one review; never are more than `most_questions` of one
    source open at once, and what does not fit waits. `quiet_days` belongs to WOKE_UP: for how many observable days no
    use was seen.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    trigger = models.CharField(max_length=20, choices=Trigger.choices)
    scope = models.CharField(max_length=1000, blank=True, default="")
    is_enabled = models.BooleanField(default=True)
    reviewer_rules = ArrayField(models.CharField(max_length=20, choices=ReviewerRule.choices))
    fallback_reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    independent_reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    deadline_policy = models.CharField(
        max_length=30, choices=DeadlinePolicy.choices, default=DeadlinePolicy.KEEP_AND_ESCALATE
    )
    days_to_answer = models.PositiveSmallIntegerField(default=7)
    settle_minutes = models.PositiveSmallIntegerField(default=10)
    most_questions = models.PositiveIntegerField(default=500)
    quiet_days = models.PositiveSmallIntegerField(default=90)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["trigger", "scope"], name="reviews_watch_once_per_scope"),
            models.CheckConstraint(
                condition=Q(days_to_answer__gte=1, most_questions__gte=1, quiet_days__gte=1),
                name="reviews_watch_limits",
            ),
        ]

    def __str__(self) -> str:
        return self.get_trigger_display()


class HitOutcome(models.TextChoices):
    """What became of something that was noticed."""

    WAITING = "waiting", "Waits for its review"
    ASKED = "asked", "A question was opened"
    ASKED_ALREADY = "asked_already", "Another question about it was open"
    MOOT = "moot", "No longer so when its turn came"
    OUT_OF_SCOPE = "out_of_scope", "Not what this watch is about"


class WatchHit(models.Model):
    """One access on which a trigger fired. It waits until things have settled, then goes into a review.

    Until then a further event on the same access adds nothing. `cause` names what may cause it only once for ever (an
    order that reappeared, one person's leaving); empty where the feed's cursor already sees to that. `facts` are ids
    and times that the question will tell.
    """

    id = models.BigAutoField(primary_key=True)
    watch = models.ForeignKey(ReviewWatch, on_delete=models.RESTRICT, related_name="hits")
    source = models.ForeignKey("identities.Source", on_delete=models.RESTRICT, related_name="+")
    identity = models.ForeignKey("identities.Identity", on_delete=models.RESTRICT, related_name="+")
    grant = models.ForeignKey("identities.Grant", on_delete=models.RESTRICT, related_name="watch_hits")
    cause = models.CharField(max_length=120, blank=True, default="")
    facts = models.JSONField(default=dict)
    noticed_at = models.DateTimeField()
    outcome = models.CharField(max_length=20, choices=HitOutcome.choices, default=HitOutcome.WAITING)
    campaign = models.ForeignKey(Campaign, null=True, blank=True, on_delete=models.RESTRICT, related_name="watch_hits")

    class Meta:
        constraints = [
            # Many changes of one access while things settle are one question.
            models.UniqueConstraint(
                fields=["watch", "grant"], condition=Q(outcome="waiting"), name="reviews_hit_one_waiting"
            ),
            models.UniqueConstraint(
                fields=["watch", "grant", "cause"], condition=~Q(cause=""), name="reviews_hit_once_per_cause"
            ),
            models.UniqueConstraint(
                fields=["campaign", "grant"], condition=Q(campaign__isnull=False), name="reviews_hit_once_per_campaign"
            ),
            models.CheckConstraint(
                condition=Q(outcome="asked", campaign__isnull=False) | (~Q(outcome="asked") & Q(campaign=None)),
                name="reviews_hit_asked_in_campaign",
            ),
        ]
        indexes = [
            models.Index(fields=["watch", "source", "id"], name="reviews_hit_waiting", condition=Q(outcome="waiting")),
            models.Index(fields=["identity", "cause"], name="reviews_hit_of_identity"),
        ]

    def __str__(self) -> str:
        return f"{self.watch_id} {self.grant_id}"


class WatchCursor(models.Model):
    """How far the watching has come; one row. It is also the lock under which reviews are opened, one at a time.

    `position` is a place in the inventory's change feed. `looked` names, per source, the reading after which its use
    was last looked at: `{"source id": "run id"}`.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    position = models.CharField(max_length=80)
    looked = models.JSONField(default=dict)
    moved_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="reviews_cursor_is_one")]

    def __str__(self) -> str:
        return self.position


class DormantIdentity(models.Model):
    """An identity of which no use was seen in `[quiet_from, quiet_until]`, although a log covered all of it."""

    identity = models.OneToOneField(
        "identities.Identity", primary_key=True, on_delete=models.RESTRICT, related_name="+"
    )
    quiet_from = models.DateTimeField()
    quiet_until = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(quiet_until__gte=F("quiet_from")), name="reviews_dormant_interval"),
        ]

    def __str__(self) -> str:
        return f"{self.identity_id} since {self.quiet_from}"
