"""REST for decision domains: list, write down, change."""

from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.etag import etag_for, require_match
from governance.web.pagination import SortKey
from identities.api.edge import actor_of, checked, page_of, require_known_parameters
from identities.models import DecisionDomain, IdentityKind, Source
from identities.selectors.domains import access_domain, list_domains
from identities.selectors.inventory import list_sources
from identities.services.domains import InvalidDomain, change_domain, create_domain

READ_WRITE = {"get": "inventory:read", "post": "inventory:write", "patch": "inventory:write"}
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag you read.")


class DomainOut(serializers.ModelSerializer):
    """A decision domain. Its endpoints stand under `/d/{slug}/access/v1/`."""

    sources: Any = serializers.SlugRelatedField("slug", many=True, read_only=True)
    subject_types: Any = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))

    class Meta:
        model = DecisionDomain
        fields = [
            *("id", "slug", "name", "sources", "is_apart", "is_enabled"),
            *("subject_types", "registered_types", "request_properties", "created_at"),
        ]

    def to_representation(self, instance: DecisionDomain) -> dict[str, Any]:
        """Sources in the order of their names; the database has none of its own."""
        told = super().to_representation(instance)
        return {**told, "sources": sorted(told["sources"])}


class DomainPatch(serializers.Serializer):
    """Fields to change; what is not sent stays, what is sent is replaced as a whole."""

    name = serializers.CharField(max_length=120, required=False)
    sources = serializers.ListField(child=serializers.CharField(), required=False, help_text="Their short names.")
    is_apart = serializers.BooleanField(required=False)
    is_enabled: Any = serializers.BooleanField(required=False)
    subject_types = serializers.DictField(
        child=serializers.ListField(child=serializers.ChoiceField(IdentityKind.choices)),
        required=False,
        help_text="What callers may call subjects, and the kinds of identities that are meant; an empty list is all.",
    )
    registered_types = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Of these types only registered resources exist."
    )
    request_properties = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Attributes that a request may supply where the inventory says nothing: resource.ownerID, subject.*",
    )


class DomainIn(DomainPatch):
    """A new decision domain."""

    slug = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=120)
    sources = serializers.ListField(child=serializers.CharField(), help_text="Short names of sources.")
    is_enabled: Any = None
    subject_types = serializers.DictField(
        child=serializers.ListField(child=serializers.ChoiceField(IdentityKind.choices)),
        help_text="What callers may call subjects, and the kinds of identities that are meant; an empty list is all.",
    )


class DomainList(APIView):
    """`/api/v1/domains/`"""

    required_scope = READ_WRITE
    keyset = (SortKey("slug"), SortKey("pk"))

    @extend_schema(operation_id="domains_list", responses=DomainOut(many=True))
    def get(self, request: Request) -> Response:
        """Decision domains, by short name."""
        require_known_parameters(request, {"cursor", "limit"})
        return page_of(self, request, list_domains(actor=actor_of(request)), DomainOut)

    @extend_schema(operation_id="domains_create", request=DomainIn, responses={201: DomainOut})
    def post(self, request: Request) -> Response:
        """Write a decision domain down. It answers at once."""
        data = checked(DomainIn, request)
        data["sources"] = _sources(request, data["sources"])
        return _answer(create_domain(actor=actor_of(request), now=timezone.now(), **data), status=201)


class DomainDetail(APIView):
    """`/api/v1/domains/{domain}/`"""

    required_scope = READ_WRITE

    @extend_schema(operation_id="domains_retrieve", responses=DomainOut)
    def get(self, request: Request, domain: str) -> Response:
        """One decision domain, with its ETag."""
        return _answer(access_domain(actor=actor_of(request), slug=domain))

    @extend_schema(operation_id="domains_change", request=DomainPatch, responses=DomainOut, parameters=[IF_MATCH])
    def patch(self, request: Request, domain: str) -> Response:
        """Change a decision domain. The next decision goes by it."""
        found = access_domain(actor=actor_of(request), slug=domain)
        require_match(request, found.version)
        changes = checked(DomainPatch, request)
        if "sources" in changes:
            changes["sources"] = _sources(request, changes["sources"])
        return _answer(
            change_domain(
                domain=found, version=found.version, changes=changes, actor=actor_of(request), now=timezone.now()
            )
        )


def _sources(request: Request, slugs: list[str]) -> list[Source]:
    found = {source.slug: source for source in list_sources(actor=actor_of(request)).filter(slug__in=slugs)}
    if strange := [slug for slug in slugs if slug not in found]:
        raise InvalidDomain(f"There is no source called {strange[0][:60]}.", field="sources")
    return list(found.values())


def _answer(domain: DecisionDomain, *, status: int = 200) -> Response:
    return Response(DomainOut(domain).data, status=status, headers={"ETag": etag_for(domain.version)})


urlpatterns = [
    path("domains/", DomainList.as_view(), name="api_domain_list"),
    path("domains/<slug:domain>/", DomainDetail.as_view(), name="api_domain_detail"),
]
