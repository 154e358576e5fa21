"""Access on request as pages: what waits, what holds, what is over; asking, answering, ending, looking back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission, describe
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import SortKey, paginate
from identities.models import Identity
from identities.selectors.inventory import access_identity
from reviews import access_requests as requests
from reviews.access_requests.finding import access_request, list_requests
from reviews.access_requests.people import (
    may_answer,
    may_end,
    may_look,
    require_answerer,
    require_asker,
    require_ender,
    require_onlooker,
)
from reviews.forms.access_requests import AnswerForm, AskForm, EndForm, LookForm
from reviews.forms.fields import show_refusal
from reviews.models import AccessRequest
from reviews.states import AccessRequestState
from reviews.views.requests import PageRequest
from reviews.views.tabs import review_tabs

NEWEST = (SortKey("asked_at", descending=True), SortKey("pk", descending=True))
SHOWN = {
    "": "All",
    "pending": "Waiting",
    "granted": "Holding",
    "look": "To look at",
    "over": "Over",
}
OVER = [AccessRequestState.DENIED, AccessRequestState.CANCELLED, AccessRequestState.LAPSED, AccessRequestState.ENDED]


@require_safe
@page()
def access_request_list(request: PageRequest) -> HttpResponse:
    """What was asked for, newest first, by where it stands."""
    shown = request.GET.get("state", "")
    shown = shown if shown in SHOWN else ""
    rows = list_requests(actor=request.actor)
    if shown == "look":
        rows = rows.filter(is_emergency=True, ended_at__isnull=False, looked_at=None)
    elif shown == "over":
        rows = rows.filter(state__in=OVER)
    elif shown:
        rows = rows.filter(state=shown)
    found = paginate(rows, NEWEST, cursor=request.GET.get("cursor", ""), size=50)
    context = {
        "rows": [(each, requests.label_of(Permission.from_json(each.permission))) for each in found.rows],
        "page": found,
        "shown": [(value, label, value == shown) for value, label in SHOWN.items()],
        "state": shown,
        "tabs": review_tabs(request.actor, "requests"),
    }
    return render_page(request, "reviews/access_request_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page()
def access_request_new(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """Ask for one identity."""
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    if request.method != "POST":
        return _show_form(request, identity, AskForm(initial={"dialect": _usual_dialect(identity)}))
    require_asker(request.actor, identity)
    form, now = AskForm(request.POST), timezone.now()
    if not form.is_valid():
        return _show_form(request, identity, form, status=422)
    try:
        made = requests.request_access(
            identity=identity,
            permission=form.permission(),
            until=form.until(now, timedelta(minutes=settings.ACCESS_EMERGENCY_MINUTES)),
            reason=form.cleaned_data["reason"],
            is_emergency=form.cleaned_data["is_emergency"],
            actor=request.actor,
            now=now,
        )
    except DomainError as refusal:
        form.show(refusal)
        return _show_form(request, identity, form, status=422)
    messages.success(
        request,
        "It holds now, and ends by itself." if made.is_emergency else "Asked for. Somebody independent answers.",
    )
    return redirect("reviews:access_request_detail", request_id=made.pk)


@require_safe
@page()
def access_request_detail(request: PageRequest, request_id: UUID) -> HttpResponse:
    """One request: what, for whom, until when, and what became of it."""
    return _show(request, access_request(actor=request.actor, request_id=request_id))


@require_POST
@page()
def access_request_answer(request: PageRequest, request_id: UUID) -> HttpResponse:
    """Say yes or no."""
    found, now = access_request(actor=request.actor, request_id=request_id), timezone.now()
    require_answerer(request.actor, found)
    form = AnswerForm(request.POST)
    if not form.is_valid():
        return _show(request, found, forms={"answer": form}, status=422)
    said = form.cleaned_data
    shared: dict[str, Any] = {"request": found, "reason": said["reason"], "version": said["version"]}
    if request.POST.get("answer") == "deny":
        return _act(
            request, found, "answer", form, requests.deny_request, "Refused. Whoever asked is told why.", shared
        )
    until = min(now + timedelta(hours=said["hours"]), found.until) if said["hours"] else None
    shared["until"] = until
    return _act(request, found, "answer", form, requests.grant_request, "Granted. It ends by itself.", shared)


@require_POST
@page()
def access_request_cancel(request: PageRequest, request_id: UUID) -> HttpResponse:
    """Take it back."""
    found = access_request(actor=request.actor, request_id=request_id)
    return _act(request, found, "", None, requests.cancel_request, "Taken back.", {"request": found})


@require_POST
@page()
def access_request_end(request: PageRequest, request_id: UUID) -> HttpResponse:
    """End it early."""
    found, form = access_request(actor=request.actor, request_id=request_id), EndForm(request.POST)
    require_ender(request.actor, found)
    if not form.is_valid():
        return _show(request, found, forms={"end": form}, status=422)
    said = {"request": found, "reason": form.cleaned_data["reason"]}
    return _act(request, found, "end", form, requests.end_access, "Ended. The next decision refuses it.", said)


@require_POST
@page()
def access_request_look(request: PageRequest, request_id: UUID) -> HttpResponse:
    """Note what an emergency was."""
    found, form = access_request(actor=request.actor, request_id=request_id), LookForm(request.POST)
    require_onlooker(request.actor, found)
    if not form.is_valid():
        return _show(request, found, forms={"look": form}, status=422)
    said = {"request": found, **form.cleaned_data}
    return _act(request, found, "look", form, requests.look_back, "Noted.", said)


def _act(
    request: PageRequest,
    found: AccessRequest,
    name: str,
    form: Any,
    act: Callable[..., AccessRequest],
    done: str,
    given: dict[str, Any],
) -> HttpResponse:
    try:
        act(**given, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        again = access_request(actor=request.actor, request_id=found.pk)
        if form is not None:
            show_refusal(form, refusal)
        return _show(request, again, forms={name: form} if form is not None else {}, refusal=refusal)
    messages.success(request, done)
    return redirect("reviews:access_request_detail", request_id=found.pk)


def _show(
    request: PageRequest,
    found: AccessRequest,
    *,
    forms: dict[str, Any] | None = None,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    given, actor, state = forms or {}, request.actor, AccessRequestState(found.state)
    permission = Permission.from_json(found.permission)
    waits, holds = state is AccessRequestState.PENDING, state is AccessRequestState.GRANTED
    answer = given.get("answer") or AnswerForm(initial={"version": found.version})
    context = {
        "it": found,
        "label": requests.label_of(permission),
        "plain": list(describe(permission)),
        "answer_form": answer if waits and may_answer(actor, found) else None,
        "may_cancel": waits and found.asked_by_id == actor.person_id,
        "end_form": (given.get("end") or EndForm()) if holds and may_end(actor, found) else None,
        "look_form": (given.get("look") or LookForm()) if _waits_for_a_look(found) and may_look(actor, found) else None,
        "waits_for_a_look": _waits_for_a_look(found),
        "refusal": refusal,
    }
    status = refusal.status if refusal else status
    return render_page(request, "reviews/access_request_detail.html", context, status=status)


def _waits_for_a_look(found: AccessRequest) -> bool:
    return found.is_emergency and found.ended_at is not None and found.looked_at is None


def _show_form(request: PageRequest, identity: Identity, form: AskForm, *, status: int = 200) -> HttpResponse:
    context = {"identity": identity, "form": form}
    return render_page(request, "reviews/access_request_new.html", context, status=status)


def _usual_dialect(identity: Identity) -> str:
    """The words in which most of what it holds is written."""
    version = identity.grants.filter(retired_at=None, versions__seen_until=None).values_list(
        "versions__permission__dialect", flat=True
    )
    return version.first() or ""
