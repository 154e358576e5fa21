"""The questions of a campaign and the answers to them."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Case, Q, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Left, Now

from reviews.models.campaign import Campaign
from reviews.states import ItemState


class ItemKind(models.TextChoices):
    GRANT = "grant", "Access"
    CREDENTIAL = "credential", "Credential"
    OWNERSHIP = "ownership", "Ownership"


class Change(models.TextChoices):
    """How the access differs from what was decided on last."""

    CHANGED = "changed", "Changed since the last decision"
    NEW = "new", "Never decided before"
    SAME = "same", "Unchanged since the last decision"
    UNKNOWN = "unknown", "Not compared"


def _frozen(path: str, *others: str, length: int, default: str = "") -> models.GeneratedField:
    """A column that PostgreSQL takes out of `seen` itself, so that it can never disagree with the evidence."""
    found = Coalesce(*(KT(f"seen__{each}") for each in (path, *others)), Value(default))
    return models.GeneratedField(
        expression=Left(found, length), output_field=models.CharField(max_length=length), db_persist=True
    )


def _line(name: str, *columns: str) -> models.Index:
    """One order of the inbox: open questions only, and with what the filters ask for, so that no row is fetched."""
    return models.Index(
        fields=["assignee", "campaign", *columns, "id"],
        include=["kind", "recommendation"],
        condition=Q(state__in=[ItemState.OPEN.value, ItemState.ATTESTED.value]),
        name=name,
    )


class ReviewItem(models.Model):
    """One question: may this grant (in exactly this version) or this credential stay, or who answers for this identity?

    `seen` is the evidence that the reviewer was shown (plain words, use, recommendation inputs), frozen at opening;
    `resolution` explains, step by step, why the assignee is the one who is asked. `needs_independent` marks items that
    the owner may only attest. `stage` is the stage whose people are asked (`reviews.policies.stages`); `round` counts
    how often the question was asked anew because the access had changed, and answers count in their round only.
    `version` counts changes, so that two reviewers never silently overwrite each other.

    The inbox is ordered by columns that PostgreSQL derives, mostly from `seen`: `rank` (0: privileged, 1: not),
    `identity_name`, `source_name`, `sameness` (the digest of a grant's content, or the credential), `use_state`,
    `change` (see Change).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.RESTRICT, related_name="items", db_index=False)
    kind = models.CharField(max_length=12, choices=ItemKind.choices)
    identity = models.ForeignKey("identities.Identity", on_delete=models.RESTRICT, related_name="review_items")
    grant = models.ForeignKey(
        "identities.Grant", null=True, blank=True, on_delete=models.RESTRICT, related_name="review_items"
    )
    grant_version = models.ForeignKey(
        "identities.GrantVersion",
        null=True,
        blank=True,
        on_delete=models.RESTRICT,
        related_name="review_items",
        db_index=False,
    )
    credential = models.ForeignKey(
        "identities.Credential",
        null=True,
        blank=True,
        on_delete=models.RESTRICT,
        related_name="review_items",
        db_index=False,
    )
    state = models.CharField(max_length=12, choices=[(state, state) for state in ItemState], default=ItemState.OPEN)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="review_items", db_index=False
    )
    resolution = models.JSONField(default=list)
    is_privileged = models.BooleanField(default=False)
    needs_independent = models.BooleanField(default=False)
    stage = models.PositiveSmallIntegerField(default=1)
    round = models.PositiveSmallIntegerField(default=1)
    recommendation = models.CharField(max_length=20, blank=True, default="")
    recommendation_reasons = models.JSONField(default=list)
    recommended_target = models.JSONField(null=True, blank=True)
    rule_version = models.CharField(max_length=20, blank=True, default="")
    seen = models.JSONField(default=dict)
    decided_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())
    rank = models.GeneratedField(
        expression=Case(When(is_privileged=True, then=Value(0)), default=Value(1)),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )
    identity_name = _frozen("identity__name", length=200)
    source_name = _frozen("source__name", length=200)
    sameness = _frozen("digest", "credential__id", length=64)
    use_state = _frozen("use__state", length=20, default="not_observable")
    change = _frozen("change__state", length=20, default=Change.UNKNOWN.value)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "grant"], condition=Q(kind="grant"), name="reviews_item_once_per_grant"
            ),
            models.UniqueConstraint(
                fields=["campaign", "credential"],
                condition=Q(kind="credential"),
                name="reviews_item_once_per_credential",
            ),
            models.UniqueConstraint(
                fields=["campaign", "identity"],
                condition=Q(kind="ownership"),
                name="reviews_item_once_per_identity",
            ),
            # An item without its object would be a question about nothing.
            models.CheckConstraint(
                condition=Q(kind="grant", grant__isnull=False, grant_version__isnull=False)
                | Q(kind="credential", credential__isnull=False)
                | Q(kind="ownership", grant__isnull=True, credential__isnull=True),
                name="reviews_item_has_object",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in ItemState]), name="reviews_item_state_known"
            ),
        ]
        # References have no index of their own where one of these begins so, or where nobody looks from the other end.
        indexes = [
            models.Index(fields=["credential"], condition=Q(credential__isnull=False), name="reviews_item_credential"),
            models.Index(fields=["assignee", "state"], name="reviews_item_inbox"),
            models.Index(fields=["campaign", "state", "id"], name="reviews_item_workbench"),
            _line("reviews_line_identity", "rank", "identity_name"),
            _line("reviews_line_source", "source_name", "rank", "identity_name"),
            _line("reviews_line_permission", "rank", "sameness", "use_state", "recommendation"),
            _line("reviews_line_change", "change", "rank", "identity_name"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} item {self.id}"


class Answer(models.TextChoices):
    APPROVE = "approve", "Approve"
    APPROVE_UNTIL = "approve_until", "Approve until"
    SCOPE_DOWN = "scope_down", "Scope down"
    REVOKE = "revoke", "Revoke"
    KEEP = "keep", "Keep"
    ROTATE = "rotate", "Rotate by"
    DEACTIVATE = "deactivate", "Deactivate"
    # Only a deadline's table answers like this, never a person.
    QUARANTINE = "quarantine", "Quarantine"
    MINE = "mine", "It is mine"
    RETIRE = "retire", "Retire it"
    NOT_MINE = "not_mine", "Not mine"
    DONT_KNOW = "dont_know", "Don’t know"


# Answers that give the question to somebody else and say nothing about the access.
PASSING_ON = frozenset({Answer.NOT_MINE, Answer.DONT_KNOW})
# Answers after which what is held stays as it is.
KEEPING = frozenset({Answer.APPROVE, Answer.APPROVE_UNTIL, Answer.KEEP})


class Decision(models.Model):
    """One answer, never changed afterwards; taking it back is a later row with `recalls` pointing at it.

    `is_attestation` marks an answer that is testimony: a later stage decides, or it counts with others' answers towards
    an outcome (a row of its own whose `decided_by_policy` names the strategy). `stage` and `round` say where it counts;
    an attestation without a stage came after its stage was settled, and counts nowhere. `target` and `proof` belong to
    scope_down: what remains, and why it lies inside what was held. `digest` pins the content that was decided.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item = models.ForeignKey(ReviewItem, on_delete=models.RESTRICT, related_name="decisions", db_index=False)
    answer = models.CharField(max_length=20, choices=Answer.choices)
    is_attestation = models.BooleanField(default=False)
    stage = models.PositiveSmallIntegerField(null=True, blank=True)
    round = models.PositiveSmallIntegerField(default=1)
    until = models.DateTimeField(null=True, blank=True)
    target = models.JSONField(null=True, blank=True)
    proof = models.JSONField(null=True, blank=True)
    digest = models.BinaryField(max_length=32, null=True, blank=True)
    reason = models.TextField(blank=True, default="")
    named_person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+", db_index=False
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="decisions"
    )
    decided_by_policy = models.CharField(max_length=60, blank=True, default="")
    auth_method = models.CharField(max_length=40, blank=True, default="")
    is_bulk = models.BooleanField(default=False)
    recalls = models.OneToOneField("self", null=True, blank=True, on_delete=models.RESTRICT, related_name="recalled_by")
    carries = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.RESTRICT, related_name="carried_to", db_index=False
    )
    generation = models.PositiveSmallIntegerField(default=0)
    decided_at = models.DateTimeField()

    class Meta:
        constraints = [
            # What was carried says so, and by which rules; nothing else does.
            models.CheckConstraint(
                condition=Q(carries=None, generation=0)
                | Q(carries__isnull=False, generation__gte=1, decided_by_policy="carrying"),
                name="reviews_carried_names_its_original",
            ),
            # Every answer is somebody's, or a named policy's: never nobody's and never both.
            models.CheckConstraint(
                condition=(Q(decided_by__isnull=False) & Q(decided_by_policy=""))
                | (Q(decided_by__isnull=True) & ~Q(decided_by_policy="")),
                name="reviews_decision_has_author",
            ),
            models.CheckConstraint(
                condition=~Q(answer="scope_down") | Q(target__isnull=False, proof__isnull=False),
                name="reviews_scope_down_is_proved",
            ),
            models.CheckConstraint(
                condition=~Q(answer__in=["approve_until", "rotate"]) | Q(until__isnull=False),
                name="reviews_dated_answer_has_date",
            ),
        ]
        # Nearly every answer names nobody and carries nothing, so the indexes of these hold the others only.
        indexes = [
            models.Index(fields=["item", "-decided_at"], name="reviews_decision_latest"),
            models.Index(
                fields=["named_person"], condition=Q(named_person__isnull=False), name="reviews_decision_named"
            ),
            models.Index(fields=["carries"], condition=Q(carries__isnull=False), name="reviews_decision_carries"),
        ]

    def __str__(self) -> str:
        return f"{self.answer} on {self.item_id}"
