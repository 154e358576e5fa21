"""`/api/v1/watches/`: which events open reviews between their dates."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.people.models import User
from governance.web.etag import etag_for, require_match
from governance.web.pagination import SortKey
from governance.web.parameters import checked
from reviews.api.requests import actor_of, page_of
from reviews.continuous import InvalidWatch, change_watch, create_watch
from reviews.models import DeadlinePolicy, ReviewerRule, ReviewWatch, Trigger
from reviews.selectors import access_watch, list_watches, watch_counts

READ_WRITE = {"get": "reviews:read", "post": "reviews:write", "patch": "reviews:write"}
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag that you read."
)


class WatchOut(serializers.ModelSerializer[ReviewWatch]):
    """One rule. `scope` is the filter of the identity list; `quiet_days` belongs to `woke_up`."""

    fallback_reviewer: Any = serializers.SlugRelatedField("email", read_only=True)
    independent_reviewer = serializers.SlugRelatedField("email", read_only=True, allow_null=True)  # type: ignore[var-annotated]
    created_by: Any = serializers.SlugRelatedField("email", read_only=True)

    class Meta:
        model = ReviewWatch
        fields = [
            *("id", "trigger", "scope", "is_enabled", "reviewer_rules", "fallback_reviewer", "independent_reviewer"),
            *("deadline_policy", "days_to_answer", "settle_minutes", "most_questions", "quiet_days"),
            *("created_by", "created_at"),
        ]


class WatchWithCounts(WatchOut):
    """The same with what is `waiting` for a review and how many questions are `open`."""

    waiting = serializers.IntegerField(read_only=True)
    open = serializers.IntegerField(read_only=True)

    class Meta(WatchOut.Meta):
        fields = [*WatchOut.Meta.fields, "waiting", "open"]


class WatchPatch(serializers.Serializer[dict[str, Any]]):
    """Fields to change; what is not sent stays. The trigger of a rule is fixed."""

    scope = serializers.CharField(max_length=1000, required=False, allow_blank=True)
    is_enabled = serializers.BooleanField(required=False)
    reviewer_rules = serializers.ListField(
        child=serializers.ChoiceField(ReviewerRule.choices), required=False, min_length=1, max_length=10
    )
    fallback_reviewer = serializers.EmailField(required=False)
    independent_reviewer = serializers.EmailField(required=False, allow_null=True)
    deadline_policy = serializers.ChoiceField(DeadlinePolicy.choices, required=False)
    days_to_answer = serializers.IntegerField(required=False)
    settle_minutes = serializers.IntegerField(required=False)
    most_questions = serializers.IntegerField(required=False)
    quiet_days = serializers.IntegerField(required=False)


class WatchIn(WatchPatch):
    """A new rule; what is not sent stands at its default."""

    trigger = serializers.ChoiceField(Trigger.choices)
    fallback_reviewer = serializers.EmailField()


class WatchList(APIView):
    """`/api/v1/watches/`"""

    required_scope = READ_WRITE
    keyset = (SortKey("trigger"), SortKey("pk"))

    @extend_schema(operation_id="watches_list", responses=WatchOut(many=True))
    def get(self, request: Request) -> Response:
        """Rules, by trigger."""
        return page_of(self, request, list_watches(actor=actor_of(request)), WatchOut)

    @extend_schema(operation_id="watches_create", request=WatchIn, responses={201: WatchWithCounts})
    def post(self, request: Request) -> Response:
        """Write a rule. Its reviews are managed by whoever issued the token."""
        data = _people(checked(WatchIn, request))
        return _answer(create_watch(actor=actor_of(request), now=timezone.now(), **data), status=201)


class WatchDetail(APIView):
    """`/api/v1/watches/{id}/`"""

    required_scope = READ_WRITE

    @extend_schema(operation_id="watches_retrieve", responses=WatchWithCounts)
    def get(self, request: Request, watch_id: UUID) -> Response:
        """One rule, with an ETag."""
        return _answer(access_watch(actor=actor_of(request), watch_id=watch_id))

    @extend_schema(operation_id="watches_change", request=WatchPatch, responses=WatchWithCounts, parameters=[IF_MATCH])
    def patch(self, request: Request, watch_id: UUID) -> Response:
        """Change a rule; needs If-Match. Reviews that are open stay as they are."""
        watch = access_watch(actor=actor_of(request), watch_id=watch_id)
        require_match(request, watch.version)
        data = _people(checked(WatchPatch, request))
        changed = change_watch(
            watch=watch, version=watch.version, changes=data, actor=actor_of(request), now=timezone.now()
        )
        return _answer(changed)


def _answer(watch: ReviewWatch, status: int = 200) -> Response:
    counts = watch_counts([watch])[watch.pk]
    watch.waiting, watch.open = counts.waiting, counts.open  # type: ignore[attr-defined]
    return Response(WatchWithCounts(watch).data, status=status, headers={"ETag": etag_for(watch.version)})


def _people(data: dict[str, Any]) -> dict[str, Any]:
    """Addresses as people. Raises InvalidWatch."""
    for name in ("fallback_reviewer", "independent_reviewer"):
        if data.get(name):
            person = User.objects.filter(email=data[name].lower()).first()
            if person is None:
                raise InvalidWatch({name: f"There is nobody with the address {data[name]}."})
            data[name] = person
    return data
