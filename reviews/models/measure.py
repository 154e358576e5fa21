"""Numbers that are counted once and kept: of reviews that are over, and of the estate day by day."""

from django.db import models

from reviews.models.campaign import Campaign


class CampaignFigures(models.Model):
    """What a report says of a review that is over: its answers no longer change, so they are counted once.

    `figures` is what `reviews.reports` and `reviews.quality` computed as of `until`; `version` is that of their
    arithmetic. A row of an older version is ignored and written anew. Orders go on after the end and are never kept.
    """

    campaign = models.OneToOneField(Campaign, primary_key=True, on_delete=models.RESTRICT, related_name="kept_figures")
    version = models.PositiveSmallIntegerField()
    until = models.DateTimeField()
    figures = models.JSONField()
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"figures of {self.campaign_id}"


class EstateMeasure(models.Model):
    """One source on one day, by tier: how many identities hold too much, and how much was reviewed lately.

    The tier is whether the identity holds privileged access. `identities` are those that hold anything at all; they are
    `too_much`, `contained` or `not_assessable` by the recommender's `rule_version` (docs/reports.md). A grant counts as
    reviewed when a question about it was decided. A day without a row was not measured, which pages show as a gap.
    """

    source = models.ForeignKey("identities.Source", on_delete=models.RESTRICT, related_name="+")
    day = models.DateField()
    is_privileged = models.BooleanField()
    measured_at = models.DateTimeField()
    rule_version = models.CharField(max_length=20)
    identities = models.PositiveIntegerField()
    too_much = models.PositiveIntegerField()
    contained = models.PositiveIntegerField()
    not_assessable = models.PositiveIntegerField()
    identities_reviewed_90 = models.PositiveIntegerField()
    identities_reviewed_365 = models.PositiveIntegerField()
    identities_never = models.PositiveIntegerField()
    grants = models.PositiveIntegerField()
    grants_reviewed_90 = models.PositiveIntegerField()
    grants_reviewed_365 = models.PositiveIntegerField()
    grants_never = models.PositiveIntegerField()

    class Meta:
        constraints = [
            # Whatever measures twice, a day counts once.
            models.UniqueConstraint(fields=["source", "day", "is_privileged"], name="reviews_measure_once_per_day"),
            models.CheckConstraint(
                condition=models.Q(
                    identities=models.F("too_much") + models.F("contained") + models.F("not_assessable")
                ),
                name="reviews_measure_adds_up",
            ),
        ]
        indexes = [models.Index(fields=["day"], name="reviews_measure_by_day")]

    def __str__(self) -> str:
        return f"{self.source_id} on {self.day}"
