"""Grants: what can be taken away at the source, and every content it ever had."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Concat, Upper

from identities.models.identity import Identity
from identities.models.source import Source


class Revocability(models.TextChoices):
    HERE = "here", "Can be removed here"
    VIA_GROUP = "via_group", "Held through a group or role"
    SHARED_ROLE = "shared_role", "Shared with others"
    INFRASTRUCTURE_CODE = "infrastructure_code", "Managed by infrastructure code"
    PROVIDER_ONLY = "provider_only", "Only the provider can remove it"


class Withholding(models.TextChoices):
    """Why the decision point does not honour a grant that the source still gives; each is a reason of a decision."""

    WITHHELD = "withheld", "A review took it away"
    APPROVAL_LAPSED = "approval_lapsed", "Its approval ended"
    TOOL_DRIFTED = "tool_drifted", "A tool changed after it was approved"


class Grant(models.Model):
    """One thing that can be removed at the source; `(source, external_id)` is unique.

    `path` is the chain that causes it, outermost first: `[{"kind": "role", "id": "writers", "label": "writers"}]`.
    `native_ref` is what the connector needs to find it again. `shared_with` counts the other identities that hold the
    same thing. The review facts (`reviewed_at` …) are written down here by the use cases of reviews, so that a request
    can be decided without asking upward.

    `segment`, `further_segments` and `is_privileged` repeat what the current version says, so that a list of a million
    filters by them without looking at versions. `line_hash` is what the sender's line looked like when it was last
    read: the same line again needs no reading (docs/sync.md).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.RESTRICT, related_name="grants", db_index=False)
    identity = models.ForeignKey(Identity, on_delete=models.RESTRICT, related_name="grants", db_index=False)
    external_id = models.CharField(max_length=1024)
    label = models.CharField(max_length=512)
    path = models.JSONField(default=list)
    revocability = models.CharField(max_length=30, choices=Revocability.choices, default=Revocability.HERE)
    shared_with = models.PositiveIntegerField(default=0)
    native_ref = models.JSONField(default=dict)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    segment = models.CharField(max_length=20, blank=True, default="")
    further_segments = ArrayField(models.CharField(max_length=20), blank=True, default=list, db_default=[])
    is_privileged = models.BooleanField(default=False)

    reviewed_at = models.DateTimeField(null=True, blank=True)
    reviewed_digest = models.BinaryField(max_length=32, null=True, blank=True)
    approved_until = models.DateTimeField(null=True, blank=True)

    # What a review took away holds for every request from then on, whatever the source still gives until the order is
    # carried out: nothing of the grant is honoured since `withheld_at`, or only what `narrowed_to` leaves of it.
    withheld_at = models.DateTimeField(null=True, blank=True)
    withheld_why = models.CharField(max_length=20, choices=Withholding.choices, blank=True, default="", db_default="")
    narrowed_to = models.JSONField(null=True, blank=True)

    # Set when Remit itself, or a person on its order, took the grant away at the source: that the next reading lacks it
    # is then no sign of a broken export.
    removal_expected_at = models.DateTimeField(null=True, blank=True)
    first_seen_at = models.DateTimeField()
    last_changed_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)
    content_hash = models.BinaryField(max_length=32)
    line_hash = models.BinaryField(max_length=16, null=True, blank=True)

    # Substring search looks here and nowhere else: equality would use a trigram index too, and it is slow at that.
    search_text = models.GeneratedField(
        expression=Upper(Concat("label", Value(" "), "external_id")), output_field=models.TextField(), db_persist=True
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="identities_grant_once_per_source"),
        ]
        indexes = [
            models.Index(fields=["identity"], name="identities_grant_of_identity"),
            models.Index(fields=["label", "id"], name="identities_grant_by_label", condition=Q(retired_at=None)),
            models.Index(
                fields=["label", "id"],
                name="identities_grant_privileged",
                condition=Q(retired_at=None, is_privileged=True),
            ),
            models.Index(F("first_seen_at").desc(), "id", name="identities_grant_newest", condition=Q(retired_at=None)),
            # Filters that few grants may fit, where walking along the order would pass all others. Both columns have a
            # few values only, so the entries are small and side by side: together about 3 s of a load of a million.
            models.Index(fields=["segment"], name="identities_grant_segment", condition=Q(retired_at=None)),
            # Beside it for those that reach several; costs nothing for the others.
            GinIndex(
                fields=["further_segments"],
                name="identities_grant_further",
                condition=Q(retired_at=None) & ~Q(further_segments=[]),
            ),
            GinIndex(fields=["path"], opclasses=["jsonb_path_ops"], name="identities_grant_path"),
            # The list of what is gone; written when a grant goes, not when it comes.
            models.Index(
                fields=["label", "id"], name="identities_grant_retired", condition=Q(retired_at__isnull=False)
            ),
            models.Index(fields=["created_by"], name="identities_grant_creator", condition=Q(created_by__isnull=False)),
            # The few that Remit took away and that no later reading has confirmed to be gone.
            models.Index(
                fields=["identity"], name="identities_grant_removing", condition=Q(removal_expected_at__isnull=False)
            ),
            GinIndex(fields=["search_text"], opclasses=["gin_trgm_ops"], name="identities_grant_search"),
        ]

    def __str__(self) -> str:
        return self.label


