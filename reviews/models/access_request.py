"""Access on request: asked for a purpose and a time, answered by somebody independent, ended by itself."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from reviews.states import AccessRequestState


class AccessRequest(models.Model):
    """Somebody, or an agent's runtime, asks that one identity may do something until a moment.

    While it is GRANTED, `grant` stands in the inventory and the decision point answers by it; nothing else was handed
    out, so taking it away takes effect at the next decision. It holds until `granted_until`, never longer than the
    `until` that was asked for. `asked_by` is the person, or whoever issued the token `client`.

    An emergency is granted without an answer beforehand, for the shortest time, and looked at by somebody else after
    its end. `verified_at` is when the decision point was asked after the end; `still_effective` then says by what the
    identity may do it all the same, and is empty where it was refused.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    identity = models.ForeignKey("identities.Identity", on_delete=models.RESTRICT, related_name="access_requests")
    permission = models.JSONField()
    is_privileged = models.BooleanField()
    reason = models.TextField()
    until = models.DateTimeField()
    is_emergency = models.BooleanField(default=False)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    client = models.CharField(max_length=80, blank=True, default="")
    asked_at = models.DateTimeField()
    answer_by = models.DateTimeField()
    state = models.CharField(max_length=10, choices=[(s, s) for s in AccessRequestState])
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    answered_at = models.DateTimeField(null=True, blank=True)
    answer_reason = models.TextField(blank=True, default="")
    granted_until = models.DateTimeField(null=True, blank=True)
    grant = models.OneToOneField(
        "identities.Grant", null=True, blank=True, on_delete=models.RESTRICT, related_name="access_request"
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_early = models.TextField(blank=True, default="")
    verified_at = models.DateTimeField(null=True, blank=True)
    still_effective = models.TextField(blank=True, default="")
    looked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    looked_at = models.DateTimeField(null=True, blank=True)
    was_justified = models.BooleanField(null=True, blank=True)
    look_note = models.TextField(blank=True, default="")
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            # Nobody answers their own request, whatever a page forgot to ask.
            models.CheckConstraint(
                condition=Q(is_emergency=True) | Q(answered_by=None) | ~Q(answered_by=F("asked_by")),
                name="reviews_access_request_other_answers",
            ),
            models.CheckConstraint(
                condition=Q(looked_by=None) | ~Q(looked_by=F("asked_by")),
                name="reviews_access_request_other_looks",
            ),
            # What holds has an end and a grant; what does not hold has none that could be forgotten.
            models.CheckConstraint(
                condition=~Q(state="granted") | Q(grant__isnull=False, granted_until__isnull=False, ended_at=None),
                name="reviews_access_request_has_an_end",
            ),
            models.CheckConstraint(
                condition=Q(granted_until=None) | Q(granted_until__lte=F("until")),
                name="reviews_access_request_never_longer",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in AccessRequestState]),
                name="reviews_access_request_state_known",
            ),
        ]
        indexes = [
            models.Index(F("asked_at").desc(), F("id").desc(), name="reviews_access_request_newest"),
            models.Index(fields=["answer_by"], name="reviews_access_request_open", condition=Q(state="pending")),
            models.Index(fields=["granted_until"], name="reviews_access_request_ends", condition=Q(state="granted")),
            # Ended, and the decision point has not been asked yet.
            models.Index(
                fields=["ended_at"], name="reviews_access_request_check", condition=Q(state="ended", verified_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"access request {self.id}"
