"""Starting one review now, and looking beforehand at what a review would mean."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from identities.selectors.access import source_names
from identities.selectors.filters import InventoryFilter
from identities.selectors.inventory import (
    list_population_credentials,
    list_population_grants,
    list_population_identities,
)
from identities.selectors.unused import left_out_as_unknown
from identities.services.request_keys import AlreadyDone, Once
from reviews.campaigns.launching import launch_campaign, preview_launch
from reviews.campaigns.plans import CampaignPlan
from reviews.campaigns.previewed import Preview
from reviews.campaigns.schedules import require_schedule_manager
from reviews.forms.fields import show_refusal
from reviews.forms.launching import LaunchForm, launch_initial
from reviews.forms.scopes import ScopeForm, scope_of, with_scope
from reviews.models import Campaign, ItemKind
from reviews.selectors import access_schedule
from reviews.views.requests import PageRequest, passes
from reviews.views.tabs import MANAGERS

SHOWN_PEOPLE = 15
LOOK_FIRST = "Look at the preview, then start. Nothing has been started yet."
PLAN = tuple(name for name in CampaignPlan.__dataclass_fields__ if name != "policy")


@require_http_methods(["GET", "HEAD", "POST"])
@page(roles=MANAGERS)
def campaign_create(request: PageRequest) -> HttpResponse:
    """Choose what is asked of whom, look at what that means, start it."""
    if request.method != "POST":
        scope = request.GET.get("scope", "")[:1000]
        initial = launch_initial() | {"scope": scope, "key": uuid4().hex}
        if request.GET.get("asks") in ItemKind.values:
            initial["item_kinds"] = [request.GET["asks"]]
        return _form_page(request, LaunchForm(initial=initial))
    form = LaunchForm(with_scope(request.POST))
    if not form.is_valid():
        return _form_page(request, form, status=422)
    try:
        if request.POST.get("do") == "start" and form.cleaned_data["seen"] == form.digest():
            return _start(request, form)
        draft = {name: value for name, value in form.draft().items() if name != "name"}
        preview = preview_launch(actor=request.actor, now=timezone.now(), **draft)
    except DomainError as refusal:
        show_refusal(form, refusal)
        return _form_page(request, form, status=refusal.status)
    note = LOOK_FIRST if request.POST.get("do") == "start" else ""
    return _form_page(request, form, preview=preview, note=note)


@require_POST
@page(roles=MANAGERS)
def scope_builder(request: PageRequest) -> HttpResponse:
    """The scope as fields and as text, after one of the two was edited. Changes nothing."""
    builder = builder_of(request, scope_of(request.POST))
    context: dict[str, Any] = {"builder": builder}
    if "count" in request.GET:
        # A page that plans says it beside the dates.
        context["says_count"] = True
        context["population"] = _counted(builder, request.POST.getlist("item_kinds"))
    return render_page(request, "reviews/scope_builder.html", context, fragment="reviews/_scope_builder.html")


@require_safe
@page(roles=MANAGERS)
def schedule_simulate(request: PageRequest, schedule_id: UUID) -> HttpResponse:
    """What a schedule would ask and take away if it fell due now. Changes nothing."""
    schedule = access_schedule(actor=request.actor, schedule_id=schedule_id)
    context: dict[str, Any] = {
        "schedule": schedule,
        "may_run": passes(require_schedule_manager, schedule, request.actor),
    }
    status = 200
    try:
        chosen = {name: getattr(schedule, name) for name in PLAN} | {"policy": schedule.policy}
        preview = preview_launch(actor=request.actor, now=timezone.now(), manager=schedule.created_by, **chosen)
        context |= told(preview)
    except DomainError as refusal:
        context["refusal"], status = refusal, refusal.status
    return render_page(request, "reviews/schedule_simulate.html", context, status=status)


def builder_of(request: PageRequest, scope: str) -> ScopeForm:
    """The fields and the text of this scope, with the sources that the person may choose from."""
    return ScopeForm(scope, sources=source_names(request.actor))


def count_of(scope: str, kinds: Sequence[str], now: datetime) -> dict[str, int | None]:
    """How many questions this scope asks today, by kind; None for kinds that are left out. Raises InvalidFilter.

    unknown: how much a scope of the unused leaves out because nobody can tell whether it is used.
    """
    filters = InventoryFilter.parse(scope)
    apart = left_out_as_unknown(filters)
    unknown = sum(total or 0 for total in _count(apart, kinds, now).values()) if apart else 0
    return _count(filters, kinds, now) | {"unknown": unknown}


def _count(filters: InventoryFilter, kinds: Sequence[str], now: datetime) -> dict[str, int | None]:
    lists: dict[ItemKind, Any] = {
        ItemKind.GRANT: list_population_grants,
        ItemKind.CREDENTIAL: list_population_credentials,
        ItemKind.OWNERSHIP: list_population_identities,
    }
    return {
        kind.value: lists[kind](filters=filters, actor=None, now=now).count() if kind in kinds else None
        for kind in ItemKind
    }


def _counted(builder: ScopeForm, kinds: Sequence[str]) -> dict[str, int | None] | None:
    return None if builder.problem else count_of(builder.text, kinds, timezone.now())


def told(preview: Preview) -> dict[str, Any]:
    """A preview in values ready to print."""
    kinds = [kind for kind in ItemKind if preview.counts.get(kind)]
    return {
        "preview": preview,
        "kinds": [(kind.label, preview.counts[kind], preview.privileged.get(kind, 0)) for kind in kinds],
        "privileged_total": sum(preview.privileged.values()),
        "load": preview.load[:SHOWN_PEOPLE],
        "more_people": max(preview.people - SHOWN_PEOPLE, 0),
        "heaviest": max((each.items + each.decides for each in preview.load), default=0),
        "passed_over": preview.passed_over[:SHOWN_PEOPLE],
        "more_passed_over": max(preview.passed_over_people - SHOWN_PEOPLE, 0),
        "outdated": [
            source | {"read": parse_datetime(source["read_at"]) if source["read_at"] else None}
            for source in preview.sources
            if source["freshness"] != "fresh"
        ],
    }


def _start(request: PageRequest, form: LaunchForm) -> HttpResponse:
    key = form.cleaned_data["key"]
    once: Once[Campaign] = Once(
        client=f"person:{request.user.pk}",
        key=key,
        request_hash=form.digest(),
        told=lambda campaign: {"id": str(campaign.pk)},
    )
    try:
        campaign = launch_campaign(actor=request.actor, now=timezone.now(), once=once if key else None, **form.draft())
        started = campaign.pk
    except AlreadyDone as earlier:
        started = UUID(earlier.answer["id"])
    messages.success(request, "Opening. Its questions appear as they are written.")
    return redirect("reviews:campaign_detail", campaign_id=started)


def _form_page(
    request: PageRequest, form: LaunchForm, *, preview: Preview | None = None, note: str = "", status: int = 200
) -> HttpResponse:
    scope = str(form["scope"].value() or "")
    builder = builder_of(request, scope)
    kinds = form["item_kinds"].value() or []
    context: dict[str, Any] = {"form": form, "builder": builder, "note": note, "population": _counted(builder, kinds)}
    if preview is not None:
        context |= told(preview) | {"seen": form.digest()}
    return render_page(request, "reviews/campaign_form.html", context, fragment="reviews/_launch.html", status=status)
