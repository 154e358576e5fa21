"""When, over what, by whom and why access is reviewed again and again."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class ReviewerRule(models.TextChoices):
    """Who is asked, tried in the schedule's order; the fallback reviewer always ends the list."""

    OWNER = "owner", "Owner of the identity"
    BACKUP = "backup", "Backup owner"
    TEAM = "team", "A member of the owning team"
    SOURCE_OWNER = "source_owner", "Owner of the source"
    MANAGER = "manager", "Manager of the owner"
    PERSON = "person", "A named person"
    GROUP = "group", "A member of a named team"


class DeadlinePolicy(models.TextChoices):
    """What happens to an item nobody decided: presets, or a table of one's own (`reviews.policies.deadline`)."""

    KEEP_AND_ESCALATE = "keep_and_escalate", "Keep and tell the campaign manager"
    REVOKE_UNUSED = "revoke_unused", "Revoke what was not used, escalate the rest"
    REVOKE = "revoke", "Revoke"
    GRADED = "graded", "Graded by risk, use and environment (recommended)"
    TABLE = "table", "By a table of my own"


class ReviewSchedule(models.Model):
    """A recurring access review.

    `scope` is the query string of the inventory's list (`source=ledger&kind=database_user`), so that what the list
    shows is what the campaign asks. `rrule` is an RFC 5545 recurrence rule evaluated in `time_zone` from `starts_at`.
    `policy` holds what else was settled, by topic (`reviews.policies`); topics that are absent stand at their defaults.
    `interval_reason` is the written risk analysis that PCI DSS 4.0.1 7.2.5.1 asks for. `next_due_at` is the one date
    that beat looks at; null means that the rule has ended.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    scope = models.CharField(max_length=1000, blank=True, default="")
    item_kinds = ArrayField(models.CharField(max_length=20))
    rrule = models.CharField(max_length=300)
    time_zone = models.CharField(max_length=64, default="UTC")
    starts_at = models.DateTimeField()
    duration_days = models.PositiveSmallIntegerField(default=14)
    reviewer_rules = ArrayField(models.CharField(max_length=20, choices=ReviewerRule.choices))
    fallback_reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="fallback_schedules"
    )
    independent_reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    deadline_policy = models.CharField(
        max_length=30, choices=DeadlinePolicy.choices, default=DeadlinePolicy.KEEP_AND_ESCALATE
    )
    policy = models.JSONField(default=dict)
    interval_reason = models.TextField()
    is_enabled = models.BooleanField(default=True)
    next_due_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(duration_days__gte=1), name="reviews_schedule_has_time_to_answer"),
        ]
        indexes = [models.Index(fields=["next_due_at"], name="reviews_schedule_due", condition=Q(is_enabled=True))]

    def __str__(self) -> str:
        return self.name
