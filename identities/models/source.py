"""Sources: the systems that hold identities or permissions."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

# The short name of the source that holds what Remit itself gives on request; no identity belongs to it.
ON_REQUEST = "granted-on-request"


class Environment(models.TextChoices):
    PRODUCTION = "production", "Production"
    STAGING = "staging", "Staging"
    DEVELOPMENT = "development", "Development"
    UNKNOWN = "unknown", "Unknown"


class Source(models.Model):
    """A system that is read, or that pushes, and in which decisions are executed.

    `kind` names a connector. `settings` are its non-secret settings; secrets stand in it only as references
    (`env:NAME`, `file:/path`), never as values. `coverage` is what the connector said it can report: a fact that is
    not covered is shown as not observable, never as empty. `version` counts edits by people, for If-Match. `totals` are
    counted by every reading: `{"identities": 0, "grants": 0, "privileged": 0, "credentials": 0}`. `enforced_since`, if
    set, says that from then on every use of this source's access asks the decision point first: only then does no
    decision mean no use.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=40)
    environment = models.CharField(max_length=20, choices=Environment.choices, default=Environment.UNKNOWN)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="owned_sources",
    )
    settings = models.JSONField(default=dict)
    coverage = models.JSONField(default=dict)
    not_observable = models.JSONField(default=list)
    capabilities = models.JSONField(default=list)
    is_enabled = models.BooleanField(default=True)
    enforced_since = models.DateTimeField(null=True, blank=True)
    read_every_seconds = models.PositiveIntegerField(default=300)
    freshness_limit_seconds = models.PositiveIntegerField(default=86_400)
    max_retire_percent = models.PositiveSmallIntegerField(default=20)
    next_read_at = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)
    last_complete_at = models.DateTimeField(null=True, blank=True)
    totals = models.JSONField(default=dict)
    last_error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            # A share above one hundred would switch the guard against mass removal off without anybody noticing.
            models.CheckConstraint(condition=Q(max_retire_percent__lte=100), name="identities_source_retire_share"),
        ]
        indexes = [models.Index(fields=["next_read_at"], name="identities_source_due", condition=Q(is_enabled=True))]

    def __str__(self) -> str:
        return self.name
