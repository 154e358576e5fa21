"""`/api/v1/items/decide/`: one answer for many questions, with a result for each."""

import json
from hashlib import sha256
from typing import Any

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.parameters import checked
from identities.api.edge import idempotency_key
from identities.services.request_keys import AlreadyDone, Once, remember, require_new
from reviews.api.requests import actor_of
from reviews.decisions import BulkResult, NotAssigned, decide_many
from reviews.decisions.answers import BULK
from reviews.decisions.bulk import MOST_ITEMS, foresee_many
from reviews.models import Answer


class RowIn(serializers.Serializer[dict[str, Any]]):
    """A question, and its version as it was read: without one it is answered as it is now."""

    id = serializers.UUIDField()
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False)


class DecideIn(serializers.Serializer[dict[str, Any]]):
    """The same answer for many questions of one kind. Only answers that need neither a date nor a target."""

    items = serializers.ListField(child=RowIn(), min_length=1, max_length=MOST_ITEMS)
    answer = serializers.ChoiceField([(each.value, each.label) for each in Answer if each in BULK])
    reason = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")
    dry_run = serializers.BooleanField(required=False, default=False)


class RowOut(serializers.Serializer[BulkResult]):
    """What became of one question; `code` and `problem` are empty when it was answered."""

    id = serializers.UUIDField(source="item_id")
    ok = serializers.BooleanField()
    code = serializers.CharField()
    problem = serializers.CharField()
    is_attestation = serializers.BooleanField()


class DecideOut(serializers.Serializer[dict[str, Any]]):
    """The results in the order of the request; on a dry run, what they would be."""

    dry_run = serializers.BooleanField()
    answered = serializers.IntegerField()
    refused = serializers.IntegerField()
    results = RowOut(many=True)


class ItemsDecide(APIView):
    """`/api/v1/items/decide/`"""

    required_scope = "reviews:write"

    @extend_schema(
        operation_id="items_decide_many",
        request=DecideIn,
        responses=DecideOut,
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
    )
    def post(self, request: Request) -> Response:
        """Answer up to 500 questions, each by itself: one row's refusal never touches another.

        Only people decide: a program gets 403, code `not-assigned`, unless it asks for a dry run. Privileged access is
        refused row by row. With an Idempotency-Key the same request sent again gets the answer of the first.
        """
        data, actor, now = checked(DecideIn, request), actor_of(request), timezone.now()
        if actor.person_id is None and not data["dry_run"]:
            raise NotAssigned("Only people decide; a program cannot.")
        versions = {row["id"]: row["version"] for row in data["items"] if "version" in row}
        given = {"item_ids": [row["id"] for row in data["items"]], "answer": data["answer"], "versions": versions}
        if data["dry_run"]:
            return Response(_told(foresee_many(**given, actor=actor, now=now), is_dry=True))
        once = _once(request, actor.id)
        try:
            if once:
                with transaction.atomic():
                    require_new(once)
            told = _told(decide_many(**given, actor=actor, now=now, reason=data["reason"]), is_dry=False)
            if once:
                # Answers talk to sources before their transaction, so the key is kept after it; versions keep a row
                # from being answered twice where the machine stops in between.
                with transaction.atomic():
                    require_new(once)
                    remember(once, told, now=now)
        except AlreadyDone as done:
            return Response(done.answer, headers={"Idempotency-Replayed": "true"})
        return Response(told)


def _told(results: list[BulkResult], *, is_dry: bool) -> dict[str, Any]:
    done = sum(each.ok for each in results)
    rows = [dict(RowOut(each).data) for each in results]
    return {"dry_run": is_dry, "answered": done, "refused": len(results) - done, "results": rows}


def _once(request: Request, client: str) -> Once[dict[str, Any]] | None:
    key = idempotency_key(request)
    if not key:
        return None
    body = json.dumps(request.data, sort_keys=True, default=str)
    return Once(client, key, sha256(f"items_decide_many\n{body}".encode()).hexdigest(), lambda told: told)
