"""Connecting a source and changing it: forms for administrators, secrets only as references."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from identities.forms import SOURCE_FORMS, SourceForm, show_refusal
from identities.models import Source
from identities.selectors.inventory import access_source
from identities.services.sources import change_source, register_source
from identities.views.requests import PageRequest
from identities.views.sources import KIND_TITLES


@page(roles=[Role.ADMINISTRATOR])
def source_create(request: PageRequest) -> HttpResponse:
    """Connect a system; `?kind=` chooses the connector and with it the fields."""
    kind = request.GET.get("kind", "")
    kind = kind if kind in SOURCE_FORMS else next(iter(SOURCE_FORMS))
    form = SOURCE_FORMS[kind](request.POST or None)
    del form.fields["is_enabled"]
    if request.method == "POST" and form.is_valid():
        try:
            source = register_source(
                slug=form.cleaned_data["slug"], kind=kind, actor=request.actor, now=timezone.now(), **form.changes()
            )
        except DomainError as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, f"{source.name} is connected.")
            return redirect("identities:source_detail", source.slug)
    context = {
        "form": form,
        "kinds": [
            {"label": KIND_TITLES[name], "url": f"?kind={name}", "current": name == kind} for name in SOURCE_FORMS
        ],
    }
    return render_page(request, "identities/source_form.html", context, status=422 if form.errors else 200)


@page(roles=[Role.ADMINISTRATOR])
def source_edit(request: PageRequest, slug: str) -> HttpResponse:
    """Change a source; the kind and the short name stay."""
    source = access_source(actor=request.actor, slug=slug)
    form = SOURCE_FORMS.get(source.kind, SourceForm)(request.POST or None, initial=_initial(source))
    del form.fields["slug"]
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
            show_refusal(form, refusal)
            status = refusal.status
        else:
            messages.success(request, "Saved.")
            return redirect("identities:source_detail", source.slug)
    if form.errors and status == 200:
        status = 422
    return render_page(request, "identities/source_form.html", {"form": form, "source": source}, status=status)


def _initial(source: Source) -> dict[str, Any]:
    databases = source.settings.get("dbname", "")
    return {
        **source.settings,
        "dbname": ", ".join(databases) if isinstance(databases, list) else databases,
        "name": source.name,
        "environment": source.environment,
        "owner": source.owner.email if source.owner else "",
        "read_every_seconds": source.read_every_seconds,
        "freshness_limit_seconds": source.freshness_limit_seconds,
        "max_retire_percent": source.max_retire_percent,
        "is_enabled": source.is_enabled,
        "version": source.version,
    }
