"""Who stands elsewhere in the picture at one moment than at an earlier one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import CharField, Count, F, OuterRef, Q, QuerySet, Subquery

from governance.kernel.actors import Actor
from identities.models import PostureVersion
from identities.selectors.inventory import sees_everything, visible_identities


def list_moved_between(*, first: datetime, second: datetime, actor: Actor) -> QuerySet[PostureVersion]:
    """How identities stood at the second moment that stood in another box at the first, with `box_before`.

    null: not assessed before. With identity and source; unordered, the edge orders by ("-seen_from", "-pk") and pages.
    Only what was assessed anew in between is looked at, so the cost follows the change.
    """
    held_first = PostureVersion.objects.filter(
        Q(seen_until=None) | Q(seen_until__gt=first), identity=OuterRef("identity"), seen_from__lte=first
    ).order_by("-seen_from", "-pk")
    moved = (
        PostureVersion.objects.filter(
            Q(seen_until=None) | Q(seen_until__gt=second), seen_from__gt=first, seen_from__lte=second
        )
        .annotate(box_before=Subquery(held_first.values("box")[:1], output_field=CharField(null=True)))
        .filter(Q(box_before=None) | ~Q(box=F("box_before")))
        .select_related("identity", "identity__source")
    )
    if sees_everything(actor):
        return moved
    return moved.filter(identity__in=visible_identities(actor).values("pk"))


def count_moves(moved: QuerySet[PostureVersion]) -> Mapping[tuple[str | None, str], int]:
    """How many went from which box to which; None: not assessed before."""
    rows: Any = moved.select_related(None).order_by()
    counted = rows.values_list("box_before", "box").annotate(Count("pk"))
    return {(before, after): count for before, after, count in counted}
