"""How identities stand on both axes, how they stood, and what moved them. Pages and the API read posture here.

Nothing here counts a large table: the picture comes from daily counts per source (`PostureMeasure`), history from
versions along an index.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Max, OuterRef, Q, QuerySet, Subquery, Sum

from governance.kernel.actors import Actor
from identities.models import Identity, IdentityPosture, PostureBox, PostureMeasure, PosturePolicy, PostureVersion
from identities.selectors.inventory import sees_everything, visible_identities

MOST_VERSIONS = 200
MOST_LOOKED_AT = 1_000
COUNTED = (
    *("identities", *PostureBox.values, "assurance_known", "exposure_known", "exposure_exact", "excess", "no_excess"),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """How many live identities stand where. boxes: every `PostureBox` value → count.

    assurance_known: identities whose lower and upper bound agree. exposure_known: those whose exposure can be said at
    all, exposure_exact those of them without a range. excess, no_excess: identities that hold privileged or writing
    rights which they did not use while watched, and those that used all; the rest is not assessable. measured_on: the
    day of the counts, None where nothing was ever assessed.
    """

    identities: int = 0
    boxes: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(PostureBox.values, 0))
    assurance_known: int = 0
    exposure_known: int = 0
    exposure_exact: int = 0
    excess: int = 0
    no_excess: int = 0
    measured_on: date | None = None

    @property
    def excess_unknown(self) -> int:
        return self.identities - self.excess - self.no_excess

    def share_of(self, box: str) -> float | None:
        """Of all assessed identities, 0 to 1; None where there are none."""
        return self.boxes[box] / self.identities if self.identities else None

    @property
    def excess_share(self) -> float | None:
        """Of those whose use is observable, 0 to 1; None where nobody's is."""
        observable = self.excess + self.no_excess
        return self.excess / observable if observable else None


@dataclass(frozen=True, slots=True)
class Movement:
    """The picture then and now. then.measured_on may be earlier than asked; None where nothing was measured by then."""

    then: Picture
    now: Picture

    def of(self, box: str) -> int | None:
        """How many more identities stand in this box now; None where nobody knows how many stood there."""
        return None if self.then.measured_on is None else self.now.boxes[box] - self.then.boxes[box]


@dataclass(frozen=True, slots=True)
class FactorMove:
    """One factor of exposure at two moments, in points of the score.

    name: of `identities.posture.policy.FACTORS`. before, after: (low, high) or None where there was no score. input:
    what it was judged by, then and now, as plain words ("write, admin"). is_moved: whether the points differ.
    """

    name: str
    weight: float
    before: tuple[float, float] | None
    after: tuple[float, float] | None
    input_before: str
    input_after: str
    why: str

    @property
    def is_moved(self) -> bool:
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """What changed about one identity between two moments. first, second: its versions then, None where it had none.

    factors: all seven, in the policy's order. capped_by_new, capped_by_gone: what holds assurance down now and did not
    then, and the other way round. failed_new, failed_gone: rules by id. is_other_policy, is_other_catalogue: the
    numbers by which it was judged are others, so part of the difference is no change of the identity.
    """

    first: PostureVersion | None
    second: PostureVersion | None
    factors: tuple[FactorMove, ...] = ()
    capped_by_new: tuple[str, ...] = ()
    capped_by_gone: tuple[str, ...] = ()
    failed_new: tuple[str, ...] = ()
    failed_gone: tuple[str, ...] = ()
    is_other_policy: bool = False
    is_other_catalogue: bool = False

    @property
    def is_empty(self) -> bool:
        moved = any(each.is_moved for each in self.factors)
        lists = self.capped_by_new or self.capped_by_gone or self.failed_new or self.failed_gone
        return not moved and not lists and _box(self.first) == _box(self.second)


def get_posture(identity_id: UUID) -> IdentityPosture | None:
    """How an identity stands now, or None where it was not assessed yet. One query."""
    return IdentityPosture.objects.select_related("policy").filter(pk=identity_id).first()


