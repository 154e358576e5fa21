"""The page of one identity, built on the four questions."""

import json
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.kernel.actors import Actor
from governance.people.access import MAIL_LINK
from governance.web.access import page
from governance.web.htmx import render_page
from identities.models import Identity, IdentityKind
from identities.posture.lives import life_of
from identities.posture.policy import policy_in_force
from identities.selectors.authorization import declared_for
from identities.selectors.inventory import access_identity, list_current_grants
from identities.selectors.posture_scores import list_versions_of
from identities.selectors.sources import freshness_of
from identities.selectors.use import list_windows, use_of_grants, with_last_use
from identities.services.identities import EDITORS
from identities.views import boundary_lines, grant_lines, questions
from identities.views.agent_lines import agent_context
from identities.views.identity_facts import facts_of
from identities.views.identity_rows import KIND_ICONS, LastUse, label_of_environment, last_use_of
from identities.views.reach_lines import can_of
from identities.views.requests import PageRequest
from identities.views.score_lines import score_of, sparkline_of

MOST_GRANTS = 150
MOST_GRANTS_AT_ALL = 5_000
# The line of exposure beside the score shows so many assessments.
MOST_POINTS = 40


@require_safe
@page()
def identity_detail(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """One identity: who answers for it, the four questions, and what happened to it."""
    now = timezone.now()
    identity: Any = access_identity(actor=request.actor, identity_id=identity_id, shown=_with_everything)
    limit = MOST_GRANTS_AT_ALL if request.GET.get("grants") == "all" else MOST_GRANTS
    grant_count: int = identity.grant_count
    versions = list(list_current_grants(identity)[:limit])
    credentials = list(identity.credentials.filter(retired_at=None).order_by("status", "kind", "external_id"))
    trusts = list(identity.trust_relations.filter(retired_at=None).order_by("issuer", "subject"))
    windows = list_windows(identity)
    use = use_of_grants(identity, versions, windows)
    lines = questions.credential_lines(credentials, identity.source, now)
    last_use = last_use_of(identity, now)
    may_edit = _may_edit(request.actor, identity)
    authorization = declared_for(identity)
    context: dict[str, Any] = {
        "identity": identity,
        "grant_count": grant_count,
        "icon": KIND_ICONS.get(identity.kind, "robot"),
        "is_agent": identity.kind == IdentityKind.AI_AGENT,
        "environment": identity.environment_edited or identity.environment,
        "environment_label": label_of_environment(identity.environment_edited or identity.environment),
        "purpose": identity.purpose_edited or identity.purpose,
        "freshness": freshness_of(identity.source, now),
        "may_edit": may_edit,
        "life": life_of(identity),
        "facts": facts_of(identity, actor=request.actor, may_edit=may_edit),
        "attributes": json.dumps(identity.attributes, indent=2, ensure_ascii=False) if identity.attributes else "",
        "credentials": lines,
        "trusts": trusts,
        "proof": questions.proof_answer(identity, lines, trusts),
        "power": grant_lines.power_answer(versions, use, total=grant_count),
        "segments": grant_lines.segment_lines(versions, use),
        "windows": windows,
        "is_cut": len(versions) < grant_count,
        "boundaries": boundary_lines.lines_of(trusts, identity.source, request.actor),
        "authorization": authorization,
        "authorization_can": can_of(authorization.classes) if authorization else [],
        "conditions": questions.condition_sentences(versions),
        "can_report_conditions": identity.source.coverage.get("conditions") is not False,
        "no_condition": questions.NO_CONDITION,
        "custody": questions.CUSTODY_WORDS.get(identity.custody, ""),
        "times": questions.times(identity.source, credentials, versions, _spoken(last_use), now),
        "last_use": last_use,
        **_scored(identity),
        "today": f"{now:%Y-%m-%d}",
    }
    if identity.kind == IdentityKind.AI_AGENT:
        context |= agent_context(identity, versions, request.actor)
    return render_page(request, "identities/identity_detail.html", context)


def _with_everything(identities: QuerySet[Identity]) -> QuerySet[Identity]:
    """All that the page prints of the row itself, in one query."""
    return with_last_use(identities).select_related("source", "owner", "backup_owner", "sponsor", "team", "posture")


def _scored(identity: Identity) -> dict[str, Any]:
    """Both scores in words, and how exposure went. Two queries."""
    versions = list_versions_of(identity.pk, limit=MOST_POINTS)
    trend, label = sparkline_of(versions)
    score = score_of(identity, policy_in_force())
    assessed_at = identity.posture.assessed_at if score else None
    return {"score": score, "assessed_at": assessed_at, "trend": trend, "trend_label": label}


def _may_edit(actor: Actor, identity: Identity) -> bool:
    """Whether the edit button is shown; the use case has the last word."""
    is_own = actor.person_id in {identity.owner_id, identity.backup_owner_id}
    return (is_own or actor.has_role(*EDITORS)) and actor.auth_method != MAIL_LINK


def _spoken(use: LastUse) -> questions.Known:
    if use.state == "used":
        return questions.Known(at=use.at)
    if use.state == "unused" and use.at:
        since = f"{use.at:%-d %b %Y}"
        if use.is_brief:
            return questions.Known(f"not seen yet; watched since {since}, too short to conclude")
        return questions.Known(f"not seen since {since}", tone="warn")
    return questions.Known("not observable", tone="unknown")
