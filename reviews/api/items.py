"""`/api/v1/items/`: the questions of reviews and the answers to them."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from governance.people.access import actor_in_full, get_active
from governance.people.models import User
from governance.web.etag import etag_for, require_match
from governance.web.pagination import SortKey
from governance.web.parameters import checked
from reviews.api.requests import actor_of, choice, identifier, page_of
from reviews.decisions import decide
from reviews.decisions.remarks import list_replies_to
from reviews.models import Answer, Decision, ItemKind, Remark, ReviewItem
from reviews.selectors import access_item, list_decisions, visible_items
from reviews.states import ItemState

STATES = [state.value for state in ItemState]
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag of the question that you read."
)


class UnknownPerson(DomainError):
    """There is nobody with this address."""

    code = "unknown-person"


class ItemOut(serializers.ModelSerializer[ReviewItem]):
    """One question. `seen` is what its reviewer was shown when the review opened."""

    assignee: Any = serializers.SlugRelatedField("email", read_only=True)
    identity_name = serializers.CharField(source="identity.name")

    class Meta:
        model = ReviewItem
        fields = [
            *("id", "campaign", "kind", "identity", "identity_name", "grant", "grant_version", "credential", "state"),
            *("assignee", "resolution", "is_privileged", "needs_independent", "stage", "recommendation"),
            *("recommendation_reasons", "recommended_target", "rule_version", "seen", "decided_at", "escalated_at"),
            "version",
        ]


class DecisionOut(serializers.ModelSerializer[Decision]):
    """One answer, or the taking back of one (`recalls`).

    `is_attestation`: it is testimony, and a later stage or the outcome of several answers decides. `stage` is null for
    what was said after its stage was settled, and for what a policy decided at the deadline.
    """

    decided_by = serializers.SlugRelatedField("email", read_only=True, allow_null=True)  # type: ignore[var-annotated]
    named_person = serializers.SlugRelatedField("email", read_only=True, allow_null=True)  # type: ignore[var-annotated]

    class Meta:
        model = Decision
        fields = [
            *("id", "item", "answer", "is_attestation", "stage", "until", "target", "proof", "reason", "named_person"),
            *("decided_by", "decided_by_policy", "auth_method", "is_bulk", "recalls"),
            *("carries", "generation", "decided_at"),
        ]


class DecisionIn(serializers.Serializer[dict[str, Any]]):
    """An answer. `until` for approve_until and rotate, `target` (a permission) for scope_down."""

    answer = serializers.ChoiceField(Answer.choices)
    reason = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)
    target = serializers.JSONField(required=False, allow_null=True, default=None)
    named_person = serializers.EmailField(required=False, allow_null=True, default=None)


class ItemList(APIView):
    """`/api/v1/items/`"""

    required_scope = "reviews:read"
    keyset = (SortKey("created_at", descending=True), SortKey("pk", descending=True))
    filters = ("campaign", "assignee", "state", "kind", "replied_to")

    @extend_schema(
        operation_id="items_list",
        responses=ItemOut(many=True),
        parameters=[
            OpenApiParameter("campaign", str, description="Only questions of this review (id)."),
            OpenApiParameter("assignee", str, description="Only questions asked of this person (e-mail address)."),
            OpenApiParameter("state", str, enum=STATES, description="Only questions in this state."),
            OpenApiParameter("kind", str, enum=ItemKind.values, description="Access or credentials only."),
            OpenApiParameter(
                "replied_to",
                str,
                description="Only questions with a reply to this person that they have not looked at (e-mail address).",
            ),
        ],
    )
    def get(self, request: Request) -> Response:
        """Questions, newest first."""
        items = visible_items(actor_of(request)).select_related("assignee", "identity")
        if campaign := identifier(request, "campaign"):
            items = items.filter(campaign=campaign)
        if assignee := request.query_params.get("assignee", ""):
            items = items.filter(assignee__email=assignee[:254].lower())
        if state := choice(request, "state", STATES):
            items = items.filter(state=state)
        if kind := choice(request, "kind", list(ItemKind.values)):
            items = items.filter(kind=kind)
        if email := request.query_params.get("replied_to", ""):
            person = get_active(email)
            replies = list_replies_to(actor_in_full(person)) if person else Remark.objects.none()
            items = items.filter(pk__in=replies.order_by().values("item_id"))
        return page_of(self, request, items, ItemOut)


class ItemDetail(APIView):
    """`/api/v1/items/{id}/`"""

    required_scope = "reviews:read"

    @extend_schema(operation_id="items_retrieve", responses=ItemOut)
    def get(self, request: Request, item_id: UUID) -> Response:
        """One question, with an ETag."""
        item = access_item(actor=actor_of(request), item_id=item_id)
        return Response(ItemOut(item).data, headers={"ETag": etag_for(item.version)})


class ItemDecisions(APIView):
    """`/api/v1/items/{id}/decisions/`"""

    required_scope = {"get": "reviews:read", "post": "reviews:write"}

    @extend_schema(operation_id="items_decisions_list", responses=DecisionOut(many=True))
    def get(self, request: Request, item_id: UUID) -> Response:
        """Everything said about a question, oldest first."""
        item = access_item(actor=actor_of(request), item_id=item_id)
        return Response(DecisionOut(list_decisions(item, actor=actor_of(request)), many=True).data)

    @extend_schema(operation_id="items_decide", request=DecisionIn, responses={201: DecisionOut}, parameters=[IF_MATCH])
    def post(self, request: Request, item_id: UUID) -> Response:
        """Answer a question. Only people decide: a program gets 403, code `not-assigned`."""
        item = access_item(actor=actor_of(request), item_id=item_id)
        require_match(request, item.version)
        data = checked(DecisionIn, request)
        decision = decide(
            item=item,
            version=item.version,
            answer=data["answer"],
            actor=actor_of(request),
            now=timezone.now(),
            reason=data["reason"],
            until=data["until"],
            target=Permission.from_json(data["target"]) if data["target"] is not None else None,
            named_person=_person(data["named_person"]),
        )
        return Response(DecisionOut(decision).data, status=201)


def _person(email: str | None) -> User | None:
    if not email:
        return None
    person = User.objects.filter(email=email.lower()).first()
    if person is None:
        raise UnknownPerson("There is nobody with this address.", fields={"named_person": "unknown"})
    return person
