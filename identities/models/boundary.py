"""Trust boundaries that somebody registered, and what an application decides for itself once it has let somebody in."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from identities.models.identity import Identity
from identities.models.source import Source


class TrustBoundary(models.Model):
    """A source may accept the word of an issuer: who said so, about whom, and when somebody looks again.

    The source authorises, the issuer authenticates. `audiences` and `subjects` are patterns (`*` and `?`): what of the
    issuer's word is meant to be accepted; an empty list of audiences means that any is. A trust relation that lies
    outside is a trust nobody registered. One record per source and issuer is in force; one that is withdrawn stays.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.RESTRICT, related_name="boundaries", db_index=False)
    issuer = models.CharField(max_length=512)
    audiences = ArrayField(models.CharField(max_length=512), default=list)
    subjects = ArrayField(models.CharField(max_length=512))
    attributes_trusted = ArrayField(models.CharField(max_length=100), default=list)
    purpose = models.TextField()
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="owned_boundaries"
    )
    review_due = models.DateField()
    reviewed_at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            # Two records in force would leave open which of them a trust is measured by.
            models.UniqueConstraint(
                fields=["source", "issuer"], condition=Q(withdrawn_at=None), name="identities_boundary_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.issuer} → {self.source_id}"


class AuthorizationModel(models.TextChoices):
    """How an application decides what somebody may do in it, once it has let them in."""

    PER_REQUEST = "per_request", "Every request is decided"
    ROLES = "roles", "By roles of its own"
    STATIC_LIST = "static_allow_list_only", "By a fixed list of who may enter"
    LOGIN_IS_ALL = "login_implies_all", "Whoever is signed in may do everything"


class Authorization(models.Model):
    """How the application behind an identity, or behind every identity of a source, decides; said by a person.

    Where signing in is all that is asked, what counts is what the *application* can do: `classes` (privilege classes)
    and `breadth`, as its owner declares them. What is said of an identity goes before what is said of its source, and
    both before what the source itself reports (`attributes.authz_model`). An empty `model` takes the word back.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    identity = models.OneToOneField(
        Identity, null=True, blank=True, on_delete=models.RESTRICT, related_name="authorization"
    )
    source = models.OneToOneField(
        Source, null=True, blank=True, on_delete=models.RESTRICT, related_name="authorization"
    )
    model = models.CharField(max_length=30, choices=AuthorizationModel.choices, blank=True, default="")
    classes = ArrayField(models.CharField(max_length=20), default=list)
    breadth = models.CharField(max_length=20, blank=True, default="")
    note = models.TextField(blank=True, default="")
    declared_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    declared_at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(identity__isnull=False, source=None) | Q(identity=None, source__isnull=False),
                name="identities_authorization_of_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} of {self.identity_id or self.source_id}"
