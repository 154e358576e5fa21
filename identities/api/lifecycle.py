"""REST for the life of an identity: where it stands, registering it, and saying how often it is used."""

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.etag import etag_for, require_match
from identities.api.edge import actor_of, checked, require_known_parameters
from identities.api.inventory import IF_MATCH
from identities.api.named import person_named
from identities.models import Identity
from identities.posture.lifecycle import Stage
from identities.posture.lives import life_of
from identities.selectors.inventory import access_identity
from identities.services.identities import MAX_PURPOSE
from identities.services.lifecycle import LONGEST_CADENCE, declare_cadence, register_identity


class LifeStepOut(serializers.Serializer[Any]):
    """One step of its life."""

    stage = serializers.ChoiceField([stage.value for stage in Stage])
    state = serializers.ChoiceField(["done", "now", "todo", "skipped"])
    note = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)


class IdentityLifeOut(serializers.Serializer[Any]):
    """Where it stands. `expected_cadence_days` is how rarely it may be used without being dormant, null for no word."""

    stage = serializers.ChoiceField([stage.value for stage in Stage])
    registered_at = serializers.DateTimeField(allow_null=True)
    expected_cadence_days = serializers.IntegerField(allow_null=True)
    next_act = serializers.CharField()
    steps = LifeStepOut(many=True)


class IdentityRegisterIn(serializers.Serializer[Any]):
    """Who answers for it (an e-mail address), and what it is for."""

    owner = serializers.EmailField()
    purpose = serializers.CharField(max_length=MAX_PURPOSE)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500)


class IdentityCadenceIn(serializers.Serializer[Any]):
    """How rarely it is used; null takes the word back."""

    days = serializers.IntegerField(allow_null=True, min_value=1, max_value=LONGEST_CADENCE)
    reason = serializers.CharField(max_length=500)


class IdentityLife(APIView):
    """`/api/v1/identities/{id}/life/`"""

    required_scope = "inventory:read"

    @extend_schema(operation_id="identities_life", responses=IdentityLifeOut)
    def get(self, request: Request, identity_id: UUID) -> Response:
        """Where it stands in its life, with an ETag for the acts."""
        require_known_parameters(request, ())
        return _life(access_identity(actor=actor_of(request), identity_id=identity_id))


class IdentityRegister(APIView):
    """`/api/v1/identities/{id}/register/`"""

    required_scope = "inventory:write"

    @extend_schema(
        operation_id="identities_register", request=IdentityRegisterIn, responses=IdentityLifeOut, parameters=[IF_MATCH]
    )
    def post(self, request: Request, identity_id: UUID) -> Response:
        """Take it on with an owner and a purpose; needs If-Match."""
        identity = access_identity(actor=actor_of(request), identity_id=identity_id)
        require_match(request, identity.version)
        given = checked(IdentityRegisterIn, request)
        registered = register_identity(
            identity=identity,
            version=identity.version,
            owner=person_named(given["owner"], "owner"),
            purpose=given["purpose"],
            reason=given.get("reason", ""),
            actor=actor_of(request),
            now=timezone.now(),
        )
        return _life(registered)


class IdentityCadence(APIView):
    """`/api/v1/identities/{id}/cadence/`"""

    required_scope = "inventory:write"

    @extend_schema(
        operation_id="identities_cadence", request=IdentityCadenceIn, responses=IdentityLifeOut, parameters=[IF_MATCH]
    )
    def post(self, request: Request, identity_id: UUID) -> Response:
        """Say how rarely it is used, and why; needs If-Match."""
        identity = access_identity(actor=actor_of(request), identity_id=identity_id)
        require_match(request, identity.version)
        given = checked(IdentityCadenceIn, request)
        declared = declare_cadence(
            identity=identity,
            version=identity.version,
            days=given["days"],
            reason=given["reason"],
            actor=actor_of(request),
            now=timezone.now(),
        )
        return _life(declared)


def _life(identity: Identity) -> Response:
    life = life_of(identity)
    answer = {
        "stage": life.stage.value,
        "registered_at": identity.registered_at,
        "expected_cadence_days": identity.expected_cadence_days,
        "next_act": life.next_act,
        "steps": [
            {"stage": step.stage.value, "state": step.state, "note": step.note, "at": step.at} for step in life.steps
        ],
    }
    return Response(IdentityLifeOut(answer).data, headers={"ETag": etag_for(identity.version)})


urlpatterns = [
    path("identities/<uuid:identity_id>/life/", IdentityLife.as_view(), name="api_identity_life"),
    path("identities/<uuid:identity_id>/register/", IdentityRegister.as_view(), name="api_identity_register"),
    path("identities/<uuid:identity_id>/cadence/", IdentityCadence.as_view(), name="api_identity_cadence"),
]
