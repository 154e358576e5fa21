"""How identities spread over the picture: by level and exposure, one by one, by kind, source and segment.

How many stand in each box, and how that moved, is told by `posture_scores`; here is what the drawing needs beside it.
Everything is about identities that are present and that the actor may see. A large estate is counted at most once a
minute for those who see all of it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.db.models import CharField, Count, F, Func, IntegerField, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Coalesce, Floor, Least

from governance.kernel.actors import Actor
from identities.models import Grant, Identity, IdentityPosture, PostureBox
from identities.selectors.inventory import sees_everything, visible_identities
from identities.selectors.posture_scores import unmeasured_reasons

# From so many identities on, counting is shared for so long.
MANY = 5_000
KEPT_SECONDS = 60
# Segments are counted over about so many identities.
SAMPLED = 10_000
MOST_REASONS = 5
STEP, LAST_STEP = 10, 9
SCORES = ("box", "assurance_lower", "assurance_upper", "exposure_low", "exposure_high", "has_excess")
_SPREAD, _BY = "posture.spread", "posture.by."
# Always the same blocks, so that the numbers stand still while nothing changes.
_ON_RANDOM_BLOCKS = "SELECT id FROM identities_identity TABLESAMPLE SYSTEM (%s) REPEATABLE (1)"


class _EachSegment(Func):
    """One row for each segment that a grant reaches."""

    function, arg_joiner = "unnest", " || "
    output_field = CharField()
    set_returning = True

    def __init__(self) -> None:
        super().__init__("further_segments", "segment")


Row = tuple[str, str, int]
"""A value, a box, and how many."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Identities of one level and ten points of exposure (from `exposure` on, by its upper end) in one box.

    In the box of the unmeasured, exposure is the worst that it could be.
    """

    assurance: int
    exposure: int
    box: str
    count: int


@dataclass(frozen=True, slots=True)
class Spread:
    """All cells, how many identities were never assessed, and why some are unmeasured: (factor, identities)."""

    cells: tuple[Cell, ...] = ()
    unassessed: int = 0
    reasons: tuple[tuple[str, int], ...] = ()

    @property
    def assessed(self) -> int:
        return sum(cell.count for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Point:
    """One identity in the picture. exposure: the upper end of its range, or the worst that it could be."""

    identity_id: UUID
    name: str
    assurance: int
    exposure_low: float
    exposure: float
    box: str


def end_of_last_quarter(now: datetime) -> datetime:
    """The last moment of the calendar quarter before, UTC."""
    here = now.astimezone(UTC)
    return datetime(here.year, (here.month - 1) // 3 * 3 + 1, 1, tzinfo=UTC) - timedelta(microseconds=1)


def with_scores(identities: QuerySet[Identity]) -> QuerySet[Identity]:
    """Add the scores of each by the names in `SCORES`, null where it was not assessed, without their long reasons."""
    return identities.annotate(**{name: F(f"posture__{name}") for name in SCORES})


def get_spread(*, actor: Actor) -> Spread:
    """How what the actor may see is spread. Three queries, or one from the cache for a large estate."""
    if not sees_everything(actor):
        return _spread(visible_identities(actor), actor)
    kept = cache.get(_SPREAD)
    if kept is None:
        spread = _spread(None, actor)
        if spread.assessed + spread.unassessed >= MANY:
            cache.set(_SPREAD, (list(map(astuple, spread.cells)), spread.unassessed, spread.reasons), KEPT_SECONDS)
        return spread
    cells, unassessed, reasons = kept
    return Spread(tuple(Cell(*cell) for cell in cells), unassessed, reasons)


def list_points(*, actor: Actor, limit: int) -> list[Point]:
    """Identities one by one, the most exposed first; for an estate that is small enough to be drawn so. One query."""
    rows = (
        _present(None if sees_everything(actor) else visible_identities(actor))
        .annotate(worst=Coalesce("exposure_high", "worst_case"), low=Coalesce("exposure_low", "worst_case"))
        .order_by("-worst", "identity__name", "pk")
        .values_list("identity_id", "identity__name", "assurance_lower", "low", "worst", "box")
    )
    return [
        Point(identity_id, name, assurance, float(low), float(worst), box)
        for identity_id, name, assurance, low, worst, box in rows[:limit]
    ]


def count_by(field: str, *, actor: Actor) -> list[tuple[str, Mapping[str, int]]]:
    """(value, count by box) for a field of the identity ("kind", "source__slug"), the most identities first."""

    def count(identities: QuerySet[Identity] | None) -> list[Row]:
        return list(_present(identities).order_by().values_list(f"identity__{field}", "box").annotate(Count("pk")))

    return _grouped(_kept(f"{_BY}{field}", count, actor))


def count_by_segment(*, actor: Actor, total: int) -> tuple[list[tuple[str, Mapping[str, int]]], int | None]:
    """As `count_by`, for what identities reach; and, of a large estate, about how many were looked at.

    total: how many identities there are. An identity counts in every segment that it reaches.
    """
    is_sample = sees_everything(actor) and total > SAMPLED

    def count(identities: QuerySet[Identity] | None) -> list[Row]:
        grants = Grant.objects.filter(retired_at=None, identity__retired_at=None, identity__posture__isnull=False)
        if is_sample:
            share = 100 * SAMPLED / total
            grants = grants.filter(identity__in=RawSQL(_ON_RANDOM_BLOCKS, [share]))  # noqa: S611 - a constant
        elif identities is not None:
            grants = grants.filter(identity__in=identities.values("pk"))
        counted = grants.order_by().annotate(reached=_EachSegment()).values_list("reached", "identity__posture__box")
        return list(counted.annotate(Count("identity", distinct=True)))

    return _grouped(_kept(f"{_BY}segment", count, actor)), SAMPLED if is_sample else None


def _present(identities: QuerySet[Identity] | None) -> QuerySet[IdentityPosture]:
    scores = IdentityPosture.objects.filter(identity__retired_at=None)
    return scores if identities is None else scores.filter(identity__in=identities.values("pk"))


def _spread(identities: QuerySet[Identity] | None, actor: Actor) -> Spread:
    """One pass over the scores, one over identities that have none, and the worst of what is unmeasured."""
    worst: Any = Coalesce("exposure_high", "worst_case")
    rows = (
        _present(identities)
        .annotate(step=Cast(Least(Floor(worst / STEP), LAST_STEP), IntegerField()))
        .order_by("box", "assurance_lower", "step")
        .values_list("assurance_lower", "step", "box")
        .annotate(Count("pk"))
    )
    present = Identity.objects.all() if identities is None else identities
    cells = tuple(Cell(assurance, step * STEP, box, count) for assurance, step, box, count in rows)
    is_open = any(cell.box == PostureBox.UNMEASURED for cell in cells)
    return Spread(
        cells,
        present.filter(retired_at=None, posture=None).count(),
        tuple(unmeasured_reasons(actor=actor)[:MOST_REASONS]) if is_open else (),
    )


def _kept(key: str, count: Callable[[QuerySet[Identity] | None], list[Row]], actor: Actor) -> list[Row]:
    """Counted for those who see a part; shared among those who see all, where there is much to count."""
    if not sees_everything(actor):
        return count(visible_identities(actor))
    kept: list[Row] | None = cache.get(key)
    if kept is None:
        kept = count(None)
        if sum(many for _, _, many in kept) >= MANY:
            cache.set(key, kept, KEPT_SECONDS)
    return kept


def _grouped(rows: Iterable[Row]) -> list[tuple[str, Mapping[str, int]]]:
    groups: dict[str, Counter[str]] = {}
    for value, box, count in rows:
        groups.setdefault(str(value), Counter())[box] += count
    return sorted(groups.items(), key=lambda pair: (-sum(pair[1].values()), pair[0]))
