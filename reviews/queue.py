"""The line of questions that wait for one person, alone or beside others, in four orders, read without looking at all.

Campaigns come by their deadline; inside a campaign each order is an index (see `ReviewItem.Meta`), so that a page costs
what it shows, and nothing for the questions behind it. Counts stop at `MOST_COUNTED`: "more than 1,000" is enough to
know, and counting on would cost the whole line each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core import signing
from django.db import connection

from governance.kernel.actors import Actor, ActorKind
from governance.kernel.errors import DomainError
from reviews.models import ReviewItem

MOST_COUNTED = 1000
MOST_CAMPAIGNS = 200
# As many as one answer can be given to.
MOST_IN_FOLD = 500
# A page of folded rows looks into so many campaigns at most; the next page goes on behind them.
MOST_FOLDED_CAMPAIGNS = 5
SALT = "remit.queue"
# Whose turn it is: the assignee, found along the indexes of the line, and whoever is asked beside them. Those are few,
# so they are read once and sorted; where nobody is, that part of a query costs one look into an empty index.
OWN = "FROM reviews_reviewitem i WHERE i.assignee_id = %(person)s AND i.state IN ('open', 'attested')"
SEATS = """seat AS MATERIALIZED (
    SELECT i.id, i.campaign_id, i.kind, i.recommendation, i.rank, i.identity_name, i.source_name, i.sameness,
        i.use_state, i.change
    FROM reviews_ask a JOIN reviews_reviewitem i ON i.id = a.item_id
    WHERE a.person_id = %(person)s AND NOT a.is_released AND i.state IN ('open', 'attested'))"""
BESIDE = "FROM seat i WHERE true"
# What a filter may compare: constants, never anybody's text.
FILTERS = frozenset({"kind", "recommendation", "rank", "sameness", "use_state", "change", "source_name"})
FOLD = ("rank", "sameness", "use_state", "recommendation")
# What a row of the inbox prints of what it is about.
PRINTED = ("campaign", "assignee", "identity__source", "identity__owner", "grant", "grant_version")


class BadPlace(DomainError):
    """The cursor was altered or belongs to another order."""

    code = "bad-cursor"
    status = 400
    title = "This place in the list cannot be found"


@dataclass(frozen=True, slots=True)
class Order:
    """One way through the line. keys: columns in their order, all ascending, the id behind them."""

    name: str
    label: str
    keys: tuple[str, ...]
    group: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.keys, "id")


ORDERS = {
    order.name: order
    for order in (
        Order("identity", "By identity", ("rank", "identity_name"), "identity_name"),
        Order("source", "By source", ("source_name", "rank", "identity_name"), "source_name"),
        Order("permission", "By permission", FOLD, ""),
        Order("change", "By change", ("change", "rank", "identity_name"), "change"),
    )
}


@dataclass(frozen=True, slots=True)
class Wish:
    """Which part of the line: its order, one campaign or all, and filters (column to value)."""

    order: Order = ORDERS["identity"]
    campaign: UUID | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    without_drafts: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A campaign with questions for the person. counted: how many, up to MOST_COUNTED; is_more: there are others."""

    id: UUID
    name: str
    deadline: datetime
    counted: int
    is_more: bool


