"""`/api/v1/delegations/`: who answers in somebody's place, from when until when."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.errors import DomainError
from governance.people.models import User
from governance.web.etag import etag_for, require_match
from governance.web.pagination import SortKey
from governance.web.parameters import checked
from reviews.api.requests import actor_of, choice, page_of
from reviews.decisions import create_delegation, end_delegation
from reviews.decisions.delegating import MOST_NAMED
from reviews.models import Delegation
from reviews.selectors import access_delegation, list_delegations

STATES = ["planned", "active", "ended"]
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag of the delegation that you read."
)


class UnknownStandIn(DomainError):
    """There is nobody with the address given for the person or the stand-in."""

    code = "unknown-stand-in"


class DelegationOut(serializers.ModelSerializer[Delegation]):
    """`delegate` answers in the place of `person`; empty lists mean everything."""

    person: Any = serializers.SlugRelatedField("email", read_only=True)
    delegate: Any = serializers.SlugRelatedField("email", read_only=True)
    state = serializers.ChoiceField(STATES, read_only=True)

    class Meta:
        model = Delegation
        fields = [
            *("id", "person", "delegate", "state", "starts_at", "ends_at", "campaigns", "sources", "reason"),
            *("created_at", "started_at", "ended_at"),
        ]


class DelegationIn(serializers.Serializer[dict[str, Any]]):
    """Who is away, who answers, and when. People are e-mail addresses, campaigns and sources are ids."""

    person = serializers.EmailField(max_length=254)
    delegate = serializers.EmailField(max_length=254)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    campaigns = serializers.ListField(child=serializers.UUIDField(), max_length=MOST_NAMED, required=False)
    sources = serializers.ListField(child=serializers.UUIDField(), max_length=MOST_NAMED, required=False)
    reason = serializers.CharField(max_length=1000)


class DelegationEndIn(serializers.Serializer[dict[str, Any]]):
    """Why it ends before its date."""

    reason = serializers.CharField(max_length=1000)


class DelegationList(APIView):
    """`/api/v1/delegations/`"""

    required_scope = {"get": "reviews:read", "post": "reviews:write"}
    keyset = (SortKey("starts_at", descending=True), SortKey("pk", descending=True))
    filters = ("state",)

    @extend_schema(
        operation_id="delegations_list",
        responses=DelegationOut(many=True),
        parameters=[OpenApiParameter("state", str, enum=STATES, description="Only delegations in this state.")],
    )
    def get(self, request: Request) -> Response:
        """Who stands in for whom, the latest start first."""
        rows = list_delegations(actor=actor_of(request))
        match choice(request, "state", STATES):
            case "planned":
                rows = rows.filter(started_at=None, ended_at=None)
            case "active":
                rows = rows.filter(started_at__isnull=False, ended_at=None)
            case "ended":
                rows = rows.filter(ended_at__isnull=False)
        return page_of(self, request, rows, DelegationOut)

    @extend_schema(operation_id="delegations_create", request=DelegationIn, responses={201: DelegationOut})
    def post(self, request: Request) -> Response:
        """Name who answers for somebody. Sent twice, the second is refused (409, `already-away`)."""
        data = checked(DelegationIn, request)
        person, delegate = (_person(data.pop(name), name) for name in ("person", "delegate"))
        delegation = create_delegation(
            person=person, delegate=delegate, actor=actor_of(request), now=timezone.now(), **data
        )
        return Response(DelegationOut(delegation).data, status=201, headers={"ETag": etag_for(delegation.version)})


class DelegationDetail(APIView):
    """`/api/v1/delegations/{id}/`"""

    required_scope = "reviews:read"

    @extend_schema(operation_id="delegations_retrieve", responses=DelegationOut)
    def get(self, request: Request, delegation_id: UUID) -> Response:
        """One delegation, with an ETag."""
        delegation = access_delegation(actor=actor_of(request), delegation_id=delegation_id)
        return Response(DelegationOut(delegation).data, headers={"ETag": etag_for(delegation.version)})


class DelegationEnd(APIView):
    """`/api/v1/delegations/{id}/end/`"""

    required_scope = "reviews:write"

    @extend_schema(
        operation_id="delegations_end", request=DelegationEndIn, responses=DelegationOut, parameters=[IF_MATCH]
    )
    def post(self, request: Request, delegation_id: UUID) -> Response:
        """End it now; what is unanswered goes back."""
        actor = actor_of(request)
        delegation = access_delegation(actor=actor, delegation_id=delegation_id)
        require_match(request, delegation.version)
        ended = end_delegation(
            delegation=delegation, actor=actor, now=timezone.now(), reason=checked(DelegationEndIn, request)["reason"]
        )
        return Response(DelegationOut(ended).data, headers={"ETag": etag_for(ended.version)})


def _person(email: str, field: str) -> User:
    person = User.objects.filter(email=email.lower()).first()
    if person is None:
        raise UnknownStandIn("There is nobody with this address.", fields={field: "unknown"})
    return person
