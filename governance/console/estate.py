"""What the overview says of the estate as a whole: how many there are, what is seen in use, and the picture.

Whoever sees a part of it has it counted at every look. A large estate is counted, and its picture drawn, at most once a
minute for all who see the whole of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Count, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.template.loader import render_to_string

from governance.kernel.actors import Actor
from governance.web.charts import Segment
from governance.web.templatetags.remit import number
from identities.models import Identity, Source
from identities.selectors.inventory import sees_everything, visible_identities
from identities.selectors.use import with_last_use
from identities.views.picture import picture_context

DORMANT = timedelta(days=90)
# From so many identities on, what is counted is shared for so long.
MANY = 5_000
KEPT_SECONDS = 60
# Tiles count no further, and the charts look at about so many.
MOST_COUNTED = 10_000
SAMPLED = 10_000
_KEPT = "overview.estate"
# Always the same blocks, so that the charts stand still while nothing changes.
_ON_RANDOM_BLOCKS = "SELECT id FROM identities_identity TABLESAMPLE SYSTEM (%s) REPEATABLE (1)"


@dataclass(frozen=True, slots=True)
class Estate:
    """Counts, charts, and the picture as it is drawn (empty where there is nobody to draw).

    privileged, ownerless: at most MOST_COUNTED + 1. sampled: how many identities the charts looked at, where they did
    not look at all.
    """

    total: int
    grants: int
    privileged: int
    ownerless: int
    use: tuple[Segment, ...]
    kinds: tuple[Segment, ...]
    sampled: int | None
    picture: str


def estate_of(*, actor: Actor, sources: Sequence[Source], now: datetime) -> Estate:
    """What the actor may see of it. sources: all that the actor may see."""
    if not sees_everything(actor):
        return _counted(actor, (), now)
    if sum(source.totals.get("identities", 0) for source in sources) < MANY:
        return _counted(actor, sources, now)
    kept: Estate | None = cache.get(_KEPT)
    if kept is None:
        kept = _counted(actor, sources, now)
        cache.set(_KEPT, kept, KEPT_SECONDS)
    return kept


def counted(count: int) -> str:
    """A number that was counted up to MOST_COUNTED, in words."""
    return f"{number(MOST_COUNTED)}+" if count > MOST_COUNTED else number(count)


def _counted(actor: Actor, sources: Iterable[Source], now: datetime) -> Estate:
    """sources: those of which everything is seen, so that what their readings counted is the total."""
    present = visible_identities(actor).filter(retired_at=None)
    total = sum(source.totals.get("identities", 0) for source in sources) or present.count()
    use, kinds, looked_at = _charts(present, total, now)
    return Estate(
        total=total,
        grants=sum(source.totals.get("grants", 0) for source in sources),
        privileged=_up_to_most(present.filter(privileged_count__gt=0)),
        ownerless=_up_to_most(present.filter(owner=None)),
        use=use,
        kinds=kinds,
        sampled=looked_at if total > SAMPLED else None,
        picture=_picture(actor, now) if total else "",
    )


def _picture(actor: Actor, now: datetime) -> str:
    return render_to_string("identities/_picture.html", picture_context(actor=actor, now=now) | {"is_overview": True})


def _up_to_most(rows: QuerySet[Identity]) -> int:
    return rows.values("pk")[: MOST_COUNTED + 1].count()


def _charts(
    present: QuerySet[Identity], total: int, now: datetime
) -> tuple[tuple[Segment, ...], tuple[Segment, ...], int]:
    """Use and kinds of all identities or, of many, of those on blocks chosen at random; and how many these are."""
    if total > SAMPLED:
        present = present.filter(pk__in=RawSQL(_ON_RANDOM_BLOCKS, [100 * SAMPLED / total]))  # noqa: S611 - a constant
    limit = now - DORMANT
    silent = Q(last_seen_at=None, watched_since__isnull=False, watched_since__lte=limit)
    rows = list(
        with_last_use(present)
        .values("kind")
        .annotate(
            total=Count("pk"),
            used=Count("pk", filter=Q(last_seen_at__gt=limit)),
            dormant=Count("pk", filter=Q(last_seen_at__lte=limit) | silent),
        )
        .order_by("-total", "kind")
    )
    looked_at, used, dormant = (sum(row[name] for row in rows) for name in ("total", "used", "dormant"))
    labels = dict(Identity._meta.get_field("kind").flatchoices)
    use = (
        Segment(used, "Used in the last 90 days", "success"),
        Segment(dormant, "Not seen for 90 days", "warn"),
        Segment(looked_at - used - dormant, "Use not observable", "unknown"),
    )
    kinds = tuple(Segment(row["total"], str(labels.get(row["kind"], row["kind"])), "accent") for row in rows)
    return use, kinds, looked_at
