"""The life of one identity as a page: where it stands, and what people may do about it."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from governance.people.access import MAIL_LINK
from governance.web.access import page
from governance.web.htmx import render_page
from identities.forms.inventory import show_refusal
from identities.forms.lifecycle import CadenceForm, RegisterForm
from identities.models import Identity
from identities.posture.lives import life_of
from identities.selectors.inventory import access_identity
from identities.services.identities import EDITORS, require_editor
from identities.services.lifecycle import declare_cadence, register_identity
from identities.views.requests import PageRequest


@require_safe
@page()
def identity_life(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """Where it stands, what led there, and the two things that people say: who answers for it, how often it is used."""
    return _life_page(request, _identity(request, identity_id))


@require_POST
@page()
def identity_register(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """Take it on: owner and purpose."""
    identity = _identity(request, identity_id)
    require_editor(identity, request.actor)
    form = RegisterForm(request.POST)
    if form.is_valid():
        try:
            register_identity(identity=identity, actor=request.actor, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            show_refusal(form, refusal)
            return _life_page(request, identity, register=form, status=refusal.status)
        messages.success(request, f"{identity.name} is registered.")
        return redirect("identities:identity_life", identity.pk)
    return _life_page(request, identity, register=form, status=422)


@require_POST
@page()
def identity_cadence(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """Say how rarely it is used."""
    identity = _identity(request, identity_id)
    require_editor(identity, request.actor)
    form = CadenceForm(request.POST)
    if form.is_valid():
        try:
            declare_cadence(identity=identity, actor=request.actor, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            show_refusal(form, refusal)
            return _life_page(request, identity, cadence=form, status=refusal.status)
        messages.success(request, "Saved. Whether it is dormant is measured by this from now on.")
        return redirect("identities:identity_life", identity.pk)
    return _life_page(request, identity, cadence=form, status=422)


def _identity(request: PageRequest, identity_id: UUID) -> Identity:
    return access_identity(actor=request.actor, identity_id=identity_id, shown=_with_posture)


def _with_posture(identities: QuerySet[Identity]) -> QuerySet[Identity]:
    return identities.select_related("source", "owner", "posture")


def may_edit(actor: Actor, identity: Identity) -> bool:
    """Whether the forms are shown; the use case has the last word."""
    is_own = actor.person_id in {identity.owner_id, identity.backup_owner_id}
    return (is_own or actor.has_role(*EDITORS)) and actor.auth_method != MAIL_LINK


def _life_page(
    request: PageRequest,
    identity: Identity,
    *,
    register: forms.Form | None = None,
    cadence: forms.Form | None = None,
    status: int = 200,
) -> HttpResponse:
    may = may_edit(request.actor, identity) and identity.retired_at is None
    context: dict[str, Any] = {
        "identity": identity,
        "life": life_of(identity),
        "may_edit": may,
        "register": register or (RegisterForm(initial=_initial(identity)) if not identity.registered_at else None),
        "cadence": cadence or CadenceForm(initial=_initial(identity)),
    }
    return render_page(request, "identities/identity_life.html", context, status=status)


def _initial(identity: Identity) -> dict[str, Any]:
    return {
        "owner": identity.owner.email if identity.owner else identity.source_owner,
        "purpose": identity.effective_purpose,
        "days": identity.expected_cadence_days,
        "version": identity.version,
    }
