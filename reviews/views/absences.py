"""One's own absence: who answers meanwhile, until when, and ending it early."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError, Forbidden
from governance.people.access import MAIL_LINK
from governance.people.selectors import READERS
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import SortKey, paginate
from identities.models import Source
from reviews.decisions import create_delegation, end_delegation
from reviews.forms.absences import AbsenceForm
from reviews.forms.fields import show_refusal
from reviews.models import Campaign, Delegation
from reviews.selectors import access_delegation, list_delegations
from reviews.views.people import offer_people
from reviews.views.requests import PageRequest

LATEST = (SortKey("ends_at", descending=True), SortKey("pk", descending=True))
TONES = {"planned": "info", "active": "warn", "ended": "unknown"}


@page()
def absence(request: PageRequest) -> HttpResponse:
    """Who stands in for whom; POST names somebody."""
    now = timezone.now()
    may_name = request.actor.auth_method != MAIL_LINK
    acts_for_others = request.actor.has_role(Role.ADMINISTRATOR)
    form = AbsenceForm(request.POST or None, me=request.user, acts_for_others=acts_for_others, today=now)
    offer_people(form, request)
    refusal: DomainError | None = None
    if request.method == "POST" and form.is_valid():
        try:
            create_delegation(actor=request.actor, now=now, **form.wish())
        except Forbidden:
            raise
        except DomainError as problem:
            refusal = problem
            show_refusal(form, problem)
        else:
            messages.success(request, f"{form.cleaned_data['delegate']} answers meanwhile.")
            return redirect("reviews:absence")
    status = refusal.status if refusal else 422 if form.errors else 200
    found = paginate(list_delegations(actor=request.actor), LATEST, cursor=request.GET.get("cursor", ""), size=25)
    context = {
        "form": form,
        "page": found,
        "rows": _lines(found.rows, request),
        "may_name": may_name,
        "may_read": request.actor.has_role(*READERS),
    }
    return render_page(request, "reviews/absence.html", context, status=status)


@require_POST
@page()
def absence_end(request: PageRequest, delegation_id: UUID) -> HttpResponse:
    """End it now."""
    delegation = access_delegation(actor=request.actor, delegation_id=delegation_id)
    try:
        end_delegation(
            delegation=delegation,
            actor=request.actor,
            now=timezone.now(),
            reason=request.POST.get("reason", "")[:1000].replace("\x00", ""),
        )
    except Forbidden:
        raise
    except DomainError as problem:
        messages.error(request, problem.message)
    else:
        messages.success(request, "Ended. What is unanswered goes back.")
    return redirect("reviews:absence")


def _lines(delegations: list[Delegation], request: PageRequest) -> list[dict[str, Any]]:
    """One row each, with the names of what it is limited to; two queries for the whole page."""
    reviews = dict(
        Campaign.objects.filter(pk__in={pk for row in delegations for pk in row.campaigns}).values_list("pk", "name")
    )
    sources = dict(
        Source.objects.filter(pk__in={pk for row in delegations for pk in row.sources}).values_list("pk", "name")
    )
    me, is_admin = request.actor.person_id, request.actor.has_role(Role.ADMINISTRATOR)
    return [
        {
            "row": row,
            "tone": TONES[row.state],
            "limits": [reviews.get(pk, "a review") for pk in row.campaigns]
            + [sources.get(pk, "a source") for pk in row.sources],
            "is_mine": me in (row.person_id, row.delegate_id),
            "may_end": row.ended_at is None
            and request.actor.auth_method != MAIL_LINK
            and (me in (row.person_id, row.delegate_id) or is_admin),
        }
        for row in delegations
    ]
