"""`/api/v1/brakes/`: orders that were held because a budget was used up. Programs read; two people release."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.etag import etag_for
from governance.web.pagination import SortKey
from reviews.api.requests import actor_of, choice, page_of
from reviews.models import Brake, BrakeState
from reviews.selectors import access_brake, list_brakes


class BrakeOut(serializers.ModelSerializer[Brake]):
    """One time that a budget ran out. `held` counts the orders that wait; list them with `/orders/?brake=`."""

    source: Any = serializers.SlugRelatedField("slug", read_only=True, allow_null=True)
    held = serializers.IntegerField(read_only=True, help_text="Orders that it holds now.")

    class Meta:
        model = Brake
        fields = [
            *("id", "scope", "source", "budget", "state", "held", "tripped_at", "first_by", "first_at"),
            *("first_reason", "ended_by", "ended_at", "end_reason"),
        ]


class BrakeList(APIView):
    """`/api/v1/brakes/`"""

    required_scope = "orders:read"
    keyset = (SortKey("tripped_at", descending=True), SortKey("pk", descending=True))
    filters = ("state",)

    @extend_schema(
        operation_id="brakes_list",
        responses=BrakeOut(many=True),
        parameters=[OpenApiParameter("state", str, enum=BrakeState.values, description="Only brakes in this state.")],
    )
    def get(self, request: Request) -> Response:
        """Brakes, newest first."""
        brakes = list_brakes(actor=actor_of(request))
        state = choice(request, "state", BrakeState.values)
        return page_of(self, request, brakes.filter(state=state) if state else brakes, BrakeOut)


class BrakeDetail(APIView):
    """`/api/v1/brakes/{id}/`"""

    required_scope = "orders:read"

    @extend_schema(operation_id="brakes_retrieve", responses=BrakeOut)
    def get(self, request: Request, brake_id: UUID) -> Response:
        """One brake."""
        brake = access_brake(actor=actor_of(request), brake_id=brake_id)
        return Response(BrakeOut(brake).data, headers={"ETag": etag_for(brake.version)})
