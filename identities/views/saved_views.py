"""Saved views as pages: the row of them above a list, and the page on which they are renamed, shared and deleted."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from identities.forms.inventory import SavedViewForm, label_of_filter, show_refusal
from identities.models import SavedView, SavedViewPage
from identities.selectors.filters import InventoryFilter
from identities.selectors.saved_views import OpenedView, access_saved_view, list_saved_views, opened
from identities.services.saved_views import change_view, delete_view, save_view
from identities.views.requests import PageRequest

SHOWN = 8
LISTS = {
    SavedViewPage.IDENTITIES: "identities:identity_list",
    SavedViewPage.ACCESS: "identities:access_list",
    SavedViewPage.FINDINGS: "identities:finding_list",
}
PLANNERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER)


def views_row(request: PageRequest, list_page: SavedViewPage, *, filter_text: str, can_save: bool) -> dict[str, Any]:
    """What `_saved_views.html` prints above a list: the views of this page, and what would be saved. One query."""
    sort, columns = request.GET.get("sort", ""), ",".join(part for part in request.GET.getlist("cols") if part)
    views = [_line(request, opened(view)) for view in list_saved_views(person_id=request.user.pk, page=list_page)]
    current = opened(SavedView(filter=filter_text, sort=sort, columns=columns)).query
    for line in views:
        line["is_open"] = can_save and line["query"] == current and not line["problem"]
    return {
        "views": views[:SHOWN],
        "more_views": max(0, len(views) - SHOWN),
        "view_page": list_page.value,
        "view_filter": filter_text,
        "view_sort": sort,
        "view_columns": columns,
        "may_save_view": can_save
        and bool(current)
        and request.actor.auth_method != "mail_link"
        and not any(line["is_open"] and line["is_mine"] for line in views),
    }


@page()
def saved_view_list(request: PageRequest) -> HttpResponse:
    """All views that the person may open; posting keeps a new one."""
    if request.method == "POST":
        return _save(request)
    views = [_line(request, opened(view)) for view in list_saved_views(person_id=request.user.pk)]
    context = {"views": views, "may_change": request.actor.auth_method != "mail_link"}
    return render_page(request, "identities/saved_view_list.html", context)


@page()
def saved_view_edit(request: PageRequest, view_id: UUID) -> HttpResponse:
    """Rename one's own view, or share it."""
    view = access_saved_view(person_id=request.user.pk, view_id=view_id)
    form = SavedViewForm(request.POST or None, initial=_as_filled_in(view))
    if request.method == "POST" and form.is_valid():
        changes = {name: form.cleaned_data[name] for name in ("name", "is_shared")}
        try:
            change_view(
                view=view, changes=changes, version=form.cleaned_data["version"], actor=request.actor,
                owner=request.user, now=timezone.now(),
            )  # fmt: skip
        except DomainError as refusal:
            show_refusal(form, refusal)
            return _form_page(request, form, view, refusal.status)
        messages.success(request, "Saved.")
        return redirect("identities:saved_view_list")
    return _form_page(request, form, view, 422 if form.errors else 200)


@require_POST
@page()
def saved_view_delete(request: PageRequest, view_id: UUID) -> HttpResponse:
    """Delete one's own view, or as an administrator a shared one."""
    view = access_saved_view(person_id=request.user.pk, view_id=view_id)
    delete_view(view=view, actor=request.actor, owner=request.user, now=timezone.now())
    messages.success(request, f"“{view.name}” is deleted.")
    return redirect("identities:saved_view_list")


def _save(request: PageRequest) -> HttpResponse:
    form = SavedViewForm(request.POST)
    if not form.is_valid():
        return _form_page(request, form, None, 422)
    data = form.cleaned_data
    try:
        view = save_view(
            page=data["page"],
            name=data["name"],
            filter_text=data["filter"],
            sort=data["sort"],
            columns=data["columns"],
            is_shared=data["is_shared"],
            owner=request.user,
            actor=request.actor,
            now=timezone.now(),
        )
    except DomainError as refusal:
        show_refusal(form, refusal)
        return _form_page(request, form, None, refusal.status)
    messages.success(request, f"“{view.name}” is saved.")
    return redirect(_line(request, opened(view))["url"])


def _as_filled_in(view: SavedView) -> dict[str, Any]:
    return {"name": view.name, "is_shared": view.is_shared, "version": view.version}


def _form_page(request: PageRequest, form: SavedViewForm, view: SavedView | None, status: int) -> HttpResponse:
    return render_page(request, "identities/saved_view_form.html", {"form": form, "view": view}, status=status)


def _line(request: PageRequest, found: OpenedView) -> dict[str, Any]:
    """One view as a row or a chip prints it. A broken one leads nowhere and says why."""
    view = found.view
    is_mine = view.owner_id == request.user.pk
    may_use = not found.problem and request.actor.has_role(*PLANNERS)
    return {
        "id": view.pk,
        "name": view.name,
        "url": reverse(LISTS[SavedViewPage(view.page)]) + (f"?{found.query}" if found.query else ""),
        "query": found.query,
        "problem": found.problem,
        "is_mine": is_mine,
        "is_shared": view.is_shared,
        "owner": view.owner.name,
        "page": view.get_page_display(),
        "labels": [] if found.problem else _labels(view.filter),
        "text": view.filter,
        "may_delete": is_mine or request.actor.has_role(Role.ADMINISTRATOR),
        "scope": InventoryFilter.parse(view.filter).to_text() if may_use else "",
    }


def _labels(text: str) -> list[str]:
    filters = InventoryFilter.parse(text)
    return [label_of_filter(name, value) for name in filters.__slots__ if (value := getattr(filters, name))]
