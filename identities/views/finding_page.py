"""The page of one finding, and what people do with it there."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.people.models import User
from governance.web.access import page
from governance.web.htmx import render_page
from identities.forms.findings import form_for
from identities.forms.inventory import show_refusal
from identities.models import Finding, FindingObject, FindingSeverity, FindingState, Grant
from identities.posture.findings.acting import act_on_finding
from identities.posture.findings.acts import Act, act_of
from identities.posture.findings.meanings import meaning_of
from identities.posture.findings.standing import may_approve, may_handle, standings_of
from identities.posture.rules.reasons import NOT_ASSESSABLE
from identities.selectors.filters import InvalidFilter, InventoryFilter
from identities.selectors.findings import access_finding, list_acceptances, list_events, object_names
from identities.views.finding_rows import environment_of, evidence_lines, life_of
from identities.views.identity_rows import label_of_environment
from identities.views.requests import PageRequest

MOST_GRANTS = 5
PLANNERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER)
DONE = {
    "assign": "Saved.",
    "request": "Asked for. Somebody else has to approve it.",
    "approve": "Approved. It holds until its date, or until the finding becomes worse.",
    "refuse": "Refused.",
    "withdraw": "Ended. The finding has to be fixed.",
}


@require_safe
@page()
def finding_detail(request: PageRequest, finding_id: UUID) -> HttpResponse:
    """One finding: what is wrong, how that is known, what ends it, and what became of it so far."""
    return _page(request, access_finding(actor=request.actor, finding_id=finding_id))


@require_POST
@page()
def finding_assign(request: PageRequest, finding_id: UUID) -> HttpResponse:
    """Let somebody see to it."""
    return _act(request, finding_id, "assign")


@require_POST
@page()
def finding_request(request: PageRequest, finding_id: UUID) -> HttpResponse:
    """Ask for an exception."""
    return _act(request, finding_id, "request")


@require_POST
@page()
def finding_approve(request: PageRequest, finding_id: UUID) -> HttpResponse:
    """Approve the exception that somebody else asked for."""
    return _act(request, finding_id, "approve")


@require_POST
@page()
def finding_refuse(request: PageRequest, finding_id: UUID) -> HttpResponse:
    """Refuse the exception."""
    return _act(request, finding_id, "refuse")


@require_POST
@page()
def finding_withdraw(request: PageRequest, finding_id: UUID) -> HttpResponse:
    """End the exception, or take the wish for it back."""
    return _act(request, finding_id, "withdraw")


def _act(request: PageRequest, finding_id: UUID, action: str) -> HttpResponse:
    finding, now = access_finding(actor=request.actor, finding_id=finding_id), timezone.now()
    form = form_for(action, request.POST, now=now)
    if not form.is_valid():
        return _page(request, finding, status=422, **{f"{action}_form": form})
    version = form.cleaned_data["version"] or 0
    try:
        act_on_finding(finding=finding, version=version, wish=form.wish(), actor=request.actor, now=now)
    except DomainError as refusal:
        if refusal.details.get("field") in form.fields:
            show_refusal(form, refusal)
            return _page(request, finding, status=refusal.status, **{f"{action}_form": form})
        return _page(request, finding, status=refusal.status, refusal=refusal)
    messages.success(request, DONE[action])
    return redirect("identities:finding_detail", finding_id=finding.pk)


def _page(request: PageRequest, finding: Finding, *, status: int = 200, **given: Any) -> HttpResponse:
    actor = request.actor
    meaning = meaning_of(finding.rule)
    (standing,) = standings_of([finding], actor)
    severity = FindingSeverity(finding.severity)
    events = list(list_events(finding))
    handles, is_over = may_handle(standing, actor), finding.state == FindingState.FIXED
    is_critical = severity == FindingSeverity.CRITICAL
    environment = environment_of(finding)
    act = act_of(meaning.fix)
    context: dict[str, Any] = {
        "finding": finding,
        "meaning": meaning,
        "severity": severity.word,
        "kind_label": FindingObject(finding.object_kind).label,
        "object_name": object_names([finding]).get(finding.object_id, ""),
        "environment": environment,
        "environment_label": label_of_environment(environment),
        "evidence": evidence_lines(finding.evidence),
        "unjudged_why": [NOT_ASSESSABLE.get(why, why.replace("_", " ")) for why in finding.unjudged_why],
        "act": act,
        "grants": _grants_of(finding, act),
        "review_scope": _review_scope(finding),
        "may_plan": actor.has_role(*PLANNERS),
        "acceptance": standing.acceptance,
        "is_asked_for": standing.is_asked_for,
        "conflict": standing.conflict,
        "may_approve": may_approve(actor) and standing.is_asked_for,
        "may_handle": handles and not is_over,
        "past_acceptances": [each for each in list_acceptances(finding) if each.ended_at is not None],
        "life": life_of(finding, events, _people_in(events)),
        "is_fixed": is_over,
        **_forms(finding, is_critical=is_critical),
        **given,
    }
    return render_page(request, "identities/finding_detail.html", context, status=status)


def _forms(finding: Finding, *, is_critical: bool) -> dict[str, Any]:
    seen: dict[str, Any] = {"now": timezone.now(), "version": finding.version}
    assignee = finding.assignee.email if finding.assignee else ""
    return {
        "assign_form": form_for("assign", None, assignee=assignee, **seen),
        "request_form": form_for("request", None, is_critical=is_critical, **seen),
        "refuse_form": form_for("refuse", None, **seen),
    }


def _people_in(events: list[Any]) -> dict[str, str]:
    wanted = {event.facts["to"] for event in events if event.facts.get("to")}
    return {str(person.pk): person.name for person in User.objects.filter(pk__in=wanted)} if wanted else {}


def _grants_of(finding: Finding, act: Act) -> list[Grant]:
    """The access that the rule named, or else what is privileged, where the act is about access."""
    if act.place not in ("narrow", "review") or finding.identity_id is None:
        return []
    held = Grant.objects.filter(identity=finding.identity_id, retired_at=None).order_by("-is_privileged", "label", "pk")
    labels = finding.evidence.get("grants")
    if isinstance(labels, list) and labels:
        return list(held.filter(label__in=[str(each) for each in labels])[:MOST_GRANTS])
    return list(held.filter(is_privileged=True)[:MOST_GRANTS]) if act.place == "narrow" else []


def _review_scope(finding: Finding) -> str:
    """The filter of a review about just this identity, as far as a filter can say it."""
    identity = finding.identity
    if identity is None:
        return ""
    wanted = {"source": finding.source.slug, "finding": finding.rule, "finding_state": "accepted,assigned,open"}
    for name in ({"q": identity.external_id[:200]}, {}):
        try:
            return InventoryFilter.parse(urlencode(wanted | name)).to_text()
        except InvalidFilter:
            continue
    return ""
