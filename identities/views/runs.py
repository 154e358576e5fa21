"""One reading of a source: how far it is, what it changed, what was wrong with it, and what can be done about it."""

from dataclasses import replace
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.downloads import packed_ndjson
from governance.web.htmx import is_fragment, render_page
from governance.web.pagination import KeysetPage, SortKey, paginate
from governance.web.templatetags.remit import number
from identities.models import Change, ChangeAction, SyncRun, SyncState
from identities.selectors.history import names_of
from identities.selectors.runs import access_sync_run, is_kept, list_errors, refused_records
from identities.sync.cancel import cancel_run
from identities.sync.held import accept_held, reject_held
from identities.sync.preview import Preview, preview_of
from identities.sync.taking_in import take_in
from identities.views.change_lines import ChangeLine, line_of
from identities.views.requests import PageRequest
from identities.views.run_lines import (
    COUNTED,
    count_lines,
    loser_line,
    note_lines,
    nothing_of,
    origin_of,
    progress_of,
    started_by,
    total_of,
)

SHOWN_ERRORS = 200
SHOWN_OF_EACH = 10
PROGRESS = "run-progress"


class RejectForm(forms.Form):
    """Why a held reading is turned away."""

    reason = forms.CharField(label="Why is it turned away?", max_length=500, widget=forms.Textarea(attrs={"rows": 2}))


@require_safe
@page()
def sync_run_detail(request: PageRequest, run_id: UUID) -> HttpResponse:
    """What one reading changed, by kind, with old and new; while it runs, how far it is."""
    run = access_sync_run(actor=request.actor, run_id=run_id)
    asks_for_progress = is_fragment(request) and request.headers.get("HX-Target") == PROGRESS
    if asks_for_progress and run.state != SyncState.RUNNING:
        return HttpResponseClientRefresh()  # the whole page says how it ended
    return _show(request, run, fragment="identities/_run_progress.html" if asks_for_progress else "")


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def sync_run_accept(request: PageRequest, run_id: UUID) -> HttpResponse:
    """Let a held reading through although it retires much."""
    run = access_sync_run(actor=request.actor, run_id=run_id)
    try:
        applied = accept_held(run=run, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, run, refusal=refusal)
    if applied.state == SyncState.APPLIED:
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


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def sync_run_cancel(request: PageRequest, run_id: UUID) -> HttpResponse:
    """Ask a running reading to stop."""
    run = access_sync_run(actor=request.actor, run_id=run_id)
    try:
        cancel_run(run=run, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, access_sync_run(actor=request.actor, run_id=run_id), refusal=refusal)
    messages.success(request, "It stops at its next step; nothing of it will be applied.")
    return redirect("identities:sync_run_detail", run.pk)


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def sync_run_take_in(request: PageRequest, run_id: UUID) -> HttpResponse:
    """Apply what a dry run kept of a file."""
    run = access_sync_run(actor=request.actor, run_id=run_id)
    try:
        taken = take_in(run=run, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, access_sync_run(actor=request.actor, run_id=run_id), refusal=refusal)
    if taken.state == SyncState.APPLIED:
        messages.success(request, "The file is part of the inventory now.")
    return redirect("identities:sync_run_detail", run.pk)


@require_safe
@page()
def sync_run_would_change(request: PageRequest, run_id: UUID) -> HttpResponse:
    """What a held reading would change, found out on the spot."""
    run = access_sync_run(actor=request.actor, run_id=run_id)
    context: dict[str, Any] = {"run": run}
    status = 200
    try:
        context |= _would_change(preview_of(run=run, now=timezone.now(), limit=SHOWN_OF_EACH + 1))
    except DomainError as refusal:
        context["refusal"], status = refusal, refusal.status
    return render_page(
        request,
        "identities/sync_run_would_change.html",
        context,
        fragment="identities/_would_change.html",
        # A fragment with an error status would not be shown.
        status=200 if is_fragment(request) else status,
    )


