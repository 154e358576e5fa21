"""Non-human identities."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce, Concat, Now, NullIf, Upper

from identities.models.source import Environment, Source

MAX_TAG = 60


class IdentityKind(models.TextChoices):
    SERVICE_ACCOUNT = "service_account", "Service account"
    WORKLOAD = "workload", "Workload"
    API_CLIENT = "api_client", "API client"
    OAUTH_APP = "oauth_app", "OAuth app"
    BOT = "bot", "Bot"
    CI_JOB = "ci_job", "CI job"
    AI_AGENT = "ai_agent", "AI agent"
    MACHINE = "machine", "Machine"
    DATABASE_USER = "database_user", "Database user"
    QUEUE_USER = "queue_user", "Queue user"


class IdentityStatus(models.TextChoices):
    ACTIVE = "active", "Active"
    DISABLED = "disabled", "Disabled"


class Custody(models.TextChoices):
    SELF_HELD = "self_held", "Holds its own credential"
    ASSUMABLE = "assumable", "Assumed by others"
    PLATFORM_MANAGED = "platform_managed", "Managed by the platform"
    UNKNOWN = "unknown", "Unknown"


class Identity(models.Model):
    """One non-human identity as one source knows it: `(source, external_id)` is unique.

    What the source says (`name`, `environment`, `purpose`, `source_owner`, `source_sponsor`, `source_tags`,
    `attributes` …) is overwritten by every reading. What people say (`owner`, `backup_owner`, `team`, `sponsor`,
    `purpose_edited`, `environment_edited`, `tags` …) is never touched by a reading; both are shown, and the
    `effective_*` columns say which holds. `retired_at` is set when a complete reading no longer holds it; the row
    stays, because history refers to it.

    `registered_at` and `registered_by` say that somebody took responsibility, named a purpose and an owner, and meant
    it. `expected_cadence_days` is how rarely it may be used without being dormant, as people declared.

    The counts and `last_seen_at` (the latest use by any evidence) are kept up by every reading, so that a list of a
    million sorts by them without counting.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.RESTRICT, related_name="identities")
    external_id = models.CharField(max_length=512)
    kind = models.CharField(max_length=30, choices=IdentityKind.choices)
    name = models.CharField(max_length=512)
    status = models.CharField(max_length=20, choices=IdentityStatus.choices, default=IdentityStatus.ACTIVE)
    custody = models.CharField(max_length=20, choices=Custody.choices, default=Custody.UNKNOWN)
    environment = models.CharField(max_length=20, choices=Environment.choices, default=Environment.UNKNOWN)
    purpose = models.TextField(blank=True, default="")
    source_owner = models.CharField(max_length=254, blank=True, default="")
    source_sponsor = models.CharField(max_length=254, blank=True, default="")
    acts_for = models.CharField(max_length=254, blank=True, default="")
    source_tags = ArrayField(models.CharField(max_length=MAX_TAG), default=list)
    attributes = models.JSONField(default=dict)
    created_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="owned_identities",
    )
    backup_owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    sponsor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    team = models.ForeignKey("people.Team", null=True, blank=True, on_delete=models.SET_NULL, related_name="identities")
    purpose_edited = models.TextField(blank=True, default="")
    environment_edited = models.CharField(max_length=20, choices=Environment.choices, blank=True, default="")
    tags = ArrayField(models.CharField(max_length=MAX_TAG), default=list)
    expected_cadence_days = models.PositiveSmallIntegerField(null=True, blank=True)
    registered_at = models.DateTimeField(null=True, blank=True)
    registered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    version = models.PositiveIntegerField(default=1)

    grant_count = models.PositiveIntegerField(default=0)
    privileged_count = models.PositiveIntegerField(default=0)
    credential_count = models.PositiveIntegerField(default=0)
    last_seen_at = models.DateTimeField(null=True, blank=True)

    first_seen_at = models.DateTimeField()
    last_changed_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)
    content_hash = models.BinaryField(max_length=32)
    line_hash = models.BinaryField(max_length=16, null=True, blank=True)

    effective_environment = models.GeneratedField(
        expression=Coalesce(NullIf("environment_edited", Value("")), "environment"),
        output_field=models.CharField(max_length=20, choices=Environment.choices),
        db_persist=True,
    )
    effective_purpose = models.GeneratedField(
        expression=Coalesce(NullIf("purpose_edited", Value("")), "purpose"),
        output_field=models.TextField(),
        db_persist=True,
    )
    # Substring search looks here and nowhere else: equality would use a trigram index too, and it is slow at that.
    search_text = models.GeneratedField(
        expression=Upper(Concat("name", Value(" "), "external_id")),
        output_field=models.TextField(),
        db_persist=True,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="identities_identity_once_per_source"),
        ]
        indexes = [
            models.Index(fields=["name", "id"], name="identities_identity_by_name", condition=Q(retired_at=None)),
            models.Index(
                F("privileged_count").desc(), "id", name="identities_by_privileged", condition=Q(retired_at=None)
            ),
            models.Index(F("grant_count").desc(), "id", name="identities_by_grants", condition=Q(retired_at=None)),
            models.Index(
                F("credential_count").desc(), "id", name="identities_by_credentials", condition=Q(retired_at=None)
            ),
            models.Index(
                F("last_seen_at").desc(nulls_last=True),
                "id",
                name="identities_by_last_use",
                condition=Q(retired_at=None),
            ),
            models.Index(
                fields=["name", "id"], name="identities_identity_retired", condition=Q(retired_at__isnull=False)
            ),
            models.Index(fields=["owner"], name="identities_identity_by_owner"),
            GinIndex(fields=["tags"], name="identities_identity_tags"),
            GinIndex(fields=["source_tags"], name="identities_identity_src_tags"),
            GinIndex(fields=["search_text"], opclasses=["gin_trgm_ops"], name="identities_identity_search"),
        ]

    def __str__(self) -> str:
        return self.name


