"""REST for trust boundaries: what is trusted, and the records of it."""

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.federation import IssuerSort, Looseness, sort_of_issuer
from governance.web.etag import etag_for, require_match
from governance.web.pagination import KeysetPagination, SortKey
from governance.web.parameters import PAGING
from identities.api.edge import actor_of, checked, choice_parameter, page_of, require_known_parameters
from identities.api.named import person_named
from identities.models import TrustBoundary
from identities.selectors.boundaries import (
    Boundary,
    access_boundary_record,
    list_boundaries,
    list_boundary_records,
)
from identities.selectors.inventory import access_source
from identities.services.boundaries import (
    LONGEST_PATTERN,
    LONGEST_PURPOSE,
    MOST_PATTERNS,
    InvalidBoundary,
    change_boundary,
    register_boundary,
    withdraw_boundary,
)

IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag you read.")
READ_WRITE = {"get": "inventory:read", "post": "inventory:write", "patch": "inventory:write"}


class SubjectOut(serializers.Serializer):
    """One subject pattern. `has_conditions` is null where it is not told, `is_registered` without a record."""

    subject = serializers.CharField(allow_blank=True)
    audience = serializers.CharField(allow_blank=True)
    identities = serializers.IntegerField()
    looseness = serializers.ChoiceField([each.value for each in Looseness])
    words = serializers.CharField()
    is_mutable = serializers.BooleanField()
    lets_in_strangers = serializers.BooleanField()
    has_conditions = serializers.BooleanField(allow_null=True)
    is_registered = serializers.BooleanField(allow_null=True)


class TrustedOut(serializers.Serializer):
    """One issuer whose word one source takes. `is_cut`: not every subject pattern is listed."""

    source: Any = serializers.CharField()
    issuer = serializers.CharField()
    issuer_kind = serializers.ChoiceField([each.value for each in IssuerSort])
    identities = serializers.IntegerField()
    relations = serializers.IntegerField()
    subjects = SubjectOut(many=True)
    is_cut = serializers.BooleanField()
    record = serializers.UUIDField(allow_null=True)


class TrustedPage(serializers.Serializer):
    """The boundaries that fit; of `total` the first are listed."""

    total = serializers.IntegerField()
    results = TrustedOut(many=True)


class RecordOut(serializers.ModelSerializer):
    """A record of a trust boundary. An empty list of audiences means any."""

    source: Any = serializers.SlugRelatedField("slug", read_only=True)
    owner: Any = serializers.SlugRelatedField("email", read_only=True, allow_null=True)

    class Meta:
        model = TrustBoundary
        fields = [
            *("id", "source", "issuer", "subjects", "audiences", "attributes_trusted", "purpose", "owner"),
            *("review_due", "reviewed_at", "created_at", "withdrawn_at"),
        ]


def _patterns(**options: Any) -> serializers.ListField:
    child = serializers.CharField(max_length=LONGEST_PATTERN)
    return serializers.ListField(child=child, max_length=MOST_PATTERNS, **options)


class RecordPatch(serializers.Serializer):
    """What can be changed. The owner is an e-mail address."""

    subjects = _patterns(required=False)
    audiences = _patterns(required=False)
    attributes_trusted = _patterns(required=False)
    purpose = serializers.CharField(required=False, max_length=LONGEST_PURPOSE)
    owner = serializers.EmailField(required=False)
    review_due = serializers.DateField(required=False)


class RecordIn(RecordPatch):
    """A new record."""

    source: Any = serializers.SlugField(max_length=60)
    issuer = serializers.CharField(max_length=LONGEST_PATTERN)
    subjects = _patterns()
    purpose = serializers.CharField(max_length=LONGEST_PURPOSE)
    owner = serializers.EmailField()
    review_due = serializers.DateField()


class WithdrawIn(serializers.Serializer):
    """Why the record holds no longer."""

    reason = serializers.CharField(max_length=2_000)


class TrustedList(APIView):
    """`/api/v1/trusted-issuers/`"""

    required_scope = "inventory:read"

    @extend_schema(
        operation_id="trusted_issuers_list",
        responses=TrustedPage,
        parameters=[
            OpenApiParameter("source", str, description="Short name of a source."),
            OpenApiParameter("q", str, description="Part of an issuer's name."),
            OpenApiParameter("registered", str, enum=["yes", "no"]),
        ],
    )
    def get(self, request: Request) -> Response:
        """Whose word each source takes, those that nobody registered first."""
        require_known_parameters(request, {"source", "q", "registered"})
        found = list_boundaries(
            actor=actor_of(request),
            source=request.query_params.get("source", "").replace("\x00", ""),
            text=request.query_params.get("q", "").replace("\x00", ""),
            registered=choice_parameter(request, "registered", ("yes", "no")),
        )
        return Response({"total": found.total, "results": [_trusted(each) for each in found.rows]})


