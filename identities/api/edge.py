"""What the endpoints of the inventory share: who calls, which page is asked for, which words are known."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, cast

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from governance.web.authentication import ApiClient
from governance.web.pagination import KeysetPagination
from governance.web.parameters import InvalidParameter, UnknownParameter, checked, require_known_parameters

__all__ = [
    "OBJECT_KINDS",
    "InvalidKey",
    "InvalidParameter",
    "UnknownParameter",
    "actor_of",
    "checked",
    "choice_parameter",
    "flag_parameter",
    "idempotency_key",
    "limit_parameter",
    "page_of",
    "require_known_parameters",
    "time_parameter",
]

OBJECT_KINDS = ("identity", "credential", "grant", "trust", "resource")


class InvalidKey(DomainError):
    """An idempotency key that can't be kept."""

    code = "invalid-idempotency-key"
    title = "This Idempotency-Key can't be used"


def idempotency_key(request: Request) -> str:
    """The header of that name; empty where there is none. Raises `InvalidKey`."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return ""
    if not key or len(key) > 200 or not key.isascii() or not key.isprintable():
        raise InvalidKey("An Idempotency-Key has 1 to 200 printable ASCII characters.")
    return key


def actor_of(request: Request) -> Actor:
    """The program behind the token."""
    return cast(ApiClient, request.user).actor


def page_of(view: Any, request: Request, rows: QuerySet[Any], serializer: Any) -> Response:
    """One keyset page in the order that the view names in `keyset`."""
    pages: KeysetPagination = getattr(view, "pagination_class", KeysetPagination)()
    found = pages.paginate_queryset(rows, request, view)
    return pages.get_paginated_response(serializer(found, many=True, context={"request": request}).data)


def choice_parameter(request: Request, name: str, choices: Collection[str], default: str = "") -> str:
    """A parameter that takes one of a few words. Raises `InvalidParameter`."""
    value = request.query_params.get(name, default)
    if value != default and value not in choices:
        raise InvalidParameter(f"{name} must be one of {', '.join(choices)}.", parameter=name)
    return value


def flag_parameter(request: Request, name: str) -> bool:
    """A parameter that is `true` or `false`; absent is false. Raises `InvalidParameter`."""
    return choice_parameter(request, name, ("true", "false"), "false") == "true"


def limit_parameter(request: Request) -> int:
    """`limit`, as every list reads it. Raises `BadLimit`."""
    return KeysetPagination()._limit(request)


def time_parameter(request: Request, name: str) -> datetime | None:
    """A moment with its zone (`2026-03-01T09:30:00Z`), or None where it is absent. Raises `InvalidParameter`."""
    text = request.query_params.get(name, "")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign that was not escaped
        if moment.tzinfo and moment.year >= 1970:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidParameter(f"{name} is a time with its zone, like 2026-03-01T09:30:00Z.", parameter=name)
