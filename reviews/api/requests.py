"""What every endpoint of reviews does with a request: who acts, which filters, one page of rows."""

from typing import Any, cast
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from governance.kernel.actors import Actor
from governance.web.authentication import ApiClient
from governance.web.pagination import KeysetPagination
from governance.web.parameters import PAGING, InvalidParameter, require_known_parameters


def actor_of(request: Request) -> Actor:
    """The program behind the token."""
    return cast(ApiClient, request.user).actor


def choice(request: Request, name: str, allowed: list[str]) -> str:
    """A filter with known values, or an empty string. Raises InvalidParameter."""
    value = request.query_params.get(name, "")
    if value and value not in allowed:
        raise InvalidParameter(f"{name} is one of {', '.join(allowed)}.", parameter=name)
    return value


def identifier(request: Request, name: str) -> UUID | None:
    """A filter by id, or None. Raises InvalidParameter."""
    value = request.query_params.get(name, "")
    if not value:
        return None
    try:
        return UUID(value)
    except ValueError:
        raise InvalidParameter(f"{name} is the id (UUID) of an object.", parameter=name) from None


def page_of(view: Any, request: Request, queryset: Any, serializer: type[serializers.BaseSerializer[Any]]) -> Response:
    """One page in the view's `keyset` order. The view names the parameters that it knows in `filters`."""
    require_known_parameters(request, PAGING | set(getattr(view, "filters", ())))
    pages = KeysetPagination()
    rows = pages.paginate_queryset(queryset, request, view)
    return pages.get_paginated_response(serializer(rows, many=True).data)
