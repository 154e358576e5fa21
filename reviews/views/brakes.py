"""Brakes as pages: what is held and why, who agreed so far, and what every source may spend."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import SortKey, paginate
from reviews.forms.brakes import BudgetForm, ReasonForm
from reviews.forms.fields import show_refusal
from reviews.models import Brake, BrakeState, SourceBudget
from reviews.remediation.brake import brake_words
from reviews.remediation.releasing import RELEASERS, call_off_brake, release_brake, set_source_budget
from reviews.selectors import access_brake, list_brakes, list_held_orders
from reviews.views.requests import PageRequest
from reviews.views.tabs import READERS

NEWEST = (SortKey("tripped_at", descending=True), SortKey("pk", descending=True))
OLDEST_ORDER = (SortKey("created_at"), SortKey("pk"))
MOST_OPEN = 50


@require_safe
@page(roles=READERS)
def brake_list(request: PageRequest) -> HttpResponse:
    """Brakes that hold orders, those that ended, and the budgets."""
    return _show_list(request)


@require_POST
@page(roles=(Role.ADMINISTRATOR,))
def brake_budget(request: PageRequest) -> HttpResponse:
    """Give a source a budget of its own."""
    form = BudgetForm(request.POST)
    if not form.is_valid():
        return _show_list(request, form=form, status=422)
    try:
        set_source_budget(**form.cleaned_data, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        show_refusal(form, refusal)
        return _show_list(request, form=form, status=refusal.status)
    messages.success(request, "Saved. It holds from the next order on.")
    return redirect("reviews:brake_list")


@require_safe
@page(roles=READERS)
def brake_detail(request: PageRequest, brake_id: UUID) -> HttpResponse:
    """One brake: why it holds, what it holds, and what two people can do about it."""
    return _show(request, access_brake(actor=request.actor, brake_id=brake_id))


@require_POST
@page(roles=RELEASERS)
def brake_release(request: PageRequest, brake_id: UUID) -> HttpResponse:
    """Agree that what is held may be sent."""
    brake = access_brake(actor=request.actor, brake_id=brake_id)
    return _act(request, brake, release_brake, "release")


@require_POST
@page(roles=RELEASERS)
def brake_call_off(request: PageRequest, brake_id: UUID) -> HttpResponse:
    """Recall everything that is held."""
    brake = access_brake(actor=request.actor, brake_id=brake_id)
    return _act(request, brake, call_off_brake, "call_off")


def _act(request: PageRequest, brake: Brake, act: Callable[..., Brake], name: str) -> HttpResponse:
    form = ReasonForm(request.POST, prefix=name)
    if not form.is_valid():
        return _show(request, brake, forms={name: form}, status=422)
    try:
        ended = act(brake=brake, reason=form.cleaned_data["reason"], actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, access_brake(actor=request.actor, brake_id=brake.pk), refusal=refusal)
    said = {
        BrakeState.HELD: "Noted. A second person has to agree before anything is sent.",
        BrakeState.RELEASED: "Released. The orders are being sent.",
        BrakeState.RECALLED: "Called off. The access stays, and its questions count as escalated.",
    }
    messages.success(request, said[BrakeState(ended.state)])
    return redirect("reviews:brake_detail", brake_id=brake.pk)


def _show(
    request: PageRequest,
    brake: Brake,
    *,
    forms: dict[str, ReasonForm] | None = None,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    may_act = brake.state == BrakeState.HELD and request.actor.has_role(*RELEASERS)
    given = forms or {}
    context: dict[str, Any] = {
        "brake": brake,
        "words": _sentence(brake),
        "page": paginate(list_held_orders(brake), OLDEST_ORDER, cursor=request.GET.get("cursor", ""), size=50),
        "release_form": given.get("release") or ReasonForm(prefix="release") if may_act else None,
        "call_off_form": given.get("call_off") or ReasonForm(prefix="call_off") if may_act else None,
        "is_first": brake.first_by_id is None,
        "later": brake.held - brake.held_for_first if brake.first_by_id else 0,  # type: ignore[attr-defined]
        "refusal": refusal,
    }
    status = refusal.status if refusal else status
    return render_page(
        request, "reviews/brake_detail.html", context, fragment="reviews/_brake_orders.html", status=status
    )


def _show_list(request: PageRequest, *, form: BudgetForm | None = None, status: int = 200) -> HttpResponse:
    brakes = list_brakes(actor=request.actor)
    open_ones = list(brakes.filter(state=BrakeState.HELD)[:MOST_OPEN])
    ended = paginate(brakes.exclude(state=BrakeState.HELD), NEWEST, cursor=request.GET.get("cursor", ""), size=25)
    own = SourceBudget.objects.select_related("source", "set_by").order_by("source__name")
    context = {
        "open_brakes": [(brake, _sentence(brake)) for brake in open_ones],
        "page": ended,
        "rows": [(brake, _sentence(brake)) for brake in ended.rows],
        "budgets": [
            ("In all", settings.ORDER_BUDGET_PER_HOUR),
            ("In production", settings.ORDER_BUDGET_PRODUCTION),
            ("At each source", settings.ORDER_BUDGET_PER_SOURCE),
        ],
        "own_budgets": list(own[:200]),
        "form": (form or BudgetForm()) if request.actor.has_role(Role.ADMINISTRATOR) else None,
        "back": reverse("reviews:order_list"),
    }
    return render_page(request, "reviews/brake_list.html", context, fragment="reviews/_brake_table.html", status=status)


def _sentence(brake: Brake) -> str:
    words = brake_words(brake)
    return words[0].upper() + words[1:]
