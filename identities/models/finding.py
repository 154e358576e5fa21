"""What is wrong with an object by a rule of posture, what became of it, and which exceptions were made for it."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from identities.models.identity import Identity
from identities.models.posture import PosturePolicy
from identities.models.source import Source


class FindingSeverity(models.IntegerChoices):
    """In rising order, as numbers, so that an index can put the worst first. The names are those of posture."""

    LOW = 1, "Low"
    MEDIUM = 2, "Medium"
    HIGH = 3, "High"
    CRITICAL = 4, "Critical"

    @property
    def word(self) -> str:
        """As filters, the API and the trail write it."""
        return self.name.lower()


class FindingObject(models.TextChoices):
    """What a finding can be about."""

    IDENTITY = "identity", "Identity"
    CREDENTIAL = "credential", "Credential"
    TRUST = "trust", "Trust"
    SOURCE = "source", "Source"


class FindingState(models.TextChoices):
    OPEN = "open", "Open"
    ASSIGNED = "assigned", "Assigned"
    ACCEPTED = "accepted", "Accepted"
    FIXED = "fixed", "Fixed"


# What still has to be done; an accepted finding waits for the end of its exception.
TO_DO = (FindingState.OPEN, FindingState.ASSIGNED)


class FixedHow(models.TextChoices):
    """How a finding came to its end. Nobody can declare one fixed."""

    VERIFIED = "verified", "A later reading passes the rule"
    NOT_APPLICABLE = "not_applicable", "The rule no longer applies to it"
    RETIRED = "retired", "The source no longer holds it"


class Finding(models.Model):
    """One rule that one object fails: one row for ever, however often it is fixed and fails again.

    `opened_at` is when it failed this time, `found_at` when it first did, `reopened` how often it came back. It is
    judged by nothing but readings: severity, arithmetic and evidence are those of the last one that failed, `digest`
    names them, `policy` is the policy by which that was said. `unjudged_since` is set while the object cannot be
    judged; the finding then stays what it was.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.CharField(max_length=12)
    object_kind = models.CharField(max_length=12, choices=FindingObject.choices)
    object_id = models.UUIDField()
    source = models.ForeignKey(Source, on_delete=models.RESTRICT, related_name="findings", db_index=False)
    identity = models.ForeignKey(
        Identity, null=True, blank=True, on_delete=models.RESTRICT, related_name="findings", db_index=False
    )
    severity = models.PositiveSmallIntegerField(choices=FindingSeverity.choices)
    arithmetic = models.JSONField(default=list)
    evidence = models.JSONField(default=dict)
    digest = models.BinaryField(max_length=16)
    policy = models.ForeignKey(PosturePolicy, on_delete=models.RESTRICT, related_name="+", db_index=False)
    state = models.CharField(max_length=10, choices=FindingState.choices, default=FindingState.OPEN)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+", db_index=False
    )
    found_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    fixed_at = models.DateTimeField(null=True, blank=True)
    fixed_how = models.CharField(max_length=20, choices=FixedHow.choices, blank=True, default="")
    reopened = models.PositiveSmallIntegerField(default=0)
    unjudged_since = models.DateTimeField(null=True, blank=True)
    unjudged_why = models.JSONField(default=list)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            # A rule says one thing of one object; the object stands first, because judging asks by object.
            models.UniqueConstraint(fields=["object_id", "rule", "object_kind"], name="identities_finding_once"),
            models.CheckConstraint(condition=Q(severity__gte=1, severity__lte=4), name="identities_finding_severity"),
            # A finding that is fixed without a word how, or that has an end and is open, would be counted twice.
            models.CheckConstraint(
                condition=(Q(state="fixed", fixed_at__isnull=False) & ~Q(fixed_how=""))
                | (~Q(state="fixed") & Q(fixed_at=None, fixed_how="")),
                name="identities_finding_fixed",
            ),
            # "Assigned" to nobody would be work that nobody sees as theirs.
            models.CheckConstraint(
                condition=Q(state="assigned", assignee__isnull=False)
                | Q(state="open", assignee=None)
                | Q(state__in=["accepted", "fixed"]),
                name="identities_finding_assigned",
            ),
            # Only what is about a source as a whole belongs to no identity; else its owner would never see it.
            models.CheckConstraint(
                condition=Q(object_kind="source", identity=None)
                | (~Q(object_kind="source") & Q(identity__isnull=False)),
                name="identities_finding_of",
            ),
        ]
        indexes = [
            models.Index(
                F("severity").desc(),
                "opened_at",
                "id",
                name="identities_finding_list",
                condition=Q(state__in=["open", "assigned"]),
            ),
            models.Index(
                "rule",
                F("severity").desc(),
                "opened_at",
                "id",
                name="identities_finding_by_rule",
                condition=Q(state__in=["open", "assigned"]),
            ),
            models.Index(fields=["identity", "state"], name="identities_finding_of_identity"),
            models.Index(fields=["source", "state"], name="identities_finding_of_source"),
            models.Index(fields=["assignee"], name="identities_finding_assignee", condition=Q(assignee__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.rule} on {self.object_kind} {self.object_id}"


class AcceptanceEnd(models.TextChoices):
    """How an exception, or the wish for one, ended."""

    REFUSED = "refused", "Refused"
    WITHDRAWN = "withdrawn", "Withdrawn"
    EXPIRED = "expired", "Expired"
    FIXED = "fixed", "The finding was fixed"
    WORSENED = "worsened", "The finding became more severe"


LONGEST_ACCEPTANCE = timedelta(days=365)


class FindingAcceptance(models.Model):
    """One exception for one finding: asked for by one person, approved by another, for a reason and for a time.

    It is a wish until `approver` and `accepted_at` are set, then it holds until `ended_at`. `severity` is what was
    accepted: a finding that becomes worse needs a new exception. Rows are never deleted; they are the list of
    exceptions that auditors ask for.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    finding = models.ForeignKey(Finding, on_delete=models.RESTRICT, related_name="acceptances")
    severity = models.PositiveSmallIntegerField(choices=FindingSeverity.choices)
    reason = models.TextField()
    compensating_control = models.TextField()
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    requested_at = models.DateTimeField()
    until = models.DateTimeField()
    approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    accepted_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_how = models.CharField(max_length=10, choices=AcceptanceEnd.choices, blank=True, default="")
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )

    class Meta:
        constraints = [
            # Two exceptions at once would have two ends.
            models.UniqueConstraint(
                fields=["finding"], condition=Q(ended_at=None), name="identities_acceptance_one_at_a_time"
            ),
            # Whoever asks does not answer, whatever the code above forgets.
            models.CheckConstraint(
                condition=Q(approver=None) | ~Q(approver=F("requested_by")), name="identities_acceptance_second_person"
            ),
            models.CheckConstraint(
                condition=Q(approver=None, accepted_at=None) | Q(approver__isnull=False, accepted_at__isnull=False),
                name="identities_acceptance_approved",
            ),
            # An exception without an end is a rule that nobody keeps.
            models.CheckConstraint(
                condition=Q(until__gt=F("requested_at"))
                & (Q(accepted_at=None) | Q(until__lte=F("accepted_at") + LONGEST_ACCEPTANCE)),
                name="identities_acceptance_time",
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, ended_how="") | (Q(ended_at__isnull=False) & ~Q(ended_how="")),
                name="identities_acceptance_ended",
            ),
        ]
        indexes = [
            models.Index(fields=["until"], name="identities_acceptance_due", condition=Q(ended_at=None)),
        ]

    def __str__(self) -> str:
        return f"exception for {self.finding_id}"


class FindingStep(models.TextChoices):
    """What can happen to a finding after it was found."""

    REOPENED = "reopened", "Failed again"
    FIXED = "fixed", "Fixed"
    SEVERITY = "severity", "Its severity changed"
    ASSIGNED = "assigned", "Assigned"
    UNASSIGNED = "unassigned", "Nobody is assigned any more"
    REQUESTED = "requested", "An exception was asked for"
    ACCEPTED = "accepted", "An exception was approved"
    ENDED = "ended", "The exception ended"


class FindingEvent(models.Model):
    """One step in the life of a finding. Passes change many findings with one record; each keeps its own steps here.

    `facts` hold codes, numbers and ids, never free text. That it was found stands in the finding itself.
    """

    id = models.BigAutoField(primary_key=True)
    finding = models.ForeignKey(Finding, on_delete=models.RESTRICT, related_name="events", db_index=False)
    step = models.CharField(max_length=12, choices=FindingStep.choices)
    at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+", db_index=False
    )
    facts = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["finding", "at", "id"], name="identities_finding_life")]

    def __str__(self) -> str:
        return f"{self.step} of {self.finding_id}"
