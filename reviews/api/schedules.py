"""`/api/v1/schedules/`: when reviews fall due."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.etag import etag_for
from governance.web.pagination import SortKey
from reviews.api.requests import actor_of, page_of
from reviews.campaigns.schedules import next_dates
from reviews.models import ReviewSchedule
from reviews.selectors import access_schedule, list_schedules

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


class ScheduleWithDates(ScheduleOut):
    """The same with its next five dates."""

    next_dates = serializers.ListField(child=serializers.DateTimeField(), read_only=True)

    class Meta(ScheduleOut.Meta):
        fields = [*ScheduleOut.Meta.fields, "next_dates"]


class ScheduleList(APIView):
    """`/api/v1/schedules/`"""

    required_scope = "reviews:read"
    keyset = (SortKey("name"), SortKey("pk"))

    @extend_schema(operation_id="schedules_list", responses=ScheduleOut(many=True))
    def get(self, request: Request) -> Response:
        """Schedules, by name."""
        return page_of(self, request, list_schedules(actor=actor_of(request)), ScheduleOut)


class ScheduleDetail(APIView):
    """`/api/v1/schedules/{id}/`"""

    required_scope = "reviews:read"

    @extend_schema(operation_id="schedules_retrieve", responses=ScheduleWithDates)
    def get(self, request: Request, schedule_id: UUID) -> Response:
        """One schedule with its next dates."""
        schedule = access_schedule(actor=actor_of(request), schedule_id=schedule_id)
        dates = next_dates(schedule, SHOWN_DATES, after=timezone.now()) if schedule.is_enabled else []
        schedule.next_dates = dates  # type: ignore[attr-defined]
        return Response(ScheduleWithDates(schedule).data, headers={"ETag": etag_for(schedule.version)})
