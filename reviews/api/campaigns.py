"""`/api/v1/campaigns/`: reviews and how far they are."""

import json
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.etag import etag_for
from governance.web.pagination import SortKey
from governance.web.parameters import checked, require_known_parameters
from identities.services.request_keys import AlreadyDone
from reviews.api.plans import IDEMPOTENCY_KEY, READ_WRITE, PlanIn, chosen_of, once_of
from reviews.api.requests import actor_of, choice, page_of
from reviews.campaigns.closing import release_campaign
from reviews.campaigns.launching import LONGEST_NAME, launch_campaign
from reviews.campaigns.rounds import ask_again, list_rounds
from reviews.models import Campaign
from reviews.selectors import access_campaign, campaign_progress, list_campaigns, order_progress
from reviews.states import CampaignState

STATES = [state.value for state in CampaignState]


class CampaignOut(serializers.ModelSerializer[Campaign]):
    """One review. `frozen` says of which reading of which source its questions are."""

    manager: Any = serializers.SlugRelatedField("email", read_only=True)

    class Meta:
        model = Campaign
        fields = [
            *("id", "name", "state", "schedule", "scheduled_for", "scope", "item_kinds", "reviewer_rules"),
            *("deadline_policy", "manager", "frozen", "first_round", "round", "created_at", "opened_at"),
            *("deadline_at", "closed_at", "completed_at", "cancelled_reason"),
        ]


class ProgressOut(serializers.Serializer[dict[str, object]]):
    """How many questions and orders are in which state."""

    state = serializers.ChoiceField(STATES)
    items = serializers.DictField(child=serializers.IntegerField(), help_text="By state, with total and undecided.")
    orders = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="By state, with total; held: those of the planned that a brake holds.",
    )


class CampaignIn(PlanIn):
    """A review that starts now."""

    name = serializers.CharField(max_length=LONGEST_NAME)


class RoundOut(serializers.ModelSerializer[Campaign]):
    """One round of a review with its counts. `decided` includes what the deadline's policy answered (`by_policy`)."""

    asked = serializers.IntegerField(read_only=True)
    decided = serializers.IntegerField(read_only=True)
    by_policy = serializers.IntegerField(read_only=True)
    silent = serializers.IntegerField(read_only=True, help_text="Ended without any answer.")

    class Meta:
        model = Campaign
        fields = ["id", "round", "name", "state", "deadline_at", "asked", "decided", "by_policy", "silent"]


class CampaignList(APIView):
    """`/api/v1/campaigns/`"""

    required_scope = READ_WRITE
    keyset = (SortKey("created_at", descending=True), SortKey("pk", descending=True))
    filters = ("state",)

    @extend_schema(
        operation_id="campaigns_list",
        responses=CampaignOut(many=True),
        parameters=[OpenApiParameter("state", str, enum=STATES, description="Only reviews in this state.")],
    )
    def get(self, request: Request) -> Response:
        """Reviews, newest first."""
        campaigns = list_campaigns(actor=actor_of(request))
        state = choice(request, "state", STATES)
        return page_of(self, request, campaigns.filter(state=state) if state else campaigns, CampaignOut)

    @extend_schema(
        operation_id="campaigns_create",
        request=CampaignIn,
        responses={201: CampaignOut},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request) -> Response:
        """Start a review now, without a schedule. Its questions are written in the background.

        `POST /api/v1/campaign-previews/` says beforehand what it would mean. A scope that matches nothing is refused
        (`nothing-to-review`).
        """
        require_known_parameters(request, ())
        chosen = chosen_of(checked(CampaignIn, request))
        once = once_of(request, told)
        try:
            campaign = launch_campaign(actor=actor_of(request), now=timezone.now(), once=once, **chosen)
        except AlreadyDone as earlier:
            return Response(earlier.answer, status=201, headers={"Idempotency-Replayed": "true"})
        return Response(told(campaign), status=201, headers={"ETag": etag_for(campaign.version)})


def told(campaign: Campaign) -> dict[str, Any]:
    """A campaign as plain JSON, as it is answered and kept under a key."""
    plain: dict[str, Any] = json.loads(JSONRenderer().render(CampaignOut(campaign).data))
    return plain


class CampaignDetail(APIView):
    """`/api/v1/campaigns/{id}/`"""

    required_scope = "reviews:read"

    @extend_schema(operation_id="campaigns_retrieve", responses=CampaignOut)
    def get(self, request: Request, campaign_id: UUID) -> Response:
        """One review."""
        campaign = access_campaign(actor=actor_of(request), campaign_id=campaign_id)
        return Response(CampaignOut(campaign).data, headers={"ETag": etag_for(campaign.version)})


class ReleaseIn(serializers.Serializer[dict[str, Any]]):
    """Why a review need not wait for its sources."""

    reason = serializers.CharField(max_length=2000)


class CampaignRelease(APIView):
    """`/api/v1/campaigns/{id}/release/`"""

    required_scope = "reviews:write"

    @extend_schema(operation_id="campaigns_release", request=ReleaseIn, responses=CampaignOut)
    def post(self, request: Request, campaign_id: UUID) -> Response:
        """Let a review open that waits for stale sources (`frozen.held`). 409 `not-held` where it does not wait."""
        campaign = access_campaign(actor=actor_of(request), campaign_id=campaign_id)
        reason = checked(ReleaseIn, request)["reason"]
        released = release_campaign(campaign=campaign, reason=reason, actor=actor_of(request), now=timezone.now())
        return Response(told(released), headers={"ETag": etag_for(released.version)})


class CampaignProgress(APIView):
    """`/api/v1/campaigns/{id}/progress/`"""

    required_scope = "reviews:read"

    @extend_schema(operation_id="campaigns_progress", responses=ProgressOut)
    def get(self, request: Request, campaign_id: UUID) -> Response:
        """How far a review is: questions and orders by state."""
        campaign = access_campaign(actor=actor_of(request), campaign_id=campaign_id)
        return Response(
            {"state": campaign.state, "items": campaign_progress(campaign), "orders": order_progress(campaign)}
        )


class CampaignRounds(APIView):
    """`/api/v1/campaigns/{id}/rounds/`"""

    required_scope = {"get": "reviews:read", "post": "reviews:write"}

    @extend_schema(operation_id="campaigns_rounds", responses=RoundOut(many=True))
    def get(self, request: Request, campaign_id: UUID) -> Response:
        """Every round of a review with its counts, the first one first. There are at most six."""
        campaign = access_campaign(actor=actor_of(request), campaign_id=campaign_id)
        return Response(RoundOut(list_rounds(campaign), many=True).data)

    @extend_schema(operation_id="campaigns_ask_again", request=None, responses={201: CampaignOut})
    def post(self, request: Request, campaign_id: UUID) -> Response:
        """Ask again what stayed unanswered. The token needs `reviews:read` as well.

        409 `asked-again` names the round that exists already.
        """
        campaign = access_campaign(actor=actor_of(request), campaign_id=campaign_id)
        following = ask_again(campaign=campaign, actor=actor_of(request), now=timezone.now())
        return Response(CampaignOut(following).data, status=201, headers={"ETag": etag_for(following.version)})
