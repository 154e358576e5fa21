"""How much may be taken away in an hour without anybody looking, and what happens to the rest."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from reviews.models.order import Order


class BrakeScope(models.TextChoices):
    """Which budget ran out."""

    ALL = "all", "All sources"
    SOURCE = "source", "One source"
    PRODUCTION = "production", "Production"


class BrakeState(models.TextChoices):
    HELD = "held", "Holds orders"
    RELEASED = "released", "Released"
    RECALLED = "recalled", "Called off"


class Brake(models.Model):
    """One time that a budget ran out: from the first order that was held to its end by people.

    While it holds, no further order under its budget is sent either. `first_by` is the first of the two people who
    release it; their release covers what was held by `first_at`. `ended_by` is the second one, or whoever called the
    orders off.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scope = models.CharField(max_length=12, choices=BrakeScope.choices)
    source = models.ForeignKey(
        "identities.Source", null=True, blank=True, on_delete=models.RESTRICT, related_name="brakes"
    )
    budget = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=BrakeState.choices, default=BrakeState.HELD)
    tripped_at = models.DateTimeField()
    first_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    first_at = models.DateTimeField(null=True, blank=True)
    first_reason = models.TextField(blank=True, default="")
    # The round (see Nudge) in which people learnt that a second of them is waited for; empty until they did.
    told_in = models.UUIDField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.TextField(blank=True, default="")
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            # Whatever trips it twice, people find one brake per budget.
            models.UniqueConstraint(
                fields=["scope", "source"],
                condition=Q(state="held"),
                nulls_distinct=False,
                name="reviews_brake_one_per_budget",
            ),
            models.CheckConstraint(
                condition=Q(scope="source", source__isnull=False) | ~Q(scope="source") & Q(source__isnull=True),
                name="reviews_brake_names_its_source",
            ),
            # One person alone never lets a mass of changes through.
            models.CheckConstraint(
                condition=~Q(state="released")
                | Q(first_by__isnull=False, ended_by__isnull=False) & ~Q(ended_by=F("first_by")),
                name="reviews_brake_two_people",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} brake of {self.tripped_at:%Y-%m-%d %H:%M}"


class OrderHold(models.Model):
    """An order that a brake holds, or held until `released_at`. The order itself stays planned; nothing is lost."""

    order = models.OneToOneField(Order, primary_key=True, on_delete=models.RESTRICT, related_name="hold")
    brake = models.ForeignKey(Brake, on_delete=models.RESTRICT, related_name="holds")
    held_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"hold of {self.order_id}"


class BudgetUse(models.Model):
    """An order that was sent on a budget: what the next ones are counted against."""

    order = models.OneToOneField(Order, primary_key=True, on_delete=models.RESTRICT, related_name="+")
    source = models.ForeignKey("identities.Source", on_delete=models.RESTRICT, related_name="+")
    is_production = models.BooleanField()
    used_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["used_at"], name="reviews_budget_used")]

    def __str__(self) -> str:
        return f"use by {self.order_id}"


class SourceBudget(models.Model):
    """A source's own number of orders per hour, in place of the setting."""

    source = models.OneToOneField("identities.Source", on_delete=models.RESTRICT, related_name="+", primary_key=True)
    per_hour = models.PositiveIntegerField()
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    set_at = models.DateTimeField()
    reason = models.TextField()

    def __str__(self) -> str:
        return f"{self.per_hour} per hour at {self.source_id}"
