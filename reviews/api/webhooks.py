"""`/api/v1/webhooks/`: endpoints that are told what happens, what was sent to them, and the tickets of orders."""

import json
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.etag import etag_for, require_match
from governance.web.pagination import SortKey
from governance.web.parameters import checked, require_known_parameters
from identities.api.edge import idempotency_key
from identities.services.request_keys import AlreadyDone, Once
from reviews.api.requests import actor_of, choice, page_of
from reviews.models import DeliveryState, OrderTicket, WebhookDelivery, WebhookEndpoint
from reviews.notices import asking, endpoints
from reviews.notices.endpoints import EndpointWish
from reviews.notices.reading import access_endpoint, access_ticket_order, list_deliveries, list_endpoints, with_lines
from reviews.notices.tickets import note_ticket

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag that you read."
)
STATES = list(DeliveryState.values)
NEWEST_FIRST = (SortKey("created_at", descending=True), SortKey("pk", descending=True))


class WebhookOut(serializers.ModelSerializer[WebhookEndpoint]):
    """A webhook without its secret. Empty lists mean everything. `in_line`: events that wait for it."""

    created_by: Any = serializers.SlugRelatedField("email", read_only=True)
    verbs = serializers.ListField(child=serializers.CharField())
    sources = serializers.ListField(child=serializers.CharField())
    campaigns = serializers.ListField(child=serializers.CharField())
    in_line = serializers.IntegerField()

    class Meta:
        model = WebhookEndpoint
        fields = [
            *("id", "name", "url", "purpose", "verbs", "sources", "campaigns", "is_enabled", "off_reason", "off_at"),
            *("failing_since", "last_success_at", "in_line", "secret_made_at", "previous_until", "created_by"),
            "created_at",
        ]


class WebhookWithSecret(WebhookOut):
    """The only answer that carries the secret."""

    secret = serializers.CharField()

    class Meta(WebhookOut.Meta):
        fields = [*WebhookOut.Meta.fields, "secret"]


class WebhookIn(serializers.Serializer[dict[str, Any]]):
    """A webhook. `verbs`: verbs of the trail or nouns; `sources`: slugs; `campaigns`: ids of reviews."""

    name = serializers.CharField(max_length=120)
    url = serializers.CharField(max_length=500)
    purpose = serializers.CharField(max_length=10, required=False, help_text="`events` or `tickets`.")
    verbs = serializers.ListField(child=serializers.CharField(max_length=60), max_length=200, required=False)
    sources = serializers.ListField(child=serializers.CharField(max_length=200), max_length=500, required=False)
    campaigns = serializers.ListField(child=serializers.CharField(max_length=40), max_length=500, required=False)


class WebhookPatch(WebhookIn):
    """Members to change; what is not sent stays."""

    name = serializers.CharField(max_length=120, required=False)
    url = serializers.CharField(max_length=500, required=False)


class RotateIn(serializers.Serializer[dict[str, Any]]):
    """For how many hours the secret before signs too; 24 when left out, 0 ends it at once."""

    overlap_hours = serializers.IntegerField(min_value=0, max_value=168, required=False, default=24)


class SwitchOnIn(serializers.Serializer[dict[str, Any]]):
    """skip: leave out what happened while it was off."""

    skip = serializers.BooleanField(required=False, default=False)


class TryOut(serializers.Serializer[dict[str, Any]]):
    """One attempt."""

    at = serializers.DateTimeField()
    status = serializers.IntegerField(allow_null=True)
    milliseconds = serializers.IntegerField(allow_null=True)
    problem = serializers.CharField(allow_blank=True)


class DeliveryOut(serializers.ModelSerializer[WebhookDelivery]):
    """One event on its way to one webhook. `event_id` is its `webhook-id`; `sequence` is null for a test."""

    type = serializers.CharField(source="verb")
    tries = TryOut(many=True)

    class Meta:
        model = WebhookDelivery
        fields = [
            *("id", "event_id", "type", "subject_kind", "subject_id", "sequence", "state", "attempts"),
            *("next_attempt_at", "last_status", "last_milliseconds", "last_problem", "tries", "created_at"),
            "finished_at",
        ]


