"""`/api/v1/items/reassign/`: many questions go to somebody else, with an answer per row."""

import json
from hashlib import sha256
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.errors import DomainError
from governance.people.models import User
from governance.web.parameters import checked, require_known_parameters
from identities.api.edge import idempotency_key
from identities.services.request_keys import AlreadyDone, Once
from reviews.api.requests import actor_of
from reviews.decisions.reassigning import MOST_ROWS, Outcome, reassign_all_of, reassign_many, told
from reviews.selectors import access_campaign


class UnknownReviewer(DomainError):
    """There is nobody with this address."""

    code = "unknown-reviewer"


class ReassignRow(serializers.Serializer[dict[str, Any]]):
    """One question; with `version`, only while it is as you saw it."""

    item = serializers.UUIDField()
    version = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)


class ReassignIn(serializers.Serializer[dict[str, Any]]):
    """Either `items`, or everything that `person` has not answered in `campaign`. People are e-mail addresses."""

    items = serializers.ListField(child=ReassignRow(), required=False, max_length=MOST_ROWS)
    campaign = serializers.UUIDField(required=False)
    person = serializers.EmailField(required=False, max_length=254)
    to = serializers.EmailField(max_length=254)
    reason = serializers.CharField(max_length=1000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        by_person = "campaign" in attrs and "person" in attrs
        if ("items" in attrs) == by_person or (("campaign" in attrs) != ("person" in attrs)):
            raise serializers.ValidationError("Say which questions: either items, or campaign and person.")
        return attrs


class ReassignRowOut(serializers.Serializer[dict[str, Any]]):
    """What became of one question; `code` and `detail` say why it stayed."""

    item = serializers.UUIDField()
    ok = serializers.BooleanField()
    code = serializers.CharField(allow_blank=True)
    detail = serializers.CharField(allow_blank=True)


class ReassignOut(serializers.Serializer[dict[str, Any]]):
    """`left`: how many of that person are still there; send the request again under a new key for them."""

    moved = serializers.IntegerField()
    refused = serializers.IntegerField()
    left = serializers.IntegerField()
    results = ReassignRowOut(many=True)


class ItemsReassign(APIView):
    """`/api/v1/items/reassign/`"""

    required_scope = "reviews:write"

    @extend_schema(
        operation_id="items_reassign",
        request=ReassignIn,
        responses=ReassignOut,
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
    )
    def post(self, request: Request) -> Response:
        """Give questions to somebody else; whoever gets them answers in the place of who was asked before.

        A question whose new person may not answer stays where it is. Naming a campaign needs `reviews:read` as well.
        Sent twice with one Idempotency-Key, the second request changes nothing and gets the answer of the first.
        """
        require_known_parameters(request, ())
        wish = checked(ReassignIn, request)
        key = idempotency_key(request)
        common: dict[str, Any] = {
            "to": _person(wish["to"], "to"),
            "reason": wish["reason"],
            "actor": actor_of(request),
            "now": timezone.now(),
            "once": _once(request, key) if key else None,
        }
        try:
            outcome = _all_of(request, wish, common) if "person" in wish else _these(wish, common)
        except AlreadyDone as earlier:
            return Response(earlier.answer, headers={"Idempotency-Replayed": "true"})
        return Response(told(outcome))


def _all_of(request: Request, wish: dict[str, Any], common: dict[str, Any]) -> Outcome:
    campaign = access_campaign(actor=actor_of(request), campaign_id=wish["campaign"])
    return reassign_all_of(campaign=campaign, person=_person(wish["person"], "person"), **common)


def _these(wish: dict[str, Any], common: dict[str, Any]) -> Outcome:
    versions = {row["item"]: row["version"] for row in wish["items"] if "version" in row}
    return reassign_many(item_ids=[row["item"] for row in wish["items"]], versions=versions, **common)


def _once(request: Request, key: str) -> Once[Outcome]:
    body = json.dumps(["items_reassign", request.data], sort_keys=True, ensure_ascii=False)
    return Once(actor_of(request).id, key, sha256(body.encode("utf-8", "surrogatepass")).hexdigest(), told)


def _person(email: str, field: str) -> User:
    person = User.objects.filter(email=email.lower()).first()
    if person is None:
        raise UnknownReviewer("There is nobody with this address.", fields={field: "unknown"})
    return person
