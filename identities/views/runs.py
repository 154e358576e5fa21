"""One reading of a source: what it changed, what was wrong with it, and what a person can do about a held one."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.people.models import User
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import KeysetPage, SortKey, paginate
from identities.models import Change, ChangeAction, SyncRun, SyncState
from identities.selectors.history import names_of
from identities.selectors.runs import access_sync_run
from identities.sync.held import accept_held, reject_held
from identities.views.change_lines import KIND_NAMES, line_of
from identities.views.requests import PageRequest

SHOWN_ERRORS = 200
COUNTED = ("added", "changed", "retired", "unchanged")
COUNT_NAMES = {**KIND_NAMES, "usage": "Usage", "usage_window": "Usage window"}


class RejectForm(forms.Form):
    """Why a held reading is turned away."""

    reason = forms.CharField(label="Why is it turned away?", max_length=500, widget=forms.Textarea(attrs={"rows": 2}))


@dataclass(frozen=True, slots=True)
class CountLine:
    """What became of the objects of one kind."""

    kind: str
    numbers: list[int]


@require_safe
@page()
def sync_run_detail(request: PageRequest, run_id: UUID) -> HttpResponse:
    """What one reading changed, by kind, with old and new."""
    return _show(request, access_sync_run(actor=request.actor, run_id=run_id))


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def sync_run_accept(request: PageRequest, run_id: UUID) -> HttpResponse:
    """Let a held reading through although it retires much."""
    run = access_sync_run(actor=request.actor, run_id=run_id)
    try:
        accept_held(run=run, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, run, refusal=refusal)
    messages.success(request, "The reading is part of the inventory now.")
    return redirect("identities:sync_run_detail", run.pk)


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def sync_run_reject(request: PageRequest, run_id: UUID) -> HttpResponse:
    """Turn a held reading away; the inventory stays as it is."""
    run = access_sync_run(actor=request.actor, run_id=run_id)
    form = RejectForm(request.POST)
    if not form.is_valid():
        return _show(request, run, form=form, status=422)
    try:
        reject_held(run=run, reason=form.cleaned_data["reason"], actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, run, form=form, refusal=refusal)
    messages.success(request, "Turned away. The inventory is as it was.")
    return redirect("identities:sync_run_detail", run.pk)


def _show(
    request: PageRequest,
    run: SyncRun,
    *,
    form: RejectForm | None = None,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    chosen = request.GET.get("action", "")
    chosen = chosen if chosen in ChangeAction.values else ""
    changes = Change.objects.filter(run=run)
    if chosen:
        changes = changes.filter(action=chosen)
    found = paginate(changes, (SortKey("pk"),), cursor=request.GET.get("cursor", ""))
    names = names_of(found.rows)
    context = {
        "run": run,
        "started_by": _started_by(run),
        "counts": count_lines(run),
        "counted": COUNTED,
        "page": KeysetPage([line_of(change, names) for change in found.rows], found.next_cursor, found.previous_cursor),
        "tabs": _tabs(run, chosen),
        "chosen": chosen,
        "errors": list(run.row_errors.order_by("line", "pk")[:SHOWN_ERRORS]),
        "errors_found": (run.problem or {}).get("errors_found", 0),
        "is_held": run.state == SyncState.HELD,
        "may_decide": request.actor.has_role(Role.ADMINISTRATOR),
        "form": form or RejectForm(),
        "refusal": refusal,
    }
    return render_page(
        request,
        "identities/sync_run_detail.html",
        context,
        fragment="identities/_change_table.html",
        status=refusal.status if refusal else status,
    )


def count_lines(run: SyncRun) -> list[CountLine]:
    """The counts of a run as a table: kinds as rows."""
    lines = []
    for kind, name in COUNT_NAMES.items():
        counts: dict[str, Any] = run.counts.get(kind, {})
        numbers = [counts.get(action, 0) for action in COUNTED]
        if any(numbers):
            lines.append(CountLine(name, numbers))
    return lines


def _tabs(run: SyncRun, chosen: str) -> list[dict[str, Any]]:
    totals = {
        action: sum(run.counts.get(kind, {}).get(action, 0) for kind in KIND_NAMES) for action in ChangeAction.values
    }
    tabs = [{"label": "All", "url": "?", "current": not chosen, "count": sum(totals.values())}]
    return tabs + [
        {"label": label, "url": f"?action={action}", "current": action == chosen, "count": totals[action]}
        for action, label in ChangeAction.choices
    ]


def _started_by(run: SyncRun) -> str:
    """Who or what asked for the reading, in words."""
    if run.actor_id.startswith("system:"):
        return f"Remit {run.actor_id.removeprefix('system:')}"
    try:
        person = User.objects.filter(pk=UUID(run.actor_id)).first()
    except ValueError:
        return run.actor_id
    return person.name if person else "an API client"
