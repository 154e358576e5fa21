"""REST for the blast radius: what an identity reaches itself, by escalation, and by one step on."""

from typing import Any
from uuid import UUID

from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.breadth import ORDER
from governance.kernel.escalation import CATALOGUE_VERSION
from governance.kernel.privileges import SEGMENTS, PrivilegeClass
from identities.api.edge import actor_of, require_known_parameters
from identities.models import Environment
from identities.selectors.inventory import access_identity
from identities.selectors.reach.radius import Radius, radius_of
from identities.selectors.reach.trial import InvalidTrial, read_narrowing

NARROWING = [
    OpenApiParameter("grant", UUID, description="A grant of it: answer as if it were narrowed to `target`."),
    OpenApiParameter("target", str, description="What would remain of the grant, as JSON; left out: nothing."),
]


class ReachedOut(serializers.Serializer):
    """One pattern of things. `grants` are the grants that lead there."""

    segment = serializers.ChoiceField(SEGMENTS)
    place = serializers.CharField()
    name = serializers.CharField()
    dialect = serializers.CharField()
    resource = serializers.CharField()
    classes = serializers.ListField(child=serializers.ChoiceField([each.value for each in PrivilegeClass]))
    is_privileged = serializers.BooleanField()
    grants = serializers.ListField(child=serializers.UUIDField())


class PrimitiveOut(serializers.Serializer):
    """One way to get more than was given. Not direct: it hangs on something that the permission does not tell of."""

    name = serializers.CharField()
    is_direct = serializers.BooleanField()
    words = serializers.CharField()
    source: Any = serializers.CharField()


class BehindOut(serializers.Serializer):
    """Grants of another identity in one segment."""

    segment = serializers.CharField(allow_blank=True)
    grants = serializers.IntegerField()
    privileged = serializers.IntegerField()


class ReachStepOut(serializers.Serializer):
    """Another identity that this one can become. `whole`: how many the same way leads to."""

    identity = serializers.UUIDField()
    name = serializers.CharField()
    via = serializers.CharField()
    is_conditional = serializers.BooleanField()
    grant = serializers.UUIDField(allow_null=True)
    environment = serializers.ChoiceField(Environment.choices)
    whole = serializers.IntegerField()
    behind = BehindOut(many=True)


class ReachOut(serializers.Serializer):
    """Blast radius. `breadth` is null where a pattern does not tell; `unread` grants may reach anything."""

    identity = serializers.UUIDField()
    breadth = serializers.ChoiceField(ORDER, allow_null=True)
    reached = ReachedOut(many=True)
    escalation = PrimitiveOut(many=True)
    steps = ReachStepOut(many=True)
    step_count = serializers.IntegerField()
    grants = serializers.IntegerField()
    unread = serializers.IntegerField()
    is_cut = serializers.BooleanField()
    catalogue_version = serializers.CharField()


class IdentityReach(APIView):
    """`/api/v1/identities/{id}/reach/`"""

    required_scope = "inventory:read"

    @extend_schema(operation_id="identities_reach", responses=ReachOut, parameters=NARROWING)
    def get(self, request: Request, identity_id: UUID) -> Response:
        """What somebody reaches who takes the identity over, now or after one of its grants is narrowed."""
        require_known_parameters(request, {"grant", "target"})
        actor = actor_of(request)
        identity = access_identity(actor=actor, identity_id=identity_id)
        narrowing = read_narrowing(
            identity_id=identity.pk,
            grant=request.query_params.get("grant", ""),
            target=request.query_params.get("target", ""),
        )
        if narrowing is not None and not narrowing.verdict.holds:
            raise InvalidTrial(narrowing.verdict.explain(), field="target")
        radius = radius_of(identity.pk, actor=actor, instead=narrowing.instead if narrowing else None)
        return Response(_document(identity.pk, radius))


def _document(identity_id: UUID, radius: Radius) -> dict[str, Any]:
    return {
        "identity": identity_id,
        "breadth": radius.breadth,
        "reached": [
            {
                "segment": each.segment,
                "place": each.place,
                "name": each.name,
                "dialect": each.dialect,
                "resource": each.resource,
                "classes": sorted(each.classes),
                "is_privileged": each.is_privileged,
                "grants": [pk for pk, _ in each.grants],
            }
            for each in radius.targets
        ],
        "escalation": [
            {"name": each.name, "is_direct": each.is_direct, "words": each.words, "source": each.source}
            for each in radius.primitives
        ],
        "steps": [
            {
                "identity": each.hop.identity_id,
                "name": each.hop.name,
                "via": each.hop.via,
                "is_conditional": each.hop.is_conditional,
                "grant": each.hop.grant_id,
                "environment": each.hop.environment,
                "whole": each.hop.whole,
                "behind": [
                    {"segment": segment, "grants": count, "privileged": privileged}
                    for segment, count, privileged in each.segments
                ],
            }
            for each in radius.onward
        ],
        "step_count": radius.steps if radius.onward else 0,
        "grants": radius.grants,
        "unread": radius.unread,
        "is_cut": radius.is_cut,
        "catalogue_version": CATALOGUE_VERSION,
    }


urlpatterns = [path("identities/<uuid:identity_id>/reach/", IdentityReach.as_view(), name="api_identity_reach")]
