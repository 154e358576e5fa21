"""REST for findings: the list with the filter of the pages, one finding with its life, and what people do with them."""

import json
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.errors import Forbidden
from governance.web.etag import VersionNeeded, etag_for, require_match
from governance.web.filtered import FilteredPagination
from governance.web.pagination import SortKey
from identities.api.edge import actor_of, checked, idempotency_key, require_known_parameters
from identities.api.filters import FILTERS, filter_of
from identities.api.named import person_named
from identities.models import (
    AcceptanceEnd,
    Environment,
    Finding,
    FindingAcceptance,
    FindingObject,
    FindingSeverity,
    FindingState,
    FindingStep,
    FixedHow,
)
from identities.posture.findings import wishes
from identities.posture.findings.acting import (
    MOST_NAMED,
    SHOWN,
    BulkAct,
    act_on_finding,
    act_on_findings,
    preview_act,
)
from identities.posture.findings.meanings import meaning_of
from identities.selectors.filters import SEVERITIES
from identities.selectors.findings import access_finding, list_acceptances, list_events, list_findings, object_names
from identities.selectors.inventory import sees_everything
from identities.selectors.selection import Selection
from identities.services.request_keys import AlreadyDone, Once

IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag you read.")


class FindingOut(serializers.Serializer):
    """One rule that one object fails. `identity` is null where it is about a source.

    `unjudged_since` is set while it could not be judged anew; the finding then stays what it was.
    """

    id = serializers.UUIDField()
    rule = serializers.CharField()
    title = serializers.CharField()
    severity = serializers.ChoiceField(SEVERITIES)
    arithmetic = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(FindingState.choices)
    object_kind = serializers.ChoiceField(FindingObject.choices)
    object = serializers.UUIDField()
    object_name = serializers.CharField()
    identity = serializers.UUIDField(allow_null=True)
    identity_name = serializers.CharField(allow_null=True)
    source: Any = serializers.CharField()
    environment = serializers.ChoiceField(Environment.choices)
    assignee = serializers.EmailField(allow_null=True)
    policy = serializers.IntegerField()
    found_at = serializers.DateTimeField()
    opened_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField()
    fixed_at = serializers.DateTimeField(allow_null=True)
    fixed_how = serializers.ChoiceField(FixedHow.choices, allow_blank=True)
    reopened = serializers.IntegerField()
    unjudged_since = serializers.DateTimeField(allow_null=True)


class FindingExceptionOut(serializers.Serializer):
    """One exception, or the wish for one while `accepted_at` is null."""

    severity = serializers.ChoiceField(SEVERITIES)
    reason = serializers.CharField()
    compensating_control = serializers.CharField()
    requested_by = serializers.EmailField()
    requested_at = serializers.DateTimeField()
    until = serializers.DateTimeField()
    approver = serializers.EmailField(allow_null=True)
    accepted_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    ended_how = serializers.ChoiceField(AcceptanceEnd.choices, allow_blank=True)


class FindingStepOut(serializers.Serializer):
    """One step of its life after it was found."""

    step = serializers.ChoiceField(FindingStep.choices)
    at = serializers.DateTimeField()
    by = serializers.EmailField(allow_null=True)
    facts = serializers.JSONField()


class FindingDetailOut(FindingOut):
    """A finding with what the rule saw, what it means, which act ends it, and what became of it."""

    condition = serializers.CharField(allow_blank=True)
    why = serializers.CharField(allow_blank=True)
    fix = serializers.CharField()
    evidence = serializers.JSONField()
    unjudged_why = serializers.ListField(child=serializers.CharField())
    exceptions = FindingExceptionOut(many=True)
    steps = FindingStepOut(many=True)


class FindingAssignIn(serializers.Serializer):
    """An e-mail address; null means nobody in particular."""

    assignee = serializers.EmailField(allow_null=True)


class FindingExceptionIn(serializers.Serializer):
    """Why it may stay, what holds the risk meanwhile, and until when."""

    reason = serializers.CharField(max_length=2000)
    compensating_control = serializers.CharField(max_length=2000)
    until = serializers.DateTimeField()