class RecordList(APIView):
    """`/api/v1/boundaries/`"""

    required_scope = READ_WRITE
    pagination_class = KeysetPagination
    keyset = (SortKey("issuer"), SortKey("pk"))

    @extend_schema(operation_id="boundaries_list", responses=RecordOut(many=True))
    def get(self, request: Request) -> Response:
        """Records of trust boundaries by issuer, also withdrawn ones."""
        require_known_parameters(request, PAGING)
        return page_of(self, request, list_boundary_records(actor=actor_of(request)), RecordOut)

    @extend_schema(operation_id="boundaries_register", request=RecordIn, responses={201: RecordOut})
    def post(self, request: Request) -> Response:
        """Register a boundary."""
        require_known_parameters(request, ())
        wish = _people(checked(RecordIn, request))
        source = access_source(actor=actor_of(request), slug=wish.pop("source"))
        lists: dict[str, list[str]] = {"audiences": [], "attributes_trusted": []}
        boundary = register_boundary(source=source, actor=actor_of(request), now=timezone.now(), **(lists | wish))
        return _told(boundary, status.HTTP_201_CREATED)


class RecordDetail(APIView):
    """`/api/v1/boundaries/{id}/`"""

    required_scope = READ_WRITE

    @extend_schema(operation_id="boundaries_retrieve", responses=RecordOut)
    def get(self, request: Request, boundary_id: UUID) -> Response:
        """One record, with an ETag."""
        require_known_parameters(request, ())
        return _told(access_boundary_record(actor=actor_of(request), boundary_id=boundary_id))

    @extend_schema(operation_id="boundaries_change", request=RecordPatch, responses=RecordOut, parameters=[IF_MATCH])
    def patch(self, request: Request, boundary_id: UUID) -> Response:
        """Change a record; needs If-Match."""
        require_known_parameters(request, ())
        seen = access_boundary_record(actor=actor_of(request), boundary_id=boundary_id)
        require_match(request, seen.version)
        changes = _people(checked(RecordPatch, request))
        changed = change_boundary(
            boundary=seen, version=seen.version, changes=changes, actor=actor_of(request), now=timezone.now()
        )
        return _told(changed)


class RecordWithdrawal(APIView):
    """`/api/v1/boundaries/{id}/withdraw/`"""

    required_scope = "inventory:write"

    @extend_schema(operation_id="boundaries_withdraw", request=WithdrawIn, responses={204: None}, parameters=[IF_MATCH])
    def post(self, request: Request, boundary_id: UUID) -> Response:
        """The record holds no longer; needs If-Match."""
        require_known_parameters(request, ())
        seen = access_boundary_record(actor=actor_of(request), boundary_id=boundary_id)
        require_match(request, seen.version)
        wish = checked(WithdrawIn, request)
        withdraw_boundary(
            boundary=seen, version=seen.version, reason=wish["reason"], actor=actor_of(request), now=timezone.now()
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


def _people(wish: dict[str, Any]) -> dict[str, Any]:
    if "owner" in wish:
        wish["owner"] = person_named(wish["owner"], "owner")
        if wish["owner"] is None:
            raise InvalidBoundary("Name somebody who answers for it.", field="owner")
    return wish


def _told(boundary: TrustBoundary, code: int = status.HTTP_200_OK) -> Response:
    return Response(RecordOut(boundary).data, status=code, headers={"ETag": etag_for(boundary.version)})


def _trusted(found: Boundary) -> dict[str, Any]:
    return {
        "source": found.slug,
        "issuer": found.issuer,
        "issuer_kind": sort_of_issuer(found.issuer).value,
        "identities": found.identities,
        "relations": found.relations,
        "subjects": [
            {
                "subject": line.subject,
                "audience": line.audience,
                "identities": line.identities,
                "looseness": line.judgement.looseness.value,
                "words": line.judgement.words,
                "is_mutable": line.judgement.is_mutable,
                "lets_in_strangers": line.judgement.lets_in_strangers,
                "has_conditions": line.has_conditions,
                "is_registered": line.is_registered,
            }
            for line in found.lines
        ],
        "is_cut": found.is_cut,
        "record": found.record.pk if found.record else None,
    }


urlpatterns = [
    path("trusted-issuers/", TrustedList.as_view(), name="api_trusted_issuer_list"),
    path("boundaries/", RecordList.as_view(), name="api_boundary_list"),
    path("boundaries/<uuid:boundary_id>/", RecordDetail.as_view(), name="api_boundary_detail"),
    path("boundaries/<uuid:boundary_id>/withdraw/", RecordWithdrawal.as_view(), name="api_boundary_withdraw"),
]
