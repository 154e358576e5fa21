"""Keyset pagination: the next page starts after the last row seen, so page 1 and page 20 000 cost the same.

Never counts rows. Cursors are signed: a caller cannot make us compare with values of their choice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core import signing
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from governance.kernel.errors import DomainError
from governance.web.keyset import SortKey, stretches

__all__ = [
    "LAST",
    "BadCursor",
    "BadLimit",
    "KeysetPage",
    "KeysetPagination",
    "SortKey",
    "belongs_to",
    "chunks",
    "paginate",
]
# The one cursor that can be written by hand: the end of the list.
LAST = "last"
_SALT = "remit.keyset"
# Rows of a download that are read at once.
CHUNK = 2_000


class BadCursor(DomainError):
    """The cursor was altered, belongs to another order, or was signed with a key no longer in use."""

    code = "bad-cursor"
    status = 400
    title = "This place in the list cannot be found"


@dataclass(frozen=True, slots=True)
class KeysetPage:
    """One page. Cursors are empty strings at the ends of the list."""

    rows: list[Any] = field(default_factory=list)
    next_cursor: str = ""
    previous_cursor: str = ""


def paginate(
    queryset: QuerySet[Any], keys: Sequence[SortKey], *, cursor: str = "", size: int = 50, is_gathered: bool = False
) -> KeysetPage:
    """One page of `queryset` in the order of `keys`, the last of which must be unique (normally `SortKey("pk")`).

    cursor: one that an earlier page gave, `LAST` for the end of the list, or nothing for its beginning. The list is
    read as stretches that an index can enter at the right place, normally one; each costs a query, and the next is
    only asked while rows are missing. is_gathered: collect all rows first and sort them, where walking along the
    order's index would pass too many that do not fit. Raises `BadCursor`.
    """
    backwards, values = _read(cursor, keys) if cursor else (False, None)
    rows: list[Any] = []
    try:
        for stretch in stretches(queryset.model, keys, values, backwards=backwards):
            found = queryset.filter(stretch.condition) if stretch.condition is not None else queryset
            rows += found.order_by(*stretch.order(is_gathered))[: size + 1 - len(rows)]
            if len(rows) > size:
                break
    except (ValueError, ValidationError) as error:
        raise _damaged() from error
    more = len(rows) > size
    rows = rows[:size]
    if backwards:
        rows.reverse()
    if not rows:
        return KeysetPage()
    has_next = values is not None if backwards else more
    has_previous = more if backwards else values is not None
    return KeysetPage(
        rows=rows,
        next_cursor=_write(keys, rows[-1], backwards=False) if has_next else "",
        previous_cursor=_write(keys, rows[0], backwards=True) if has_previous else "",
    )


def chunks(queryset: QuerySet[Any], keys: Sequence[SortKey]) -> Iterator[list[Any]]:
    """The whole list in order, so many rows at a time, each a query of its own.

    For downloads: neither memory nor an open transaction grows with the list or with how slowly somebody reads it.
    """
    values: list[Any] | None = None
    size = CHUNK
    while True:
        rows: list[Any] = []
        for stretch in stretches(queryset.model, keys, values, backwards=False):
            found = queryset.filter(stretch.condition) if stretch.condition is not None else queryset
            rows += found.order_by(*stretch.order(False))[: size - len(rows)]
            if len(rows) >= size:
                break
        if rows:
            yield rows
        if len(rows) < size:
            return
        values = [_value(rows[-1], key.name) for key in keys]


def belongs_to(cursor: str, keys: Sequence[SortKey]) -> bool:
    """Whether the cursor is a place in this order."""
    try:
        return bool(_unsigned(cursor)[0] == _signature(keys))
    except BadCursor:
        return False


class KeysetPagination(BasePagination):
    """`?limit=` and `?cursor=` for API lists; the view names its order in `keyset = (SortKey(...), SortKey("pk"))`."""

    default_limit = 100
    max_limit = 1000

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.request = request
        keys = getattr(view, "keyset", (SortKey("pk"),))
        self.page = self._page(queryset, keys, request.query_params.get("cursor", ""), self._limit(request))
        return self.page.rows

    def _page(self, queryset: Any, keys: Sequence[SortKey], cursor: str, size: int) -> KeysetPage:
        return paginate(queryset, keys, cursor=cursor, size=size)

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "next": self._link(self.page.next_cursor),
                "previous": self._link(self.page.previous_cursor),
                "results": data,
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "Where to continue; take it from `next` or `previous`, or `last` for the end.",
                "schema": {"type": "string"},
            },
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "description": f"Rows per page, 1 to {self.max_limit}.",
                "schema": {"type": "integer", "minimum": 1, "maximum": self.max_limit},
            },
        ]

    def _limit(self, request: Request) -> int:
        raw = request.query_params.get("limit", "")
        if not raw:
            return self.default_limit
        # isdecimal alone would let through digits of other scripts and numbers of any length.
        if not (raw.isascii() and raw.isdecimal() and len(raw) <= 6 and 1 <= int(raw) <= self.max_limit):
            raise BadLimit(f"limit must be a whole number from 1 to {self.max_limit}.")
        return int(raw)

    def _link(self, cursor: str) -> str | None:
        url = self.request.build_absolute_uri()
        return replace_query_param(remove_query_param(url, "cursor"), "cursor", cursor) if cursor else None


class BadLimit(DomainError):
    """The asked page size is not a number in range."""

    code = "bad-limit"
    status = 400
    title = "The page size cannot be used"


def _write(keys: Sequence[SortKey], row: Any, *, backwards: bool) -> str:
    values = [_plain(_value(row, key.name)) for key in keys]
    return signing.dumps([_signature(keys), int(backwards), values], salt=_SALT, compress=True)


def _read(cursor: str, keys: Sequence[SortKey]) -> tuple[bool, list[Any] | None]:
    if cursor == LAST:
        return True, None
    signature, backwards, values = _unsigned(cursor)
    if signature != _signature(keys) or len(values) != len(keys):
        raise BadCursor("The list has another order now. Start again from the first page.")
    return bool(backwards), values


def _unsigned(cursor: str) -> tuple[str, int, list[Any]]:
    try:
        signature, backwards, values = signing.loads(cursor, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError, UnicodeError) as error:
        raise _damaged() from error
    if not isinstance(values, list):
        raise _damaged()
    return signature, backwards, values


def _damaged() -> BadCursor:
    return BadCursor("This link into the list is damaged or too old. Start again from the first page.")


def _signature(keys: Sequence[SortKey]) -> str:
    return ",".join(("-" if key.descending else "") + key.name for key in keys)


def _value(row: Any, path: str) -> Any:
    if isinstance(row, dict):
        return row[path]
    for step in path.split("__"):
        row = getattr(row, step) if row is not None else None
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    return value
