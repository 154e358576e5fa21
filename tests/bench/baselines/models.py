"""A grants table of the same shape as the product's, with the same keys, without history and audit."""

import uuid

from django.db import models
from django.db.models import Q


class Source(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)

    def __str__(self) -> str:
        return self.name


class Identity(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.CASCADE)
    external_id = models.CharField(max_length=512)
    name = models.CharField(max_length=512)
    kind = models.CharField(max_length=20)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "external_id"], name="baselines_identity_once")]

    def __str__(self) -> str:
        return self.name


class Grant(models.Model):
    REVOCABILITIES = [("here", "here"), ("via_group", "via group"), ("shared_role", "shared role")]

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.CASCADE)
    identity = models.ForeignKey(Identity, on_delete=models.CASCADE)
    external_id = models.CharField(max_length=1024)
    label = models.CharField(max_length=512)
    permission = models.JSONField()
    path = models.JSONField(default=list)
    revocability = models.CharField(max_length=30, choices=REVOCABILITIES, default="here")
    shared_with = models.PositiveIntegerField(default=0)
    native_ref = models.JSONField(default=dict, blank=True)
    is_privileged = models.BooleanField(default=False)
    first_seen_at = models.DateTimeField(auto_now_add=True)
    last_changed_at = models.DateTimeField(auto_now=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "external_id"], name="baselines_grant_once")]
        indexes = [models.Index(fields=["identity"], name="baselines_grant_current", condition=Q(retired_at=None))]

    def __str__(self) -> str:
        return self.label