@require_safe
@page()
def sync_run_refused(request: PageRequest, run_id: UUID) -> HttpResponse:
    """The refused records with their reasons, as a file."""
    run = access_sync_run(actor=request.actor, run_id=run_id)
    accepted = request.headers.get("Accept-Encoding", "")
    file = packed_ndjson(f"refused-{run.pk}.ndjson", refused_records(run), accept_encoding=accepted)
    return cast(HttpResponse, file)


def _show(
    request: PageRequest,
    run: SyncRun,
    *,
    form: RejectForm | None = None,
    refusal: DomainError | None = None,
    fragment: str = "",
    status: int = 200,
) -> HttpResponse:
    chosen = request.GET.get("action", "")
    chosen = chosen if chosen in ChangeAction.values else ""
    errors = list(list_errors(run)[:SHOWN_ERRORS])
    context = {
        "run": run,
        "progress": progress_of(run, request.actor, timezone.now()),
        "started_by": started_by(run),
        "origin": origin_of(run),
        "counts": count_lines(run),
        "counted": COUNTED,
        "page": _changes(run, chosen, request.GET.get("cursor", "")),
        "tabs": _tabs(run, chosen),
        "nothing": nothing_of(run, chosen),
        "errors": errors,
        "errors_found": run.refused or (run.problem or {}).get("errors_found", len(errors)),
        "is_held": run.state == SyncState.HELD,
        "is_dry": run.state == SyncState.DRY_RUN,
        "may_take_in": is_kept(run) and request.actor.has_role(Role.ADMINISTRATOR),
        "shows_would_change": run.state == SyncState.HELD or run.preview is not None,
        "notes": note_lines(run),
        "problem_tone": "info" if run.state in (SyncState.CANCELLED, SyncState.DRY_RUN) else "danger",
        "may_decide": request.actor.has_role(Role.ADMINISTRATOR),
        "form": form or RejectForm(),
        "refusal": refusal,
    }
    return render_page(
        request,
        "identities/sync_run_detail.html",
        context,
        fragment=fragment,
        status=refusal.status if refusal else status,
    )


def _changes(run: SyncRun, action: str, cursor: str) -> KeysetPage:
    """One page of what the run changed. Nothing is counted, and nothing looked for that the counts say isn't there."""
    if run.state != SyncState.APPLIED or (action and not total_of(run, action)):
        return KeysetPage()
    changes = Change.objects.filter(run=run)
    if action:
        changes = changes.filter(action=action)
    found = paginate(changes, (SortKey("pk"),), cursor=cursor)
    names = names_of(found.rows)
    return KeysetPage([line_of(change, names) for change in found.rows], found.next_cursor, found.previous_cursor)


def _tabs(run: SyncRun, chosen: str) -> list[dict[str, Any]]:
    totals = {action: total_of(run, action) for action in ChangeAction.values}
    tabs = [{"label": "All", "url": "?", "current": not chosen, "count": number(sum(totals.values()))}]
    return tabs + [
        {"label": label, "url": f"?action={action}", "current": action == chosen, "count": number(totals[action])}
        for action, label in ChangeAction.choices
    ]


def _would_change(preview: Preview) -> dict[str, Any]:
    names = names_of(preview.changes)
    groups = []
    for action, title in (("retired", "Would go"), ("changed", "Would change"), ("added", "Would come")):
        found = [change for change in preview.changes if change.action == action]
        total = sum(counts.get(action, 0) for counts in preview.counts.values())
        if found:
            lines = [_would_be(line_of(change, names)) for change in found[:SHOWN_OF_EACH]]
            groups.append({"title": title, "lines": lines, "total": total, "more": max(0, total - len(lines))})
    return {"losers": [loser_line(loser) for loser in preview.losers[:SHOWN_OF_EACH]], "groups": groups}


def _would_be(line: ChangeLine) -> ChangeLine:
    """What would be new has no page yet."""
    return replace(line, url="") if line.action == ChangeAction.ADDED else line
