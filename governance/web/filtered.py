"""Pages of a filtered list whose filter and order share no index, at any size and within a bounded time.

Two plans are good: walk along the order's index and pass what does not fit, when much fits; or collect what fits and
sort it, when little does. PostgreSQL chooses as if what fits lay evenly in the order. It often does not: everything
called "payments …" stands together in the middle of the alphabet, and the walk there takes seconds. So a walk gets a
few milliseconds, then what fits is collected; and a list that is too long to be sorted in time is given in the order
of its keys, which nobody sees a sense in, but which rarely follows the alphabet.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from psycopg.errors import QueryCanceled

from governance.web.pagination import LAST, KeysetPage, KeysetPagination, SortKey, belongs_to, paginate

# So few rows are collected at once; up to so many, when a walk did not find its page in time.
FEW, SOME = 2_000, 30_000
# A walk that meets a page's rows at all meets them within a few milliseconds.
WALK_MS, COLLECT_MS = 60, 300
COUNTED_UP_TO = 1_000
UNSORTED = (SortKey("pk"),)


@dataclass(frozen=True, slots=True)
class FilteredPage:
    """One page, and whether the order had to be given up for it."""

    page: KeysetPage = field(default_factory=KeysetPage)
    is_unsorted: bool = False


def paginate_filtered(
    queryset: QuerySet[Any], keys: Sequence[SortKey], *, cursor: str = "", size: int = 50
) -> FilteredPage:
    """One page of a list that a filter narrows. Raises `BadCursor`."""
    if cursor and belongs_to(cursor, UNSORTED):
        return FilteredPage(paginate(queryset, UNSORTED, cursor=cursor, size=size), is_unsorted=tuple(keys) != UNSORTED)
    for keys_tried, is_gathered, milliseconds in _attempts(queryset, keys):
        # A place in the order is none in the other one, which starts anew.
        place = cursor if keys_tried is keys or cursor == LAST else ""
        try:
            with patience(milliseconds):
                page = paginate(queryset, keys_tried, cursor=place, size=size, is_gathered=is_gathered)
            return FilteredPage(page, is_unsorted=keys_tried is not keys)
        except OutOfPatience:
            continue
    # No walk met enough rows in time, so there are few of them, whatever was expected.
    return FilteredPage(paginate(queryset, keys, cursor=cursor, size=size, is_gathered=True))


def _attempts(queryset: QuerySet[Any], keys: Sequence[SortKey]) -> Iterator[tuple[Sequence[SortKey], bool, int]]:
    """(order, whether to collect first, milliseconds), the most promising first."""
    expected = expected_rows(queryset)
    if expected > FEW:
        yield keys, False, WALK_MS
    if expected <= SOME:
        yield keys, True, COLLECT_MS
    yield UNSORTED, False, WALK_MS


def expected_rows(queryset: QuerySet[Any]) -> int:
    """How many rows PostgreSQL expects: an estimate from its statistics, within about a millisecond."""
    told = queryset.order_by().values("pk").explain(format="json")
    # Nothing is told of a list that is known to be empty without asking.
    return int(json.loads(told)[0]["Plan"]["Plan Rows"]) if told else 0


def bounded_count(queryset: QuerySet[Any], upto: int = COUNTED_UP_TO) -> int | None:
    """How many rows there are, counted no further than `upto` + 1; None where even that takes too long."""
    try:
        with patience(COLLECT_MS):
            return queryset.order_by().values("pk")[: upto + 1].count()
    except OutOfPatience:
        return None


class OutOfPatience(Exception):
    """The statement took longer than it was given."""


@contextmanager
def patience(milliseconds: int) -> Iterator[None]:
    """Limit each statement inside. Raises `OutOfPatience`; nothing else of an outer transaction is lost."""
    is_inner = connection.in_atomic_block
    try:
        with transaction.atomic():
            before = _set({**_PLANNED_FOR, "statement_timeout": str(milliseconds)})
            yield
            if is_inner:
                _set(before)
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise OutOfPatience from error
        raise


# Short statements over data that is mostly in memory: compiling them would take longer than running them, and one
# reader's list should not take all processors.
_PLANNED_FOR = {"jit": "off", "max_parallel_workers_per_gather": "0", "random_page_cost": "1.1"}


def _set(values: dict[str, str]) -> dict[str, str]:
    """For this transaction; returns what held before."""
    asked = ", ".join(["current_setting(%s)"] * len(values) + ["set_config(%s, %s, true)"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {asked}", [*values, *(part for pair in values.items() for part in pair)])
        row = cursor.fetchone()
    return dict(zip(values, row, strict=False))


class FilteredPagination(KeysetPagination):
    """`KeysetPagination` for lists that may be filtered by anything."""

    def _page(self, queryset: Any, keys: Sequence[SortKey], cursor: str, size: int) -> KeysetPage:
        return paginate_filtered(queryset, keys, cursor=cursor, size=size).page
