"""One round of questions."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reviews.models.schedule import DeadlinePolicy, ReviewerRule, ReviewSchedule
from reviews.states import CampaignState


class Campaign(models.Model):
    """One access review with a frozen population; never deleted.

    `scheduled_for` is the date of the schedule that it answers; together they are unique, so that two beats, a crash
    and a catch-up still make one campaign. `frozen` keeps, per source, the sync run and freshness that the population
    was taken from. `policy` is the schedule's at the time of drafting.
    A further `round` asks only what stayed silent in the one before; all of them name the `first_round`, which is null
    on that one itself.
    `closed_by` names who ended it before its deadline (an audit actor as JSON), null where time did.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    schedule = models.ForeignKey(
        ReviewSchedule, null=True, blank=True, on_delete=models.RESTRICT, related_name="campaigns"
    )
    scheduled_for = models.DateTimeField(null=True, blank=True)
    name = models.CharField(max_length=200)
    scope = models.CharField(max_length=1000, blank=True, default="")
    item_kinds = ArrayField(models.CharField(max_length=20))
    reviewer_rules = ArrayField(models.CharField(max_length=20, choices=ReviewerRule.choices))
    fallback_reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    independent_reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    deadline_policy = models.CharField(max_length=30, choices=DeadlinePolicy.choices)
    policy = models.JSONField(default=dict)
    manager = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="managed_campaigns")
    first_round = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.RESTRICT, related_name="later_rounds"
    )
    round = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(
        max_length=12, choices=[(state, state) for state in CampaignState], default=CampaignState.DRAFT
    )
    frozen = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())
    opened_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField()
    closed_by = models.JSONField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    cancelled_reason = models.TextField(blank=True, default="")
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["schedule", "scheduled_for"],
                condition=Q(schedule__isnull=False),
                name="reviews_campaign_once_per_date",
            ),
            # However often and by whomever it is asked for, there is one second round, one third …
            models.UniqueConstraint(fields=["first_round", "round"], name="reviews_campaign_one_of_each_round"),
            models.CheckConstraint(
                condition=Q(first_round__isnull=True, round=1) | Q(first_round__isnull=False, round__gt=1),
                name="reviews_campaign_round_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in CampaignState]),
                name="reviews_campaign_state_known",
            ),
        ]
        indexes = [models.Index(fields=["state", "deadline_at"], name="reviews_campaign_deadline")]

    def __str__(self) -> str:
        return self.name
