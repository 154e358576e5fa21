"""Rules for reviews between their dates, as pages: what opens one, who is asked, and what waits."""

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
from reviews.continuous import change_watch, create_watch, require_watch_manager
from reviews.forms.fields import show_refusal
from reviews.forms.scopes import posted
from reviews.forms.watches import WatchForm, watch_initial
from reviews.models import ReviewerRule, ReviewWatch, Trigger
from reviews.selectors import access_watch, list_watches, watch_counts
from reviews.views.launching import builder_of
from reviews.views.requests import PageRequest, passes
from reviews.views.tabs import MANAGERS, READERS, review_tabs

MEANINGS = {
    Trigger.REAPPEARED: "An order took it away, a later reading shows it again.",
    Trigger.CHANGED: "It no longer gives what somebody approved, or a tool is described otherwise. "
    "Asked by what was added and what was removed.",
    Trigger.PRIVILEGED: "A reading shows privileged access that was not there, or that was not privileged before.",
    Trigger.WOKE_UP: "No use was seen for long, although a log was watching; now there is.",
    Trigger.OWNER_LEFT: "The accountable person left, or the source no longer names them.",
    Trigger.FINDING: "A rule of posture fails, with severity high or critical. Asked about the access that it names.",
}


@require_safe
@page(roles=READERS)
def watch_list(request: PageRequest) -> HttpResponse:
    """Every rule with what it has open and what waits, and the triggers that nobody watches."""
    return _list(request)


@require_http_methods(["GET", "HEAD", "POST"])
@page(roles=MANAGERS)
def watch_create(request: PageRequest) -> HttpResponse:
    """Write a rule."""
    asked = request.GET.get("trigger", "")
    form = WatchForm(posted(request.POST), initial=watch_initial(None) | ({"trigger": asked} if asked else {}))
    if request.method == "POST" and form.is_valid():
        try:
            watch = create_watch(actor=request.actor, now=timezone.now(), **form.draft())
        except DomainError as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, f"Watching: {watch.get_trigger_display().lower()}.")
            return redirect("reviews:watch_list")
    return _form_page(request, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@page(roles=MANAGERS)
def watch_edit(request: PageRequest, watch_id: UUID) -> HttpResponse:
    """Change a rule; reviews that are open stay as they are."""
    watch = access_watch(actor=request.actor, watch_id=watch_id)
    require_watch_manager(watch, request.actor)
    form = WatchForm(posted(request.POST), initial=watch_initial(watch), watch=watch)
    if request.method == "POST" and form.is_valid():
        try:
            change_watch(
                watch=watch,
                version=form.cleaned_data["version"] or 0,
                changes=form.draft(),
                actor=request.actor,
                now=timezone.now(),
            )
        except DomainError as refusal:
            show_refusal(form, refusal)
            return _form_page(request, form, watch, status=refusal.status)
        messages.success(request, "Saved.")
        return redirect("reviews:watch_list")
    return _form_page(request, form, watch)


@require_POST
@page(roles=MANAGERS)
def watch_switch(request: PageRequest, watch_id: UUID) -> HttpResponse:
    """Switch a rule on or off, as the person saw it."""
    watch = access_watch(actor=request.actor, watch_id=watch_id)
    wanted = request.POST.get("to") == "on"
    version = request.POST.get("version", "")
    try:
        change_watch(
            watch=watch,
            version=int(version) if version.isascii() and version.isdigit() and len(version) < 9 else 0,
            changes={"is_enabled": wanted},
            actor=request.actor,
            now=timezone.now(),
        )
    except DomainError as refusal:
        return _list(request, refusal=refusal)
    messages.success(request, "Switched on." if wanted else "Switched off. Nothing is noticed until it is on again.")
    return redirect("reviews:watch_list")


def _list(request: PageRequest, *, refusal: DomainError | None = None) -> HttpResponse:
    watches = list(list_watches(actor=request.actor))
    counts = watch_counts(watches)
    unwatched = [trigger for trigger in Trigger if trigger not in {watch.trigger for watch in watches}]
    context = {
        "rows": [
            (
                watch,
                MEANINGS[Trigger(watch.trigger)],
                counts[watch.pk],
                _asked(watch),
                passes(require_watch_manager, watch, request.actor),
            )
            for watch in watches
        ],
        "unwatched": [(trigger.value, trigger.label, MEANINGS[trigger]) for trigger in unwatched],
        "may_plan": request.actor.has_role(*MANAGERS),
        "tabs": review_tabs(request.actor, "watches"),
        "refusal": refusal,
    }
    return render_page(request, "reviews/watch_list.html", context, status=refusal.status if refusal else 200)


def _asked(watch: ReviewWatch) -> str:
    first, *more = [ReviewerRule(rule).label for rule in watch.reviewer_rules]
    others = f" and {len(more)} more" if more else ""
    return f"{first}{others}, then {watch.fallback_reviewer}"


def _form_page(request: PageRequest, form: WatchForm, watch: ReviewWatch | None, status: int = 200) -> HttpResponse:
    if form.errors and status == 200:
        status = 422
    context: dict[str, Any] = {
        "form": form,
        "builder": builder_of(request, str(form["scope"].value() or "")),
        "watch": watch,
        "meanings": [(t.label, MEANINGS[t]) for t in Trigger],
    }
    return render_page(request, "reviews/watch_form.html", context, status=status)
