"""REST for one run: how far it is, what it changed or would change, what was refused, and what can be done about it."""

from typing import Any, cast
from uuid import UUID

from django.http import HttpResponseBase
from django.urls import path, reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.downloads import packed_ndjson
from governance.web.pagination import SortKey
from identities.api.edge import (
    OBJECT_KINDS,
    actor_of,
    checked,
    choice_parameter,
    limit_parameter,
    page_of,
    require_known_parameters,
)
from identities.models import Change, ChangeAction, SyncRun
from identities.selectors.inventory import access_source
from identities.selectors.runs import access_sync_run, list_errors, refused_records
from identities.sync.cancel import cancel_run
from identities.sync.held import accept_held, reject_held
from identities.sync.preview import preview_of
from identities.sync.runs import ERRORS_IN_ANSWER

SEES_RUN = ("inventory:read", "sync:write")
CHANGE_FILTERS = [
    OpenApiParameter("kind", str, enum=OBJECT_KINDS),
    OpenApiParameter("action", str, enum=ChangeAction.values),
]


class SyncProgressOut(serializers.Serializer):
    """How far a running run is. `of_bytes` is 0 where the whole is not known."""

    phase = serializers.CharField()
    records = serializers.IntegerField()
    bytes = serializers.IntegerField()
    of_bytes = serializers.IntegerField()
    at = serializers.DateTimeField()


class SyncNotesOut(serializers.Serializer):
    """What the reader of a file had to say: what it counted (left out, passed over) and sentences."""

    format = serializers.CharField(required=False)
    counts = serializers.DictField(child=serializers.IntegerField(), required=False)
    sentences = serializers.ListField(child=serializers.CharField(), required=False)


class SyncRunOut(serializers.ModelSerializer):
    """A run: `counts` say per kind what was added, changed, retired and left unchanged.

    A partial run applied its good records; the `refused` others can be fetched from `refused_url`. It retires nothing
    by absence, whatever was asked.
    """

    source: Any = serializers.SlugRelatedField("slug", read_only=True)
    notes = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()
    changes_url = serializers.SerializerMethodField()
    refused_url = serializers.SerializerMethodField()

    class Meta:
        model = SyncRun
        fields = [
            *("id", "source", "mode", "origin", "is_complete", "state", "started_at", "observed_at", "finished_at"),
            *("records", "counts", "is_partial", "refused", "notes", "progress", "cancel_requested_at", "problem"),
            *("url", "changes_url", "refused_url"),
        ]

    @extend_schema_field(SyncNotesOut())
    def get_notes(self, run: SyncRun) -> dict[str, Any]:
        return run.notes

    @extend_schema_field(SyncProgressOut(allow_null=True))
    def get_progress(self, run: SyncRun) -> dict[str, Any] | None:
        return run.progress

    def get_url(self, run: SyncRun) -> str:
        return run_url(run)

    def get_changes_url(self, run: SyncRun) -> str:
        return run_url(run) + "changes/"

    def get_refused_url(self, run: SyncRun) -> str | None:
        has_refused = run.refused or (run.problem or {}).get("errors_found")
        return run_url(run) + "refused/" if has_refused else None


class RowErrorOut(serializers.Serializer):
    """Why one record was refused."""

    line = serializers.IntegerField()
    pointer = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField(source="reason")


class SyncRunDetailOut(SyncRunOut):
    """A run with the first hundred refused records."""

    errors: Any = serializers.SerializerMethodField()

    class Meta(SyncRunOut.Meta):
        fields = [*SyncRunOut.Meta.fields, "errors"]

    @extend_schema_field(RowErrorOut(many=True))
    def get_errors(self, run: SyncRun) -> list[dict[str, Any]]:
        return errors_of(run)


class ChangeOut(serializers.ModelSerializer):
    """One object that a run touched. For `changed`, `old` and `new` hold the members that differ."""

    class Meta:
        model = Change
        fields = ["id", "object_kind", "object_id", "external_id", "action", "old", "new", "created_at"]


class WouldChangeRowOut(serializers.ModelSerializer):
    """One object that a held run would touch. `old` and `new` as in a change."""

    class Meta:
        model = Change
        fields = ["object_kind", "external_id", "action", "old", "new"]


class LoserOut(serializers.Serializer):
    """An identity that would lose `grants` of its `of_grants`, or be retired itself."""

    identity = serializers.UUIDField(source="identity_id")
    external_id = serializers.CharField()
    name = serializers.CharField()
    is_retired = serializers.BooleanField()
    grants = serializers.IntegerField()
    of_grants = serializers.IntegerField()
    privileged = serializers.IntegerField()
    credentials = serializers.IntegerField()


class WouldChangeOut(serializers.Serializer):
    """`counts` are of everything; `losers` the identities that would lose most; `results` the first of each action."""

    counts = serializers.JSONField()
    losers = LoserOut(many=True)
    results = WouldChangeRowOut(many=True, source="changes")


class RejectIn(serializers.Serializer):
    """Why the run is turned away."""

    reason = serializers.CharField(max_length=500)


class CancelIn(serializers.Serializer):
    """Why the run shall stop, if there is anything to say."""

    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class SyncDetail(APIView):
    """`/api/v1/sources/{slug}/syncs/{id}/`"""

    required_scope = SEES_RUN

    @extend_schema(operation_id="syncs_retrieve", responses=SyncRunDetailOut)
    def get(self, request: Request, slug: str, run_id: UUID) -> Response:
        """One run, with its progress while it runs and its refused records. With sync:write alone, one's own."""
        require_known_parameters(request, ())
        return Response(SyncRunDetailOut(run_of(request, slug, run_id)).data)


