"""Non-human identities."""

import uuid

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now, Upper

from identities.models.source import Environment, Source


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

    What the source says (`name`, `environment`, `purpose`, `source_owner`, `source_sponsor`, `attributes` …) is
    overwritten by every reading. What people say (`owner`, `backup_owner`, `team`, `sponsor`, `purpose_edited`,
    `environment_edited`) is never touched by a reading; both are shown. `retired_at` is set when a complete reading no
    longer holds it; the row stays, because history refers to it.
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
    version = models.PositiveIntegerField(default=1)

    first_seen_at = models.DateTimeField()
    last_changed_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)
    content_hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="identities_identity_once_per_source"),
        ]
        indexes = [
            models.Index(fields=["name", "id"], name="identities_identity_by_name", condition=Q(retired_at=None)),
            models.Index(fields=["owner"], name="identities_identity_by_owner"),
            # Substring search; on an expression of its own so that equality look-ups never pick it.
            GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="identities_identity_search"),
        ]

    def __str__(self) -> str:
        return self.name


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

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="identities_credential_once_per_source"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.identity_id}"


class TrustRelation(models.Model):
    """Which system authenticates an identity; the source it belongs to is the one that authorises."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.RESTRICT, related_name="trust_relations")
    identity = models.ForeignKey(Identity, on_delete=models.RESTRICT, related_name="trust_relations")
    external_id = models.CharField(max_length=512)
    issuer = models.CharField(max_length=512)
    subject = models.CharField(max_length=512, blank=True, default="")
    audience = models.CharField(max_length=512, blank=True, default="")
    first_seen_at = models.DateTimeField()
    last_changed_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)
    content_hash = models.BinaryField(max_length=32)
    created_row_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="identities_trust_once_per_source"),
        ]

    def __str__(self) -> str:
        return f"{self.issuer} → {self.identity_id}"
