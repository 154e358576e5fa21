"""One edit of many identities as pages: choose what to say, look at what it would do, do exactly that.

Three plain forms that post to one address; what was selected travels along as hidden fields.
"""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from governance.kernel.errors import DomainError
from governance.people.models import Team, User
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.templatetags.remit import plural
from identities.forms.inventory import BULK_ACTIONS, BulkEditForm, show_refusal
from identities.models import Identity
from identities.selectors.selection import Selection, SelectionChanged
from identities.services.bulk_edit import (
    SHOWN,
    Difference,
    IdentitiesBusy,
    bulk_edit_identities,
    preview_bulk_edit,
)
from identities.services.identities import EDITORS
from identities.views.requests import PageRequest
from identities.views.selecting import list_as_left, read_selection, selection_context


@page(roles=EDITORS)
def identity_bulk(request: PageRequest) -> HttpResponse:
    """Edit the selected identities: the steps are `choose` (none given), `preview` and `apply`."""
    if request.method != "POST":
        messages.info(request, "Select identities first, then edit them together.")
        return redirect("identities:identity_list")
    selection = read_selection(request)
    if selection.filters is None and not selection.ids:
        messages.warning(request, "No identity was selected.")
        return redirect(list_as_left(request, "identities:identity_list"))
    action = request.POST.get("do", "")
    if action not in BULK_ACTIONS:
        action = "owner"
    step = request.POST.get("step", "")
    form = BulkEditForm(request.POST if step else None, action=action)
    if step and form.is_valid():
        try:
            return _apply(request, selection, form) if step == "apply" else _preview(request, selection, form)
        except DomainError as refusal:
            show_refusal(form, refusal)
            return _choose(request, selection, form, refusal.status)
    return _choose(request, selection, form, 422 if form.errors else 200)


def _apply(request: PageRequest, selection: Selection, form: BulkEditForm) -> HttpResponse:
    try:
        edit = bulk_edit_identities(
            selection=selection,
            changes=form.wish(),
            digest=request.POST.get("digest", ""),
            actor=request.actor,
            now=timezone.now(),
            reason=form.cleaned_data["reason"],
        )
    except (SelectionChanged, IdentitiesBusy) as refusal:
        return _preview(request, selection, form, refusal=refusal)
    messages.success(request, f"{plural(len(edit.changes), 'identity,identities')} changed.")
    return redirect(list_as_left(request, "identities:identity_list"))


def _preview(
    request: PageRequest, selection: Selection, form: BulkEditForm, *, refusal: DomainError | None = None
) -> HttpResponse:
    edit = preview_bulk_edit(selection=selection, changes=form.wish(), actor=request.actor, now=timezone.now())
    context = _context(request, selection, form) | {
        "edit": edit,
        "change_count": len(edit.changes),
        "refused_count": len(edit.refused) + edit.gone,
        "lines": _lines(edit.changes[:SHOWN]),
        "refused_lines": _lines(edit.refused[:SHOWN]),
        "nothing": "no tags" if "tags" in form.action else "no team" if form.action == "team" else "nobody",
        "refusal": refusal,
        "kept": [(name, value) for name in form.fields for value in request.POST.getlist(name) if value],
    }
    return render_page(
        request, "identities/bulk_preview.html", context, status=refusal.status if refusal is not None else 200
    )


def _choose(request: PageRequest, selection: Selection, form: BulkEditForm, status: int) -> HttpResponse:
    return render_page(request, "identities/bulk_edit.html", _context(request, selection, form), status=status)


def _context(request: PageRequest, selection: Selection, form: BulkEditForm) -> dict[str, Any]:
    """What both pages print."""
    return selection_context(request, selection, list_name="identities:identity_list") | {
        "form": form,
        "action": form.action,
        "title": BULK_ACTIONS[form.action],
        "actions": BULK_ACTIONS.items(),
    }


def _lines(differences: list[Difference]) -> list[dict[str, Any]]:
    """Rows of the preview with names for ids: three queries, however many rows."""
    identities = Identity.objects.select_related("source").in_bulk([each.row.id for each in differences])
    ids = {value for each in differences for facts in (each.old, each.new) for value in facts.values()
           if isinstance(value, UUID)}  # fmt: skip
    names: dict[UUID, str] = {person.pk: person.name for person in User.objects.filter(pk__in=ids)}
    names |= {team.pk: team.name for team in Team.objects.filter(pk__in=ids)}
    return [
        {
            "identity": identities[each.row.id],
            "changes": [(_words(each.old[name], names), _words(new, names)) for name, new in each.new.items()],
            "refusal": each.refusal,
        }
        for each in differences
    ]


def _words(value: Any, names: dict[UUID, str]) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return names.get(value, "") if value else ""
