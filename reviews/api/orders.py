"""`/api/v1/orders/`: what is to change at the sources and what became of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.people.access import actor_in_full, get_active
from governance.web.etag import etag_for
from governance.web.pagination import SortKey
from reviews.api.requests import actor_of, choice, identifier, page_of
from reviews.decisions import list_awaiting
from reviews.models import Order, OrderAction
from reviews.remediation.urgency import hold_of
from reviews.remediation.windows import Calendar, Hold
from reviews.selectors import access_order, list_orders
from reviews.states import OrderState

STATES = [state.value for state in OrderState]


class OrderOut(serializers.ModelSerializer[Order]):
    """One change at one source. `plan` is what is executed; null where a person does it (`instructions`)."""

    source: Any = serializers.SlugRelatedField("slug", read_only=True)
    held_until = serializers.SerializerMethodField()
    held_because = serializers.SerializerMethodField()

    class Meta:
        model = Order
        fields = [
            *("id", "action", "state", "source", "identity", "grant", "credential", "item", "decision", "restores"),
            *("target", "held", "plan", "instructions", "execute_after", "attempts", "outcome", "evidence"),
            *("task_reported_at", "created_at", "state_since", "applied_at", "verified_at", "verified_by_run"),
            *("second_by", "second_at", "second_reason", "watch_days", "stage", "lock_plan"),
            *("protested_at", "protest_reason", "question", "held_until", "held_because"),
        ]

    def get_held_until(self, order: Order) -> datetime | None:
        """When a window opens or a freeze ends; null where nothing holds the order, or no such date is in sight."""
        hold = self._hold_of(order)
        return hold.until if hold else None

    def get_held_because(self, order: Order) -> list[str]:
        """What holds the order, a brake, a window or a freeze; empty where nothing does."""
        hold = self._hold_of(order)
        brake = [order.outcome] if order.is_braked else []
        return [*brake, *(hold.reasons if hold else ())]

    def _hold_of(self, order: Order) -> Hold | None:
        # One calendar for all rows of an answer.
        if not hasattr(self.root, "calendar"):
            self.root.calendar = Calendar(timezone.now())  # type: ignore[attr-defined]
        calendar: Calendar = self.root.calendar  # type: ignore[attr-defined]
        return hold_of(order, calendar)


class OrderList(APIView):
    """`/api/v1/orders/`"""

    required_scope = "orders:read"
    keyset = (SortKey("created_at", descending=True), SortKey("pk", descending=True))
    filters = ("state", "action", "source", "campaign", "brake", "releasable_by")

    @extend_schema(
        operation_id="orders_list",
        responses=OrderOut(many=True),
        parameters=[
            OpenApiParameter("state", str, enum=STATES, description="Only orders in this state."),
            OpenApiParameter("action", str, enum=OrderAction.values, description="Only orders of this kind."),
            OpenApiParameter("source", str, description="Only orders at this source (slug)."),
            OpenApiParameter("campaign", str, description="Only orders of this review (id)."),
            OpenApiParameter("brake", str, description="Only orders that this brake holds or held (id)."),
            OpenApiParameter(
                "releasable_by",
                str,
                description="Only orders that wait for a second person and that this one may release (e-mail).",
            ),
        ],
    )
    def get(self, request: Request) -> Response:
        """Orders, newest first."""
        orders = list_orders(actor=actor_of(request))
        if state := choice(request, "state", STATES):
            orders = orders.filter(state=state)
        if action := choice(request, "action", OrderAction.values):
            orders = orders.filter(action=action)
        if source := request.query_params.get("source", ""):
            orders = orders.filter(source__slug=source[:200])
        if campaign := identifier(request, "campaign"):
            orders = orders.filter(item__campaign=campaign)
        if brake := identifier(request, "brake"):
            orders = orders.filter(hold__brake=brake)
        if email := request.query_params.get("releasable_by", ""):
            person = get_active(email)
            waiting = list_awaiting(actor=actor_in_full(person)) if person else Order.objects.none()
            orders = orders.filter(pk__in=waiting.order_by().values("pk"))
        return page_of(self, request, orders, OrderOut)


class OrderDetail(APIView):
    """`/api/v1/orders/{id}/`"""

    required_scope = "orders:read"

    @extend_schema(operation_id="orders_retrieve", responses=OrderOut)
    def get(self, request: Request, order_id: UUID) -> Response:
        """One order."""
        order = access_order(actor=actor_of(request), order_id=order_id)
        return Response(OrderOut(order).data, headers={"ETag": etag_for(order.version)})
