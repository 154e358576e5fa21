"""REST for sources: list, connect, change, have read."""

from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.people.models import User
from governance.web.etag import etag_for, require_match
from governance.web.pagination import SortKey
from identities.api.edge import actor_of, checked, page_of, require_known_parameters
from identities.models import Environment, Source
from identities.selectors.inventory import access_source, list_sources
from identities.services.sources import (
    InvalidSource,
    change_source,
    register_source,
    request_read,
    switch_source,
)

READ_WRITE = {"get": "inventory:read", "post": "inventory:write", "patch": "inventory:write"}
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag you read.")


class SourceOut(serializers.ModelSerializer):
    """A source. `settings` hold references to secrets, never secrets."""

    owner: Any = serializers.SlugRelatedField("email", read_only=True, allow_null=True)

    class Meta:
        model = Source
        fields = [
            *("id", "slug", "name", "kind", "environment", "owner", "settings", "is_enabled"),
            *("coverage", "not_observable", "capabilities"),
            *("read_every_seconds", "freshness_limit_seconds", "max_retire_percent"),
            *("next_read_at", "last_success_at", "last_complete_at", "last_error", "created_at"),
        ]


class SourceIn(serializers.Serializer):
    """A new source. Secrets in `settings` are references: `env:NAME` or `file:/path`."""

    slug = serializers.CharField(max_length=60)
    name = serializers.CharField(max_length=120)
    kind = serializers.CharField(max_length=40)
    environment = serializers.ChoiceField(Environment.choices, default=Environment.UNKNOWN)
    settings = serializers.DictField(default=dict)
    owner = serializers.EmailField(required=False, allow_null=True)
    read_every_seconds = serializers.IntegerField(default=300)
    freshness_limit_seconds = serializers.IntegerField(default=86_400)
    max_retire_percent = serializers.IntegerField(default=20)


class SourcePatch(serializers.Serializer):
    """Fields to change; what is not sent stays. `settings` are replaced as a whole."""

    name = serializers.CharField(max_length=120, required=False)
    environment = serializers.ChoiceField(Environment.choices, required=False)
    settings = serializers.DictField(required=False)
    owner = serializers.EmailField(required=False, allow_null=True)
    is_enabled = serializers.BooleanField(required=False)
    read_every_seconds = serializers.IntegerField(required=False)
    freshness_limit_seconds = serializers.IntegerField(required=False)
    max_retire_percent = serializers.IntegerField(required=False)


class SourceList(APIView):
    """`/api/v1/sources/`"""

    required_scope = READ_WRITE
    keyset = (SortKey("slug"), SortKey("pk"))

    @extend_schema(operation_id="sources_list", responses=SourceOut(many=True))
    def get(self, request: Request) -> Response:
        """Sources, by short name."""
        require_known_parameters(request, {"cursor", "limit"})
        return page_of(self, request, list_sources(actor=actor_of(request)), SourceOut)

    @extend_schema(operation_id="sources_create", request=SourceIn, responses={201: SourceOut})
    def post(self, request: Request) -> Response:
        """Connect a system. Kind `push` waits for data; any other kind is read at once."""
        data = checked(SourceIn, request)
        data["owner"] = _person(data.get("owner"))
        source = register_source(actor=actor_of(request), now=timezone.now(), **data)
        return _answer(source, status=201)


class SourceDetail(APIView):
    """`/api/v1/sources/{slug}/`"""

    required_scope = READ_WRITE

    @extend_schema(operation_id="sources_retrieve", responses=SourceOut)
    def get(self, request: Request, slug: str) -> Response:
        """One source, with an ETag."""
        return _answer(access_source(actor=actor_of(request), slug=slug))

    @extend_schema(operation_id="sources_change", request=SourcePatch, responses=SourceOut, parameters=[IF_MATCH])
    def patch(self, request: Request, slug: str) -> Response:
        """Change a source; needs If-Match."""
        source = access_source(actor=actor_of(request), slug=slug)
        require_match(request, source.version)
        data = checked(SourcePatch, request)
        if "owner" in data:
            data["owner"] = _person(data["owner"])
        changed = change_source(
            source=source, version=source.version, changes=data, actor=actor_of(request), now=timezone.now()
        )
        return _answer(changed)


class SourceRead(APIView):
    """`/api/v1/sources/{slug}/read/`"""

    required_scope = "inventory:write"

    @extend_schema(operation_id="sources_read", request=None, responses={202: SourceOut})
    def post(self, request: Request, slug: str) -> Response:
        """Have the source read as soon as a worker is free."""
        source = access_source(actor=actor_of(request), slug=slug)
        return _answer(request_read(source=source, actor=actor_of(request), now=timezone.now()), status=202)


class SourceSwitchOff(APIView):
    """`/api/v1/sources/{slug}/switch-off/`"""

    required_scope = "clients:narrow"

    @extend_schema(operation_id="sources_switch_off", request=None, responses=SourceOut)
    def post(self, request: Request, slug: str) -> Response:
        """Stop reading and changing a source."""
        return _switched(request, slug, is_enabled=False)


class SourceSwitchOn(APIView):
    """`/api/v1/sources/{slug}/switch-on/`"""

    required_scope = "clients:restore"

    @extend_schema(operation_id="sources_switch_on", request=None, responses=SourceOut)
    def post(self, request: Request, slug: str) -> Response:
        """Take a source up again."""
        return _switched(request, slug, is_enabled=True)


def _switched(request: Request, slug: str, *, is_enabled: bool) -> Response:
    actor = actor_of(request)
    source = access_source(actor=actor, slug=slug)
    return _answer(switch_source(source=source, is_enabled=is_enabled, actor=actor, now=timezone.now()))


def _answer(source: Source, *, status: int = 200) -> Response:
    return Response(SourceOut(source).data, status=status, headers={"ETag": etag_for(source.version)})


def _person(email: str | None) -> User | None:
    if email is None:
        return None
    person = User.objects.filter(email=email.lower()).first()
    if person is None:
        raise InvalidSource(f"There is nobody with the address {email}.", field="owner")
    return person


urlpatterns = [
    path("sources/", SourceList.as_view(), name="api_source_list"),
    path("sources/<slug:slug>/", SourceDetail.as_view(), name="api_source_detail"),
    path("sources/<slug:slug>/read/", SourceRead.as_view(), name="api_source_read"),
    path("sources/<slug:slug>/switch-off/", SourceSwitchOff.as_view(), name="api_source_switch_off"),
    path("sources/<slug:slug>/switch-on/", SourceSwitchOn.as_view(), name="api_source_switch_on"),
]
