"""REST for whoever keeps a copy in step: the feed of what readings changed. docs/api.md shows it by example."""

from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from governance.web.pagination import KeysetPagination
from governance.web.parameters import PAGING
from identities.api.edge import (
    OBJECT_KINDS,
    InvalidParameter,
    actor_of,
    choice_parameter,
    limit_parameter,
    require_known_parameters,
    time_parameter,
)
from identities.models import Change, ChangeAction
from identities.selectors.feed import Position, end_of_feed, position_at, read_feed, read_position
from identities.selectors.inventory import access_source

NOW = "now"


class FeedOut(serializers.ModelSerializer):
    """One object that a reading touched. For `changed`, `old` and `new` hold the members that differ."""

    source: Any = serializers.CharField(source="run.source.slug")
    run: Any = serializers.UUIDField(source="run_id")

    class Meta:
        model = Change
        fields = [
            *("id", "source", "run", "object_kind", "object_id", "external_id", "action", "old", "new", "created_at"),
        ]


class FeedPageOut(serializers.Serializer):
    """`next` is always there. `has_more` says whether asking at once is worth it; a page may be empty and have more."""

    next = serializers.URLField()
    cursor = serializers.CharField()
    has_more = serializers.BooleanField()
    results = FeedOut(many=True)


class ChangeFeed(APIView):
    """`/api/v1/changes/`"""

    required_scope = "inventory:read"
    further_refusals = ("404",)  # of an identity that is not there

    @extend_schema(
        operation_id="changes_list",
        responses=FeedPageOut,
        parameters=[
            OpenApiParameter("cursor", str, description="Where to go on: `cursor` of an earlier answer, or `now`."),
            OpenApiParameter("since", str, description="Without a cursor: begin at this time, or a little before it."),
            OpenApiParameter("limit", int, description=f"Changes per page, 1 to {KeysetPagination.max_limit}."),
            OpenApiParameter("source", str),
            OpenApiParameter("kind", str, enum=OBJECT_KINDS),
            OpenApiParameter("action", str, enum=ChangeAction.values),
        ],
    )
    def get(self, request: Request) -> Response:
        """Everything that readings changed, in the order in which it became visible. Keep `cursor` and ask again."""
        require_known_parameters(request, PAGING | {"since", "source", "kind", "action"})
        actor = actor_of(request)
        slug = request.query_params.get("source")
        page = read_feed(
            actor=actor,
            after=_position(request),
            limit=limit_parameter(request),
            source=access_source(actor=actor, slug=slug) if slug else None,
            kind=choice_parameter(request, "kind", OBJECT_KINDS),
            action=choice_parameter(request, "action", ChangeAction.values),
        )
        cursor = str(page.next)
        answer = {"next": _link(request, cursor), "cursor": cursor, "has_more": page.has_more}
        return Response({**answer, "results": FeedOut(page.changes, many=True).data})


def _position(request: Request) -> Position:
    cursor, since = request.query_params.get("cursor", ""), time_parameter(request, "since")
    if cursor and since:
        raise InvalidParameter("Say either cursor or since: a cursor already is a place.", parameter="since")
    if since:
        return position_at(since)
    if cursor == NOW:
        return end_of_feed()
    return read_position(cursor) if cursor else Position()


def _link(request: Request, cursor: str) -> str:
    url = remove_query_param(request.build_absolute_uri(), "since")
    return str(replace_query_param(url, "cursor", cursor))


urlpatterns = [path("changes/", ChangeFeed.as_view(), name="api_change_feed")]
