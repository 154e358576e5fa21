"""REST for posture: the picture in numbers, and the score of one identity with its factors and history."""

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.errors import NotFound
from identities.api.edge import actor_of, require_known_parameters
from identities.models import IdentityPosture, PostureBox, PostureVersion
from identities.posture.policy import policy_in_force
from identities.selectors.inventory import access_identity
from identities.selectors.posture_picture import end_of_last_quarter, get_spread
from identities.selectors.posture_scores import get_posture, list_versions_of, movement_since

MOST_HISTORY = 100


class CountOut(serializers.Serializer[Any]):
    """A name and how many."""

    name = serializers.CharField()
    count = serializers.IntegerField()


class BoxOut(serializers.Serializer[Any]):
    """One box of the picture. `moved`: how many more than at the end of the last quarter; null where nobody knows."""

    box = serializers.ChoiceField(PostureBox.choices)
    identities = serializers.IntegerField()
    moved = serializers.IntegerField(allow_null=True)


class CellOut(serializers.Serializer[Any]):
    """Identities of one level and ten points of exposure, by its upper end, or the worst that it could be."""

    assurance = serializers.IntegerField()
    exposure = serializers.IntegerField()
    box = serializers.ChoiceField(PostureBox.choices)
    count = serializers.IntegerField()


class ExcessOut(serializers.Serializer[Any]):
    """Who holds more than they use, of those whose use is observable."""

    identities = serializers.IntegerField()
    of_measured = serializers.IntegerField()
    not_measured = serializers.IntegerField()


class PostureOut(serializers.Serializer[Any]):
    """The picture of what the caller may see. `unassessed` identities have no score yet and are in no box."""

    measured_on = serializers.DateField(allow_null=True)
    moved_since = serializers.DateTimeField()
    policy = serializers.IntegerField()
    identities = serializers.IntegerField()
    unassessed = serializers.IntegerField()
    boxes = BoxOut(many=True)
    assurance_known = serializers.IntegerField()
    exposure_known = serializers.IntegerField()
    exposure_exact = serializers.IntegerField()
    excess = ExcessOut()
    unmeasured_for_want_of = CountOut(many=True)
    cells = CellOut(many=True)


class FactorOut(serializers.Serializer[Any]):
    """One factor of exposure, in points of the score; `low` and `high` differ where something is unknown."""

    name = serializers.CharField()
    weight = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    input = serializers.CharField(allow_blank=True)
    why = serializers.CharField(allow_blank=True)


class RangeOut(serializers.Serializer[Any]):
    """Lower and upper bound of assurance, 0 to 4."""

    lower = serializers.IntegerField(source="assurance_lower")
    upper = serializers.IntegerField(source="assurance_upper")


class StandOut(serializers.ModelSerializer[Any]):
    """How an identity stood in `[seen_from, seen_until)`."""

    assurance: Any = RangeOut(source="*")
    exposure_low = serializers.FloatField(allow_null=True)
    exposure_high = serializers.FloatField(allow_null=True)
    policy = serializers.IntegerField(source="policy_id")

    class Meta:
        model = PostureVersion
        fields = [
            *("seen_from", "seen_until", "box", "assurance", "exposure_low", "exposure_high", "has_excess", "failed"),
            *("policy", "catalogue_version"),
        ]


class ScoreOut(serializers.ModelSerializer[Any]):
    """How an identity stands now. Exposure is null where too much is unknown; `worst_case` can still be said."""

    assurance: Any = RangeOut(source="*")
    capped_by = serializers.ListField(child=serializers.CharField())
    to_raise = serializers.ListField(child=serializers.CharField())
    exposure_low = serializers.FloatField(allow_null=True)
    exposure_high = serializers.FloatField(allow_null=True)
    worst_case = serializers.FloatField()
    factors = FactorOut(many=True)
    not_applicable = serializers.DictField()
    not_assessable = serializers.DictField()
    policy = serializers.IntegerField(source="policy_id")
    history = serializers.SerializerMethodField()

    class Meta:
        model = IdentityPosture
        fields = [
            *("identity", "box", "assurance", "capped_by", "to_raise", "exposure_low", "exposure_high", "worst_case"),
            *("factors", "has_excess", "failed", "passed", "not_applicable", "not_assessable", "worst_severity"),
            *("policy", "catalogue_version", "assessed_at", "due_at", "history"),
        ]

    def get_history(self, posture: IdentityPosture) -> list[dict[str, Any]]:
        """The latest hundred stretches in which no score changed, latest first."""
        return list(StandOut(list_versions_of(posture.pk, limit=MOST_HISTORY), many=True).data)


class PostureSummary(APIView):
    """`/api/v1/posture/`"""

    required_scope = "inventory:read"

    @extend_schema(operation_id="posture_summary", responses=PostureOut)
    def get(self, request: Request) -> Response:
        """The picture of both axes with its coverage; what the rules say is at `/api/v1/posture/rules/`."""
        require_known_parameters(request, ())
        actor, since = actor_of(request), end_of_last_quarter(timezone.now())
        movement, spread = movement_since(since, actor=actor), get_spread(actor=actor)
        now = movement.now
        told = {
            "measured_on": now.measured_on,
            "moved_since": since,
            "policy": policy_in_force().number,
            "identities": now.identities,
            "unassessed": spread.unassessed,
            "boxes": [{"box": box, "identities": count, "moved": movement.of(box)} for box, count in now.boxes.items()],
            "assurance_known": now.assurance_known,
            "exposure_known": now.exposure_known,
            "exposure_exact": now.exposure_exact,
            "excess": {
                "identities": now.excess,
                "of_measured": now.excess + now.no_excess,
                "not_measured": now.excess_unknown,
            },
            "unmeasured_for_want_of": [_count(*pair) for pair in spread.reasons],
            "cells": spread.cells,
        }
        return Response(PostureOut(told).data)


class IdentityScore(APIView):
    """`/api/v1/identities/{id}/posture/`"""

    required_scope = "inventory:read"

    @extend_schema(operation_id="identities_posture", responses=ScoreOut)
    def get(self, request: Request, identity_id: UUID) -> Response:
        """Its score with every factor, what caps it and what raises it, and its history; 404 before the first one."""
        require_known_parameters(request, ())
        identity = access_identity(actor=actor_of(request), identity_id=identity_id)
        posture = get_posture(identity.pk)
        if posture is None:
            raise NotFound("This identity was not assessed yet; it is after the next reading of its source.")
        return Response(ScoreOut(posture).data)


def _count(name: str, count: int) -> dict[str, Any]:
    return {"name": name, "count": count}


urlpatterns = [
    path("posture/", PostureSummary.as_view(), name="api_posture"),
    path("identities/<uuid:identity_id>/posture/", IdentityScore.as_view(), name="api_identity_posture"),
]