@dataclass(frozen=True, slots=True)
class Fold:
    """Questions about identical grants with the same use: one row. counted stops at 500, the most of one answer."""

    campaign: UUID
    rank: int
    sameness: str
    use_state: str
    recommendation: str
    counted: int
    is_more: bool
    first: UUID


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Rows (items, or folds) with cursors, which are empty at the ends of the line."""

    rows: list[Any] = field(default_factory=list)
    next_cursor: str = ""
    previous_cursor: str = ""


def list_waiting(actor: Actor) -> list[Waiting]:
    """Open campaigns with a question for the person, the first due first; one query, at most 200 campaigns."""
    person = _person(actor)
    if person is None:
        return []
    sql = f"""
        WITH {SEATS}, beside AS (SELECT campaign_id, count(*) AS counted FROM seat GROUP BY campaign_id)
        SELECT c.id, c.name, c.deadline_at, n.counted + coalesce(b.counted, 0) FROM reviews_campaign c
        CROSS JOIN LATERAL (SELECT count(*) AS counted FROM (
            SELECT 1 {OWN} AND i.campaign_id = c.id LIMIT %(most)s) AS part) AS n
        LEFT JOIN beside b ON b.campaign_id = c.id
        WHERE c.state = 'open' AND (n.counted > 0 OR b.counted > 0)
        ORDER BY c.deadline_at, c.id LIMIT %(campaigns)s"""  # noqa: S608 - constants
    given = {"person": person, "most": MOST_COUNTED + 1, "campaigns": MOST_CAMPAIGNS}
    found = _rows(sql, given)
    return [Waiting(pk, name, at, min(n, MOST_COUNTED), n > MOST_COUNTED) for pk, name, at, n in found]


def count_waiting(actor: Actor, most: int) -> int:
    """How many questions wait for the person, at most `most`."""
    total = 0
    for campaign in list_waiting(actor):
        total += campaign.counted
    return min(total, most)


def read_page(actor: Actor, wish: Wish, waiting: Sequence[Waiting], cursor: str = "", size: int = 50) -> QueuePage:
    """One page of items in the order of the wish. Raises BadPlace."""
    backwards, campaign, values = _read(cursor, wish.order)
    keys = _ids(actor, wish, waiting, campaign, values, size + 1, backwards=backwards)
    more, keys = len(keys) > size, keys[:size]
    if backwards:
        keys.reverse()
    if not keys:
        return QueuePage()
    has_next = bool(campaign) if backwards else more
    has_previous = more if backwards else bool(campaign)
    items = _shown([row[-1] for row in keys])
    return QueuePage(
        rows=[items[row[-1]] for row in keys if row[-1] in items],
        next_cursor=_write(wish.order, keys[-1], backwards=False) if has_next else "",
        previous_cursor=_write(wish.order, keys[0], backwards=True) if has_previous else "",
    )


def first_ids(actor: Actor, wish: Wish, waiting: Sequence[Waiting], most: int) -> list[UUID]:
    """The first questions of the wish, without reading them."""
    return [row[-1] for row in _ids(actor, wish, waiting, None, None, most, backwards=False)]


def beside(actor: Actor, wish: Wish, waiting: Sequence[Waiting], item: ReviewItem, *, backwards: bool) -> list[UUID]:
    """The ids before or behind the item in the line, nearest first, at most MOST_COUNTED before and one behind it.

    The item itself need not wait any more: its place is known all the same.
    """
    values = [getattr(item, name) for name in wish.order.columns]
    size = MOST_COUNTED if backwards else 1
    rows = _ids(actor, wish, waiting, item.campaign_id, values, size, backwards=backwards)
    return [row[-1] for row in rows]


def read_folds(actor: Actor, wish: Wish, waiting: Sequence[Waiting], cursor: str = "", size: int = 50) -> QueuePage:
    """One page of folds, campaign by campaign; each fold is found by one step along the index. Forward only."""
    person = _person(actor)
    _, campaign, values = _read(cursor, wish.order)
    line = _campaigns(wish, waiting)
    at = line.index(campaign) if campaign in line else 0
    folds: list[Fold] = []
    seen = line[at : at + MOST_FOLDED_CAMPAIGNS]
    for place, pk in enumerate(seen):
        start = values if place == 0 and campaign == pk else None
        folds += _folds(person, wish, pk, start, size + 1 - len(folds))
        if len(folds) > size:
            break
    more = len(folds) > size
    shown = folds[:size]
    following = ""
    if more:
        last = shown[-1]
        following = _write(wish.order, [last.campaign, *(getattr(last, name) for name in FOLD)], backwards=False)
    elif at + len(seen) < len(line):
        following = _write(wish.order, [line[at + len(seen)]], backwards=False)
    firsts = _shown([fold.first for fold in shown])
    return QueuePage([(fold, firsts[fold.first]) for fold in shown if fold.first in firsts], following, "")


def _shown(item_ids: Sequence[UUID]) -> dict[UUID, ReviewItem]:
    """The questions of a page. Credentials are read only where one is asked about: as part of the join, all that there
    are would be read for it, whatever the page shows."""
    return (
        ReviewItem.objects.select_related(*PRINTED)
        .prefetch_related("credential")
        .defer("grant_version__permission")
        .in_bulk(item_ids)
    )


# --- the queries ------------------------------------------------------------------------------------------------------


def _ids(
    actor: Actor,
    wish: Wish,
    waiting: Sequence[Waiting],
    campaign: UUID | None,
    values: Sequence[Any] | None,
    size: int,
    *,
    backwards: bool,
) -> list[tuple[Any, ...]]:
    """Rows of (campaign, *keys, id): from the place on in its campaign, then from the campaigns that follow."""
    person = _person(actor)
    line = _campaigns(wish, waiting)
    if backwards:
        line.reverse()
    at = line.index(campaign) if campaign in line else -1
    columns = ", ".join(f"i.{name}" for name in wish.order.columns)
    direction = " DESC" if backwards else ""
    order = ", ".join(f"i.{name}{direction}" for name in wish.order.columns)
    where, given = _where(wish)
    given |= {"person": person}
    rows: list[tuple[Any, ...]] = []
    if at >= 0 and values is not None:
        place = {f"v{number}": value for number, value in enumerate(values)}
        names = ", ".join(f"%({name})s" for name in place)
        here = f"AND i.campaign_id = %(campaign)s{where} AND ({columns}) {'<' if backwards else '>'} ({names})"
        sql = f"""
            WITH {SEATS} SELECT i.* FROM ({_line(f"i.campaign_id, {columns}", here, order)}) AS i
            ORDER BY {order} LIMIT %(size)s"""  # noqa: S608 - constants
        rows += _rows(sql, given | place | {"campaign": campaign, "size": size})
        line = line[at + 1 :]
    elif at >= 0:
        line = line[at:]
    if len(rows) < size and line:
        inner = _line(f"i.campaign_id, {columns}", f"AND i.campaign_id = c.id{where}", order)
        sql = f"""
            WITH {SEATS} SELECT i.* FROM unnest(%(line)s::uuid[]) WITH ORDINALITY AS c(id, place)
            CROSS JOIN LATERAL ({inner}) AS i
            ORDER BY c.place, {order} LIMIT %(size)s"""  # noqa: S608 - constants
        rows += _rows(sql, given | {"line": line, "size": size - len(rows)})
    return rows


def _line(select: str, condition: str, order: str, size: str = "%(size)s") -> str:
    """The first rows of both parts of the line, each in its order; whoever reads them merges the two."""
    parts = (f"(SELECT {select} {part} {condition} ORDER BY {order} LIMIT {size})" for part in (OWN, BESIDE))
    return " UNION ALL ".join(parts)


def _folds(person: UUID | None, wish: Wish, campaign: UUID, values: Sequence[Any] | None, size: int) -> list[Fold]:
    """A loose walk along the index: from each fold straight to the next, however many questions it holds."""
    where, given = _where(wish)
    given |= {"person": person, "campaign": campaign, "size": size}
    columns = ", ".join(f"i.{name}" for name in FOLD)
    after = ""
    if values:
        place = {f"v{number}": value for number, value in enumerate(values[: len(FOLD)])}
        after = f" AND ({columns}) > ({', '.join(f'%({name})s' for name in place)})"
        given |= place
    same = " AND ".join(f"i.{name} = f.{name}" for name in FOLD)
    here = f"AND i.campaign_id = %(campaign)s{where}"
    start = _line(columns, f"{here}{after}", columns, "1")
    step = _line(columns, f"{here} AND ({columns}) > (f.rank, f.sameness, f.use_state, f.recommendation)", columns, "1")
    members = _line("i.id", f"{here} AND {same}", f"{columns}, i.id", str(MOST_IN_FOLD + 1))
    sql = f"""
        WITH RECURSIVE {SEATS}, f(rank, sameness, use_state, recommendation, place) AS (
            (SELECT {columns}, 1 FROM ({start}) AS i ORDER BY {columns} LIMIT 1)
            UNION ALL
            SELECT n.*, f.place + 1 FROM f CROSS JOIN LATERAL (
                SELECT i.* FROM ({step}) AS i ORDER BY {columns} LIMIT 1) AS n
            WHERE f.place < %(size)s)
        SELECT f.rank, f.sameness, f.use_state, f.recommendation, m.counted, m.first FROM f
        CROSS JOIN LATERAL (SELECT count(*) AS counted, (array_agg(id))[1] AS first FROM ({members}) AS part) AS m
        ORDER BY f.place"""  # noqa: S608 - constants
    found = _rows(sql, given)
    return [
        Fold(campaign, rank, sameness, use_state, advice, min(counted, MOST_IN_FOLD), counted > MOST_IN_FOLD, first)
        for rank, sameness, use_state, advice, counted, first in found
        if first
    ]


def _where(wish: Wish) -> tuple[str, dict[str, Any]]:
    names = sorted(name for name in wish.where if name in FILTERS)
    text = "".join(f" AND i.{name} = %(w_{name})s" for name in names)
    if wish.without_drafts:
        text += " AND NOT EXISTS (SELECT 1 FROM reviews_draft d WHERE d.item_id = i.id AND d.person_id = %(person)s)"
    return text, {f"w_{name}": wish.where[name] for name in names}


def _campaigns(wish: Wish, waiting: Sequence[Waiting]) -> list[UUID]:
    return [each.id for each in waiting if wish.campaign in (None, each.id)]


def _rows(sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, dict(parameters))
        return list(cursor.fetchall())


def _person(actor: Actor) -> UUID | None:
    return actor.person_id if actor.kind is ActorKind.PERSON else None


# --- places in the line -----------------------------------------------------------------------------------------------


def _write(order: Order, row: Sequence[Any], *, backwards: bool) -> str:
    values = [str(value) if isinstance(value, UUID) else value for value in row]
    return signing.dumps([order.name, int(backwards), values], salt=SALT, compress=True)


def _read(cursor: str, order: Order) -> tuple[bool, UUID | None, list[Any] | None]:
    """(backwards, campaign, values of the order's columns); nothing and None for the beginning, `last` for the end."""
    if not cursor:
        return False, None, None
    if cursor == "last":
        return True, None, None
    try:
        name, backwards, values = signing.loads(cursor, salt=SALT)
        campaign = UUID(values[0])
    except (signing.BadSignature, ValueError, TypeError, UnicodeError, IndexError) as error:
        raise BadPlace("This link into the list is damaged or too old. Start again from the first page.") from error
    if name != order.name:
        raise BadPlace("The list has another order now. Start again from the first page.")
    return bool(backwards), campaign, values[1:] or None
