"""Decision domains as pages: which there are, and one of them to be written down or changed."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from identities.forms.domains import DomainForm, type_lines
from identities.models import DecisionDomain
from identities.pdp.authzen.metadata import metadata
from identities.selectors.domains import ANY_SUBJECT, access_domain, list_domains
from identities.services.domains import change_domain, create_domain
from identities.views.requests import PageRequest

READERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.AUDITOR)


@require_safe
@page(roles=READERS)
def domain_list(request: PageRequest) -> HttpResponse:
    """The default domain and those of their own."""
    context = {
        "domains": [_line(domain) for domain in list_domains(actor=request.actor).order_by("name", "pk")],
        "default_address": metadata(settings.PUBLIC_URL, "")["access_evaluation_endpoint"],
        "default_types": ", ".join(ANY_SUBJECT),
        "may_change": request.actor.has_role(Role.ADMINISTRATOR),
    }
    return render_page(request, "identities/domain_list.html", context)


@page(roles=[Role.ADMINISTRATOR])
def domain_create(request: PageRequest) -> HttpResponse:
    """Write a decision domain down."""
    form = DomainForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            domain = create_domain(
                slug=form.cleaned_data["slug"], actor=request.actor, now=timezone.now(), **form.values()
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, f"{domain.name} answers at {_address(domain)}.")
            return redirect("identities:domain_list")
    return _form_page(request, form, None)


@page(roles=[Role.ADMINISTRATOR])
def domain_edit(request: PageRequest, domain: str) -> HttpResponse:
    """Change a decision domain, or switch it off."""
    found = access_domain(actor=request.actor, slug=domain)
    form = DomainForm(request.POST or None, domain=found)
    if request.method == "POST" and form.is_valid():
        try:
            change_domain(
                domain=found,
                version=form.cleaned_data["version"] or 0,
                changes=form.values(),
                actor=request.actor,
                now=timezone.now(),
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, "Saved. The next decision goes by it.")
            return redirect("identities:domain_list")
    return _form_page(request, form, found)


def _form_page(request: PageRequest, form: DomainForm, domain: DecisionDomain | None) -> HttpResponse:
    context = {"form": form, "domain": domain, "address": _address(domain) if domain else ""}
    return render_page(request, "identities/domain_form.html", context, status=422 if form.errors else 200)


def _address(domain: DecisionDomain) -> str:
    return str(metadata(settings.PUBLIC_URL, domain.slug)["policy_decision_point"])


def _line(domain: DecisionDomain) -> dict[str, Any]:
    """One domain as the list prints it."""
    return {
        "slug": domain.slug,
        "name": domain.name,
        "address": _address(domain),
        "is_enabled": domain.is_enabled,
        "is_apart": domain.is_apart,
        "sources": sorted(source.name for source in domain.sources.all()),
        "subject_types": type_lines(domain.subject_types),
        "registered_types": domain.registered_types,
        "request_properties": domain.request_properties,
    }
