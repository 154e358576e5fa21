"""REST for files of other systems: which formats are understood, and taking one in. docs/api.md, "Files"."""

import tempfile
from typing import IO, Any, BinaryIO, cast

from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identities.api.edge import actor_of, choice_parameter, flag_parameter, require_known_parameters
from identities.api.runs import SyncRunDetailOut, run_of
from identities.api.syncs import ON_ERROR, SPOOL_IN_MEMORY, answer_of, spool_body
from identities.connectors.registry import formats
from identities.models import SyncMode
from identities.selectors.inventory import access_source
from identities.sync.importing import AUTO, RECORDS, Import, import_file
from identities.sync.taking_in import take_in


class AnyFile(BaseParser):
    """Whatever it is called: its first bytes say what it is, and the view reads the stream itself."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return stream


class FormatOut(serializers.Serializer):
    """A format of files. holds: inventory (what it lacks is gone), part (retires nothing) or usage (what was used)."""

    name = serializers.CharField()
    title = serializers.CharField()
    kind = serializers.CharField()
    holds = serializers.ChoiceField(["inventory", "part", "usage"])


class ImportFormats(APIView):
    """`/api/v1/import-formats/`"""

    required_scope = ("inventory:read", "sync:write")

    @extend_schema(operation_id="import_formats_list", responses=FormatOut(many=True))
    def get(self, request: Request) -> Response:
        """Formats of other systems that can be imported beside Remit's own records."""
        require_known_parameters(request, ())
        return Response(FormatOut(formats(), many=True).data)


class ImportList(APIView):
    """`/api/v1/sources/{slug}/imports/`"""

    required_scope = "sync:write"
    parser_classes = [AnyFile]
    throttle_scope = "sync"

    @extend_schema(
        operation_id="imports_send",
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={201: SyncRunDetailOut, 200: SyncRunDetailOut, 202: SyncRunDetailOut},
        parameters=[
            OpenApiParameter("file_format", str, default=AUTO, description=f"{AUTO}, {RECORDS} or a format's name."),
            OpenApiParameter("part", bool, description="What the file lacks is not gone.", default=False),
            OpenApiParameter("mode", str, enum=SyncMode.values, default="snapshot", description="Of records."),
            OpenApiParameter("complete", bool, description="Of records: the rest is gone.", default=False),
            OpenApiParameter("again", bool, description="Count a log of use once more.", default=False),
            OpenApiParameter("dry_run", bool, description="Say what would happen; change nothing.", default=False),
            OpenApiParameter("keep", bool, description="A dry run keeps the file for take-in/.", default=False),
            OpenApiParameter("on_error", str, enum=ON_ERROR, default="reject"),
        ],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Take a file in, packed or not. Inventories are complete snapshots, logs of use are added once."""
        known = {"file_format", "part", "mode", "complete", "again", "dry_run", "keep", "on_error"}
        require_known_parameters(request, known)
        wish = Import(
            format=request.query_params.get("file_format", AUTO),
            is_part=flag_parameter(request, "part"),
            mode=SyncMode(choice_parameter(request, "mode", SyncMode.values, SyncMode.SNAPSHOT)),
            is_complete=flag_parameter(request, "complete"),
            again=flag_parameter(request, "again"),
            dry_run=flag_parameter(request, "dry_run"),
            keep=flag_parameter(request, "keep"),
            skip_bad=choice_parameter(request, "on_error", ON_ERROR, "reject") == "skip",
        )
        source = access_source(actor=actor_of(request), slug=slug)
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY) as spooled:
            spool_body(request, cast(IO[bytes], spooled))
            now = timezone.now()
            file = cast(BinaryIO, spooled)
            run = import_file(source=source, file=file, wish=wish, actor=actor_of(request), now=now)
        return answer_of(run, is_replay=run.started_at != now)


class SyncTakeIn(APIView):
    """`/api/v1/sources/{slug}/syncs/{id}/take-in/`"""

    required_scope = "sync:write"

    @extend_schema(operation_id="syncs_take_in", request=None, responses={201: SyncRunDetailOut, 202: SyncRunDetailOut})
    def post(self, request: Request, slug: str, run_id: Any) -> Response:
        """Apply what a dry run kept (`keep=true`), within a day. It is held where it would remove too much."""
        run = take_in(run=run_of(request, slug, run_id), actor=actor_of(request), now=timezone.now())
        return answer_of(run, is_replay=False)


urlpatterns = [
    path("import-formats/", ImportFormats.as_view(), name="api_import_formats"),
    path("sources/<slug:slug>/imports/", ImportList.as_view(), name="api_import_list"),
    path("sources/<slug:slug>/syncs/<uuid:run_id>/take-in/", SyncTakeIn.as_view(), name="api_sync_take_in"),
]
