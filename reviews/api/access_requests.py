"""`/api/v1/access-requests/`: a program asks that an identity may do something for a while, and people answer.

An answer is never something to carry around: a request that was granted says so, and whoever enforces asks the
decision point again. The shape follows the draft of an AuthZEN access request profile where it fits.
"""

from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.permissions import Permission
from governance.web.etag import etag_for, require_match
from governance.web.pagination import SortKey
from governance.web.parameters import checked
from identities.api.edge import idempotency_key
from identities.models import Identity
from identities.services.request_keys import AlreadyDone, Once
from reviews.access_requests import cancel_request, request_access
from reviews.access_requests.asking import InvalidAccessRequest
from reviews.access_requests.finding import access_request, list_requests
from reviews.api.requests import actor_of, choice, page_of
from reviews.models import AccessRequest
from reviews.states import AccessRequestState

STATES = [state.value for state in AccessRequestState]
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag of the request that you read."
)


class AccessRequestOut(serializers.ModelSerializer[AccessRequest]):
    """`result` is null until it holds; then the decision point is asked again, and answers by it until the date."""

    result = serializers.SerializerMethodField()

    class Meta:
        model = AccessRequest
        fields = [
            *("id", "identity", "permission", "reason", "until", "is_emergency", "state", "asked_at", "answer_by"),
            *("answered_at", "answer_reason", "granted_until", "ended_at", "verified_at", "still_effective", "result"),
        ]

    def get_result(self, request: AccessRequest) -> dict[str, str] | None:
        if request.state != AccessRequestState.GRANTED or request.granted_until is None:
            return None
        return {"mode": "reevaluate", "approval": str(request.pk), "approved_until": request.granted_until.isoformat()}


class AccessRequestIn(serializers.Serializer[dict[str, Any]]):
    """Who shall be able to do what, until when, and why. The permission is a document as in `/api/v1/grants/`."""

    identity = serializers.UUIDField()
    permission = serializers.JSONField()
    until = serializers.DateTimeField()
    reason = serializers.CharField(max_length=4000)


class AccessRequestList(APIView):
    """`/api/v1/access-requests/`"""

    required_scope = "access:request"
    keyset = (SortKey("asked_at", descending=True), SortKey("pk", descending=True))
    filters = ("state",)

    @extend_schema(
        operation_id="access_requests_list",
        responses=AccessRequestOut(many=True),
        parameters=[OpenApiParameter("state", str, enum=STATES, description="Only requests in this state.")],
    )
    def get(self, request: Request) -> Response:
        """What this token asked for, newest first; with reviews:read every request."""
        rows, state = list_requests(actor=actor_of(request)), choice(request, "state", STATES)
        return page_of(self, request, rows.filter(state=state) if state else rows, AccessRequestOut)

    @extend_schema(
        operation_id="access_requests_create",
        request=AccessRequestIn,
        responses={201: AccessRequestOut},
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
    )
    def post(self, request: Request) -> Response:
        """Ask. People who are independent answer; nobody is asked twice for the same thing.

        With an Idempotency-Key the same request sent again gets the answer of the first.
        """
        data, actor = checked(AccessRequestIn, request), actor_of(request)
        identity = Identity.objects.filter(pk=data["identity"]).first()
        if identity is None:
            raise InvalidAccessRequest(identity="There is no such identity.")
        try:
            made = request_access(
                identity=identity,
                permission=Permission.from_json(data["permission"]),
                until=data["until"],
                reason=data["reason"],
                actor=actor,
                now=timezone.now(),
                once=_once(request, actor.id),
            )
        except AlreadyDone as done:
            return Response(done.answer, status=201, headers={"Idempotency-Replayed": "true"})
        return _answer(made, status=201)


class AccessRequestDetail(APIView):
    """`/api/v1/access-requests/{id}/`"""

    required_scope = "access:request"

    @extend_schema(operation_id="access_requests_retrieve", responses=AccessRequestOut)
    def get(self, request: Request, request_id: UUID) -> Response:
        """One request and what became of it."""
        return _answer(access_request(actor=actor_of(request), request_id=request_id))


class AccessRequestCancel(APIView):
    """`/api/v1/access-requests/{id}/cancel/`"""

    required_scope = "access:request"

    @extend_schema(
        operation_id="access_requests_cancel", request=None, responses=AccessRequestOut, parameters=[IF_MATCH]
    )
    def post(self, request: Request, request_id: UUID) -> Response:
        """Take back what this token, or the person behind it, asked for and nobody has answered. Needs If-Match."""
        actor = actor_of(request)
        found = access_request(actor=actor, request_id=request_id)
        require_match(request, found.version)
        return _answer(cancel_request(request=found, actor=actor, now=timezone.now(), version=found.version))


def _answer(request: AccessRequest, *, status: int = 200) -> Response:
    return Response(AccessRequestOut(request).data, status=status, headers={"ETag": etag_for(request.version)})


def _once(request: Request, client: str) -> Once[AccessRequest] | None:
    key = idempotency_key(request)
    if not key:
        return None
    body = orjson.dumps(request.data, option=orjson.OPT_SORT_KEYS)
    told = sha256(b"access_requests_create\n" + body).hexdigest()
    return Once(client, key, told, lambda made: orjson.loads(orjson.dumps(AccessRequestOut(made).data, default=str)))