class TicketIn(serializers.Serializer[dict[str, Any]]):
    """The ticket that another system keeps for an order."""

    reference = serializers.CharField(max_length=100)
    url = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class TicketOut(serializers.ModelSerializer[OrderTicket]):
    """A ticket that another system keeps for an order."""

    class Meta:
        model = OrderTicket
        fields = ["order", "reference", "url", "noted_at"]


class WebhookList(APIView):
    """`/api/v1/webhooks/`"""

    required_scope = {"get": "webhooks:read", "post": "webhooks:write"}
    keyset = NEWEST_FIRST

    @extend_schema(operation_id="webhooks_list", responses=WebhookOut(many=True))
    def get(self, request: Request) -> Response:
        """Webhooks, newest first, without secrets."""
        return page_of(self, request, with_lines(list_endpoints(actor=actor_of(request))), WebhookOut)

    @extend_schema(operation_id="webhooks_create", request=WebhookIn, responses={201: WebhookWithSecret})
    def post(self, request: Request) -> Response:
        """Add a webhook; the answer carries its secret, once."""
        wish = EndpointWish(**checked(WebhookIn, request))
        endpoint, secret = endpoints.create_endpoint(wish=wish, actor=actor_of(request), now=timezone.now())
        return _told(request, endpoint, secret=secret, status=201)


class WebhookDetail(APIView):
    """`/api/v1/webhooks/{id}/`"""

    required_scope = {"get": "webhooks:read", "patch": "webhooks:write", "delete": "webhooks:write"}

    @extend_schema(operation_id="webhooks_retrieve", responses=WebhookOut)
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        """One webhook, with an ETag."""
        return _told(request, access_endpoint(actor=actor_of(request), endpoint_id=endpoint_id))

    @extend_schema(operation_id="webhooks_change", request=WebhookPatch, responses=WebhookOut, parameters=[IF_MATCH])
    def patch(self, request: Request, endpoint_id: UUID) -> Response:
        """Change a webhook; needs If-Match."""
        endpoint = access_endpoint(actor=actor_of(request), endpoint_id=endpoint_id)
        require_match(request, endpoint.version)
        endpoint = endpoints.change_endpoint(
            endpoint_id=endpoint_id,
            version=endpoint.version,
            changes=checked(WebhookPatch, request),
            actor=actor_of(request),
            now=timezone.now(),
        )
        return _told(request, endpoint)

    @extend_schema(operation_id="webhooks_remove", responses={204: None})
    def delete(self, request: Request, endpoint_id: UUID) -> Response:
        """Remove a webhook: nothing more is sent there, and what was sent is forgotten."""
        endpoints.remove_endpoint(endpoint_id=endpoint_id, actor=actor_of(request), now=timezone.now())
        return Response(status=204)


class WebhookRotate(APIView):
    """`/api/v1/webhooks/{id}/rotate/`"""

    required_scope = "webhooks:write"

    @extend_schema(operation_id="webhooks_rotate", request=RotateIn, responses=WebhookWithSecret)
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """Make a new secret; the answer carries it, once. The one before signs beside it for a while."""
        overlap = timedelta(hours=checked(RotateIn, request)["overlap_hours"])
        endpoint, secret = endpoints.rotate_secret(
            endpoint_id=endpoint_id, actor=actor_of(request), now=timezone.now(), overlap=overlap
        )
        return _told(request, endpoint, secret=secret)


class WebhookTest(APIView):
    """`/api/v1/webhooks/{id}/test/`"""

    required_scope = "webhooks:write"

    @extend_schema(operation_id="webhooks_test", request=None, responses={202: DeliveryOut})
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """Send a `remit.test` event once. Read the deliveries to see what came of it."""
        delivery = asking.send_test(endpoint_id=endpoint_id, actor=actor_of(request), now=timezone.now())
        return Response(DeliveryOut(delivery).data, status=202)


