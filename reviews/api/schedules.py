"""`/api/v1/schedules/`: when reviews fall due."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.etag import etag_for, require_match
from governance.web.pagination import SortKey
from governance.web.parameters import checked, require_known_parameters
from identities.services.request_keys import AlreadyDone
from reviews.api.campaigns import CampaignOut, told
from reviews.api.plans import IDEMPOTENCY_KEY, IF_MATCH, READ_WRITE, PlanPatch, chosen_of, once_of
from reviews.api.requests import actor_of, page_of
from reviews.campaigns.due import run_now
from reviews.campaigns.reasoning import approve_interval
from reviews.campaigns.schedules import (
    LONGEST_NAME,
    change_schedule,
    create_schedule,
    next_dates,
    pause_schedule,
    resume_schedule,
)
from reviews.models import IntervalReasoning, ReviewSchedule
from reviews.selectors import access_schedule, list_schedules, reasoning_of

SHOWN_DATES = 5


class ScheduleOut(serializers.ModelSerializer[ReviewSchedule]):
    """One recurring review. `scope` is the filter of the identity list."""

    fallback_reviewer: Any = serializers.SlugRelatedField("email", read_only=True)
    independent_reviewer = serializers.SlugRelatedField("email", read_only=True, allow_null=True)  # type: ignore[var-annotated]
    created_by: Any = serializers.SlugRelatedField("email", read_only=True)

    class Meta:
        model = ReviewSchedule
        fields = [
            *("id", "name", "scope", "item_kinds", "rrule", "time_zone", "starts_at", "duration_days"),
            *("reviewer_rules", "fallback_reviewer", "independent_reviewer", "deadline_policy", "policy"),
            *("interval_reason",),
            *("is_enabled", "next_due_at", "created_by", "created_at"),
        ]


class ReasoningOut(serializers.ModelSerializer[IntervalReasoning]):
    """Who wrote why the interval is short enough, and who approved it; null where nobody has."""

    written_by: Any = serializers.SlugRelatedField("email", read_only=True)
    approved_by = serializers.SlugRelatedField("email", read_only=True, allow_null=True)  # type: ignore[var-annotated]

    class Meta:
        model = IntervalReasoning
        fields = ["written_by", "written_at", "approved_by", "approved_at"]


class ScheduleWithDates(ScheduleOut):
    """The same with its next five dates, and who approved its interval."""

    next_dates = serializers.ListField(child=serializers.DateTimeField(), read_only=True)
    interval_approval = ReasoningOut(read_only=True)

    class Meta(ScheduleOut.Meta):
        fields = [*ScheduleOut.Meta.fields, "next_dates", "interval_approval"]


class SchedulePatch(PlanPatch):
    """What can be changed of a schedule; campaigns that exist stay as they are."""

    name = serializers.CharField(required=False, max_length=LONGEST_NAME)
    rrule = serializers.CharField(required=False, max_length=300, help_text="RFC 5545, e.g. FREQ=MONTHLY;INTERVAL=3.")
    time_zone = serializers.CharField(required=False, max_length=64)
    starts_at = serializers.DateTimeField(required=False)
    interval_reason = serializers.CharField(required=False, max_length=4000)


class ScheduleIn(SchedulePatch):
    """A new schedule."""

    name = serializers.CharField(max_length=LONGEST_NAME)
    rrule = serializers.CharField(max_length=300, help_text="RFC 5545, e.g. FREQ=MONTHLY;INTERVAL=3.")
    starts_at = serializers.DateTimeField()
    interval_reason = serializers.CharField(max_length=4000)
    fallback_reviewer = serializers.EmailField()


class ReasonIn(serializers.Serializer[dict[str, Any]]):
    """Why, for the trail."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=2000, default="")


class ScheduleList(APIView):
    """`/api/v1/schedules/`"""

    required_scope = READ_WRITE
    keyset = (SortKey("name"), SortKey("pk"))

    @extend_schema(operation_id="schedules_list", responses=ScheduleOut(many=True))
    def get(self, request: Request) -> Response:
        """Schedules, by name."""
        return page_of(self, request, list_schedules(actor=actor_of(request)), ScheduleOut)

    @extend_schema(operation_id="schedules_create", request=ScheduleIn, responses={201: ScheduleWithDates})
    def post(self, request: Request) -> Response:
        """Plan a recurring review. Whoever issued the token answers for its campaigns.

        A name stands for one schedule, so a request that is sent twice is refused the second time.
        """
        require_known_parameters(request, ())
        chosen = chosen_of(checked(ScheduleIn, request))
        schedule = create_schedule(actor=actor_of(request), now=timezone.now(), **chosen)
        return _answer(schedule, status=201)