def list_versions_of(identity_id: UUID, *, limit: int = MOST_VERSIONS) -> list[PostureVersion]:
    """How it stood, latest first: at most `limit` stretches in which no score changed. One query along an index."""
    return list(PostureVersion.objects.filter(identity=identity_id).order_by("-seen_from", "-pk")[:limit])


def posture_as_of(identity_ids: Collection[UUID], at: datetime) -> dict[UUID, PostureVersion]:
    """How each of these stood at a moment; absent where it had not been assessed, or had gone. One query."""
    held = PostureVersion.objects.filter(
        Q(seen_until=None) | Q(seen_until__gt=at), identity__in=list(identity_ids), seen_from__lte=at
    )
    return {version.identity_id: version for version in held.order_by("identity", "seen_from")}


def difference_between(identity_id: UUID, first: datetime, second: datetime) -> ScoreDifference:
    """What changed about an identity from one moment to another, factor by factor. Two queries."""
    before = posture_as_of([identity_id], first).get(identity_id)
    after = posture_as_of([identity_id], second).get(identity_id)
    return difference_of(before, after)


def difference_of(before: PostureVersion | None, after: PostureVersion | None) -> ScoreDifference:
    """The same for two versions at hand. Runs no query."""
    capped = [set(version.capped_by) if version else set() for version in (before, after)]
    failed = [set(version.failed) if version else set() for version in (before, after)]
    return ScoreDifference(
        first=before,
        second=after,
        factors=tuple(_factor_moves(before, after)),
        capped_by_new=tuple(sorted(capped[1] - capped[0])),
        capped_by_gone=tuple(sorted(capped[0] - capped[1])),
        failed_new=tuple(sorted(failed[1] - failed[0])),
        failed_gone=tuple(sorted(failed[0] - failed[1])),
        is_other_policy=bool(before and after and before.policy_id != after.policy_id),
        is_other_catalogue=bool(before and after and before.catalogue_version != after.catalogue_version),
    )


def picture(*, actor: Actor, source_ids: Collection[UUID] | None = None) -> Picture:
    """The picture of all live identities that the actor may see, or of these sources alone.

    Whoever sees everything gets it from the daily counts: one query over as many rows as there are sources. Others see
    few identities, which are counted.
    """
    if sees_everything(actor):
        return _measured(None, source_ids)
    return _counted(visible_identities(actor), source_ids)


def movement_since(moment: datetime, *, actor: Actor, source_ids: Collection[UUID] | None = None) -> Movement:
    """The picture at a moment beside that of now. What the actor does not see as a whole has no earlier picture."""
    now = picture(actor=actor, source_ids=source_ids)
    if not sees_everything(actor):
        return Movement(Picture(), now)
    return Movement(_measured(moment.astimezone(UTC).date(), source_ids), now)


def list_days(*, since: date, actor: Actor, source_ids: Collection[UUID] | None = None) -> list[Picture]:
    """One picture per day on which anything was measured, from `since` on, oldest first. Two queries.

    A source that was not measured on a day counts as it was last. Empty for whoever does not see everything.
    """
    if not sees_everything(actor):
        return []
    rows = PostureMeasure.objects.all() if source_ids is None else PostureMeasure.objects.filter(source__in=source_ids)
    held = {row.source_id: row for row in rows.filter(day__lt=since).order_by("source", "-day").distinct("source")}
    days: dict[date, Picture] = {}
    for row in rows.filter(day__gte=since).order_by("day"):
        held[row.source_id] = row
        days[row.day] = _added_up(held.values(), row.day)
    return list(days.values())


def list_moved(*, since: datetime, actor: Actor) -> QuerySet[PostureVersion]:
    """Current versions of visible identities that began since a moment, with `box_before` (null: not assessed before).

    Unordered; the edge orders by ("-seen_from", "pk") and pages. A version that only changed within its box is there
    too: filter by `~Q(box=F("box_before"))` for those that changed sides.
    """
    before = PostureVersion.objects.filter(identity=OuterRef("identity"), seen_from__lte=since).order_by("-seen_from")
    return (
        PostureVersion.objects.filter(
            seen_until=None, seen_from__gt=since, identity__in=visible_identities(actor).values("pk")
        )
        .select_related("identity", "identity__source")
        .annotate(box_before=Subquery(before.values("box")[:1]))
    )


