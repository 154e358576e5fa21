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
from identities.selectors.authorization import declared_of
from identities.selectors.inventory import access_identity, list_current_grants
from identities.selectors.sources import freshness_of
from identities.selectors.use import list_windows, use_of_grants, with_last_use
from identities.services.identities import EDITORS
from identities.views import boundary_lines, grant_lines, questions
from identities.views.identity_facts import facts_of
from identities.views.identity_rows import KIND_ICONS, LastUse, label_of_environment, last_use_of
from identities.views.reach_lines import can_of
from identities.views.requests import PageRequest

MOST_GRANTS = 150
MOST_GRANTS_AT_ALL = 5_000


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
    authorization = declared_of([identity.pk]).get(identity.pk)
    context = {
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
        "today": f"{now:%Y-%m-%d}",
    }
    return render_page(request, "identities/identity_detail.html", context)


def _with_everything(identities: QuerySet[Identity]) -> QuerySet[Identity]:
    """All that the page prints of the row itself, in one query."""
    return with_last_use(identities).select_related("source", "owner", "backup_owner", "sponsor", "team", "posture")


def _may_edit(actor: Actor, identity: Identity) -> bool:
    """Whether the edit button is shown; the use case has the last word."""
    is_own = actor.person_id in {identity.owner_id, identity.backup_owner_id}
    return (is_own or actor.has_role(*EDITORS)) and actor.auth_method != MAIL_LINK


def _spoken(use: LastUse) -> questions.Known:
    if use.state == "used":
        return questions.Known(at=use.at)
    if use.state == "unused" and use.at:
        return questions.Known(f"not seen since {use.at:%-d %b %Y}", tone="" if use.is_brief else "warn")
    return questions.Known("not observable", tone="unknown")
