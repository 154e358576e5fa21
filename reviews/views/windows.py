"""Change windows and freezes as a page: when orders may run, and what stops them now."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.errors import DomainError, NotFound
from governance.web.access import page
from governance.web.htmx import render_page
from reviews.forms.fields import show_refusal
from reviews.forms.orders import FreezeForm, WindowForm
from reviews.models import ChangeWindow, Freeze
from reviews.policies.calendar import zone_of
from reviews.policies.spoken import in_words
from reviews.remediation import windows
from reviews.views.requests import PageRequest
from reviews.views.tabs import MANAGERS, READERS

SHOWN_DATES = 3


@require_safe
@page(roles=READERS)
def window_list(request: PageRequest) -> HttpResponse:
    """All windows with their next dates, all freezes, and the forms for new ones."""
    return _show(request)


@require_POST
@page(roles=MANAGERS)
def window_create(request: PageRequest) -> HttpResponse:
    """Let orders run in certain hours only."""
    form = WindowForm(request.POST)
    return _create(request, form, "window_form", windows.create_window, "Orders there now run in this window only.")


@require_POST
@page(roles=MANAGERS)
def window_remove(request: PageRequest, window_id: UUID) -> HttpResponse:
    """The window no longer applies."""
    window = ChangeWindow.objects.filter(pk=window_id).first()
    if window is None:
        raise NotFound("There is no such window.")
    try:
        windows.remove_window(window=window, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, refusal=refusal)
    messages.success(request, f"Removed: {window.name}. Orders that it alone held go on.")
    return redirect("reviews:window_list")


@require_POST
@page(roles=MANAGERS)
def freeze_create(request: PageRequest) -> HttpResponse:
    """Let no order run for a time."""
    form = FreezeForm(request.POST)
    return _create(request, form, "freeze_form", windows.create_freeze, "Frozen. Orders wait and go on by themselves.")


@require_POST
@page(roles=MANAGERS)
def freeze_lift(request: PageRequest, freeze_id: UUID) -> HttpResponse:
    """End a freeze before its time."""
    freeze = Freeze.objects.filter(pk=freeze_id).first()
    if freeze is None:
        raise NotFound("There is no such freeze.")
    try:
        windows.lift_freeze(freeze=freeze, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, refusal=refusal)
    messages.success(request, "Lifted. What it held goes on.")
    return redirect("reviews:window_list")


def _create(request: PageRequest, form: forms.Form, name: str, use_case: Any, done: str) -> HttpResponse:
    if not form.is_valid():
        return _show(request, {name: form}, status=422)
    chosen = dict(form.cleaned_data)
    chosen.pop("time_zone" if name == "freeze_form" else "preset")
    try:
        use_case(actor=request.actor, now=timezone.now(), **chosen)
    except DomainError as refusal:
        show_refusal(form, refusal)
        return _show(request, {name: form}, status=refusal.status)
    messages.success(request, done)
    return redirect("reviews:window_list")


def _show(
    request: PageRequest,
    bound: Mapping[str, forms.Form] | None = None,
    *,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    bound = bound or {}
    now = timezone.now()
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    shown = [
        {
            "window": window,
            "rule": in_words(window.rrule),
            "hours": _hours(window.duration_minutes),
            "dates": _dates(window),
        }
        for window in windows.list_windows()
    ]
    freezes = [{"freeze": freeze, "holds": freeze.starts_at <= now} for freeze in windows.list_freezes(now=now)]
    may_change = request.actor.has_role(*MANAGERS)
    window_form = bound.get("window_form") or WindowForm(initial={"starts_at": today.replace(hour=2)})
    freeze_form = bound.get("freeze_form") or FreezeForm(auto_id="id_freeze_%s", initial={"starts_at": now})
    if bound.get("freeze_form"):
        freeze_form.auto_id = "id_freeze_%s"
    context = {
        "windows": shown,
        "freezes": freezes,
        "refusal": refusal,
        "window_form": window_form if may_change else None,
        "freeze_form": freeze_form if may_change else None,
        "window_open": "window_form" in bound,
        "freeze_open": "freeze_form" in bound,
    }
    return render_page(
        request, "reviews/window_list.html", context, status=refusal.status if refusal is not None else status
    )


def _dates(window: ChangeWindow) -> list[str]:
    """The next times it opens, on its own clock."""
    zone = zone_of(window.time_zone)
    found = windows.open_dates(window, SHOWN_DATES, after=timezone.now())
    return [f"{date.astimezone(zone):%a %-d %b, %H:%M}" for date in found]


def _hours(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest else "") if part)