class WebhookSwitchOff(APIView):
    """`/api/v1/webhooks/{id}/switch-off/`"""

    required_scope = ("webhooks:write", "clients:narrow")

    @extend_schema(operation_id="webhooks_switch_off", request=None, responses=WebhookOut)
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """Send nothing for a while. The trail keeps what happens."""
        endpoint = endpoints.switch_off(endpoint_id=endpoint_id, actor=actor_of(request), now=timezone.now())
        return _told(request, endpoint)


class WebhookSwitchOn(APIView):
    """`/api/v1/webhooks/{id}/switch-on/`"""

    required_scope = ("webhooks:write", "clients:restore")

    @extend_schema(operation_id="webhooks_switch_on", request=SwitchOnIn, responses=WebhookOut)
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """Send again, from where it stopped."""
        skip = checked(SwitchOnIn, request)["skip"]
        endpoint = endpoints.switch_on(endpoint_id=endpoint_id, actor=actor_of(request), now=timezone.now(), skip=skip)
        return _told(request, endpoint)


class DeliveryList(APIView):
    """`/api/v1/webhooks/{id}/deliveries/`"""

    required_scope = "webhooks:read"
    keyset = NEWEST_FIRST
    filters = ("state",)

    @extend_schema(
        operation_id="webhooks_deliveries",
        responses=DeliveryOut(many=True),
        parameters=[OpenApiParameter("state", str, enum=STATES, description="Only deliveries in this state.")],
    )
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        """What was and will be sent, newest first."""
        endpoint = access_endpoint(actor=actor_of(request), endpoint_id=endpoint_id)
        return page_of(self, request, list_deliveries(endpoint, state=choice(request, "state", STATES)), DeliveryOut)


class DeliverySendAgain(APIView):
    """`/api/v1/webhooks/{id}/deliveries/{delivery}/send-again/`"""

    required_scope = "webhooks:write"

    @extend_schema(operation_id="webhooks_send_again", request=None, responses={202: DeliveryOut})
    def post(self, request: Request, endpoint_id: UUID, delivery_id: UUID) -> Response:
        """Send an event once more, or now instead of later, under the same `webhook-id`."""
        delivery = asking.send_again(
            endpoint_id=endpoint_id, delivery_id=delivery_id, actor=actor_of(request), now=timezone.now()
        )
        return Response(DeliveryOut(delivery).data, status=202)


class OrderTicketNote(APIView):
    """`/api/v1/orders/{id}/ticket/`"""

    required_scope = "tickets:write"

    @extend_schema(
        operation_id="orders_note_ticket",
        request=TicketIn,
        responses=TicketOut,
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
    )
    def post(self, request: Request, order_id: UUID) -> Response:
        """Say which ticket another system keeps for an order. Saying it twice changes nothing."""
        require_known_parameters(request, ())
        actor, said = actor_of(request), checked(TicketIn, request)
        order, key = access_ticket_order(actor=actor, order_id=order_id), idempotency_key(request)
        once = Once(actor.id, key, _digest(request, order_id), _ticket) if key else None
        try:
            ticket = note_ticket(order=order, **said, actor=actor, now=timezone.now(), once=once)
        except AlreadyDone as earlier:
            return Response(earlier.answer, headers={"Idempotency-Replayed": "true"})
        return Response(_ticket(ticket))


def _told(request: Request, endpoint: WebhookEndpoint, *, secret: str = "", status: int = 200) -> Response:
    endpoint = with_lines(WebhookEndpoint.objects.select_related("created_by")).get(pk=endpoint.pk)
    answer = WebhookOut(endpoint).data | ({"secret": secret} if secret else {})
    return Response(answer, status=status, headers={"ETag": etag_for(endpoint.version)})


def _ticket(ticket: OrderTicket) -> dict[str, Any]:
    """As it is answered and kept: plain JSON."""
    told: dict[str, Any] = json.loads(json.dumps(TicketOut(ticket).data, default=str))
    return told


def _digest(request: Request, order_id: UUID) -> str:
    body = json.dumps([str(order_id), request.data], sort_keys=True, ensure_ascii=False)
    return sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
