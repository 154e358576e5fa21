"""One act on many findings as pages: choose what to say, look at what it would do, do exactly that.

Plain forms that post to one address; what was selected travels along as hidden fields.
"""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.templatetags.remit import plural
from identities.forms.findings import BULK_ACTIONS, form_for
from identities.forms.inventory import show_refusal
from identities.posture.findings.acting import (
    SHOWN,
    Judgement,
    act_on_findings,
    preview_act,
)
from identities.selectors.selection import Selection, SelectionChanged
from identities.views.finding_rows import finding_rows
from identities.views.requests import PageRequest
from identities.views.selecting import list_as_left, read_selection, selection_context


@page()
def finding_bulk(request: PageRequest) -> HttpResponse:
    """Act on the selected findings: the steps are `choose` (none given), `preview` and `apply`."""
    if request.method != "POST":
        messages.info(request, "Select findings first, then act on them together.")
        return redirect("identities:finding_list")
    selection = read_selection(request)
    if selection.filters is None and not selection.ids:
        messages.warning(request, "No finding was selected.")
        return redirect(list_as_left(request, "identities:finding_list"))
    action = request.POST.get("do", "")
    if action not in BULK_ACTIONS:
        action = "assign"
    step = request.POST.get("step", "")
    form = form_for(action, request.POST if step else None, now=timezone.now())
    if step and form.is_valid():
        try:
            return (
                _apply(request, selection, action, form)
                if step == "apply"
                else _preview(request, selection, action, form)
            )
        except DomainError as refusal:
            show_refusal(form, refusal)
            return _choose(request, selection, action, form, refusal.status)
    return _choose(request, selection, action, form, 422 if form.errors else 200)


def _apply(request: PageRequest, selection: Selection, action: str, form: Any) -> HttpResponse:
    try:
        act = act_on_findings(
            selection=selection,
            wish=form.wish(),
            digest=request.POST.get("digest", ""),
            actor=request.actor,
            now=timezone.now(),
        )
    except SelectionChanged as refusal:
        return _preview(request, selection, action, form, refusal=refusal)
    messages.success(request, f"{plural(len(act.changes), 'finding,findings')} changed.")
    return redirect(list_as_left(request, "identities:finding_list"))


def _preview(
    request: PageRequest, selection: Selection, action: str, form: Any, *, refusal: DomainError | None = None
) -> HttpResponse:
    act = preview_act(selection=selection, wish=form.wish(), actor=request.actor, now=timezone.now())
    context = _context(request, selection, action, form) | {
        "act": act,
        "change_count": len(act.changes),
        "refused_count": len(act.refused) + act.gone,
        "rows": [row for row, _ in _lines(act.changes)],
        "refused_lines": _lines(act.refused),
        "refusal": refusal,
        "kept": [(name, value) for name in form.fields for value in request.POST.getlist(name) if value],
    }
    return render_page(
        request, "identities/finding_bulk_preview.html", context, status=refusal.status if refusal is not None else 200
    )


def _lines(judged: list[Judgement]) -> list[tuple[Any, str]]:
    rows = finding_rows([each.standing.finding for each in judged[:SHOWN]])
    return [(row, each.refusal) for row, each in zip(rows, judged, strict=False)]


def _choose(request: PageRequest, selection: Selection, action: str, form: Any, status: int) -> HttpResponse:
    context = _context(request, selection, action, form)
    return render_page(request, "identities/finding_bulk.html", context, status=status)


def _context(request: PageRequest, selection: Selection, action: str, form: Any) -> dict[str, Any]:
    """What both pages print."""
    return selection_context(request, selection, list_name="identities:finding_list") | {
        "form": form,
        "action": action,
        "title": BULK_ACTIONS[action],
        "actions": BULK_ACTIONS.items(),
    }
