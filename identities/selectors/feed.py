"""The change feed: what readings changed, in the order in which it became visible, from any position on.

The order is (the run's feed number, the change's id). A position is the last change that somebody saw, or the end of a
run; it stays good for ever, because neither runs that were applied nor their changes are ever taken back.

What one request costs is bounded, whatever the filter and however long the history: it looks at no more than
`RUNS_AT_ONCE` runs and `LOOKED_THROUGH` changes. Where that finds less than was asked for, the page is short, and the
feed goes on from a position further on.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import QuerySet

from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from identities.models import Change, Source, SyncRun
from identities.selectors.inventory import list_sources, sees_everything

RUNS_AT_ONCE = 10_000
LOOKED_THROUGH = 50_000
# Runs end at nearly the time that they write down, but not in exactly that order.
LEEWAY = timedelta(minutes=10)
_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{1,18}|end)-([0-9a-f]{12})", re.ASCII)
_NO_RUN = UUID(int=0)

# The runs come from an index in their order, the changes of each from another, and reading stops early: there is
# nothing to sort but the few changes that are looked at anyway. The second half is where looking stopped, if it had to.
_PAGE = """
WITH looked_at AS MATERIALIZED (
    SELECT r.feed_number, c.id, c.object_kind, c.action
    FROM ({runs}) r
    CROSS JOIN LATERAL (
        SELECT id, object_kind, action FROM identities_change
        WHERE run_id = r.id AND id > CASE WHEN r.feed_number = %s THEN %s ELSE 0 END
        ORDER BY id LIMIT %s
    ) c
    ORDER BY r.feed_number, c.id
    LIMIT %s
)
(SELECT id, true FROM looked_at WHERE %s IN ('', object_kind) AND %s IN ('', action)
 ORDER BY feed_number, id LIMIT %s)
UNION ALL
(SELECT id, false FROM looked_at ORDER BY feed_number, id OFFSET %s LIMIT 1)
"""
# A run of a million changes among many small ones: taken for an average one, it would be fetched whole and then sorted.
_IN_ORDER = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off"


class BadPosition(DomainError):
    """The position is none of this feed: damaged, from another installation, or later than the backup in use."""

    code = "bad-feed-position"
    status = 400
    title = "This place in the feed cannot be found"


@dataclass(frozen=True, slots=True)
class Position:
    """After one change of the run with this feed number, or after all of that run; number 0 is before everything.

    `run` ties the number to this installation: the same number elsewhere stands for another run.
    """

    number: int = 0
    change: int | None = None
    run: UUID = _NO_RUN

    def __str__(self) -> str:
        return f"{self.number}-{'end' if self.change is None else self.change}-{_tag(self.run)}"


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Some changes, where to go on, and whether something is there already. It may be empty and have more."""

    changes: list[Change]
    next: Position
    has_more: bool


def read_position(text: str) -> Position:
    """The position that an earlier answer gave. Raises `BadPosition`."""
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise BadPosition("This is no cursor of the change feed. Start again without one, or with cursor=now.")
    number, change = int(found[1]), None if found[2] == "end" else int(found[2])
    run = _run_numbered(number)
    if run is None or _tag(run) != found[3]:
        raise BadPosition(
            "This cursor comes from another installation, or from a time that a restored backup does not hold."
            " Changes may have been missed: compare everything, then start with cursor=now."
        )
    return Position(number, change, run)


def end_of_feed() -> Position:
    """After everything that is there now."""
    last = SyncRun.objects.filter(feed_number__isnull=False).order_by("-feed_number")
    number, run = last.values_list("feed_number", "pk").first() or (0, _NO_RUN)
    return Position(number or 0, None, run)


def position_at(moment: datetime) -> Position:
    """Before everything that became visible since `moment`, and at most some minutes before that."""
    earlier = SyncRun.objects.filter(feed_number__isnull=False, finished_at__lt=moment - LEEWAY)
    number, run = earlier.order_by("-feed_number").values_list("feed_number", "pk").first() or (0, _NO_RUN)
    return Position(number or 0, None, run)


def read_feed(
    *, actor: Actor, after: Position, limit: int, source: Source | None = None, kind: str = "", action: str = ""
) -> FeedPage:
    """The next changes after a position that the actor may see, oldest first. Four queries at most."""
    # First the end, then the changes up to it: what is committed meanwhile is for the next page.
    end = end_of_feed()
    until = min(end.number, after.number + RUNS_AT_ONCE)
    ids, stopped_at = _look(_runs(actor, source, after, until), after, limit, kind, action)
    changes = _load(ids)
    if len(ids) > limit:
        return FeedPage(changes[:limit], _behind(changes[limit - 1]), has_more=True)
    if stopped_at is not None:
        return FeedPage(changes, _behind(_load([stopped_at])[0]), has_more=True)
    if until < end.number:
        return FeedPage(changes, Position(until, None, _run_numbered(until) or _NO_RUN), has_more=True)
    return FeedPage(changes, end, has_more=False)


def _runs(actor: Actor, source: Source | None, after: Position, until: int) -> QuerySet[SyncRun]:
    first = after.number if after.change is not None else after.number + 1
    runs = SyncRun.objects.filter(feed_number__gte=first, feed_number__lte=until).order_by("feed_number")
    if source is not None:
        runs = runs.filter(source=source)
    if not sees_everything(actor):
        runs = runs.filter(source__in=list_sources(actor=actor).values("pk"))
    return runs


def _look(runs: QuerySet[SyncRun], after: Position, limit: int, kind: str, action: str) -> tuple[list[int], int | None]:
    """Ids of up to `limit + 1` wanted changes, and the id of the last one looked at where more may follow."""
    most = LOOKED_THROUGH if kind or action else limit + 1
    try:
        statement, of_runs = runs.values("id", "feed_number").query.sql_with_params()
    except EmptyResultSet:  # somebody who may see no source at all
        return [], None
    within = (after.number, after.change or 0, most, most)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_IN_ORDER)
        cursor.execute(_PAGE.format(runs=statement), [*of_runs, *within, kind, action, limit + 1, most - 1])
        found = cursor.fetchall()
    ids = [pk for pk, is_wanted in found if is_wanted]
    return ids, next((pk for pk, is_wanted in found if not is_wanted), None)


def _load(ids: list[int]) -> list[Change]:
    shown = ("object_kind", "object_id", "external_id", "action", "old", "new", "created_at")
    found = Change.objects.select_related("run__source").only(*shown, "run__feed_number", "run__source__slug")
    by_id = found.in_bulk(ids)
    return [by_id[pk] for pk in ids]


def _behind(change: Change) -> Position:
    return Position(change.run.feed_number or 0, change.pk, change.run_id)


def _run_numbered(number: int) -> UUID | None:
    if number == 0:
        return _NO_RUN
    return SyncRun.objects.filter(feed_number=number).values_list("pk", flat=True).first()


def _tag(run: UUID) -> str:
    return run.hex[:12]
