"""What the decision point stands on: its policy, notes of what changed, and tallies of what it decided."""

from django.conf import settings
from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Now


class DecisionPolicy(models.Model):
    """How requests are decided beyond what grants say, one immutable row per version; the highest number is in force.

    `document` holds what `identities.pdp.policy` reads: staleness, approval, assurance, delegation and the decision
    log. Nothing is ever changed in place: every answer names the version it was decided by.
    """

    number = models.PositiveIntegerField(primary_key=True)
    document = models.JSONField()
    reason = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"decision policy {self.number}"


class NoteScope(models.TextChoices):
    """How much of what processes remember a note makes worthless."""

    IDENTITY = "identity", "One identity"
    NAMES = "names", "Which identity a name means"
    SOURCE = "source", "Every identity of one source"
    SHARED = "shared", "Sources, policy and switches"
    EVERYTHING = "everything", "Everything"


class _WritingTransaction(Func):
    """The number of the transaction that writes the row: its place among those that other snapshots see or do not."""

    template = "((pg_current_xact_id())::text)::bigint"
    output_field = models.BigIntegerField()


class DecisionNote(models.Model):
    """That something changed which decisions depend on, written in the transaction that changed it.

    Processes remember what they decide by; before each decision they ask for notes of transactions that they had not
    seen yet. `xid` is the transaction, so that the order in which transactions commit does not matter (ADR 0035).
    Triggers write a note of everything for whoever changes those tables and writes none of its own.
    """

    id = models.BigAutoField(primary_key=True)
    xid = models.BigIntegerField(db_default=_WritingTransaction())
    scope = models.CharField(max_length=10, choices=NoteScope.choices)
    object_id = models.UUIDField(null=True, blank=True)

    class Meta:
        constraints = [
            # A note of one identity or source that does not say which would be taken for none.
            models.CheckConstraint(
                condition=Q(scope__in=["identity", "source"], object_id__isnull=False)
                | Q(scope__in=["names", "shared", "everything"], object_id=None),
                name="identities_note_names_object",
            ),
        ]
        indexes = [models.Index(fields=["xid"], name="identities_note_by_xid")]

    def __str__(self) -> str:
        return f"{self.scope} {self.object_id or ''}"


class DecisionMark(models.Model):
    """A moment, and the number below which every transaction had ended by then: which notes everybody has seen."""

    at = models.DateTimeField(primary_key=True)
    horizon = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.at}: below {self.horizon}"


class DecisionTally(models.Model):
    """How often one process permitted the same to the same identity since it last said so; folded into Usage.

    Rows are written once and removed when they are folded. No foreign key: a tally never stands in anybody's way.
    """

    id = models.BigAutoField(primary_key=True)
    identity_id = models.UUIDField()
    action = models.CharField(max_length=256)
    resource = models.CharField(max_length=1024)
    count = models.PositiveIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.count} × {self.action}"
