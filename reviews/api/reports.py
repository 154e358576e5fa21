"""`/api/v1/campaigns/{id}/report/`: what came of one review, in whole numbers."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.parameters import require_known_parameters
from reviews.api.requests import actor_of
from reviews.reports.campaign import campaign_report
from reviews.reports.clock import zone_for
from reviews.selectors import access_campaign

ZONE = OpenApiParameter("zone", str, description="The clock on which days begin, e.g. Europe/Berlin.")


class PointOut(serializers.Serializer[dict[str, Any]]):
    """The end of one day: open questions (null for days to come) and what an even pace would leave."""

    day = serializers.DateField()
    open = serializers.IntegerField(allow_null=True)
    planned = serializers.IntegerField()


class ShareOut(serializers.Serializer[dict[str, Any]]):
    """So many of so many."""

    count = serializers.IntegerField()
    of = serializers.IntegerField()


class ReportOut(serializers.Serializer[dict[str, Any]]):
    """The report of one review (docs/reports.md). `is_final`: no answer changes any more; orders may go on."""

    format = serializers.IntegerField()
    campaign = serializers.DictField()
    as_of = serializers.DateTimeField()
    people_as_of = serializers.DateTimeField(help_text="When `quality` and `answers.teams` were counted.")
    time_zone = serializers.CharField()
    is_final = serializers.BooleanField()
    progress = serializers.DictField(child=serializers.IntegerField(), help_text="Questions by state.")
    burn_down = PointOut(many=True)
    on_time = ShareOut(help_text="Answered by people until the deadline, of what people had to answer.")
    answers = serializers.DictField(help_text="What ended questions: by author, by kind and answer, stage and team.")
    silence = serializers.DictField(help_text="What the deadline decided because nobody answered.")
    orders = serializers.DictField(help_text="By state, and seconds from decision to verified removal.")
    excess = serializers.DictField(help_text="Identities that hold too much, when it opened and verified now.")
    removed = serializers.DictField(help_text="What is gone, verified, by privilege class and segment.")
    restored = serializers.IntegerField()
    reappeared = serializers.IntegerField()
    quality = serializers.DictField(help_text="How people answered; no names. Times in milliseconds.")


class CampaignReport(APIView):
    """`/api/v1/campaigns/{id}/report/`"""

    required_scope = "reviews:read"
    further_refusals = ("422",)  # for a clock that does not exist

    @extend_schema(operation_id="campaigns_report", responses=ReportOut, parameters=[ZONE])
    def get(self, request: Request, campaign_id: UUID) -> Response:
        """What came of a review, as of now. 422 `invalid-rule` for a clock that does not exist."""
        require_known_parameters(request, {"zone"})
        campaign = access_campaign(actor=actor_of(request), campaign_id=campaign_id)
        zone = zone_for(request.query_params.get("zone", ""), campaign)
        return Response(campaign_report(campaign, now=timezone.now(), zone=zone))
