"""What keeps posture up to date and its picture cheap: the place in the feed, what is to be looked at, daily counts."""

from django.db import models
from django.db.models import Q

from identities.models.identity import Identity
from identities.models.source import Source


class PostureCursor(models.Model):
    """Up to where the inventory's changes were noted; one row.

    `feed_number` is the last run of the change feed that was taken in whole. `people` stands for who has left and
    which teams have nobody, `sources` for what was last known of each source as a whole, `{"<id>": "<digest>"}`:
    freshness, coverage and common observation windows concern everything in it.

    A pass over everything, after a new policy or catalogue, goes by identity id: `pass_key` says by what everything is
    to be judged, `pass_after` how far it has come, null = through.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    feed_number = models.BigIntegerField(default=0)
    people = models.CharField(max_length=32, blank=True, default="")
    sources = models.JSONField(default=dict)
    pass_key = models.CharField(max_length=80, blank=True, default="")
    pass_after = models.UUIDField(null=True, blank=True)
    is_passing = models.BooleanField(default=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="identities_posture_one_cursor")]

    def __str__(self) -> str:
        return f"after run {self.feed_number}"


class PostureMark(models.Model):
    """Something about this identity changed since it was last assessed.

    Whoever changes what posture looks at leaves a mark in the same transaction, unless the change feed shows it. The
    same identity may have several; whoever assesses it deletes those that it saw, and a later one stays.
    """

    id = models.BigAutoField(primary_key=True)
    identity = models.ForeignKey(Identity, on_delete=models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return f"mark {self.pk}"


class PostureMeasure(models.Model):
    """The picture of one source on one day: how many of its live identities stand where. Today's row moves along.

    Kept by whoever writes scores, by difference; a day without a row is as the latest one before. `assurance_known`
    counts identities whose lower and upper bound are the same, `exposure_known` those whose exposure can be said,
    `exposure_exact` those of them without a range. `excess` and `no_excess` count `has_excess`; the rest is unknown.
    """

    id = models.BigAutoField(primary_key=True)
    source = models.ForeignKey(Source, on_delete=models.RESTRICT, related_name="posture_measures", db_index=False)
    day = models.DateField()
    identities = models.IntegerField(default=0)
    proven_contained = models.IntegerField(default=0)
    unproven_contained = models.IntegerField(default=0)
    proven_broad = models.IntegerField(default=0)
    unproven_broad = models.IntegerField(default=0)
    unmeasured = models.IntegerField(default=0)
    assurance_known = models.IntegerField(default=0)
    exposure_known = models.IntegerField(default=0)
    exposure_exact = models.IntegerField(default=0)
    excess = models.IntegerField(default=0)
    no_excess = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "day"], name="identities_posture_measure_once_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.source_id} on {self.day}"


class AnalysedPermission(models.Model):
    """What follows from a permission alone, by the catalogues that `catalogue` names; see `posture.permissions_known`.

    A memory, not a record: it may be emptied at any time and fills again.
    """

    digest = models.BinaryField(primary_key=True, max_length=32, editable=False)
    catalogue = models.CharField(max_length=60)
    facts = models.JSONField()

    def __str__(self) -> str:
        return bytes(self.digest).hex()[:12]
