"""Registered objects that grants and decisions may name."""

import uuid

from django.db import models
from django.db.models import F, Func, Q, Value

from identities.models.source import Source

MAX_RESOURCE_NAME = 1024


class Resource(models.Model):
    """One object of a source, with the properties that conditions may ask for: `(source, external_id)` is unique.

    `external_id` is its name as permissions of the decision point write it, `type:id`. Most resources are never
    registered and exist as patterns alone. `retired_at` is set when a reading no longer holds it; the row stays for
    history's sake.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.RESTRICT, related_name="resources")
    external_id = models.CharField(max_length=MAX_RESOURCE_NAME)
    name = models.CharField(max_length=512)
    properties = models.JSONField(default=dict)
    first_seen_at = models.DateTimeField()
    last_changed_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)
    content_hash = models.BinaryField(max_length=32)
    line_hash = models.BinaryField(max_length=16, null=True, blank=True)

    resource_type = models.GeneratedField(
        expression=Func(F("external_id"), Value(":"), Value(1), function="split_part"),
        output_field=models.CharField(max_length=MAX_RESOURCE_NAME),
        db_persist=True,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="identities_resource_once_per_source"),
        ]
        indexes = [
            # A search goes through the resources of one type in this order.
            models.Index(
                fields=["resource_type", "external_id"],
                name="identities_resource_by_type",
                condition=Q(retired_at=None),
            ),
        ]

    def __str__(self) -> str:
        return self.external_id
