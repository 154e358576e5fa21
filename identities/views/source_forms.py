"""Connecting a source and changing it: forms made from what each kind of connector declares, secrets as references."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from identities.connectors.registry import about, kinds
from identities.forms.sources import SourceForm
from identities.models import Source
from identities.selectors.inventory import access_source
from identities.services.checking import check_connection
from identities.services.sources import PUSH, change_source, register_source
from identities.views.check_lines import check_context
from identities.views.requests import PageRequest
from identities.views.sources import icon_of


@page(roles=[Role.ADMINISTRATOR])
def source_create(request: PageRequest) -> HttpResponse:
    """Connect a system: first which kind (cards), then `?kind=` and what its connector needs."""
    kind = request.GET.get("kind", "")
    if kind not in kinds():
        cards = [{"about": about(name), "icon": icon_of(name), "url": f"?kind={name}"} for name in kinds()]
        return render_page(request, "identities/source_kinds.html", {"cards": cards})
    form = SourceForm(request.POST or None, kind=kind)
    if request.method == "POST" and form.is_valid():
        try:
            source = register_source(
                slug=form.cleaned_data["slug"], kind=kind, actor=request.actor, now=timezone.now(), **form.changes()
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, f"{source.name} is connected.")
            return redirect("identities:source_detail", source.slug)
    return _show(request, form, kind=kind, status=422 if form.errors else 200)


@page(roles=[Role.ADMINISTRATOR])
def source_edit(request: PageRequest, slug: str) -> HttpResponse:
    """Change a source; the kind and the short name stay."""
    source = access_source(actor=request.actor, slug=slug)
    form = SourceForm(request.POST or None, kind=source.kind, source=source)
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            change_source(
                source=source,
                version=form.cleaned_data["version"] or 0,
                changes=form.changes() | {"is_enabled": form.cleaned_data["is_enabled"]},
                actor=request.actor,
                now=timezone.now(),
            )
        except DomainError as refusal:
            form.refuse(refusal)
            status = refusal.status
        else:
            messages.success(request, "Saved.")
            return redirect("identities:source_detail", source.slug)
    if form.errors and status == 200:
        status = 422
    return _show(request, form, kind=source.kind, source=source, status=status)


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def source_check_new(request: PageRequest) -> HttpResponse:
    """Try the connection that stands in the form of a new source; nothing is stored."""
    kind = request.GET.get("kind", "")
    if kind not in kinds():
        raise Http404("There is no such kind of source.")
    return _check(request, SourceForm(request.POST, kind=kind), kind=kind)


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def source_check_edit(request: PageRequest, slug: str) -> HttpResponse:
    """Try the connection that stands in the form of a source; nothing is stored."""
    source = access_source(actor=request.actor, slug=slug)
    return _check(request, SourceForm(request.POST, kind=source.kind, source=source), kind=source.kind, source=source)


def _check(request: PageRequest, form: SourceForm, *, kind: str, source: Source | None = None) -> HttpResponse:
    form.is_valid()
    if not form.only_settings():
        return _show(request, form, kind=kind, source=source, status=422)
    try:
        checks = check_connection(
            kind=kind, settings=form.settings(), source=source, actor=request.actor, now=timezone.now()
        )
    except DomainError as refusal:
        form.refuse(refusal)
        return _show(request, form, kind=kind, source=source, status=422)
    return _show(request, form, kind=kind, source=source, **check_context(checks))


def _show(
    request: PageRequest, form: SourceForm, *, kind: str, source: Source | None = None, status: int = 200, **more: Any
) -> HttpResponse:
    edit_check = reverse("identities:source_check_edit", args=[source.slug]) if source else ""
    target = reverse("identities:source_edit", args=[source.slug]) if source else reverse("identities:source_create")
    context = {
        "form": form,
        "kind": about(kind),
        "icon": icon_of(kind),
        "source": source,
        "action": target if source else f"{target}?kind={kind}",
        "check_url": edit_check or f"{reverse('identities:source_check_new')}?kind={kind}",
        "may_check": kind != PUSH,
        **more,
    }
    return render_page(request, "identities/source_form.html", context, status=status)