class FindingBulkIn(serializers.Serializer):
    """Either `filter`, the filter of the list as one text, or `ids`; and one of `assign`, `exception`, `withdraw`."""

    filter = serializers.CharField(required=False, allow_blank=True, max_length=4000)
    ids = serializers.ListField(child=serializers.UUIDField(), required=False, min_length=1, max_length=MOST_NAMED)
    assign = FindingAssignIn(required=False)
    exception = FindingExceptionIn(required=False)
    withdraw = serializers.BooleanField(required=False)
    dry_run = serializers.BooleanField(required=False, default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("filter" in attrs) == ("ids" in attrs):
            raise serializers.ValidationError("Say which findings: either filter or ids.")
        wanted = [name for name in ("assign", "exception", "withdraw") if attrs.get(name)]
        if len(wanted) != 1:
            raise serializers.ValidationError("Say one thing: assign, exception or withdraw.")
        return attrs


class FindingReasonOut(serializers.Serializer):
    """Why findings stay as they are, and how many."""

    reason = serializers.CharField()
    count = serializers.IntegerField()


class FindingBulkOut(serializers.Serializer):
    """What the act did or, on a dry run, would do. `changes` names the first fifty."""

    dry_run = serializers.BooleanField()
    selected = serializers.IntegerField()
    changed = serializers.IntegerField()
    refused = serializers.IntegerField()
    reasons = FindingReasonOut(many=True)
    changes = serializers.ListField(child=serializers.UUIDField())


class FindingList(APIView):
    """`/api/v1/findings/`"""

    required_scope = "inventory:read"
    pagination_class = FilteredPagination
    keyset = (SortKey("severity", descending=True), SortKey("opened_at"), SortKey("pk"))

    @extend_schema(operation_id="findings_list", responses=FindingOut(many=True), parameters=FILTERS)
    def get(self, request: Request) -> Response:
        """Findings, the worst first and among equals the oldest; without `finding_state` those that are to be done."""
        found = list_findings(actor=actor_of(request), filters=filter_of(request), now=timezone.now())
        pages = FilteredPagination()
        findings = pages.paginate_queryset(found.defer("evidence", "unjudged_why"), request, self)
        names = object_names(findings)
        return pages.get_paginated_response([_facts(finding, names) for finding in findings])


class FindingDetail(APIView):
    """`/api/v1/findings/{id}/`"""

    required_scope = "inventory:read"

    @extend_schema(operation_id="findings_retrieve", responses=FindingDetailOut)
    def get(self, request: Request, finding_id: UUID) -> Response:
        """One finding with its evidence and its life, with an ETag."""
        require_known_parameters(request, ())
        return _told(access_finding(actor=actor_of(request), finding_id=finding_id))


class _Act(APIView):
    """What both acts share: the finding as it was seen, and the answer."""

    required_scope = "inventory:write"

    def carry_out(self, request: Request, finding_id: UUID, wish: wishes.Wish) -> Response:
        require_known_parameters(request, ())
        seen = access_finding(actor=actor_of(request), finding_id=finding_id)
        require_match(request, seen.version)
        act_on_finding(finding=seen, version=seen.version, wish=wish, actor=actor_of(request), now=timezone.now())
        return _told(access_finding(actor=actor_of(request), finding_id=finding_id))


class FindingAssign(_Act):
    """`/api/v1/findings/{id}/assign/`"""

    @extend_schema(
        operation_id="findings_assign", request=FindingAssignIn, responses=FindingDetailOut, parameters=[IF_MATCH]
    )
    def post(self, request: Request, finding_id: UUID) -> Response:
        """Let somebody see to it, or nobody in particular; needs If-Match."""
        return self.carry_out(request, finding_id, _assign(checked(FindingAssignIn, request)))


class FindingException(_Act):
    """`/api/v1/findings/{id}/exception/`"""

    @extend_schema(
        operation_id="findings_request_exception",
        request=FindingExceptionIn,
        responses=FindingDetailOut,
        parameters=[IF_MATCH],
    )
    def post(self, request: Request, finding_id: UUID) -> Response:
        """Ask for an exception, for which whoever answers for the token then stands; needs If-Match.

        A signed-in person approves it in the console. No program can.
        """
        return self.carry_out(request, finding_id, _exception(checked(FindingExceptionIn, request)))

    @extend_schema(operation_id="findings_withdraw_exception", responses={200: FindingDetailOut}, parameters=[IF_MATCH])
    def delete(self, request: Request, finding_id: UUID) -> Response:
        """End the exception, or take the wish for it back; needs If-Match."""
        return self.carry_out(request, finding_id, wishes.Withdraw())


class FindingBulk(APIView):
    """`/api/v1/findings/bulk/`"""

    required_scope = "inventory:write"

    @extend_schema(
        operation_id="findings_bulk",
        request=FindingBulkIn,
        responses=FindingBulkOut,
        parameters=[
            OpenApiParameter(
                "If-Match",
                str,
                OpenApiParameter.HEADER,
                description="The ETag of the dry run. `*` takes whatever is selected by now.",
            ),
            OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER),
        ],
    )
    def post(self, request: Request) -> Response:
        """The same for many findings, all at once; those that cannot change say why and stay as they are.

        A dry run writes nothing and gives an ETag; the act needs it as If-Match and is refused (412) once one of them
        changed or others match. With an Idempotency-Key the same request gets the answer of the first.
        """
        require_known_parameters(request, ())
        if not sees_everything(actor_of(request)):
            raise Forbidden("Whoever acts on many findings at once must be able to read them: inventory:read.")
        asked = checked(FindingBulkIn, request)
        common: dict[str, Any] = {
            "selection": _selection(asked),
            "wish": _wish(asked),
            "actor": actor_of(request),
            "now": timezone.now(),
        }
        key = idempotency_key(request)
        if asked["dry_run"]:
            act = preview_act(**common)
            return Response(_bulk_told(act, is_dry=True), headers={"ETag": f'"{act.digest}"'})
        once = _once(request, key) if key else None
        try:
            act = act_on_findings(**common, digest=_digest(request), once=once)
        except AlreadyDone as earlier:
            return Response(earlier.answer, headers={"Idempotency-Replayed": "true"})
        return Response(_bulk_told(act, is_dry=False))


