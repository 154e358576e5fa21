"""`/api/v1/audit/holds/` and `/api/v1/audit/erasures/`: legal holds and erasure for programs."""

from dataclasses import asdict
from typing import Any, cast
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.audit.erasure import erase_person, preview_erasure
from governance.audit.holds import lift_hold, list_holds, place_hold
from governance.audit.models import LegalHold
from governance.kernel.actors import Actor
from governance.web.authentication import ApiClient
from governance.web.parameters import checked, require_known_parameters

SCOPES = {"get": "audit:read", "post": "audit:write"}


class HoldOut(serializers.ModelSerializer[LegalHold]):
    """A legal hold; `subject` is the id of the review, person or identity, empty for a time."""

    subject: Any = serializers.CharField(source="subject_id")

    class Meta:
        model = LegalHold
        fields = [
            *("id", "kind", "subject", "since", "until", "reason", "placed_by", "placed_at"),
            *("lifted_by", "lifted_at", "lifted_reason"),
        ]


class HoldIn(serializers.Serializer[dict[str, Any]]):
    """`subject` for the kinds `campaign`, `person` and `identity`; `since` and `until` (not included) for `period`."""

    kind = serializers.ChoiceField(LegalHold.Kind.choices)
    subject = serializers.UUIDField(required=False, allow_null=True, default=None)
    since = serializers.DateTimeField(required=False, allow_null=True, default=None)
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)
    reason = serializers.CharField(max_length=1000)


class HoldListOut(serializers.Serializer[Any]):
    """Holds in force first."""

    results = HoldOut(many=True)


class LiftIn(serializers.Serializer[dict[str, Any]]):
    """Why the hold ends."""

    reason = serializers.CharField(max_length=1000)


class ErasureIn(serializers.Serializer[dict[str, Any]]):
    """Whose details go. `dry_run` erases nothing and says what would go."""

    person = serializers.UUIDField()
    include_reasons = serializers.BooleanField(default=False)
    reason = serializers.CharField(max_length=1000)
    dry_run = serializers.BooleanField(default=False)


class ErasureOut(serializers.Serializer[Any]):
    """What went (or would go), and what stays. `erased` is 0 for a dry run."""

    erased = serializers.IntegerField()
    going = serializers.IntegerField()
    with_personal_data = serializers.IntegerField()
    staying = serializers.IntegerField()
    erased_before = serializers.IntegerField()
    events = serializers.IntegerField()
    held = serializers.IntegerField()
    holds = serializers.CharField(allow_blank=True)


class HoldList(APIView):
    """`/api/v1/audit/holds/`"""

    required_scope = SCOPES

    @extend_schema(operation_id="audit_holds_page", responses=HoldListOut)
    def get(self, request: Request) -> Response:
        """Every hold, those in force first."""
        require_known_parameters(request, ())
        return Response({"results": HoldOut(list_holds(), many=True).data})

    @extend_schema(operation_id="audit_holds_place", request=HoldIn, responses={201: HoldOut})
    def post(self, request: Request) -> Response:
        """Refuse every erasure and retirement that this concerns, until the hold is lifted."""
        data = checked(HoldIn, request)
        subject = data.pop("subject")
        hold = place_hold(subject_id=str(subject) if subject else "", actor=_actor(request), now=timezone.now(), **data)
        return Response(HoldOut(hold).data, status=201)


class HoldLift(APIView):
    """`/api/v1/audit/holds/{id}/lift/`"""

    required_scope = SCOPES

    @extend_schema(operation_id="audit_holds_lift", request=LiftIn, responses=HoldOut)
    def post(self, request: Request, hold_id: UUID) -> Response:
        """End the hold."""
        reason = checked(LiftIn, request)["reason"]
        hold = lift_hold(hold_id=hold_id, reason=reason, actor=_actor(request), now=timezone.now())
        return Response(HoldOut(hold).data)


class ErasureList(APIView):
    """`/api/v1/audit/erasures/`"""

    required_scope = SCOPES

    @extend_schema(operation_id="audit_erasures_create", request=ErasureIn, responses=ErasureOut)
    def post(self, request: Request) -> Response:
        """Erase the details of events by or about a person."""
        data = checked(ErasureIn, request)
        person, include_reasons = data["person"], data["include_reasons"]
        preview = preview_erasure(person_id=person, include_reasons=include_reasons)
        erased = 0
        if not data["dry_run"]:
            erased = erase_person(
                person_id=person,
                include_reasons=include_reasons,
                actor=_actor(request),
                now=timezone.now(),
                reason=data["reason"],
            )
        return Response({"erased": erased, **asdict(preview)})


def _actor(request: Request) -> Actor:
    return cast(ApiClient, request.user).actor
