"""REST for sync clients: send a reading, look at runs and what they changed. docs/api.md shows it by example."""

import tempfile
from hashlib import sha256
from typing import IO, Any, cast

from django.conf import settings
from django.http import UnreadablePostError
from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.errors import DomainError
from governance.web.pagination import SortKey
from governance.web.problems import MEDIA_TYPE
from identities.api.edge import (
    actor_of,
    choice_parameter,
    flag_parameter,
    idempotency_key,
    page_of,
    require_known_parameters,
)
from identities.api.runs import SyncRunDetailOut, SyncRunOut, errors_of, run_url
from identities.models import SyncMode, SyncOrigin, SyncRun, SyncState
from identities.selectors.inventory import access_source
from identities.selectors.runs import list_runs
from identities.sync.lines import Body, TooLarge, UnreadableBody, read_lines
from identities.sync.locks import SyncInProgress
from identities.sync.receive import receive

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
EXAMPLES = {
    "An agent and its key": """\
{"type":"identity","id":"invoice-bot","kind":"ai_agent","name":"Invoice bot","owner":"ada@example.org"}
{"type":"credential","id":"invoice-bot/key-1","identity":"invoice-bot","kind":"api_key","expires_at":"2027-01-31T00:00:00Z"}
{"type":"end","records":2}
""",
    "Something was removed (mode=delta)": """\
{"type":"retire","of":"credential","id":"invoice-bot/key-1"}
{"type":"end","records":1}
""",
}
ON_ERROR = ("reject", "skip")
CHUNK = 256 * 1024
SPOOL_IN_MEMORY = 1024 * 1024
STATUS_OF = {SyncState.APPLIED: 201, SyncState.HELD: 202, SyncState.DRY_RUN: 200}


class BodyIncomplete(DomainError):
    """The connection ended before everything that was announced had arrived."""

    code = "body-incomplete"
    status = 400
    title = "The upload was cut off"


class NdjsonParser(BaseParser):
    """Names the media type for negotiation and for the OpenAPI document; the view reads the stream itself."""

    media_type = NDJSON[0]

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return stream


class SyncList(APIView):
    """`/api/v1/sources/{slug}/syncs/`"""

    required_scope = {"get": "inventory:read", "post": "sync:write"}
    parser_classes = [NdjsonParser]
    throttle_scope = "sync"
    keyset = (SortKey("started_at", descending=True), SortKey("pk", descending=True))

    @extend_schema(
        operation_id="syncs_list",
        responses=SyncRunOut(many=True),
        parameters=[OpenApiParameter("state", str, enum=SyncState.values)],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Runs of a source, newest first."""
        require_known_parameters(request, {"cursor", "limit", "state"})
        source = access_source(actor=actor_of(request), slug=slug)
        found = list_runs(source).select_related("source")
        if state := choice_parameter(request, "state", SyncState.values):
            found = found.filter(state=state)
        return page_of(self, request, found, SyncRunOut)

    @extend_schema(
        operation_id="syncs_send",
        request={NDJSON[0]: OpenApiTypes.STR},
        responses={201: SyncRunDetailOut, 200: SyncRunDetailOut, 202: SyncRunDetailOut},
        examples=[
            OpenApiExample(name, text, request_only=True, media_type=NDJSON[0]) for name, text in EXAMPLES.items()
        ],
        parameters=[
            OpenApiParameter("mode", str, enum=SyncMode.values, default="snapshot"),
            OpenApiParameter("complete", bool, description="Everything is here; the rest is gone.", default=False),
            OpenApiParameter("dry_run", bool, description="Say what would happen; change nothing.", default=False),
            OpenApiParameter(
                "on_error",
                str,
                enum=ON_ERROR,
                default="reject",
                description="skip: apply the good records, keep the others for download, retire nothing by absence.",
            ),
            OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER),
            OpenApiParameter("Content-Encoding", str, OpenApiParameter.HEADER, enum=["gzip"]),
        ],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Send a reading: one record per line, applied whole or not at all, unless bad records may be skipped."""
        require_known_parameters(request, {"mode", "complete", "dry_run", "on_error"})
        _require_ndjson(request)
        is_gzip = _is_gzip(request)
        mode = SyncMode(choice_parameter(request, "mode", SyncMode.values, SyncMode.SNAPSHOT))
        is_complete, is_dry = flag_parameter(request, "complete"), flag_parameter(request, "dry_run")
        skips_bad = choice_parameter(request, "on_error", ON_ERROR, "reject") == "skip"
        key = idempotency_key(request)
        source = access_source(actor=actor_of(request), slug=slug)
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY) as file:
            spool = cast(IO[bytes], file)
            is_open_ended = spool_body(request, spool)
            now = timezone.now()
            run = receive(
                source=source,
                lines=Body(spool, is_gzip=is_gzip),
                mode=mode,
                is_complete=is_complete,
                origin=SyncOrigin.API,
                actor=actor_of(request),
                now=now,
                idempotency_key=key,
                request_hash=_request_hash(spool, is_gzip, mode, is_complete, is_dry, skips_bad) if key else "",
                dry_run=is_dry,
                skip_bad=skips_bad,
                must_end=is_open_ended,
            )
        # A run of this request began at this request's own microsecond.
        return answer_of(run, is_replay=run.started_at != now)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if isinstance(exc, SyncInProgress):
            response["Retry-After"] = str(exc.details["retry_after"])
        return response


