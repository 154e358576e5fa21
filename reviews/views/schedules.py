"""Schedules as pages: when reviews fall due, over what, and why so often."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.templatetags.remit import plural
from reviews.campaigns.due import run_now
from reviews.campaigns.reasoning import approve_interval
from reviews.campaigns.schedules import (
    change_schedule,
    create_schedule,
    next_dates,
    pause_schedule,
    require_schedule_manager,
    resume_schedule,
)
from reviews.forms.fields import show_refusal
from reviews.forms.schedules import ScheduleForm, on_the_clock, schedule_initial
from reviews.forms.scopes import posted, with_scope
from reviews.forms.stages import stage_lines, strategy_tables
from reviews.models import ItemKind, ReviewerRule, ReviewSchedule
from reviews.policies.calendar import dates_after
from reviews.policies.spoken import in_words
from reviews.policies.stages import Stages
from reviews.selectors import access_schedule, list_campaigns, list_schedules, reasoning_of
from reviews.views.deadlines import deadline_rows
from reviews.views.launching import builder_of, count_of
from reviews.views.requests import PageRequest, passes
from reviews.views.tabs import MANAGERS, READERS, review_tabs

SHOWN_DATES = 5


@require_safe
@page(roles=READERS)
def schedule_list(request: PageRequest) -> HttpResponse:
    """All schedules with their next date."""
    context = {
        "schedules": [(each, in_words(each.rrule)) for each in list_schedules(actor=request.actor)],
        "may_plan": request.actor.has_role(*MANAGERS),
        "tabs": review_tabs(request.actor, "schedules"),
    }
    return render_page(request, "reviews/schedule_list.html", context)


@require_safe
@page(roles=READERS)
def schedule_detail(request: PageRequest, schedule_id: UUID) -> HttpResponse:
    """One schedule: its dates, its reasoning, its campaigns."""
    schedule = access_schedule(actor=request.actor, schedule_id=schedule_id)
    return _show(request, schedule)


@require_http_methods(["GET", "HEAD", "POST"])
@page(roles=MANAGERS)
def schedule_create(request: PageRequest) -> HttpResponse:
    """Plan a recurring review."""
    form = ScheduleForm(posted(request.POST), initial=schedule_initial(None) | _asked_scope(request))
    if request.method == "POST" and form.is_valid():
        try:
            schedule = create_schedule(actor=request.actor, now=timezone.now(), **form.draft())
        except DomainError as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, f"Planned: {schedule.name}.")
            return redirect("reviews:schedule_detail", schedule_id=schedule.pk)
    return _form_page(request, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@page(roles=MANAGERS)
def schedule_edit(request: PageRequest, schedule_id: UUID) -> HttpResponse:
    """Change a schedule; campaigns that exist stay as they are."""
    schedule = access_schedule(actor=request.actor, schedule_id=schedule_id)
    require_schedule_manager(schedule, request.actor)
    form = ScheduleForm(posted(request.POST), initial=schedule_initial(schedule))
    if request.method == "POST" and form.is_valid():
        try:
            change_schedule(
                schedule=schedule,
                version=form.cleaned_data["version"] or 0,
                changes=form.draft(),
                actor=request.actor,
                now=timezone.now(),
            )
        except DomainError as refusal:
            show_refusal(form, refusal)
            return _form_page(request, form, schedule, status=refusal.status)
        messages.success(request, "Saved.")
        return redirect("reviews:schedule_detail", schedule_id=schedule.pk)
    return _form_page(request, form, schedule)


@require_POST
@page(roles=MANAGERS)
def schedule_preview(request: PageRequest) -> HttpResponse:
    """What the form as it is would ask, and when. Changes nothing."""
    form = ScheduleForm(with_scope(request.POST))
    form.is_valid()
    context = {
        "preview": _preview(form, timezone.now()),
        "form": form,
        "builder": builder_of(request, str(form["scope"].value() or "")),
        "tabs": [],
    }
    return render_page(request, "reviews/schedule_form.html", context, fragment="reviews/_schedule_preview.html")


@require_POST
@page(roles=MANAGERS)
def schedule_pause(request: PageRequest, schedule_id: UUID) -> HttpResponse:
    """Open no further campaigns until resumed."""
    return _act(request, schedule_id, pause_schedule, "Paused. No campaign opens until it is resumed.")


@require_POST
@page(roles=MANAGERS)
def schedule_resume(request: PageRequest, schedule_id: UUID) -> HttpResponse:
    """Go on from the next date."""
    return _act(request, schedule_id, resume_schedule, "Running again from its next date.")


@require_POST
@page(roles=MANAGERS)
def schedule_run(request: PageRequest, schedule_id: UUID) -> HttpResponse:
    """Open a campaign now, outside the calendar."""
    schedule = access_schedule(actor=request.actor, schedule_id=schedule_id)
    try:
        campaign = run_now(schedule=schedule, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, schedule, refusal=refusal)
    messages.success(request, "Opening. Its questions appear as they are written.")
    return redirect("reviews:campaign_detail", campaign_id=campaign.pk)


@require_POST
@page(roles=MANAGERS)
def schedule_approve(request: PageRequest, schedule_id: UUID) -> HttpResponse:
    """Approve the reason for the interval that somebody else wrote."""
    schedule = access_schedule(actor=request.actor, schedule_id=schedule_id)
    version = request.POST.get("version", "")
    try:
        approve_interval(
            schedule=schedule,
            version=int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 0,
            actor=request.actor,
            now=timezone.now(),
        )
    except DomainError as refusal:
        return _show(request, schedule, refusal=refusal)
    messages.success(request, "Approved: this interval is short enough.")
    return redirect("reviews:schedule_detail", schedule_id=schedule.pk)


def _asked_scope(request: PageRequest) -> dict[str, str]:
    """A scope that a link brings along, from a saved view for example. The form says what is wrong with it, if any."""
    scope = request.GET.get("scope", "")
    return {"scope": scope[:1000]} if scope else {}


def _act(request: PageRequest, schedule_id: UUID, call: Callable[..., Any], done: str) -> HttpResponse:
    schedule = access_schedule(actor=request.actor, schedule_id=schedule_id)
    try:
        call(schedule=schedule, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, schedule, refusal=refusal)
    messages.success(request, done)
    return redirect("reviews:schedule_detail", schedule_id=schedule.pk)


def _show(request: PageRequest, schedule: ReviewSchedule, *, refusal: DomainError | None = None) -> HttpResponse:
    now, reasoning = timezone.now(), reasoning_of(schedule)
    is_author = reasoning.written_by_id == request.user.pk
    population = count_of(schedule.scope, schedule.item_kinds, now)
    context = {
        "schedule": schedule,
        "rule": in_words(schedule.rrule),
        "asks": _asks_now(schedule, population),
        "reasoning": reasoning,
        "may_approve": not reasoning.approved_by_id and not is_author and request.actor.has_role(*MANAGERS),
        "dates": next_dates(schedule, SHOWN_DATES, after=now) if schedule.is_enabled else [],
        "population": population,
        "reviewer_rules": [ReviewerRule(rule).label for rule in schedule.reviewer_rules],
        "item_kinds": [ItemKind(kind).label for kind in schedule.item_kinds],
        "deadline_rows": deadline_rows(schedule),
        "stages": stage_lines(Stages.of(schedule.policy)),
        "tables": strategy_tables(),
        "campaigns": list(list_campaigns(actor=request.actor).filter(schedule=schedule)[:10]),
        "may_manage": passes(require_schedule_manager, schedule, request.actor),
        "refusal": refusal,
    }
    status = refusal.status if refusal else 200
    return render_page(request, "reviews/schedule_detail.html", context, status=status)


def _form_page(
    request: PageRequest, form: ScheduleForm, schedule: ReviewSchedule | None, status: int = 200
) -> HttpResponse:
    if status == 200 and (form.errors or any(section.errors for section in form.sections)):
        status = 422
    context = {
        "form": form,
        "builder": builder_of(request, str(form["scope"].value() or "")),
        "schedule": schedule,
        "preview": _preview(form, timezone.now()) if form.is_bound or schedule else None,
    }
    return render_page(request, "reviews/schedule_form.html", context, status=status)


def _preview(form: ScheduleForm, now: datetime) -> dict[str, Any]:
    """The next dates and how much would be asked, each as far as the form tells."""
    values = form.cleaned_data if form.is_bound else form.initial
    found: dict[str, Any] = {"dates": [], "dates_problem": "", "scope_problem": "", "population": None}
    found["time_zone"] = values.get("time_zone")
    rule = values.get("rrule")
    if rule and values.get("starts_at") and values.get("time_zone"):
        try:
            start = on_the_clock(values["starts_at"], values["time_zone"])
            found["dates"] = dates_after(
                rule, starts_at=start, time_zone=values["time_zone"], after=now, count=SHOWN_DATES
            )
        except DomainError as problem:
            found["dates_problem"] = problem.message
    try:
        found["population"] = count_of(values.get("scope", ""), values.get("item_kinds") or [], now)
    except DomainError as problem:
        found["scope_problem"] = problem.message
    return found


def _asks_now(schedule: ReviewSchedule, population: Mapping[str, Any]) -> str:
    """ "21 questions about access and 4 questions about credentials"."""
    about = {ItemKind.GRANT: "access", ItemKind.CREDENTIAL: "credentials", ItemKind.OWNERSHIP: "who answers for what"}
    return " and ".join(
        f"{plural(population[kind] or 0, 'question,questions')} about {about[ItemKind(kind)]}"
        for kind in schedule.item_kinds
    )
