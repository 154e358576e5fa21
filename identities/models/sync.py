"""Readings of a source and what they changed, like commits with their files."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from identities.models.source import Source


class SyncMode(models.TextChoices):
    SNAPSHOT = "snapshot", "Snapshot"
    DELTA = "delta", "Delta"


class SyncOrigin(models.TextChoices):
    CONNECTOR = "connector", "Read by the connector"
    API = "api", "Sent through the API"
    FILE = "file", "Imported from a file"


class SyncState(models.TextChoices):
    RUNNING = "running", "Running"
    APPLIED = "applied", "Applied"
    HELD = "held", "Held for a person"
    REJECTED = "rejected", "Rejected"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    DRY_RUN = "dry_run", "Dry run"


class SyncRun(models.Model):
    """One reading of one source.

    A run is either applied whole or not at all. `is_complete` says that the sender vouches for having sent everything,
    which alone allows the run to retire what it lacks. `counts` is
    `{"identity": {"added": 0, "changed": 0, "retired": 0, "unchanged": 0}, …}`. `problem` is the problem document of a
    run that was rejected or failed.

    `progress` is what a running one has done so far: `{"phase": "reading", "records": 0, "bytes": 0, "of_bytes": 0,
    "at": "…"}`. A partial run (`is_partial`) applied its good records and keeps the refused ones, packed, in
    `refused_payload`. `feed_number` is its place in the change feed: numbers are given at commit, so that a reader who
    has seen one never misses a lower one.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(Source, on_delete=models.RESTRICT, related_name="sync_runs")
    mode = models.CharField(max_length=10, choices=SyncMode.choices)
    origin = models.CharField(max_length=10, choices=SyncOrigin.choices)
    is_complete = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=SyncState.choices, default=SyncState.RUNNING)
    idempotency_key = models.CharField(max_length=200, blank=True, default="")
    request_hash = models.CharField(max_length=64, blank=True, default="")
    actor_id = models.CharField(max_length=80)
    started_at = models.DateTimeField()
    # When the source was looked at: the moment its state is vouched for, never later than `finished_at`.
    observed_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    records = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict)
    problem = models.JSONField(null=True, blank=True)
    held_payload = models.BinaryField(null=True, blank=True)
    is_partial = models.BooleanField(default=False)
    refused = models.PositiveIntegerField(default=0)
    refused_payload = models.BinaryField(null=True, blank=True)
    notes = models.JSONField(default=dict, blank=True)
    preview = models.JSONField(null=True, blank=True)
    progress = models.JSONField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    feed_number = models.BigIntegerField(null=True, blank=True, unique=True, editable=False)

    class Meta:
        constraints = [
            # The same key never applies twice, whatever retries or races.
            models.UniqueConstraint(
                fields=["source", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="identities_run_once_per_key",
            ),
        ]
        indexes = [
            models.Index(fields=["source", "-started_at"], name="identities_run_latest"),
            # The few dry runs that still keep their reading.
            models.Index(
                fields=["finished_at"],
                name="identities_run_kept",
                condition=Q(state="dry_run", held_payload__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mode} of {self.source_id} at {self.started_at}"


class SyncRowError(models.Model):
    """A record that was refused: where it stands and why. At most the first thousand of a run are kept."""

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="row_errors")
    line = models.PositiveIntegerField()
    pointer = models.CharField(max_length=300, blank=True, default="")
    code = models.CharField(max_length=60)
    reason = models.CharField(max_length=500)

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class ChangeAction(models.TextChoices):
    ADDED = "added", "Added"
    CHANGED = "changed", "Changed"
    RETIRED = "retired", "Retired"


class Change(models.Model):
    """One object that one run touched, with what it was and what it became.

    The change feed goes by the run's `feed_number` and, within a run, by `id`.
    """

    run = models.ForeignKey(SyncRun, on_delete=models.RESTRICT, related_name="changes", db_index=False)
    object_kind = models.CharField(max_length=20)
    object_id = models.UUIDField()
    external_id = models.CharField(max_length=1024)
    action = models.CharField(max_length=10, choices=ChangeAction.choices)
    old = models.JSONField(null=True, blank=True)
    new = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["run", "id"], name="identities_change_of_run"),
            models.Index(fields=["object_id", "id"], name="identities_change_of_object"),
            # The few grants that changed hands: who held them before (identities/selectors/holders.py).
            models.Index(
                fields=["object_id", "id"],
                name="identities_change_of_hands",
                condition=Q(object_kind="grant", action__in=["added", "changed"], old__has_key="identity"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.object_kind} {self.external_id} {self.action}"
