"""The trail's tables. Nothing here has a foreign key, so no deletion elsewhere can reach it.

The database refuses to change what is written (governance/audit/triggers.py). `AuditEvent` has two columns more than
the model shows: `xact` (the transaction that wrote the row) and `ordinal` (order of writing). The seal uses both; lists
use `ordinal` to put events of one time in order. `audit_pending`, which only the seal uses, has no model at all.
"""

import uuid

from django.db import models
from django.db.models import Q


class AuditEvent(models.Model):
    """One thing that happened. `payload` is the record: canonical JSON whose bytes are hashed.

    The other columns repeat parts of the payload so that they can be indexed; verification compares them.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    occurred_at = models.DateTimeField()
    verb = models.CharField(max_length=60)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=200)
    subject_kind = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=200)
    payload = models.TextField()

    class Meta:
        constraints = [
            # The vocabulary is closed in code; here only its shape, so that a new verb needs no migration.
            models.CheckConstraint(
                condition=Q(verb__regex=r"^[a-z][a-z_]*\.[a-z][a-z_]*$"), name="audit_event_verb_shape"
            ),
        ]
        # The indexes stand in governance/audit/triggers.py: each ends with `ordinal`, which is not in the model.

    def __str__(self) -> str:
        return f"{self.verb} {self.subject_kind} {self.subject_id}"


class AuditLink(models.Model):
    """The seal of one event: its place in the hash chain and its leaf of the Merkle tree. Written by the database.

    `seq` is the order of sealing (of commits), without gaps from 1 on; it is not the order of `occurred_at`.
    All hashes are SHA-256, 32 bytes:
    payload_hash of the payload's UTF-8 bytes; entry_hash of `"chain.v1" NUL prev_hash seq(8 bytes) payload_hash`;
    leaf_hash of `0x00 payload` (RFC 9162). The first link's prev_hash is 32 zero bytes.
    """

    seq = models.BigIntegerField(primary_key=True)
    event_id = models.UUIDField(unique=True)
    payload_hash = models.BinaryField()
    prev_hash = models.BinaryField()
    entry_hash = models.BinaryField()
    leaf_hash = models.BinaryField()

    def __str__(self) -> str:
        return f"#{self.seq}"


class AuditHead(models.Model):
    """The one row that says where the chain ends. Commits take turns on its lock, so the chain cannot fork."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seq = models.BigIntegerField()
    entry_hash = models.BinaryField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="audit_head_single")]

    def __str__(self) -> str:
        return f"#{self.seq}"


class AuditCheckpoint(models.Model):
    """A signed statement "the first `size` events have this tree root"; the copy that counts is the file outside.

    `note` is a C2SP signed note. `frontier` lets the next checkpoint continue without reading old rows.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    origin = models.CharField(max_length=200)
    size = models.BigIntegerField()
    root = models.BinaryField()
    note = models.TextField()
    frontier = models.BinaryField()
    signed_at = models.DateTimeField()

    class Meta:
        constraints = [
            # A log must never sign two different trees of one size.
            models.UniqueConstraint(fields=["origin", "size"], name="audit_checkpoint_size_once"),
        ]

    def __str__(self) -> str:
        return f"{self.origin} at {self.size}"


class AuditDetail(models.Model):
    """Free text and personal data of one event, kept beside the chain so that it can be erased.

    `text` is canonical JSON. The event's payload holds SHA-256(salt, text), so a changed text shows. Erasing sets
    `salt` and `text` to NULL: without the salt nobody can test guesses against the hash that stays.
    """

    event_id = models.UUIDField(primary_key=True)
    salt = models.BinaryField(null=True)
    text = models.TextField(null=True)
    erased_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(salt__isnull=False, text__isnull=False, erased_at__isnull=True)
                | Q(salt__isnull=True, text__isnull=True, erased_at__isnull=False),
                name="audit_detail_kept_or_erased",
            ),
        ]

    def __str__(self) -> str:
        return f"detail of {self.event_id}"


class LegalHold(models.Model):
    """Nothing that this concerns may be erased or retired until a person lifts it.

    A period holds events that occurred from `since` until before `until`; the other kinds hold every event whose record
    names `subject_id`. The database lets a hold be lifted once and changes nothing else of it.
    """

    class Kind(models.TextChoices):
        CAMPAIGN = "campaign", "A review"
        PERSON = "person", "A person"
        IDENTITY = "identity", "An identity"
        PERIOD = "period", "A time"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=Kind)
    subject_id = models.CharField(max_length=200, blank=True, default="")
    label = models.CharField(max_length=200, default="")
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    reason = models.CharField(max_length=1000)
    placed_by = models.CharField(max_length=200)
    placed_at = models.DateTimeField()
    lifted_by = models.CharField(max_length=200, default="")
    lifted_at = models.DateTimeField(null=True)
    lifted_reason = models.CharField(max_length=1000, default="")

    def __str__(self) -> str:
        if self.kind == self.Kind.PERIOD and self.since and self.until:
            return f"{self.since:%-d %b %Y} to {self.until:%-d %b %Y}"
        return self.label or f"{self.kind} {self.subject_id[:8]}"

    @property
    def is_lifted(self) -> bool:
        return self.lifted_at is not None


class AuditArchive(models.Model):
    """A file outside the database with events `first_seq` to `last_seq`, and that its verification passed.

    leaves: SHA-256 over the leaf hashes of the events as they stand in the file. sha256, size: of the file.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    leaves = models.BinaryField()
    origin = models.CharField(max_length=200)
    checkpoint_size = models.BigIntegerField()
    file = models.CharField(max_length=300)
    sha256 = models.BinaryField()
    size = models.BigIntegerField()
    verified_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.file

    @property
    def events(self) -> int:
        return self.last_seq - self.first_seq + 1


class AuditRetirement(models.Model):
    """The contents of an archive's events were deleted here; their links stay. The database deletes, on insertion."""

    archive_id = models.UUIDField(primary_key=True)
    last_seq = models.BigIntegerField()
    retired_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"to #{self.last_seq}"
