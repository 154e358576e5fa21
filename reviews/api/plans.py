"""What programs say about a review that they plan, and how a request is carried out once."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from governance.people.models import User
from identities.api.edge import idempotency_key
from identities.services.request_keys import Once
from reviews.api.items import UnknownPerson
from reviews.api.requests import actor_of
from reviews.campaigns.plans import LONGEST_DURATION, LONGEST_SCOPE
from reviews.models import DeadlinePolicy, ItemKind, ReviewerRule

READ_WRITE = {"get": "reviews:read", "post": "reviews:write", "patch": "reviews:write"}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same request sent again gets the answer of the first one.",
)
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag you read.")
PEOPLE = ("fallback_reviewer", "independent_reviewer")
T = TypeVar("T")


class PlanPatch(serializers.Serializer[dict[str, Any]]):
    """What a review asks, of whom and for how long. People are e-mail addresses; `scope` is the inventory's filter."""

    scope = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_SCOPE)
    item_kinds = serializers.ListField(child=serializers.ChoiceField(ItemKind.choices), required=False, max_length=10)
    duration_days = serializers.IntegerField(required=False, min_value=1, max_value=LONGEST_DURATION)
    reviewer_rules = serializers.ListField(
        child=serializers.ChoiceField(ReviewerRule.choices), required=False, max_length=20
    )
    fallback_reviewer = serializers.EmailField(required=False)
    independent_reviewer = serializers.EmailField(required=False, allow_null=True)
    deadline_policy = serializers.ChoiceField(DeadlinePolicy.choices, required=False)
    policy = serializers.DictField(required=False, help_text="Further rules by topic; what is absent has its default.")


class PlanIn(PlanPatch):
    """A whole plan; only the fallback reviewer has no default."""

    fallback_reviewer = serializers.EmailField()


def chosen_of(data: dict[str, Any]) -> dict[str, Any]:
    """The checked body as arguments of a use case, with people instead of addresses. Raises UnknownPerson."""
    people = {name: _person(data[name], name) for name in PEOPLE if name in data}
    lists = {name: tuple(data[name]) for name in ("item_kinds", "reviewer_rules") if name in data}
    return data | people | lists


def once_of(request: Request, told: Callable[[T], dict[str, Any]]) -> Once[T] | None:
    """The request's key with what it stands for (address and body), or None without one. Raises InvalidKey."""
    key = idempotency_key(request)
    if not key:
        return None
    body = json.dumps([request.path, request.data], sort_keys=True, ensure_ascii=False)
    digest = sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
    return Once(actor_of(request).id, key, digest, told)


def _person(email: str | None, field: str) -> User | None:
    if not email:
        return None
    person = User.objects.filter(email__iexact=email).first()
    if person is None:
        raise UnknownPerson("There is nobody with this address.", fields={field: "There is nobody with this address."})
    return person