def answer_of(run: SyncRun, *, is_replay: bool) -> Response:
    """The answer to whoever brought a reading: the run, or the problem that it ended with."""
    problem = run.problem
    if problem and run.state != SyncState.HELD and problem["status"] >= 400:
        document = {
            "type": f"/docs/problems#{problem['code']}",
            **problem,
            "errors": errors_of(run),
            "run": str(run.pk),
            "run_url": run_url(run),
        }
        response = Response(document, status=problem["status"], content_type=MEDIA_TYPE)
    else:
        response = Response(SyncRunDetailOut(run).data, status=STATUS_OF[SyncState(run.state)])
    response["Location"] = run_url(run)
    if is_replay:
        response["Idempotency-Replayed"] = "true"
    return response


def _require_ndjson(request: Request) -> None:
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if not media_type and not request.META.get("CONTENT_LENGTH"):
        return  # nothing of no type: refused as the empty reading that it is
    if media_type not in NDJSON:
        raise exceptions.UnsupportedMediaType(media_type or "nothing", f"Send {NDJSON[0]}: one JSON object per line.")


def _is_gzip(request: Request) -> bool:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise exceptions.UnsupportedMediaType(encoding, "Content-Encoding may be gzip, or left out.")
    return encoding != "identity"


def spool_body(request: Request, spool: IO[bytes]) -> bool:
    """Copy the body to disk, up to the largest accepted; returns whether its length was not announced.

    A server tells a body that was cut off from one that ended only by its announced length, so a body without one
    has to say itself where it ends.
    """
    http = request._request
    coding = request.headers.get("Transfer-Encoding", "").lower()
    is_chunked = "chunked" in coding and not http.META.get("CONTENT_LENGTH")
    # Django reads as much as Content-Length says, hence nothing of a chunked body; the server's own stream ends itself.
    source = http.environ["wsgi.input"] if is_chunked else http  # type: ignore[attr-defined]
    announced = int(http.META.get("CONTENT_LENGTH") or 0)
    most, total = settings.SYNC_MAX_UPLOAD_BYTES, 0
    try:
        while total <= most and announced <= most and (chunk := source.read(CHUNK)):
            total += len(chunk)
            spool.write(chunk)
    except (UnreadablePostError, OSError) as error:
        raise UnreadableBody("The upload broke off.") from error
    if max(total, announced) > most:
        raise TooLarge(f"The body is larger than {most:,} bytes.", limit=most)
    if not is_chunked and total < announced:
        raise BodyIncomplete(f"{announced:,} bytes were announced and {total:,} arrived.")
    spool.seek(0)
    return is_chunked


def _request_hash(spool: IO[bytes], is_gzip: bool, *parameters: object) -> str:
    """What makes two requests the same: the parameters and the unpacked lines, however they were packed."""
    digest = sha256(repr(parameters).encode())
    try:
        for line in read_lines(spool, is_gzip=is_gzip):
            digest.update(line + b"\n")
    except DomainError as error:
        # The run will be refused for it; the packed bytes stand for it as well.
        digest.update(error.code.encode())
        spool.seek(0)
        while chunk := spool.read(CHUNK):
            digest.update(chunk)
    spool.seek(0)
    return digest.hexdigest()


urlpatterns = [path("sources/<slug:slug>/syncs/", SyncList.as_view(), name="api_sync_list")]
