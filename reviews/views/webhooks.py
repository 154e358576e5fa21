"""Webhooks as pages of the settings. A secret is in one response and never again."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError, NotFound
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import SortKey, paginate
from identities.models import Source
from reviews.forms.webhooks import RotateForm, WebhookForm, show_refusal
from reviews.models import Campaign, DeliveryState, WebhookDelivery, WebhookEndpoint, WebhookPurpose
from reviews.notices import asking, endpoints
from reviews.notices.events import event_types
from reviews.notices.reading import (
    READERS,
    access_delivery,
    access_endpoint,
    list_deliveries,
    list_endpoints,
    with_lines,
)
from reviews.views.requests import PageRequest

NEWEST_FIRST = (SortKey("created_at", descending=True), SortKey("pk", descending=True))
TABS = {"": "All", **dict(DeliveryState.choices)}


@require_safe
@page(roles=READERS)
def webhook_list(request: PageRequest) -> HttpResponse:
    """All webhooks and how they are."""
    found = paginate(
        with_lines(list_endpoints(actor=request.actor)), NEWEST_FIRST, cursor=request.GET.get("cursor", "")
    )
    context = {"page": found, "may_change": _may_change(request)}
    context["lines"] = [{"endpoint": each, "where": _where(request, each)} for each in found.rows]
    return render_page(request, "reviews/webhook_list.html", context)


@never_cache
@page(roles=[Role.ADMINISTRATOR])
def webhook_create(request: PageRequest) -> HttpResponse:
    """A form; POST adds the webhook and shows its secret, once."""
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        wish = endpoints.EndpointWish(**form.wish())
        try:
            endpoint, secret = endpoints.create_endpoint(wish=wish, actor=request.actor, now=timezone.now())
        except DomainError as error:
            show_refusal(form, error)
        else:
            return _secret_page(request, endpoint, secret)
    return render_page(request, "reviews/webhook_form.html", {"form": form}, status=422 if form.errors else 200)


@page(roles=[Role.ADMINISTRATOR])
def webhook_edit(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """Change address, name and choice of events."""
    endpoint = access_endpoint(actor=request.actor, endpoint_id=endpoint_id)
    form = WebhookForm(request.POST or None, endpoint=endpoint)
    if request.method == "POST" and form.is_valid():
        try:
            endpoints.change_endpoint(
                endpoint_id=endpoint_id,
                version=form.cleaned_data["version"] or 0,
                changes=form.wish(),
                actor=request.actor,
                now=timezone.now(),
            )
        except DomainError as error:
            show_refusal(form, error)
        else:
            messages.success(request, "Saved. It counts for what happens from now on.")
            return redirect("reviews:webhook_detail", endpoint_id)
    context = {"form": form, "endpoint": endpoint}
    return render_page(request, "reviews/webhook_form.html", context, status=422 if form.errors else 200)


@require_safe
@page(roles=READERS)
def webhook_detail(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """One webhook: what it is told, and what was sent."""
    return _show(request, access_endpoint(actor=request.actor, endpoint_id=endpoint_id))


@require_safe
@page(roles=READERS)
def webhook_delivery(request: PageRequest, endpoint_id: UUID, delivery_id: UUID) -> HttpResponse:
    """One delivery: the body as it is sent, and every attempt."""
    endpoint = access_endpoint(actor=request.actor, endpoint_id=endpoint_id)
    delivery = access_delivery(endpoint, delivery_id)
    context = {
        "endpoint": endpoint,
        "delivery": delivery,
        "body": json.dumps(json.loads(delivery.body), indent=2, ensure_ascii=False),
        "meaning": event_types().get(delivery.verb, "Somebody tried whether this address can be reached."),
        "tries": _tries(delivery),
        "may_send": _may_send(request, endpoint, delivery),
    }
    return render_page(request, "reviews/webhook_delivery.html", context)


@never_cache
@require_POST
@page(roles=[Role.ADMINISTRATOR])
def webhook_rotate(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """Make a new secret and show it, once."""
    endpoint = access_endpoint(actor=request.actor, endpoint_id=endpoint_id)
    form = RotateForm(request.POST)
    if not form.is_valid():
        return _show(request, endpoint, rotate_form=form, status=422)
    try:
        endpoint, secret = endpoints.rotate_secret(
            endpoint_id=endpoint_id,
            overlap=timedelta(hours=form.cleaned_data["overlap_hours"]),
            actor=request.actor,
            now=timezone.now(),
        )
    except DomainError as refusal:
        return _show(request, endpoint, refusal=refusal)
    return _secret_page(request, endpoint, secret)


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def webhook_test(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """Send a test event; the history shows what came of it."""
    asking.send_test(endpoint_id=endpoint_id, actor=request.actor, now=timezone.now())
    messages.success(request, "A test event is on its way. It appears below.")
    return redirect("reviews:webhook_detail", endpoint_id)


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def webhook_send_again(request: PageRequest, endpoint_id: UUID, delivery_id: UUID) -> HttpResponse:
    """Send an event once more."""
    try:
        asking.send_again(endpoint_id=endpoint_id, delivery_id=delivery_id, actor=request.actor, now=timezone.now())
    except NotFound:
        raise
    except DomainError as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, "It goes out again, under its old id.")
    return redirect("reviews:webhook_detail", endpoint_id)


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def webhook_switch(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """Off, or on again, with or without what happened meanwhile: `to` says which."""
    endpoint = access_endpoint(actor=request.actor, endpoint_id=endpoint_id)
    facts: dict[str, Any] = {"endpoint_id": endpoint_id, "actor": request.actor, "now": timezone.now()}
    try:
        if request.POST.get("to") == "off":
            endpoints.switch_off(**facts)
        else:
            endpoints.switch_on(**facts, skip=request.POST.get("to") == "on-from-now")
    except DomainError as refusal:
        return _show(request, endpoint, refusal=refusal)
    return redirect("reviews:webhook_detail", endpoint_id)


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def webhook_remove(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """Remove a webhook and what was sent to it."""
    endpoints.remove_endpoint(endpoint_id=endpoint_id, actor=request.actor, now=timezone.now())
    messages.success(request, "Removed. Nothing more is sent there.")
    return redirect("reviews:webhook_list")


def _show(
    request: PageRequest,
    endpoint: WebhookEndpoint,
    *,
    rotate_form: RotateForm | None = None,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    chosen = request.GET.get("state", "")
    if chosen not in TABS:
        chosen = ""
    deliveries = list_deliveries(endpoint, state=chosen)
    found = paginate(deliveries, NEWEST_FIRST, cursor=request.GET.get("cursor", ""), size=25)
    now = timezone.now()
    context = {
        "endpoint": with_lines(WebhookEndpoint.objects.select_related("created_by")).get(pk=endpoint.pk),
        "where": _where(request, endpoint),
        "told": _told(endpoint),
        "page": found,
        "state": chosen,
        "tabs": [
            {"label": label, "url": f"?state={name}" if name else "?", "current": name == chosen}
            for name, label in TABS.items()
        ],
        "is_moving": any(_is_due(delivery, endpoint, now) for delivery in found.rows),
        "is_overlapping": endpoint.previous_until is not None and endpoint.previous_until > now,
        "rotate_form": (rotate_form or RotateForm()) if _may_change(request) else None,
        "refusal": refusal,
        "may_change": _may_change(request),
    }
    return render_page(
        request,
        "reviews/webhook_detail.html",
        context,
        fragment="reviews/_webhook_deliveries.html",
        status=refusal.status if refusal else status,
    )


def _secret_page(request: PageRequest, endpoint: WebhookEndpoint, secret: str) -> HttpResponse:
    return render_page(request, "reviews/webhook_secret.html", {"endpoint": endpoint, "secret": secret})


def _may_change(request: PageRequest) -> bool:
    return request.actor.has_role(Role.ADMINISTRATOR)


def _may_send(request: PageRequest, endpoint: WebhookEndpoint, delivery: WebhookDelivery) -> bool:
    return _may_change(request) and (endpoint.is_enabled or delivery.sequence is None)


def _where(request: PageRequest, endpoint: WebhookEndpoint) -> str:
    """The address; without the right to change it only the host, because the rest may be a key."""
    return endpoint.url if _may_change(request) else f"{urlsplit(endpoint.url).hostname} (path hidden by your role)"


def _told(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """What it is told about, in words."""
    sources = list(Source.objects.filter(slug__in=endpoint.sources).order_by("name").values_list("name", flat=True))
    reviews = list(Campaign.objects.filter(pk__in=endpoint.campaigns).order_by("name").values_list("name", flat=True))
    is_tickets = endpoint.purpose == WebhookPurpose.TICKETS
    return {"verbs": ["tasks for people"] if is_tickets else endpoint.verbs, "sources": sources, "reviews": reviews}


def _is_due(delivery: WebhookDelivery, endpoint: WebhookEndpoint, now: Any) -> bool:
    is_sent = endpoint.is_enabled or delivery.sequence is None
    return is_sent and delivery.state == DeliveryState.WAITING and delivery.next_attempt_at <= now


def _tries(delivery: WebhookDelivery) -> list[dict[str, Any]]:
    """Attempts, newest first, with times as times."""
    found = [attempt | {"at": _moment(attempt["at"])} for attempt in delivery.tries]
    return list(reversed(found))


def _moment(text: str) -> Any:
    return parse_datetime(text)
