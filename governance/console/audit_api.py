"""`/api/v1/audit/events/`: the sealed trail for programs that archive or watch it."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from governance.audit.actions import Verb
from governance.audit.selectors import LARGEST_PAGE, list_sealed
from governance.console.trail_filter import TEXT_PARAMETERS, bounded_parameter, criteria_of, number_parameter
from governance.web.parameters import require_known_parameters

NUMBERS = ("before", "limit")


class AuditEventOut(serializers.Serializer[Any]):
    """One sealed event. `seq` is its place in the chain, `hash` its entry hash; free text may have been erased."""

    seq = serializers.IntegerField()
    id = serializers.UUIDField(source="event_id")
    hash = serializers.CharField()
    occurred_at = serializers.DateTimeField()
    verb = serializers.ChoiceField([verb.value for verb in Verb])
    actor_kind = serializers.CharField()
    actor_id = serializers.CharField()
    subject_kind = serializers.CharField()
    subject_id = serializers.CharField()
    subject_label = serializers.CharField(allow_blank=True)
    outcome = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    is_erased = serializers.BooleanField()
    request_id = serializers.CharField(allow_blank=True)
    old = serializers.DictField()
    new = serializers.DictField()
    facts = serializers.DictField(source="context")


class AuditPageOut(serializers.Serializer[Any]):
    """Newest seal first; `next` leads to older events and is null on the last page.

    A page may hold fewer events than asked for, even none, when what fits the filter is rare: follow `next` until null.
    """

    next = serializers.URLField(allow_null=True)
    results = AuditEventOut(many=True)


class AuditEventList(APIView):
    """`/api/v1/audit/events/`"""

    required_scope = "audit:read"

    @extend_schema(
        operation_id="audit_events_page",
        responses=AuditPageOut,
        parameters=[
            *(OpenApiParameter(name, str, description=text) for name, text in TEXT_PARAMETERS.items()),
            OpenApiParameter("before", int, description="Only events with a smaller `seq`."),
            OpenApiParameter("limit", int, description=f"Rows per page, 1 to {LARGEST_PAGE}; 100 by default."),
        ],
    )
    def get(self, request: Request) -> Response:
        """The trail, newest seal first."""
        require_known_parameters(request, {*TEXT_PARAMETERS, *NUMBERS})
        page = list_sealed(
            **criteria_of(request),
            before=number_parameter(request, "before", None),
            limit=bounded_parameter(request, "limit", 100, 1, LARGEST_PAGE) or 100,
        )
        here = request.build_absolute_uri()
        older = replace_query_param(here, "before", page.next_before) if page.next_before else None
        return Response({"next": older, "results": AuditEventOut(page.rows, many=True).data})
