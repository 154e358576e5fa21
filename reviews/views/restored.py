"""After a restore, as a page: which sources are held, what is known about them since, and a person's word on each."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from reviews.forms.brakes import ReasonForm
from reviews.models import RestoreHold
from reviews.remediation.restored import (
    RELEASERS,
    access_hold,
    call_off_held,
    list_held_sources,
    release_hold,
)
from reviews.views.requests import PageRequest
from reviews.views.tabs import READERS


@require_safe
@page(roles=READERS)
def restored_list(request: PageRequest) -> HttpResponse:
    """Every source that a restore holds."""
    return _show(request)


@require_POST
@page(roles=RELEASERS)
def restored_release(request: PageRequest, slug: str) -> HttpResponse:
    """Let the orders at one source be sent again."""
    return _act(request, slug, release_hold, "release", "Its orders are sent again.")


@require_POST
@page(roles=RELEASERS)
def restored_call_off(request: PageRequest, slug: str) -> HttpResponse:
    """Withdraw the orders at one source that were not sent."""
    return _act(request, slug, call_off_held, "call_off", "Withdrawn. The questions count as escalated.")


def _act(request: PageRequest, slug: str, use_case: Callable[..., RestoreHold], name: str, done: str) -> HttpResponse:
    hold = access_hold(actor=request.actor, slug=slug)
    form = ReasonForm(request.POST, prefix=f"{name}-{slug}")
    if not form.is_valid():
        return _show(request, {form.prefix: form}, status=422)
    try:
        use_case(hold=hold, reason=form.cleaned_data["reason"], actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, {form.prefix: form}, refusal=refusal)
    messages.success(request, f"{hold.source.name}: {done}")
    return redirect("reviews:restored_list")


def _show(
    request: PageRequest,
    bound: dict[str | None, ReasonForm] | None = None,
    *,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    bound = bound or {}
    may_act = request.actor.has_role(*RELEASERS)

    def form(name: str, slug: str) -> ReasonForm | None:
        prefix = f"{name}-{slug}"
        return (bound.get(prefix) or ReasonForm(prefix=prefix)) if may_act else None

    rows = [
        {
            "held": held,
            "release_form": form("release", held.hold.source.slug),
            "call_off_form": form("call_off", held.hold.source.slug),
        }
        for held in list_held_sources()
    ]
    context = {"rows": rows, "refusal": refusal}
    return render_page(
        request, "reviews/restored_list.html", context, status=refusal.status if refusal is not None else status
    )
