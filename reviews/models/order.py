"""Orders: what has to change at a source because of a decision."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reviews.models.item import Decision, ReviewItem
from reviews.states import OrderState


class OrderAction(models.TextChoices):
    REVOKE = "revoke", "Revoke"
    NARROW = "narrow", "Scope down"
    QUARANTINE = "quarantine", "Quarantine"
    DEACTIVATE = "deactivate", "Deactivate"
    ROTATE = "rotate", "Rotate"
    RESTORE = "restore", "Restore"


class OrderStage(models.TextChoices):
    """Where an order stands that locks out before it removes; empty for all others."""

    LOCK = "lock", "Lock out"
    REMOVE = "remove", "Remove"


class Order(models.Model):
    """One change at one source, from the plan to the proof.

    The row is the truth and messages are hints: the drain takes orders that are PLANNED and whose `execute_after` has
    come, under a lease (`leased_until`), so that a worker that dies loses its lease and nothing else. `plan` is the
    connector's plan as JSON, null where a person has to do it (`instructions`). `applied_at` is when the source was
    changed; only a reading that began later may verify. `outcome` is a sentence for people, `evidence` its facts.
    `state_since` is when the order came into its state.

    `second_by` released the order, or refused it with `second_reason` (then it is RECALLED). `watch_days` over 0 asks
    for locking out first: `stage` says what the next attempt does, `lock_plan` how the identity was locked out, and
    while it is WATCHING `execute_after` is the day on which the removal follows. `protested_by` stopped that, and
    `question` is what was asked about the access then.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    decision = models.ForeignKey(Decision, null=True, blank=True, on_delete=models.RESTRICT, related_name="orders")
    item = models.ForeignKey(ReviewItem, null=True, blank=True, on_delete=models.RESTRICT, related_name="orders")
    restores = models.ForeignKey("self", null=True, blank=True, on_delete=models.RESTRICT, related_name="restorations")
    source = models.ForeignKey("identities.Source", on_delete=models.RESTRICT, related_name="orders")
    identity = models.ForeignKey("identities.Identity", on_delete=models.RESTRICT, related_name="orders")
    grant = models.ForeignKey(
        "identities.Grant", null=True, blank=True, on_delete=models.RESTRICT, related_name="orders"
    )
    credential = models.ForeignKey(
        "identities.Credential", null=True, blank=True, on_delete=models.RESTRICT, related_name="orders"
    )
    action = models.CharField(max_length=12, choices=OrderAction.choices)
    state = models.CharField(max_length=20, choices=[(s, s) for s in OrderState], default=OrderState.PLANNED)
    target = models.JSONField(null=True, blank=True)
    held = models.JSONField(null=True, blank=True)
    plan = models.JSONField(null=True, blank=True)
    instructions = models.TextField(blank=True, default="")
    execute_after = models.DateTimeField()
    leased_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    outcome = models.TextField(blank=True, default="")
    evidence = models.JSONField(default=dict)
    task_reported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    task_reported_at = models.DateTimeField(null=True, blank=True)
    second_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    second_at = models.DateTimeField(null=True, blank=True)
    second_reason = models.TextField(blank=True, default="")
    # The round (see Nudge) in which people learnt that it waits for a second one; empty until they did.
    told_in = models.UUIDField(null=True, blank=True)
    watch_days = models.PositiveSmallIntegerField(default=0)
    stage = models.CharField(max_length=10, choices=OrderStage.choices, blank=True, default="")
    lock_plan = models.JSONField(null=True, blank=True)
    protested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    protested_at = models.DateTimeField(null=True, blank=True)
    protest_reason = models.TextField(blank=True, default="")
    question = models.ForeignKey(
        ReviewItem, null=True, blank=True, on_delete=models.RESTRICT, related_name="protested_orders"
    )
    created_at = models.DateTimeField(db_default=Now())
    state_since = models.DateTimeField(db_default=Now())
    applied_at = models.DateTimeField(null=True, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True)
    verified_by_run = models.ForeignKey(
        "identities.SyncRun", null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            # Two live orders on one grant would race each other at the source.
            models.UniqueConstraint(
                fields=["grant"],
                condition=Q(state="executing"),
                name="reviews_order_one_executing_per_grant",
            ),
            models.UniqueConstraint(
                fields=["decision"],
                condition=Q(restores__isnull=True),
                name="reviews_order_once_per_decision",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in OrderState]), name="reviews_order_state_known"
            ),
        ]
        indexes = [
            models.Index(
                fields=["execute_after"], name="reviews_order_due", condition=Q(state__in=["planned", "watching"])
            ),
            models.Index(fields=["source", "state"], name="reviews_order_to_verify"),
            models.Index(fields=["state", "state_since"], name="reviews_order_by_state"),
            # What was ordered within a period.
            models.Index(fields=["created_at"], name="reviews_order_placed"),
        ]

    def __str__(self) -> str:
        return f"{self.action} at {self.source_id}: {self.state}"

    @property
    def is_braked(self) -> bool:
        """Whether a brake holds it; `outcome` says which, and what ends that."""
        hold = getattr(self, "hold", None)
        return self.state == OrderState.PLANNED and hold is not None and hold.released_at is None
