"""Posture as it was last assessed, what it was before, and the policy it was assessed by."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from identities.models.identity import Identity


class PostureBox(models.TextChoices):
    """Where an identity stands in the picture of both axes: strong from A3, broad from 50."""

    PROVEN_CONTAINED = "proven_contained", "Proven and contained"
    UNPROVEN_CONTAINED = "unproven_contained", "Contained but unproven"
    PROVEN_BROAD = "proven_broad", "Proven but broad"
    UNPROVEN_BROAD = "unproven_broad", "Unproven and broad"
    UNMEASURED = "unmeasured", "Unmeasured"


class PosturePolicy(models.Model):
    """The numbers by which posture is judged, one immutable row per version; the highest number is in force.

    `document` holds the weights, floors, bands and thresholds (`identities/posture/policy.toml` is version 1 and says
    what each means). Nothing is ever changed in place: every score and finding names the version it was judged by.
    """

    number = models.PositiveIntegerField(primary_key=True)
    document = models.JSONField()
    reason = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"policy {self.number}"


class IdentityPosture(models.Model):
    """How one identity stands now: both axes, and which rules it fails, passes, or cannot be judged by.

    Assurance is A0 to A4 as lower and upper bound; `capped_by` and `to_raise` are sentences. Exposure is 0 to 100 as a
    range, null where too much is unknown to say; `factors` are `[{"name", "weight", "low", "high", "input", "why"}]`.
    `not_assessable` is `{"NHI1-C": ["no_log"]}`. `facts_digest` says by what it was judged: equal facts under an equal
    policy and catalogue need no second look. `due_at` is when time alone may change a result.
    `hops` are the identities that it could become, whose grants count among its own.
    """

    identity = models.OneToOneField(Identity, primary_key=True, on_delete=models.RESTRICT, related_name="posture")
    assurance_lower = models.PositiveSmallIntegerField()
    assurance_upper = models.PositiveSmallIntegerField()
    capped_by = models.JSONField(default=list)
    to_raise = models.JSONField(default=list)
    exposure_low = models.DecimalField(max_digits=4, decimal_places=1, null=True, blank=True)
    exposure_high = models.DecimalField(max_digits=4, decimal_places=1, null=True, blank=True)
    worst_case = models.DecimalField(max_digits=4, decimal_places=1)
    factors = models.JSONField(default=list)
    box = models.CharField(max_length=20, choices=PostureBox.choices)
    has_excess = models.BooleanField(null=True)
    failed = ArrayField(models.CharField(max_length=12), default=list)
    passed = ArrayField(models.CharField(max_length=12), default=list)
    not_applicable = models.JSONField(default=dict)
    not_assessable = models.JSONField(default=dict)
    worst_severity = models.CharField(max_length=10, blank=True, default="")
    policy = models.ForeignKey(PosturePolicy, on_delete=models.RESTRICT, related_name="+", db_index=False)
    catalogue_version = models.CharField(max_length=40)
    facts_digest = models.BinaryField(max_length=16)
    assessed_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    hops = ArrayField(models.UUIDField(), default=list)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(assurance_lower__lte=F("assurance_upper")) & Q(assurance_upper__lte=4),
                name="identities_posture_assurance",
            ),
            # A range with one end would be drawn as a point.
            models.CheckConstraint(
                condition=Q(exposure_low=None, exposure_high=None)
                | Q(exposure_low__gte=0, exposure_low__lte=F("exposure_high"), exposure_high__lte=100),
                name="identities_posture_exposure",
            ),
        ]
        indexes = [
            models.Index(fields=["box", "-worst_case", "identity"], name="identities_posture_by_box"),
            models.Index(fields=["due_at"], name="identities_posture_due", condition=Q(due_at__isnull=False)),
            GinIndex(fields=["failed"], name="identities_posture_failed"),
            # Whoever could become an identity that changed is exposed to the change.
            GinIndex(fields=["hops"], name="identities_posture_hops"),
        ]

    def __str__(self) -> str:
        return f"posture of {self.identity_id}"


class PostureVersion(models.Model):
    """How one identity stood in `[seen_from, seen_until)`, open = now. Written whenever a score or a box changes."""

    id = models.BigAutoField(primary_key=True)
    identity = models.ForeignKey(Identity, on_delete=models.RESTRICT, related_name="posture_versions", db_index=False)
    assurance_lower = models.PositiveSmallIntegerField()
    assurance_upper = models.PositiveSmallIntegerField()
    exposure_low = models.DecimalField(max_digits=4, decimal_places=1, null=True, blank=True)
    exposure_high = models.DecimalField(max_digits=4, decimal_places=1, null=True, blank=True)
    factors = models.JSONField(default=list)
    capped_by = models.JSONField(default=list)
    box = models.CharField(max_length=20, choices=PostureBox.choices)
    has_excess = models.BooleanField(null=True)
    failed = ArrayField(models.CharField(max_length=12), default=list)
    policy = models.ForeignKey(PosturePolicy, on_delete=models.RESTRICT, related_name="+", db_index=False)
    catalogue_version = models.CharField(max_length=40)
    seen_from = models.DateTimeField()
    seen_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["identity"], condition=Q(seen_until=None), name="identities_posture_one_current"
            ),
            models.CheckConstraint(
                condition=Q(seen_until=None) | Q(seen_until__gte=F("seen_from")), name="identities_posture_interval"
            ),
        ]
        indexes = [
            models.Index(fields=["identity", "seen_from"], name="identities_posture_history"),
            models.Index(fields=["seen_from"], name="identities_posture_moved"),
        ]

    def __str__(self) -> str:
        return f"posture of {self.identity_id} from {self.seen_from}"