class SyncChanges(APIView):
    """`/api/v1/sources/{slug}/syncs/{id}/changes/`"""

    required_scope = "inventory:read"
    keyset = (SortKey("pk"),)

    @extend_schema(operation_id="syncs_changes", responses=ChangeOut(many=True), parameters=CHANGE_FILTERS)
    def get(self, request: Request, slug: str, run_id: UUID) -> Response:
        """What a run added, changed and retired."""
        require_known_parameters(request, {"cursor", "limit", "kind", "action"})
        changes = Change.objects.filter(run=run_of(request, slug, run_id))
        if kind := choice_parameter(request, "kind", OBJECT_KINDS):
            changes = changes.filter(object_kind=kind)
        if action := choice_parameter(request, "action", ChangeAction.values):
            changes = changes.filter(action=action)
        return page_of(self, request, changes, ChangeOut)


class SyncWouldChange(APIView):
    """`/api/v1/sources/{slug}/syncs/{id}/would-change/`"""

    required_scope = "inventory:read"
    throttle_scope = "sync"

    @extend_schema(
        operation_id="syncs_would_change",
        responses=WouldChangeOut,
        parameters=[*CHANGE_FILTERS, OpenApiParameter("limit", int, description="Rows of each action, 1 to 1000.")],
    )
    def get(self, request: Request, slug: str, run_id: UUID) -> Response:
        """What a held run would change (compared anew, as costly as reading) or a dry run found."""
        require_known_parameters(request, {"kind", "action", "limit"})
        run, limit = run_of(request, slug, run_id), limit_parameter(request)
        kind = choice_parameter(request, "kind", OBJECT_KINDS)
        action = choice_parameter(request, "action", ChangeAction.values)
        preview = preview_of(run=run, now=timezone.now(), limit=limit, kind=kind, actions=(action,) if action else ())
        return Response(WouldChangeOut(preview).data)


class SyncRefused(APIView):
    """`/api/v1/sources/{slug}/syncs/{id}/refused/`"""

    required_scope = SEES_RUN

    @extend_schema(
        operation_id="syncs_refused",
        responses={(200, "application/x-ndjson"): OpenApiResponse(OpenApiTypes.STR, "One refused record per line.")},
    )
    def get(self, request: Request, slug: str, run_id: UUID) -> HttpResponseBase:
        """What was refused: line, pointer, code, reason; of a partial run also the record, unless it holds a secret."""
        require_known_parameters(request, ())
        run = run_of(request, slug, run_id)
        accepted = request.headers.get("Accept-Encoding", "")
        return packed_ndjson(f"refused-{run.pk}.ndjson", refused_records(run), accept_encoding=accepted)


class SyncAccept(APIView):
    """`/api/v1/sources/{slug}/syncs/{id}/accept/`"""

    required_scope = "inventory:write"

    @extend_schema(operation_id="syncs_accept", request=None, responses=SyncRunDetailOut)
    def post(self, request: Request, slug: str, run_id: UUID) -> Response:
        """Apply a held run although it retires much. The token that sent it cannot."""
        run = run_of(request, slug, run_id)
        return _done(accept_held(run=run, actor=actor_of(request), now=timezone.now()))


class SyncReject(APIView):
    """`/api/v1/sources/{slug}/syncs/{id}/reject/`"""

    required_scope = "inventory:write"

    @extend_schema(operation_id="syncs_reject", request=RejectIn, responses=SyncRunDetailOut)
    def post(self, request: Request, slug: str, run_id: UUID) -> Response:
        """Turn a held run away; the inventory stays as it is."""
        run = run_of(request, slug, run_id)
        reason = checked(RejectIn, request)["reason"]
        return _done(reject_held(run=run, reason=reason, actor=actor_of(request), now=timezone.now()))


class SyncCancel(APIView):
    """`/api/v1/sources/{slug}/syncs/{id}/cancel/`"""

    required_scope = ("inventory:write", "sync:write")

    @extend_schema(operation_id="syncs_cancel", request=CancelIn, responses={202: SyncRunDetailOut})
    def post(self, request: Request, slug: str, run_id: UUID) -> Response:
        """Ask a running run to stop; it ends as `cancelled` at its next step. With sync:write alone, one's own."""
        run = run_of(request, slug, run_id)
        reason = checked(CancelIn, request)["reason"]
        return _done(cancel_run(run=run, actor=actor_of(request), now=timezone.now(), reason=reason), status=202)


def run_of(request: Request, slug: str, run_id: UUID) -> SyncRun:
    """The run that the address names, if the token may see it."""
    source = access_source(actor=actor_of(request), slug=slug)
    return access_sync_run(actor=actor_of(request), run_id=run_id, source=source)


def run_url(run: SyncRun) -> str:
    """The run's own address."""
    return reverse("api_sync_detail", args=[run.source.slug, run.pk])


def errors_of(run: SyncRun) -> list[dict[str, Any]]:
    """The first refused records of a run."""
    found = list_errors(run)[:ERRORS_IN_ANSWER]
    return [dict(each) for each in RowErrorOut(found, many=True).data]


def _done(run: SyncRun, *, status: int = 200) -> Response:
    return Response(SyncRunDetailOut(run).data, status=status)


def _at(rest: str, view: Any, name: str) -> Any:
    return path(f"sources/<slug:slug>/syncs/<uuid:run_id>/{rest}", cast(Any, view).as_view(), name=name)


urlpatterns = [
    _at("", SyncDetail, "api_sync_detail"),
    _at("changes/", SyncChanges, "api_sync_changes"),
    _at("would-change/", SyncWouldChange, "api_sync_would_change"),
    _at("refused/", SyncRefused, "api_sync_refused"),
    _at("accept/", SyncAccept, "api_sync_accept"),
    _at("reject/", SyncReject, "api_sync_reject"),
    _at("cancel/", SyncCancel, "api_sync_cancel"),
]
