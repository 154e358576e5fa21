"""Who answers in somebody's place while they are away."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q


class Delegation(models.Model):
    """`delegate` answers in the place of `person` in `[starts_at, ends_at)`.

    `campaigns` and `sources` (ids) narrow it to some reviews and some systems; an empty list means all of them.
    `started_at` is when it took effect: from then on new questions go to the delegate, and open ones were moved.
    `ended_at` is when it stopped; `returned_at` when nothing unanswered was left to bring back. `ended_by` is null
    where the date ended it. The row says what is in effect; no clock is asked while questions are given to people.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="delegations")
    delegate = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="stands_in_by")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    campaigns = ArrayField(models.UUIDField(), default=list, blank=True)
    sources = ArrayField(models.UUIDField(), default=list, blank=True)
    reason = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    returned_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="reviews_delegation_has_length"),
            models.CheckConstraint(condition=~Q(person=F("delegate")), name="reviews_delegation_to_another"),
        ]
        indexes = [
            # Few are ahead or in effect at any time; the periodic look costs nothing however many are past.
            models.Index(
                fields=["person", "starts_at"], name="reviews_delegation_live", condition=Q(returned_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.delegate_id} for {self.person_id}"

    @property
    def state(self) -> str:
        """planned, active or ended."""
        if self.ended_at is not None:
            return "ended"
        return "active" if self.started_at is not None else "planned"

    def covers(self, campaign_id: uuid.UUID, source_id: uuid.UUID | None) -> bool:
        """Whether a question of this review about this source is among those handed over."""
        in_campaign = not self.campaigns or campaign_id in self.campaigns
        return in_campaign and (not self.sources or source_id in self.sources)

    def shares_with(self, other: "Delegation") -> bool:
        """Whether one question could fall under both: their times meet and neither list keeps them apart."""
        meet = self.starts_at < other.ends_at and other.starts_at < self.ends_at
        return meet and _meet(self.campaigns, other.campaigns) and _meet(self.sources, other.sources)


def _meet(some: list[uuid.UUID], others: list[uuid.UUID]) -> bool:
    return not some or not others or bool(set(some) & set(others))
