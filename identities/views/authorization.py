"""How the application behind an identity or a source decides: the form in which its owner says so."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError, Forbidden
from governance.web.access import page
from governance.web.htmx import render_page
from identities.forms.boundaries import AuthorizationForm
from identities.forms.inventory import show_refusal
from identities.models import AuthorizationModel, Identity, Source
from identities.selectors.authorization import own_declaration
from identities.selectors.inventory import access_identity, access_source
from identities.services.authorization import declare_authorization
from identities.services.identities import require_editor
from identities.views.requests import PageRequest


@page()
def identity_authorization(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """Declare it for one identity."""
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    require_editor(identity, request.actor)
    return _declare(request, identity, "identities:identity_detail", identity.pk)


@page(roles=[Role.ADMINISTRATOR])
def source_authorization(request: PageRequest, slug: str) -> HttpResponse:
    """Declare it for every identity of a source of which nothing else is said."""
    source = access_source(actor=request.actor, slug=slug)
    return _declare(request, source, "identities:source_detail", source.slug)


def _declare(request: PageRequest, of: Identity | Source, back: str, key: Any) -> HttpResponse:
    known = own_declaration(of)
    names = ("model", "classes", "breadth", "note", "version")
    initial = {name: getattr(known, name) for name in names} if known else {"version": 0}
    form = AuthorizationForm(request.POST or None, initial=initial)
    status = 422 if request.method == "POST" else 200
    if request.method == "POST" and form.is_valid():
        try:
            declare_authorization(of=of, actor=request.actor, now=timezone.now(), **form.cleaned_data)
        except Forbidden:
            raise
        except DomainError as refusal:
            show_refusal(form, refusal)
            status = refusal.status
        else:
            model = form.cleaned_data["model"]
            said = f"“{AuthorizationModel(model).label}”" if model else "that nobody has said how it decides"
            messages.success(request, f"Noted of {of.name}: {said}.")
            return redirect(back, key)
    context = {"form": form, "of": of, "is_source": isinstance(of, Source), "known": known}
    return render_page(request, "identities/authorization_form.html", context, status=status)
