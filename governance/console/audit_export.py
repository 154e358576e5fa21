"""Downloads of the trail: one stream for the page, for programs and for the command."""

from collections.abc import Iterator
from datetime import datetime
from typing import cast

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from governance.audit.export import (
    CSV,
    CSV_HEADER,
    NDJSON,
    Stretch,
    begin_export,
    csv_row,
    read_stretch,
)
from governance.audit.lines import line_of
from governance.audit.selectors import TrailFilter
from governance.console.trail import EXPORTERS, audit_trail
from governance.console.trail_filter import TEXT_PARAMETERS, TrailForm, criteria, criteria_of, number_parameter
from governance.kernel.actors import Actor
from governance.web.access import page
from governance.web.authentication import ApiClient
from governance.web.csv import csv_lines, download
from governance.web.parameters import require_known_parameters

MEDIA_TYPES = {NDJSON: "application/x-ndjson", CSV: "text/csv; charset=utf-8"}


def trail_lines(form: str, stretch: Stretch, wanted: TrailFilter | None) -> Iterator[str]:
    """The lines of the file, each with its end of line."""
    events = read_stretch(stretch, wanted)
    if form == CSV:
        return csv_lines(CSV_HEADER, map(csv_row, events))
    return (line_of(event.row) for event in events)


def send_trail(
    *, form: str, actor: Actor, now: datetime, after: int = 0, through: int | None = None, wanted: TrailFilter | None
) -> StreamingHttpResponse:
    """The download. Its headers say which seals it covers, so that the next one starts behind them."""
    stretch = begin_export(form=form, after=after, through=through, wanted=wanted, actor=actor, now=now)
    name = f"trail-{stretch.after + 1}-{stretch.through}.{'csv' if form == CSV else 'jsonl'}"
    response = download(name, trail_lines(form, stretch, wanted), content_type=MEDIA_TYPES[form])
    response["Trail-After"] = str(stretch.after)
    response["Trail-Through"] = str(stretch.through)
    return response


@require_safe
@page(roles=EXPORTERS)  # type: ignore[arg-type] # a stream is a response too
def audit_export(request: HttpRequest) -> HttpResponseBase:
    """What the trail's page lists, as a file: everything that fits its filter, oldest seal first."""
    given = request.GET.copy()
    form_name = given.pop("format", [NDJSON])[-1]
    form = TrailForm(given)
    if form_name not in MEDIA_TYPES or not form.is_valid():
        # The page says what is wrong with the filter, and keeps what was typed.
        return audit_trail(request)
    wanted = TrailFilter(**criteria(form.cleaned_data))
    is_whole = wanted == TrailFilter()
    actor: Actor = request.actor  # type: ignore[attr-defined]
    return send_trail(form=form_name, actor=actor, now=timezone.now(), wanted=None if is_whole else wanted)


class NdjsonRenderer(JSONRenderer):
    """Names the media type; the stream is written by hand, refusals are problem documents as everywhere."""

    media_type = "application/x-ndjson"
    format = NDJSON


class CsvRenderer(JSONRenderer):
    """As NdjsonRenderer."""

    media_type = "text/csv"
    format = CSV


class AuditExport(APIView):
    """`/api/v1/audit/export/`"""

    required_scope = "audit:read"
    renderer_classes = [NdjsonRenderer, CsvRenderer]

    @extend_schema(
        operation_id="audit_export",
        responses={
            (200, "application/x-ndjson"): OpenApiResponse(OpenApiTypes.STR, "One line of JSON per event."),
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "One row per event, after a row with the names."),
        },
        parameters=[
            OpenApiParameter("after", int, description="Only events with a larger `seq`: the last one you have."),
            OpenApiParameter("through", int, description="Nothing behind this `seq`; the newest by default."),
            *(OpenApiParameter(name, str, description=description) for name, description in TEXT_PARAMETERS.items()),
        ],
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """The trail as a file, oldest seal first.

        `Accept: application/x-ndjson` gives the lines that a verifier reads, `text/csv` a table for people. The header
        `Trail-Through` and the link `next` say where the next download goes on. After one that was cut, go on with
        the `seq` of the last whole line: nothing is lost and nothing comes twice. The download itself is recorded.
        """
        require_known_parameters(request, {"after", "through", *TEXT_PARAMETERS})
        wanted = TrailFilter(**criteria_of(request))
        actor = cast(ApiClient, request.user).actor
        response = send_trail(
            form=request.accepted_renderer.format,
            actor=actor,
            now=timezone.now(),
            after=number_parameter(request, "after", 0, smallest=0) or 0,
            through=number_parameter(request, "through", None),
            wanted=None if wanted == TrailFilter() else wanted,
        )
        following = replace_query_param(request.build_absolute_uri(), "after", response["Trail-Through"])
        response["Link"] = f'<{following}>; rel="next"'
        return response