class GrantVersion(models.Model):
    """Immutable content of a grant while the source was seen to hold it: `[seen_from, seen_until)`, open = current.

    `digest` is the sha256 of the permission's canonical form: what a decision is bound to. `plain` are the sentences
    shown to people. `segment` (the most sensitive that it reaches), `further_segments` (what it reaches beside that)
    and `is_privileged` are derived by the kernel when the version is written, with `catalogue_version` saying by which
    catalogue.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    grant = models.ForeignKey(Grant, on_delete=models.RESTRICT, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    permission = models.JSONField()
    digest = models.BinaryField(max_length=32)
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    plain = models.JSONField(default=list)
    segment = models.CharField(max_length=20)
    further_segments = ArrayField(models.CharField(max_length=20), blank=True, default=list, db_default=[])
    privilege_classes = ArrayField(models.CharField(max_length=20))
    is_privileged = models.BooleanField()
    catalogue_version = models.CharField(max_length=20)
    seen_from = models.DateTimeField()
    seen_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["grant", "number"], name="identities_version_numbered"),
            # Two current contents of one grant would let a decision bind to either.
            models.UniqueConstraint(
                fields=["grant"], condition=Q(seen_until=None), name="identities_version_one_current"
            ),
            models.CheckConstraint(
                condition=Q(seen_until=None) | Q(seen_until__gte=F("seen_from")),
                name="identities_version_interval",
            ),
        ]
        indexes = [
            models.Index(fields=["grant", "seen_from"], name="identities_version_history"),
            # Who held exactly this, at any time.
            models.Index(fields=["digest", "seen_from"], name="identities_version_by_content"),
            # Grants that end by themselves are few; costs nothing for the others.
            models.Index(
                fields=["grant"],
                name="identities_version_ending",
                condition=Q(seen_until=None, valid_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.grant_id} v{self.number}"


class KnownPermission(models.Model):
    """A permission that some grant has or had, once, however many hold it: where "who could do X on Z" looks first.

    `action_heads` and `resource_heads` are the fixed beginnings of its patterns (`governance.kernel`), a coarse net
    that never misses; the kernel then judges each permission that it catches.
    """

    digest = models.BinaryField(primary_key=True, max_length=32, editable=False)
    dialect = models.CharField(max_length=20)
    permission = models.JSONField()
    action_heads = ArrayField(models.TextField())
    resource_heads = ArrayField(models.TextField())

    class Meta:
        indexes = [
            GinIndex(fields=["action_heads"], name="identities_known_actions"),
            GinIndex(fields=["resource_heads"], name="identities_known_resources"),
        ]

    def __str__(self) -> str:
        return f"{self.dialect} {bytes(self.digest).hex()[:12]}"