class IdentityVersion(models.Model):
    """What one identity was in `[seen_from, seen_until)`, open = now: by its source and by people together.

    It is written whenever either side changes, so a question about a date needs no replay. `environment` and `purpose`
    are the effective ones. `content` holds what no filter asks for: custody, status details, what the source said where
    people said otherwise.
    """

    id = models.BigAutoField(primary_key=True)
    identity = models.ForeignKey(Identity, on_delete=models.RESTRICT, related_name="versions", db_index=False)
    source = models.ForeignKey(Source, on_delete=models.RESTRICT, related_name="+", db_index=False)
    name = models.CharField(max_length=512)
    kind = models.CharField(max_length=30, choices=IdentityKind.choices)
    status = models.CharField(max_length=20, choices=IdentityStatus.choices)
    environment = models.CharField(max_length=20, choices=Environment.choices)
    purpose = models.TextField(blank=True, default="")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    team = models.ForeignKey(
        "people.Team", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    tags = ArrayField(models.CharField(max_length=MAX_TAG), default=list)
    content = models.JSONField(default=dict)
    seen_from = models.DateTimeField()
    seen_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["identity"], condition=Q(seen_until=None), name="identities_identity_one_current"
            ),
            models.CheckConstraint(
                condition=Q(seen_until=None) | Q(seen_until__gte=F("seen_from")), name="identities_identity_interval"
            ),
        ]
        indexes = [
            models.Index(fields=["identity", "seen_from"], name="identities_identity_history"),
            models.Index(fields=["name", "identity", "seen_from"], name="identities_identity_as_of"),
        ]

    def __str__(self) -> str:
        return f"{self.name} from {self.seen_from}"


class CredentialKind(models.TextChoices):
    PASSWORD = "password", "Password"
    API_KEY = "api_key", "API key"
    ACCESS_KEY = "access_key", "Access key"
    CLIENT_SECRET = "client_secret", "Client secret"
    SSH_KEY = "ssh_key", "SSH key"
    X509 = "x509", "X.509 certificate"
    JWT_SVID = "jwt_svid", "JWT-SVID"
    FEDERATED_TRUST = "federated_trust", "Federated trust"
    PLATFORM_ISSUED = "platform_issued", "Issued by the platform"
    TOKEN = "token", "Token"


class Credential(models.Model):
    """How an identity proves itself. Never a secret value: `fingerprint` is keyed or absent.

    A null time means the source did not report it, which is not the same as never; `Source.coverage` tells which.
    `never_expires` is true only when the source says so.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.RESTRICT, related_name="credentials")
    identity = models.ForeignKey(Identity, on_delete=models.RESTRICT, related_name="credentials")
    external_id = models.CharField(max_length=512)
    kind = models.CharField(max_length=30, choices=CredentialKind.choices)
    status = models.CharField(max_length=20, choices=IdentityStatus.choices, default=IdentityStatus.ACTIVE)
    created_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    never_expires = models.BooleanField(default=False)
    last_rotated_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    storage = models.CharField(max_length=120, blank=True, default="")
    audience = models.CharField(max_length=512, blank=True, default="")
    fingerprint = models.CharField(max_length=128, blank=True, default="")
    attributes = models.JSONField(default=dict)
    holder = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="held_credentials",
    )
    first_seen_at = models.DateTimeField()
    last_changed_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)
    content_hash = models.BinaryField(max_length=32)
    line_hash = models.BinaryField(max_length=16, null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="identities_credential_once_per_source"),
        ]
        indexes = [
            # Where else the same secret is used. Few sources tell fingerprints.
            models.Index(
                fields=["fingerprint"],
                name="identities_credential_same",
                condition=Q(retired_at=None) & ~Q(fingerprint=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.identity_id}"


class TrustRelation(models.Model):
    """Which system authenticates an identity; the source it belongs to is the one that authorises.

    `conditions` are further claims that must hold, `{"claim": "pattern"}`; null where the source does not tell them,
    which is not the same as none.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.RESTRICT, related_name="trust_relations")
    identity = models.ForeignKey(Identity, on_delete=models.RESTRICT, related_name="trust_relations")
    external_id = models.CharField(max_length=512)
    issuer = models.CharField(max_length=512)
    subject = models.CharField(max_length=512, blank=True, default="")
    audience = models.CharField(max_length=512, blank=True, default="")
    conditions = models.JSONField(null=True, blank=True)
    first_seen_at = models.DateTimeField()
    last_changed_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)
    content_hash = models.BinaryField(max_length=32)
    line_hash = models.BinaryField(max_length=16, null=True, blank=True)
    created_row_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="identities_trust_once_per_source"),
        ]
        indexes = [
            models.Index(fields=["issuer"], name="identities_trust_issuer", condition=Q(retired_at=None)),
            # Whom does it let in: asked for many identities at once, by their names.
            models.Index(fields=["subject"], name="identities_trust_by_subject", condition=Q(retired_at=None)),
            models.Index(
                fields=["subject"],
                name="identities_trust_open_subject",
                condition=Q(retired_at=None, subject__contains="*"),
            ),
            models.Index(
                fields=["issuer", "source", "subject"], name="identities_trust_by_issuer", condition=Q(retired_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.issuer} → {self.identity_id}"
