"""Trying a narrowing on an access that nobody asks about: nothing is written until somebody asks the question."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from governance.web.access import page
from governance.web.htmx import is_fragment, render_page
from identities.models import Grant, GrantVersion
from identities.selectors.inventory import access_grant
from identities.views.grant_lines import native_json, path_words, revocability_words
from reviews.campaigns.asking import ASKERS, AskedAlready, ask_about, open_question_about, require_held
from reviews.evidence import Trial
from reviews.forms.targets import TrialForm, target_faults
from reviews.models import ReviewItem
from reviews.remediation import prepare_narrowing
from reviews.selectors import visible_items
from reviews.views.bench import Bench, chooser_of, narrowing_of
from reviews.views.requests import PageRequest

PAGE, FORM, PREVIEW = "reviews/narrow_grant.html", "reviews/_narrow_form.html", "reviews/_narrow_preview.html"


@require_safe
@page()
def narrow_grant(request: PageRequest, grant_id: UUID) -> HttpResponse:
    """The bench for one grant. As a fragment: the form alone, for the page of the grant."""
    grant, version = _access(request, grant_id)
    return _show(request, grant, version, _bench(grant, version, request.GET.get("style", "")), given=request.GET)


@require_POST
@page()
def narrow_preview(request: PageRequest, grant_id: UUID) -> HttpResponse:
    """Proof, replay and plan of what the form holds. Asks the source, changes nothing."""
    grant, version = _access(request, grant_id)
    bench, form = _sent(request, grant, version)
    narrowing = _narrowing(grant, version, bench, form)
    if is_fragment(request):
        return render_page(request, PAGE, {"grant": grant, **narrowing}, fragment=PREVIEW)
    return _show(request, grant, version, bench, given=request.POST, form=form, narrowing=narrowing)


@require_POST
@page(roles=ASKERS)
def narrow_ask(request: PageRequest, grant_id: UUID) -> HttpResponse:
    """Open a review with just this question and the proposal."""
    grant, version = _access(request, grant_id)
    bench, form = _sent(request, grant, version)
    if form.target is None:
        narrowing = _narrowing(grant, version, bench, form)
        return _show(request, grant, version, bench, given=request.POST, form=form, narrowing=narrowing, status=422)
    try:
        item = ask_about(
            grant=grant,
            proposal=form.target,
            actor=request.actor,
            now=timezone.now(),
            why=form.cleaned_data.get("reason", ""),
        )
    except DomainError as refusal:
        return _show(request, grant, version, bench, given=request.POST, form=form, refusal=refusal)
    messages.success(request, f"Asked. {item.assignee} answers, with your proposal in front of them.")
    if visible_items(request.actor).filter(pk=item.pk).exists():
        return redirect("reviews:item_detail", item_id=item.pk)
    return redirect("reviews:narrow_grant", grant_id=grant.pk)


def _access(request: PageRequest, grant_id: UUID) -> tuple[Grant, GrantVersion]:
    """The grant and what it holds now. Raises NotFound, NothingHeld."""
    return require_held(access_grant(actor=request.actor, grant_id=grant_id))


def _bench(grant: Grant, version: GrantVersion, style: str) -> Bench:
    return Bench.of_version(grant.identity, version, timezone.now(), style)


def _sent(request: PageRequest, grant: Grant, version: GrantVersion) -> tuple[Bench, TrialForm]:
    bench = _bench(grant, version, request.POST.get("style", ""))
    form = TrialForm(request.POST, held=bench.held, pieces=bench.pieces)
    form.is_valid()
    return bench, form


def _narrowing(grant: Grant, version: GrantVersion, bench: Bench, form: TrialForm) -> dict[str, Any]:
    if form.target is None:
        return {"problem": " ".join(target_faults(form)) or "Say what shall remain."}
    return _tried(grant, version, bench.try_target(form.target), form.target)


def _tried(grant: Grant, version: GrantVersion, trial: Trial, target: Permission) -> dict[str, Any]:
    prepared = prepare_narrowing(grant=grant, version=version, target=target) if trial.is_narrower else None
    return narrowing_of(trial, prepared, grant)


def _show(
    request: PageRequest,
    grant: Grant,
    version: GrantVersion,
    bench: Bench,
    *,
    given: Any,
    form: TrialForm | None = None,
    narrowing: dict[str, Any] | None = None,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    waiting = open_question_about(grant.pk)
    here = reverse("reviews:narrow_grant", args=[grant.pk])
    context = {
        "grant": grant,
        "version": version,
        "sentences": version.plain,
        "held_groups": bench.held_groups(),
        "native_text": native_json(version.permission),
        "path": path_words(grant.path),
        "revocability": revocability_words(grant.revocability, grant.shared_with),
        "given": given,
        "form": form,
        "errors": form.errors if form else {},
        "refusal": refusal,
        "waiting": waiting,
        "may_see_waiting": waiting is not None and _may_see(request, waiting),
        "may_ask": request.actor.has_role(*ASKERS) and not isinstance(refusal, AskedAlready),
        "suggest_url": f"{here}?from=suggestion",
        "preview_url": reverse("reviews:narrow_preview", args=[grant.pk]),
        "page_keys": [("v", "Preview")],
        # Within the page of a grant nobody has asked for a trial yet, and a trial asks the source.
        "is_panel": is_fragment(request),
        "tries_at_once": is_fragment(request) and request.headers.get("HX-Target") == "target",
        **chooser_of(bench, given, form),
        **(narrowing or {}),
    }
    # Within the page of the grant only the form; a suggestion takes its part out of either.
    return render_page(request, PAGE, context, fragment=FORM, status=refusal.status if refusal else status)


def _may_see(request: PageRequest, item: ReviewItem) -> bool:
    return visible_items(request.actor).filter(pk=item.pk).exists()
