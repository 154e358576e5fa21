"""`/api/v1/grants/{id}/approvals/`: who approved a permission, when, on which version, having seen what."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.parameters import require_known_parameters
from reviews.api.requests import actor_of
from reviews.evidence.approvals import Independence, Standing, access_reviewed_grant, approvals_of, sentence_of
from reviews.models import Answer, Order


class ApprovalOrderOut(serializers.ModelSerializer[Order]):
    """What came of the answer at the source; `verified_by_run` is the reading that proves it."""

    class Meta:
        model = Order
        fields = ["id", "action", "state", "applied_at", "verified_at", "verified_by_run", "outcome"]


class ApprovalOut(serializers.Serializer[Any]):
    """One answer. `decided_by` is null where a policy answered, `carries` names the answer that it repeats.

    `version` and `digest` are of the content that was decided on. `seen` is what the reviewer was shown, with its
    SHA-256; null where the question was asked anew since, and the earlier evidence is not kept.
    """

    id = serializers.UUIDField(source="decision.id")
    item = serializers.UUIDField(source="decision.item_id")
    campaign = serializers.UUIDField(source="decision.item.campaign_id")
    answer = serializers.ChoiceField(Answer.values, source="decision.answer")
    decided_at = serializers.DateTimeField(source="decision.decided_at")
    decided_by = serializers.UUIDField(source="decision.decided_by_id", allow_null=True)
    decided_by_policy = serializers.CharField(source="decision.decided_by_policy", allow_blank=True)
    auth_method = serializers.CharField(source="decision.auth_method", allow_blank=True)
    independence = serializers.ChoiceField([each.value for each in Independence])
    is_attestation = serializers.BooleanField(source="decision.is_attestation")
    is_bulk = serializers.BooleanField(source="decision.is_bulk")
    is_standing = serializers.BooleanField()
    until = serializers.DateTimeField(source="decision.until", allow_null=True)
    reason = serializers.CharField(source="decision.reason", allow_blank=True)
    recalls = serializers.UUIDField(source="decision.recalls_id", allow_null=True)
    carries = serializers.UUIDField(source="decision.carries_id", allow_null=True)
    generation = serializers.IntegerField(source="decision.generation")
    version = serializers.IntegerField(allow_null=True)
    digest = serializers.CharField(allow_blank=True)
    seen = serializers.SerializerMethodField()
    seen_digest = serializers.CharField(allow_blank=True)
    orders = ApprovalOrderOut(many=True)

    def get_seen(self, approval: Any) -> dict[str, Any] | None:
        """What the reviewer was shown."""
        return approval.decision.item.seen if approval.has_seen else None


class LapseOut(serializers.Serializer[Any]):
    """An approval that ended by itself; `event` is its record in the trail."""

    at = serializers.DateTimeField()
    why = serializers.CharField()
    event = serializers.UUIDField(source="event_id")


class GrantApprovalsOut(serializers.Serializer[Any]):
    """Latest first. `sentence` says for people what `standing` says for programs."""

    grant = serializers.UUIDField(source="grant.id")
    standing = serializers.ChoiceField([each.value for each in Standing])
    sentence = serializers.SerializerMethodField()
    current_version = serializers.IntegerField(source="current.number", allow_null=True, default=None)
    approved_version = serializers.IntegerField(allow_null=True)
    approved_at = serializers.DateTimeField(source="grant.reviewed_at", allow_null=True)
    approved_until = serializers.DateTimeField(source="grant.approved_until", allow_null=True)
    answers = ApprovalOut(many=True)
    lapses = LapseOut(many=True)
    has_more = serializers.BooleanField(help_text="There are older answers than the 200 listed.")

    def get_sentence(self, found: Any) -> str:
        """Whether it is approved as it is now, in one sentence."""
        return sentence_of(found)


class GrantApprovals(APIView):
    """`/api/v1/grants/{id}/approvals/`"""

    required_scope = "reviews:read"

    @extend_schema(operation_id="grants_approvals", responses=GrantApprovalsOut)
    def get(self, request: Request, grant_id: UUID) -> Response:
        """Who approved this permission, when, on which version, having seen what, and what came of it."""
        require_known_parameters(request, ())
        actor = actor_of(request)
        grant = access_reviewed_grant(actor=actor, grant_id=grant_id)
        return Response(GrantApprovalsOut(approvals_of(grant, actor=actor)).data)
