"""REST for the gateway: servers behind it, and kill switches. Giving back is for people alone, so it is not here."""

from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.pagination import SortKey
from identities.api.edge import actor_of, checked, page_of, require_known_parameters
from identities.models import CutKind, CutOff, GatewayServer
from identities.selectors.gateway import get_agent, get_gateway_server, list_cut_offs, list_gateway_servers
from identities.services.cut_offs import NoTarget, Target, cut_off
from identities.services.gateway_servers import register_server


class GatewayServerOut(serializers.ModelSerializer):
    """A server behind the gateway. `environment` and `token` are references to secrets, never secrets."""

    class Meta:
        model = GatewayServer
        fields = [
            *("id", "name", "url", "command", "environment", "token", "is_enabled"),
            *("last_error", "listed_at", "created_at"),
        ]


class GatewayServerIn(serializers.Serializer):
    """A server to put behind the gateway: either `url`, or `command` word for word as the operator allows it."""

    name = serializers.CharField(max_length=60)
    url = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)
    command = serializers.ListField(child=serializers.CharField(max_length=1000), required=False, default=list)
    environment = serializers.DictField(child=serializers.CharField(max_length=512), required=False, default=dict)
    token = serializers.CharField(max_length=512, required=False, default="", allow_blank=True)


class CutOffOut(serializers.ModelSerializer):
    """A kill switch that was thrown; it holds until `restored_at`. `review` is the campaign that looks at it."""

    server: Any = serializers.SlugRelatedField("name", read_only=True, allow_null=True)

    class Meta:
        model = CutOff
        fields = ["id", "kind", "identity", "server", "tool", "reason", "cut_at", "restored_at", "review"]


class CutOffIn(serializers.Serializer):
    """What to cut off: `identity` of an agent, or `server`, or `server` and `tool`."""

    identity = serializers.UUIDField(required=False, allow_null=True, default=None)
    server = serializers.CharField(max_length=60, required=False, default="", allow_blank=True)
    tool = serializers.CharField(max_length=256, required=False, default="", allow_blank=True)
    reason = serializers.CharField(max_length=2000)


class GatewayServerList(APIView):
    """`/api/v1/gateway/servers/`"""

    required_scope = {"get": "inventory:read", "post": "inventory:write"}
    keyset = (SortKey("name"), SortKey("pk"))

    @extend_schema(operation_id="gateway_servers_list", responses=GatewayServerOut(many=True))
    def get(self, request: Request) -> Response:
        """Servers behind the gateway, by name."""
        require_known_parameters(request, {"cursor", "limit"})
        return page_of(self, request, list_gateway_servers(actor=actor_of(request)), GatewayServerOut)

    @extend_schema(operation_id="gateway_servers_create", request=GatewayServerIn, responses={201: GatewayServerOut})
    def post(self, request: Request) -> Response:
        """Put a server behind the gateway."""
        data = checked(GatewayServerIn, request)
        server = register_server(actor=actor_of(request), now=timezone.now(), **data)
        return Response(GatewayServerOut(server).data, status=201)


class CutOffList(APIView):
    """`/api/v1/gateway/cut-offs/`"""

    required_scope = {"get": "inventory:read", "post": "clients:narrow"}
    keyset = (SortKey("cut_at", descending=True), SortKey("pk", descending=True))

    @extend_schema(operation_id="gateway_cut_offs_list", responses=CutOffOut(many=True))
    def get(self, request: Request) -> Response:
        """Kill switches that were thrown, newest first; those without `restored_at` hold."""
        require_known_parameters(request, {"cursor", "limit"})
        return page_of(self, request, list_cut_offs(actor=actor_of(request)), CutOffOut)

    @extend_schema(operation_id="gateway_cut_offs_create", request=CutOffIn, responses={201: CutOffOut})
    def post(self, request: Request) -> Response:
        """Cut an agent, a server or a tool off, from the next call on. A review of what stood behind it opens."""
        data, actor = checked(CutOffIn, request), actor_of(request)
        row = cut_off(target=_target(data), reason=data["reason"], actor=actor, now=timezone.now())
        return Response(CutOffOut(row).data, status=201)


def _target(data: dict[str, Any]) -> Target:
    if (data["identity"] is None) == (not data["server"]):
        raise NoTarget(f"Name one of {', '.join(CutKind.values)}: an identity, or a server, perhaps with a tool.")
    if data["identity"] is not None:
        # A program that may only cut off reads nothing of the inventory, and needs no more than the id.
        return Target(identity=get_agent(data["identity"]), tool=data["tool"])
    return Target(server=get_gateway_server(data["server"]), tool=data["tool"])


urlpatterns = [
    path("gateway/servers/", GatewayServerList.as_view(), name="api_gateway_server_list"),
    path("gateway/cut-offs/", CutOffList.as_view(), name="api_gateway_cut_off_list"),
]
