"""All trust boundaries: who authenticates, who authorises, whom a trust lets in, and who answers for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError, NotFound
from governance.kernel.federation import IssuerSort, Looseness, sort_of_issuer
from governance.web.access import page
from governance.web.csv import stream_csv
from governance.web.htmx import render_page
from governance.web.pagination import SortKey, paginate
from identities.forms.boundaries import BoundaryForm, NewBoundaryForm, ReviewForm, WithdrawForm
from identities.forms.inventory import show_refusal
from identities.models import TrustBoundary
from identities.selectors.access import source_names
from identities.selectors.boundaries import (
    Boundary,
    SubjectLine,
    access_boundary_record,
    list_boundaries,
    list_trusting,
)
from identities.selectors.inventory import SEES_EVERYTHING, access_source
from identities.services.boundaries import change_boundary, register_boundary, review_boundary, withdraw_boundary
from identities.services.exports import record_download
from identities.views.requests import PageRequest

COLUMNS = ("authenticates", "authorises", "identities", "subject", "audience", "conditions", "lets in", "registered")
KEYS = (SortKey("identity__name"), SortKey("pk"))
SUBJECTS_SHOWN = 3
NEXT_REVIEW = timedelta(days=180)
TONES = {"any": "danger", "loose": "warn", "within": "neutral", "exact": "neutral"}
LABELS = {"any": "Anybody", "loose": "Several", "within": "One project", "exact": "One workload"}


@dataclass(frozen=True, slots=True)
class BoundaryRow:
    """One boundary as the list prints it. worries: (words, tone), the worst first."""

    boundary: Boundary
    url: str
    register_url: str
    subjects: list[SubjectLine]
    more: int
    worries: list[tuple[str, str]]


@require_safe
@page(roles=SEES_EVERYTHING)
def boundary_list(request: PageRequest) -> HttpResponse:
    """Every boundary, those that nobody registered first."""
    asked = _asked(request)
    found = list_boundaries(actor=request.actor, **asked)
    today = timezone.now().date()
    context = {
        "rows": [_row(each, today) for each in found.rows],
        "total": found.total,
        "is_cut": found.total > len(found.rows),
        "asked": asked,
        "is_filtered": any(asked.values()),
        "sources": source_names(request.actor),
        "may_register": request.actor.has_role(Role.ADMINISTRATOR),
        "csv_url": f"{reverse('identities:boundary_csv')}?{urlencode(_kept(asked))}",
    }
    return render_page(request, "identities/boundary_list.html", context)


@require_safe
@page(roles=SEES_EVERYTHING)  # type: ignore[arg-type] # a stream is a response too
def boundary_csv(request: PageRequest) -> HttpResponseBase:
    """The same as a file, a line for each subject pattern."""
    asked = _asked(request)
    filtered_by = sorted(_kept(asked))
    record_download(what="boundaries", form="csv", filtered_by=filtered_by, actor=request.actor, now=timezone.now())
    return stream_csv("boundaries.csv", COLUMNS, _lines(list_boundaries(actor=request.actor, **asked).rows))


@require_safe
@page(roles=SEES_EVERYTHING)
def boundary_of(request: PageRequest, slug: str) -> HttpResponse:
    """One boundary: its subject patterns, its record, and every identity that is let in by it."""
    source = access_source(actor=request.actor, slug=slug)
    issuer = request.GET.get("issuer", "").replace("\x00", "")
    if not issuer:
        return redirect(f"{reverse('identities:boundary_list')}?{urlencode({'source': slug})}")
    found = list_boundaries(actor=request.actor, source=slug, issuer=issuer)
    if not found.rows:
        raise NotFound("No trust in such an issuer is known here.")
    relations = list_trusting(actor=request.actor, source_id=source.pk, issuer=issuer)
    context = {
        "source": source,
        "row": _row(found.rows[0], timezone.now().date()),
        "lines": [
            (line, TONES[line.judgement.looseness], LABELS[line.judgement.looseness]) for line in found.rows[0].lines
        ],
        "page": paginate(relations, KEYS, cursor=request.GET.get("cursor", "")),
        "may_register": request.actor.has_role(Role.ADMINISTRATOR),
    }
    return render_page(request, "identities/boundary_of.html", context)


@page(roles=[Role.ADMINISTRATOR])
def boundary_create(request: PageRequest) -> HttpResponse:
    """Register a boundary; the address may name the source and the issuer."""
    form = NewBoundaryForm(request.POST or None, initial=_initial(request))
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            boundary = register_boundary(
                source=data["source"], issuer=data["issuer"], actor=request.actor, now=timezone.now(), **form.wish()
            )
        except DomainError as refusal:
            show_refusal(form, refusal)
            return _form(request, form, None, refusal.status)
        messages.success(request, "The boundary is registered.")
        return redirect("identities:boundary_detail", boundary.pk)
    return _form(request, form, None, 422 if form.errors else 200)


@require_safe
@page(roles=SEES_EVERYTHING)
def boundary_detail(request: PageRequest, boundary_id: UUID) -> HttpResponse:
    """One record, how the trusts in force compare with it, and its history."""
    boundary = access_boundary_record(actor=request.actor, boundary_id=boundary_id)
    return _detail(request, boundary)


@page(roles=[Role.ADMINISTRATOR])
def boundary_edit(request: PageRequest, boundary_id: UUID) -> HttpResponse:
    """Change a record."""
    boundary = access_boundary_record(actor=request.actor, boundary_id=boundary_id)
    names = ("subjects", "audiences", "attributes_trusted", "purpose", "review_due", "version")
    initial = {name: getattr(boundary, name) for name in names}
    form = BoundaryForm(
        request.POST or None, initial=initial | {"owner": boundary.owner.email if boundary.owner else ""}
    )
    if request.method == "POST" and form.is_valid():
        try:
            change_boundary(
                boundary=boundary, version=form.cleaned_data["version"] or 0, changes=form.wish(), actor=request.actor,
                now=timezone.now(),
            )  # fmt: skip
        except DomainError as refusal:
            show_refusal(form, refusal)
            return _form(request, form, boundary, refusal.status)
        messages.success(request, "Saved.")
        return redirect("identities:boundary_detail", boundary.pk)
    return _form(request, form, boundary, 422 if form.errors else 200)


@require_POST
@page(roles=[Role.ADMINISTRATOR, Role.AUDITOR])
def boundary_review(request: PageRequest, boundary_id: UUID) -> HttpResponse:
    """Confirm a record until its next review."""
    boundary = access_boundary_record(actor=request.actor, boundary_id=boundary_id)
    form = ReviewForm(request.POST)
    if form.is_valid():
        try:
            review_boundary(boundary=boundary, actor=request.actor, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            show_refusal(form, refusal)
            return _detail(request, boundary, review=form, status=refusal.status)
        messages.success(request, "Reviewed.")
        return redirect("identities:boundary_detail", boundary.pk)
    return _detail(request, boundary, review=form, status=422)


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def boundary_withdraw(request: PageRequest, boundary_id: UUID) -> HttpResponse:
    """Withdraw a record."""
    boundary = access_boundary_record(actor=request.actor, boundary_id=boundary_id)
    form = WithdrawForm(request.POST)
    if form.is_valid():
        try:
            withdraw_boundary(boundary=boundary, actor=request.actor, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            show_refusal(form, refusal)
            return _detail(request, boundary, withdraw=form, status=refusal.status)
        messages.success(request, "Withdrawn. Trusts that it covered are registered nowhere now.")
        return redirect("identities:boundary_list")
    return _detail(request, boundary, withdraw=form, status=422)


def _detail(
    request: PageRequest,
    boundary: TrustBoundary,
    *,
    review: ReviewForm | None = None,
    withdraw: WithdrawForm | None = None,
    status: int = 200,
) -> HttpResponse:
    today = timezone.now().date()
    found = list_boundaries(actor=request.actor, source=boundary.source.slug, issuer=boundary.issuer)
    is_current = boundary.withdrawn_at is None
    start = {"version": boundary.version, "review_due": today + NEXT_REVIEW}
    context = {
        "boundary": boundary,
        "row": _row(found.rows[0], today) if found.rows and is_current else None,
        "outside": [line for line in found.rows[0].lines if line.is_registered is False] if found.rows else [],
        "is_overdue": is_current and boundary.review_due < today,
        "review": review or ReviewForm(initial=start),
        "withdraw": withdraw or WithdrawForm(initial=start),
        "may_review": is_current
        and request.actor.has_role(Role.ADMINISTRATOR, Role.AUDITOR)
        and boundary.owner_id != request.actor.person_id,
        "may_edit": is_current and request.actor.has_role(Role.ADMINISTRATOR),
    }
    return render_page(request, "identities/boundary_detail.html", context, status=status)


def _form(request: PageRequest, form: BoundaryForm, boundary: TrustBoundary | None, status: int) -> HttpResponse:
    return render_page(request, "identities/boundary_form.html", {"form": form, "boundary": boundary}, status=status)


def _initial(request: PageRequest) -> dict[str, Any]:
    """What is seen of the boundary already, so that registering it is reading and agreeing, not typing."""
    slug, issuer = (request.GET.get(name, "").replace("\x00", "") for name in ("source", "issuer"))
    initial: dict[str, Any] = {"source": slug, "issuer": issuer, "review_due": timezone.now().date() + NEXT_REVIEW}
    found = list_boundaries(actor=request.actor, source=slug, issuer=issuer) if slug and issuer else None
    if found and found.rows:
        lines = found.rows[0].lines
        # That everybody may come is for a person to write down, not to nod through.
        named = (line.subject for line in lines if line.judgement.looseness is not Looseness.ANY)
        initial["subjects"] = list(dict.fromkeys(named))[:50]
        initial["audiences"] = list(
            dict.fromkeys(part.strip() for line in lines for part in line.audience.split(",") if part.strip())
        )
    return initial


def _asked(request: PageRequest) -> dict[str, str]:
    registered = request.GET.get("registered", "")
    return {
        "source": request.GET.get("source", "").replace("\x00", "")[:60],
        "text": request.GET.get("q", "").replace("\x00", "")[:200],
        "registered": registered if registered in ("yes", "no") else "",
    }


def _kept(asked: dict[str, str]) -> dict[str, str]:
    names = {"text": "q"}
    return {names.get(name, name): value for name, value in asked.items() if value}


def _row(boundary: Boundary, today: date) -> BoundaryRow:
    where = urlencode({"issuer": boundary.issuer})
    return BoundaryRow(
        boundary,
        f"{reverse('identities:boundary_of', args=[boundary.slug])}?{where}",
        f"{reverse('identities:boundary_create')}?{urlencode({'source': boundary.slug, 'issuer': boundary.issuer})}",
        boundary.lines[:SUBJECTS_SHOWN],
        len(boundary.lines) - SUBJECTS_SHOWN,
        list(_worries(boundary, today)),
    )


def _worries(boundary: Boundary, today: date) -> Iterator[tuple[str, str]]:
    """What somebody should look at."""
    strangers = [line for line in boundary.lines if line.judgement.lets_in_strangers and not line.has_conditions]
    if any(line.judgement.looseness == "any" for line in boundary.lines):
        yield "Lets anybody in", "danger"
    elif strangers:
        yield "Strangers may fit", "danger"
    if any(line.has_open_audience for line in boundary.lines):
        yield "No audience is asked for", "warn"
    if boundary.record is None and sort_of_issuer(boundary.issuer) is not IssuerSort.PLATFORM:
        yield "Nobody registered it", "warn"
    if boundary.outside:
        yield f"{boundary.outside} of {len(boundary.lines)} outside the record", "danger"
    if boundary.is_overdue(today):
        yield "Its review is overdue", "warn"
    if boundary.record and not boundary.relations:
        yield "No trust uses it now", "neutral"


def _lines(boundaries: list[Boundary]) -> Iterator[tuple[Any, ...]]:
    for each in boundaries:
        for line in each.lines:
            conditions = {True: "yes", False: "no", None: "not told"}[line.has_conditions]
            registered = {True: "yes", False: "outside the record", None: "no"}[line.is_registered]
            yield (
                *(each.issuer, each.source, line.identities, line.subject, line.audience, conditions),
                *(line.judgement.words, registered),
            )
        if not each.lines:
            yield each.issuer, each.source, 0, "", "", "", "no trust uses it now", "yes"