def list_by_box(*, box: str, actor: Actor) -> QuerySet[IdentityPosture]:
    """The identities of one box, with identity and source; the edge orders by ("-worst_case", "identity") and pages."""
    shown = IdentityPosture.objects.select_related("identity", "identity__source").filter(box=box)
    if sees_everything(actor):
        return shown
    return shown.filter(identity__in=visible_identities(actor).values("pk"))


def unmeasured_reasons(*, actor: Actor) -> list[tuple[str, int]]:
    """Why exposure cannot be said, as (name of the unknown factor, identities), most first.

    Of at most `MOST_LOOKED_AT` of them: what is missing is missing for whole sources, so more would say the same.
    """
    counts: dict[str, int] = {}
    worst = list_by_box(box=PostureBox.UNMEASURED, actor=actor).order_by("-worst_case")
    for factors in worst.values_list("factors", flat=True)[:MOST_LOOKED_AT]:
        for each in factors:
            if each["low"] != each["high"]:
                counts[each["name"]] = counts.get(each["name"], 0) + 1
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def list_policies() -> QuerySet[PosturePolicy]:
    """Every version of the policy, the one in force first."""
    return PosturePolicy.objects.select_related("created_by").order_by("-number")


def _box(version: PostureVersion | None) -> str | None:
    return version.box if version else None


def _factor_moves(before: PostureVersion | None, after: PostureVersion | None) -> Iterable[FactorMove]:
    old, new = ({each["name"]: each for each in version.factors} if version else {} for version in (before, after))
    for name in new or old:
        was, is_now = old.get(name), new.get(name)
        shown: Mapping[str, Any] = is_now or was or {}
        yield FactorMove(
            name=name,
            weight=shown["weight"],
            before=(was["low"], was["high"]) if was else None,
            after=(is_now["low"], is_now["high"]) if is_now else None,
            input_before=was["input"] if was else "",
            input_after=is_now["input"] if is_now else "",
            why=shown["why"],
        )


def _measured(day: date | None, source_ids: Collection[UUID] | None) -> Picture:
    """From the latest row of each source, up to and including a day. One query."""
    rows = PostureMeasure.objects.all() if source_ids is None else PostureMeasure.objects.filter(source__in=source_ids)
    if day is not None:
        rows = rows.filter(day__lte=day)
    latest = rows.order_by("source", "-day").distinct("source").values("pk")
    sums = PostureMeasure.objects.filter(pk__in=latest).aggregate(
        **{name: Sum(name) for name in COUNTED}, on=Max("day")
    )
    return _shown({name: sums[name] or 0 for name in COUNTED}, sums["on"])


def _added_up(rows: Iterable[PostureMeasure], on: date) -> Picture:
    listed = list(rows)
    return _shown({name: sum(getattr(row, name) for row in listed) for name in COUNTED}, on)


def _counted(identities: QuerySet[Identity], source_ids: Collection[UUID] | None) -> Picture:
    shown = IdentityPosture.objects.filter(identity__in=identities.values("pk"))
    if source_ids is not None:
        shown = shown.filter(identity__source__in=source_ids)
    is_known = Q(exposure_low__isnull=False)
    sums = shown.aggregate(
        identities=Count("pk"),
        **{box: Count("pk", filter=Q(box=box)) for box in PostureBox.values},
        assurance_known=Count("pk", filter=Q(assurance_lower=F("assurance_upper"))),
        exposure_known=Count("pk", filter=is_known),
        exposure_exact=Count("pk", filter=is_known & Q(exposure_low=F("exposure_high"))),
        excess=Count("pk", filter=Q(has_excess=True)),
        no_excess=Count("pk", filter=Q(has_excess=False)),
        on=Max("assessed_at"),
    )
    return _shown(sums, sums["on"].date() if sums["on"] else None)


def _shown(sums: Mapping[str, Any], on: date | None) -> Picture:
    return Picture(
        boxes={box: sums[box] for box in PostureBox.values},
        measured_on=on,
        **{name: sums[name] for name in COUNTED if name not in PostureBox.values},
    )
