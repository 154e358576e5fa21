"""Keyset pagination: the next page starts after the last row seen, so page 1 and page 20 000 cost the same.

Never counts rows. Cursors are signed: a caller cannot make us compare with values of their choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core import signing
from django.core.exceptions import ValidationError
from django.db.models import F, Q, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from governance.kernel.errors import DomainError

_SALT = "remit.keyset"


class BadCursor(DomainError):
    """The cursor was altered, belongs to another order, or was signed with a key no longer in use."""

    code = "bad-cursor"
    status = 400
    title = "This place in the list cannot be found"


@dataclass(frozen=True, slots=True)
class SortKey:
    """One column of an order. `name` is a queryset path; `nullable` columns put their empty values last."""

    name: str
    descending: bool = False
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class KeysetPage:
    """One page. Cursors are empty strings at the ends of the list."""

    rows: list[Any] = field(default_factory=list)
    next_cursor: str = ""
    previous_cursor: str = ""


def paginate(queryset: QuerySet[Any], keys: Sequence[SortKey], *, cursor: str = "", size: int = 50) -> KeysetPage:
    """One page of `queryset` in the order of `keys`, the last of which must be unique (normally `SortKey("pk")`).

    Raises `BadCursor`. Runs exactly one query.
    """
    backwards, values = _read(cursor, keys) if cursor else (False, None)
    ordered = queryset.order_by(*(_order(key, backwards) for key in keys))
    if values is not None:
        ordered = ordered.filter(_beyond(keys, values, backwards))
    try:
        rows = list(ordered[: size + 1])
    except (ValueError, ValidationError) as error:
        raise _lost() from error
    more = len(rows) > size
    rows = rows[:size]
    if backwards:
        rows.reverse()
    if not rows:
        return KeysetPage()
    has_next = True if backwards else more
    has_previous = more if backwards else values is not None
    return KeysetPage(
        rows=rows,
        next_cursor=_write(keys, rows[-1], backwards=False) if has_next else "",
        previous_cursor=_write(keys, rows[0], backwards=True) if has_previous else "",
    )


class KeysetPagination(BasePagination):
    """`?limit=` and `?cursor=` for API lists; the view names its order in `keyset = (SortKey(...), SortKey("pk"))`."""

    default_limit = 100
    max_limit = 1000

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.request = request
        self.page = paginate(
            queryset,
            getattr(view, "keyset", (SortKey("pk"),)),
            cursor=request.query_params.get("cursor", ""),
            size=self._limit(request),
        )
        return self.page.rows

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
                "description": "Where to continue; take it from `next` or `previous`.",
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


def _order(key: SortKey, backwards: bool) -> Any:
    descending = key.descending != backwards
    if not key.nullable:
        return F(key.name).desc() if descending else F(key.name).asc()
    place = {"nulls_first": True} if backwards else {"nulls_last": True}
    return F(key.name).desc(**place) if descending else F(key.name).asc(**place)


def _beyond(keys: Sequence[SortKey], values: Sequence[Any], backwards: bool) -> Q:
    """Rows that come after `values` in the direction of reading: equal so far, then further on this column."""
    condition = Q(pk__in=[])
    same = Q()
    for key, value in zip(keys, values, strict=True):
        condition |= same & _further(key, value, backwards)
        same &= Q(**{f"{key.name}__isnull": True}) if value is None else Q(**{key.name: value})
    first, value = keys[0], values[0]
    if not first.nullable:
        # Redundant, but it lets the planner enter an index at the right place.
        less = first.descending != backwards
        condition &= Q(**{f"{first.name}__{'lte' if less else 'gte'}": value})
    return condition


def _further(key: SortKey, value: Any, backwards: bool) -> Q:
    if value is None:
        # Empty values stand last, so nothing follows them and everything filled precedes them.
        return Q(**{f"{key.name}__isnull": False}) if backwards else Q(pk__in=[])
    less = key.descending != backwards
    beyond = Q(**{f"{key.name}__{'lt' if less else 'gt'}": value})
    if key.nullable and not backwards:
        beyond |= Q(**{f"{key.name}__isnull": True})
    return beyond


def _write(keys: Sequence[SortKey], row: Any, *, backwards: bool) -> str:
    values = [_plain(_value(row, key.name)) for key in keys]
    return signing.dumps([_signature(keys), int(backwards), values], salt=_SALT, compress=True)


def _read(cursor: str, keys: Sequence[SortKey]) -> tuple[bool, list[Any]]:
    try:
        signature, backwards, values = signing.loads(cursor, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise _lost() from error
    if signature != _signature(keys) or len(values) != len(keys):
        raise _lost()
    return bool(backwards), values


def _lost() -> BadCursor:
    return BadCursor("The list changed its order or the link is damaged. Start again from the first page.")


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
