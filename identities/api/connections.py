"""REST for connecting: which kinds there are and what they ask for, trying a connection, seeing what would change."""

from typing import Any

from django.urls import path, reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identities.api.edge import actor_of, checked, require_known_parameters
from identities.connectors.registry import about, kinds
from identities.selectors.inventory import access_source
from identities.services.checking import check_connection
from identities.services.sources import request_preview


class SettingOut(serializers.Serializer):
    """One setting. kind: text, integer, flag, choice, list (of texts) or reference (`env:NAME`, `file:/path`)."""

    name = serializers.CharField()
    label: Any = serializers.CharField()
    help = serializers.CharField()
    kind = serializers.CharField()
    required: Any = serializers.BooleanField()
    default: Any = serializers.JSONField()
    choices = serializers.ListField(child=serializers.CharField())


class KindOut(serializers.Serializer):
    """A kind of source and what can be set for it."""

    name = serializers.CharField()
    title = serializers.CharField()
    sentence = serializers.CharField()
    settings = SettingOut(many=True)


class ConnectionIn(serializers.Serializer):
    """A connection to be tried before it is stored."""

    kind = serializers.CharField(max_length=40)
    settings = serializers.DictField(default=dict)


class CheckOut(serializers.Serializer):
    """One thing that was tried. state: ok, warning or failed."""

    title = serializers.CharField()
    state = serializers.ChoiceField(["ok", "warning", "failed"])
    detail = serializers.CharField()


class ChecksOut(serializers.Serializer):
    """`state` is the worst of them."""

    state = serializers.ChoiceField(["ok", "warning", "failed"])
    checks = CheckOut(many=True)


class PromisedRunOut(serializers.Serializer):
    """A run that begins as soon as a worker is free. Its address answers 404 until then."""

    id = serializers.UUIDField()
    url = serializers.CharField()


class SourceKinds(APIView):
    """`/api/v1/source-kinds/`"""

    required_scope = "inventory:read"

    @extend_schema(operation_id="source_kinds_list", responses=KindOut(many=True))
    def get(self, request: Request) -> Response:
        """Which kinds of systems can be connected, and the settings of each."""
        require_known_parameters(request, ())
        return Response(KindOut([about(kind) for kind in kinds()], many=True).data)


class ConnectionCheck(APIView):
    """`/api/v1/connection-checks/`"""

    required_scope = "inventory:write"
    throttle_scope = "sync"

    @extend_schema(operation_id="connections_check", request=ConnectionIn, responses=ChecksOut)
    def post(self, request: Request) -> Response:
        """Try a connection without storing it: sign in, ask for what is needed, change nothing."""
        data = checked(ConnectionIn, request)
        found = check_connection(
            kind=data["kind"], settings=data["settings"], actor=actor_of(request), now=timezone.now()
        )
        return _answer(found)


class SourceCheck(APIView):
    """`/api/v1/sources/{slug}/check/`"""

    required_scope = "inventory:write"
    throttle_scope = "sync"

    @extend_schema(operation_id="sources_check", request=None, responses=ChecksOut)
    def post(self, request: Request, slug: str) -> Response:
        """Try the connection of a source; each missing right is named."""
        source = access_source(actor=actor_of(request), slug=slug)
        found = check_connection(
            kind=source.kind, settings=source.settings, source=source, actor=actor_of(request), now=timezone.now()
        )
        return _answer(found)


class SourcePreview(APIView):
    """`/api/v1/sources/{slug}/preview/`"""

    required_scope = "inventory:write"

    @extend_schema(operation_id="sources_preview", request=None, responses={202: PromisedRunOut})
    def post(self, request: Request, slug: str) -> Response:
        """Have the source read to see what would change. The run's `would-change/` says it; nothing is applied."""
        source = access_source(actor=actor_of(request), slug=slug)
        run_id = request_preview(source=source, actor=actor_of(request), now=timezone.now())
        url = reverse("api_sync_detail", args=[source.slug, run_id])
        return Response({"id": run_id, "url": url}, status=202, headers={"Location": url})


def _answer(found: list[Any]) -> Response:
    states = {check.state for check in found}
    worst = next((state for state in ("failed", "warning") if state in states), "ok")
    return Response(ChecksOut({"state": worst, "checks": found}).data)


urlpatterns = [
    path("source-kinds/", SourceKinds.as_view(), name="api_source_kinds"),
    path("connection-checks/", ConnectionCheck.as_view(), name="api_connection_check"),
    path("sources/<slug:slug>/check/", SourceCheck.as_view(), name="api_source_check"),
    path("sources/<slug:slug>/preview/", SourcePreview.as_view(), name="api_source_preview"),
]