class ScheduleDetail(APIView):
    """`/api/v1/schedules/{id}/`"""

    required_scope = READ_WRITE

    @extend_schema(operation_id="schedules_retrieve", responses=ScheduleWithDates)
    def get(self, request: Request, schedule_id: UUID) -> Response:
        """One schedule with its next dates."""
        return _answer(access_schedule(actor=actor_of(request), schedule_id=schedule_id))

    @extend_schema(
        operation_id="schedules_change", request=SchedulePatch, responses=ScheduleWithDates, parameters=[IF_MATCH]
    )
    def patch(self, request: Request, schedule_id: UUID) -> Response:
        """Change a schedule; needs If-Match. Campaigns that exist stay as they are."""
        require_known_parameters(request, ())
        schedule = _planned(request, schedule_id)
        require_match(request, schedule.version)
        changes = chosen_of(checked(SchedulePatch, request))
        changed = change_schedule(
            schedule=schedule,
            version=schedule.version,
            changes=changes,
            actor=actor_of(request),
            now=timezone.now(),
        )
        return _answer(changed)


class ScheduleApprove(APIView):
    """`/api/v1/schedules/{id}/approve/`"""

    required_scope = "reviews:write"

    @extend_schema(operation_id="schedules_approve", request=None, responses=ScheduleWithDates, parameters=[IF_MATCH])
    def post(self, request: Request, schedule_id: UUID) -> Response:
        """Approve why the interval is short enough, in the name of whoever issued the token; needs If-Match.

        403 `own-reasoning` where the same person wrote it.
        """
        schedule = _planned(request, schedule_id)
        require_match(request, schedule.version)
        approve_interval(schedule=schedule, version=schedule.version, actor=actor_of(request), now=timezone.now())
        return _answer(schedule)


class SchedulePause(APIView):
    """`/api/v1/schedules/{id}/pause/`"""

    required_scope = "reviews:write"

    @extend_schema(operation_id="schedules_pause", request=ReasonIn, responses=ScheduleWithDates)
    def post(self, request: Request, schedule_id: UUID) -> Response:
        """Open no further campaigns until resumed."""
        schedule = _planned(request, schedule_id)
        reason = checked(ReasonIn, request)["reason"]
        return _answer(pause_schedule(schedule=schedule, actor=actor_of(request), now=timezone.now(), reason=reason))


class ScheduleResume(APIView):
    """`/api/v1/schedules/{id}/resume/`"""

    required_scope = "reviews:write"

    @extend_schema(operation_id="schedules_resume", request=None, responses=ScheduleWithDates)
    def post(self, request: Request, schedule_id: UUID) -> Response:
        """Go on from the next date; what fell due during the pause stays left out."""
        schedule = _planned(request, schedule_id)
        return _answer(resume_schedule(schedule=schedule, actor=actor_of(request), now=timezone.now()))


class ScheduleRun(APIView):
    """`/api/v1/schedules/{id}/run/`"""

    required_scope = "reviews:write"

    @extend_schema(
        operation_id="schedules_run", request=None, responses={201: CampaignOut}, parameters=[IDEMPOTENCY_KEY]
    )
    def post(self, request: Request, schedule_id: UUID) -> Response:
        """Start a campaign of this schedule now, outside its calendar."""
        schedule = _planned(request, schedule_id)
        try:
            campaign = run_now(
                schedule=schedule, actor=actor_of(request), now=timezone.now(), once=once_of(request, told)
            )
        except AlreadyDone as earlier:
            return Response(earlier.answer, status=201, headers={"Idempotency-Replayed": "true"})
        return Response(told(campaign), status=201, headers={"ETag": etag_for(campaign.version)})


def _planned(request: Request, schedule_id: UUID) -> ReviewSchedule:
    """The schedule that somebody changes. Being allowed to plan is being allowed to see it. Raises NotFound."""
    return access_schedule(actor=actor_of(request), schedule_id=schedule_id)


def _answer(schedule: ReviewSchedule, status: int = 200) -> Response:
    dates = next_dates(schedule, SHOWN_DATES, after=timezone.now()) if schedule.is_enabled else []
    schedule.next_dates = dates  # type: ignore[attr-defined]
    schedule.interval_approval = reasoning_of(schedule)  # type: ignore[attr-defined]
    return Response(ScheduleWithDates(schedule).data, status=status, headers={"ETag": etag_for(schedule.version)})