def _assign(given: dict[str, Any]) -> wishes.Wish:
    return wishes.Assign(person_named(given["assignee"], "assignee"))


def _exception(given: dict[str, Any]) -> wishes.Wish:
    return wishes.Request(given["reason"], given["compensating_control"], given["until"])


def _wish(asked: dict[str, Any]) -> wishes.Wish:
    if asked.get("assign"):
        return _assign(asked["assign"])
    return _exception(asked["exception"]) if asked.get("exception") else wishes.Withdraw()


def _selection(asked: dict[str, Any]) -> Selection:
    if "ids" in asked:
        return Selection.named(asked["ids"])
    return Selection.matching(asked["filter"])


def _digest(request: Request) -> str | None:
    """What If-Match names; None for `*`. Raises VersionNeeded."""
    header = request.headers.get("If-Match", "").strip()
    if not header:
        raise VersionNeeded("Send the ETag of a dry run as If-Match.")
    return None if header == "*" else header.strip('"')


def _once(request: Request, key: str) -> Once[BulkAct]:
    """What makes two requests the same: the members of the body, in whatever order, and If-Match."""
    body = json.dumps([request.data, request.headers.get("If-Match", "")], sort_keys=True, ensure_ascii=False)
    digest = sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
    return Once(actor_of(request).id, key, digest, lambda act: _bulk_told(act, is_dry=False))


def _bulk_told(act: BulkAct, *, is_dry: bool) -> dict[str, Any]:
    return {
        "dry_run": is_dry,
        "selected": act.selected,
        "changed": len(act.changes),
        "refused": len(act.refused) + act.gone,
        "reasons": [{"reason": reason, "count": count} for reason, count in act.reasons],
        "changes": [str(each.standing.finding.pk) for each in act.changes[:SHOWN]],
    }


def _told(finding: Finding) -> Response:
    meaning = meaning_of(finding.rule)
    data = _facts(finding, object_names([finding])) | {
        "condition": meaning.condition,
        "why": meaning.why,
        "fix": meaning.fix,
        "evidence": finding.evidence,
        "unjudged_why": finding.unjudged_why,
        "exceptions": [_exception_facts(each) for each in list_acceptances(finding)],
        "steps": [
            {"step": event.step, "at": event.at, "by": event.by.email if event.by else None, "facts": event.facts}
            for event in list_events(finding)
        ],
    }
    return Response(data, headers={"ETag": etag_for(finding.version)})


def _facts(finding: Finding, names: Any) -> dict[str, Any]:
    """By hand, as grants are told: field by field through a serializer takes longer than reading them."""
    identity = finding.identity
    return {
        "id": finding.pk,
        "rule": finding.rule,
        "title": meaning_of(finding.rule).title,
        "severity": FindingSeverity(finding.severity).word,
        "arithmetic": finding.arithmetic,
        "state": finding.state,
        "object_kind": finding.object_kind,
        "object": finding.object_id,
        "object_name": names.get(finding.object_id, ""),
        "identity": finding.identity_id,
        "identity_name": identity.name if identity else None,
        "source": finding.source.slug,
        "environment": identity.effective_environment if identity else finding.source.environment,
        "assignee": finding.assignee.email if finding.assignee else None,
        "policy": finding.policy_id,
        **{name: getattr(finding, name) for name in _TIMES},
        "fixed_how": finding.fixed_how,
        "reopened": finding.reopened,
    }


_TIMES = ("found_at", "opened_at", "changed_at", "fixed_at", "unjudged_since")


def _exception_facts(each: FindingAcceptance) -> dict[str, Any]:
    moments: dict[str, datetime | None] = {
        name: getattr(each, name) for name in ("requested_at", "until", "accepted_at", "ended_at")
    }
    return {
        "severity": FindingSeverity(each.severity).word,
        "reason": each.reason,
        "compensating_control": each.compensating_control,
        "requested_by": each.requested_by.email,
        "approver": each.approver.email if each.approver else None,
        "ended_how": each.ended_how,
        **moments,
    }


urlpatterns = [
    path("findings/", FindingList.as_view(), name="api_finding_list"),
    path("findings/bulk/", FindingBulk.as_view(), name="api_finding_bulk"),
    path("findings/<uuid:finding_id>/", FindingDetail.as_view(), name="api_finding_detail"),
    path("findings/<uuid:finding_id>/assign/", FindingAssign.as_view(), name="api_finding_assign"),
    path("findings/<uuid:finding_id>/exception/", FindingException.as_view(), name="api_finding_exception"),
]
