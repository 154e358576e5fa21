"""Pages of a filtered list whose filter and order share no index, at any size and within a bounded time.

Two plans are good: walk along the order's index and pass what does not fit, when much fits; or collect what fits and
sort it, when little does. PostgreSQL chooses as if what fits lay evenly in the order. It often does not: everything
called "payments …" stands together in the middle of the alphabet, and the walk there takes seconds. So the choice is
made here, by the number of rows that PostgreSQL expects, with a limit on the time; a list that cannot be had in order
within it is given in no particular order, which is found fast because what fits lies evenly among random keys.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from psycopg.errors import QueryCanceled

from governance.web.pagination import LAST, KeysetPage, KeysetPagination, SortKey, belongs_to, paginate

# So many rows are collected and sorted within about 100 ms.
COLLECTED_BELOW = 30_000
COLLECT_MS = 300
# A walk that meets a page's rows at all meets them within a few milliseconds.
WALK_MS = 100
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
    is_small = expected_rows(queryset) <= COLLECTED_BELOW
    found = _tried(queryset, keys, cursor, size, is_gathered=is_small)
    if found is not None:
        return FilteredPage(found)
    found = _tried(queryset, UNSORTED, LAST if cursor == LAST else "", size)
    if found is not None:
        return FilteredPage(found, is_unsorted=True)
    # Neither walk met enough rows in time, so there are few of them, whatever was expected.
    return FilteredPage(paginate(queryset, keys, cursor=cursor, size=size, is_gathered=True))


def expected_rows(queryset: QuerySet[Any]) -> int:
    """How many rows PostgreSQL expects: an estimate from its statistics, within about a millisecond."""
    try:
        plan = json.loads(queryset.order_by().values("pk").explain(format="json"))
    except EmptyResultSet:
        return 0
    return int(plan[0]["Plan"]["Plan Rows"])


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
    inside = connection.in_atomic_block
    try:
        with transaction.atomic():
            # Compiling a plan takes longer than any of these statements may.
            before = _set(str(milliseconds), "off")
            yield
            if inside:
                _set(*before)
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise OutOfPatience from error
        raise


def _set(timeout: str, jit: str) -> tuple[str, str]:
    """For this transaction; returns what held before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('statement_timeout'), current_setting('jit'),"
            " set_config('statement_timeout', %s, true), set_config('jit', %s, true)",
            [timeout, jit],
        )
        row = cursor.fetchone()
    return row[0], row[1]


def _tried(
    queryset: QuerySet[Any], keys: Sequence[SortKey], cursor: str, size: int, *, is_gathered: bool = False
) -> KeysetPage | None:
    try:
        with patience(COLLECT_MS if is_gathered else WALK_MS):
            return paginate(queryset, keys, cursor=cursor, size=size, is_gathered=is_gathered)
    except OutOfPatience:
        return None


class FilteredPagination(KeysetPagination):
    """`KeysetPagination` for lists that may be filtered by anything."""

    def _page(self, queryset: Any, keys: Sequence[SortKey], cursor: str, size: int) -> KeysetPage:
        return paginate_filtered(queryset, keys, cursor=cursor, size=size).page
