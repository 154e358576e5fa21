"""The playground: may this identity do that on this, in this context; now, at another moment, after a narrowing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe

from governance.kernel import dialects
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from governance.kernel.questions import InvalidQuestion, Question, read_question
from governance.web.access import page
from governance.web.htmx import render_page
from identities.models import Grant, Identity
from identities.pdp.deciding import decide
from identities.pdp.reasons import SENTENCES, Reason
from identities.pdp.requests import Decision
from identities.pdp.surroundings import request_about
from identities.pdp.trying import Tried, try_question
from identities.selectors.inventory import visible_identities
from identities.views.requests import PageRequest

MOST_CONTEXT = 50
FIELDS = ("identity", "action", "resource", "dialect", "context", "at", "grant", "actions", "resources")


@dataclass(frozen=True, slots=True)
class Line:
    """One grant that speaks: look is (words, tone, icon)."""

    grant_id: UUID
    label: str
    look: tuple[str, str, str]
    words: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One of the three answers, ready to print. note: under which reservations it holds."""

    title: str
    tone: str
    icon: str
    answer: str
    sentence: str
    lines: list[Line]
    note: str = ""


@require_safe
@page()
def playground(request: PageRequest) -> HttpResponse:
    """One question, three answers: by the decision point now, by what was held at a moment, after a narrowing."""
    given = {name: request.GET.get(name, "").strip() for name in FIELDS}
    is_asked = bool(given["identity"] or given["action"] or given["resource"])
    context: dict[str, Any] = {
        "given": given,
        "is_asked": is_asked,
        "dialects": [(name, each.title) for name, each in dialects.DIALECTS.items()],
    }
    if is_asked:
        try:
            context |= _answers(request, given)
        except DomainError as problem:
            context["problem"] = problem
            return render_page(request, "identities/playground.html", context, status=max(problem.status, 400))
    return render_page(request, "identities/playground.html", context)


def _answers(request: PageRequest, given: Mapping[str, str]) -> dict[str, Any]:
    identity = _identity(request, given["identity"])
    question = read_question(given["action"], given["resource"], given["dialect"])
    known, now = _context(given["context"]), timezone.now()
    at = _moment(given["at"], now)
    verdicts = [_decided(identity, question, known, now)]
    if at is not None:
        held = try_question(identity=identity, question=question, at=at, context=known)
        verdicts.append(_tried(f"By what it held on {at:%-d %b %Y, %H:%M} UTC", held))
    if given["grant"]:
        grant, left = _narrowing(identity, given)
        after = try_question(
            identity=identity, question=question, at=at or now, context=known, replaced={grant.pk: left}
        )
        verdicts.append(_tried(f"After “{grant.label}” is {'narrowed' if left else 'taken away'}", after))
    return {"identity": identity, "question": question, "verdicts": verdicts}


def _identity(request: PageRequest, text: str) -> Identity:
    """By id, or by the name or id that its source knows, if that is one. Absent and not yours look alike."""
    rows = visible_identities(request.actor).filter(retired_at=None).select_related("source")
    try:
        found = list(rows.filter(pk=UUID(text)))
    except ValueError:
        found = list(rows.filter(Q(external_id=text) | Q(name=text))[:2])
    if len(found) > 1:
        raise InvalidQuestion(
            "Several identities are called so. Take the id from the address of its page.", field="identity"
        )
    if not found:
        raise InvalidQuestion("No identity is known by this name or id.", field="identity")
    return found[0]


def _context(text: str) -> dict[str, str]:
    """`key=value`, one a line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_CONTEXT:
        raise InvalidQuestion(f"Give at most {MOST_CONTEXT} lines of context.", field="context")
    known = {}
    for line in lines:
        key, mark, value = line.partition("=")
        if not mark or not key.strip():
            raise InvalidQuestion(f"“{line[:60]}” is not written as key=value.", field="context")
        known[key.strip()] = value.strip()
    return known


def _moment(text: str, now: datetime) -> datetime | None:
    if not text:
        return None
    try:
        moment = parse_datetime(text if "T" in text or " " in text else f"{text}T00:00")
    except ValueError:
        moment = None
    if moment is None:
        raise InvalidQuestion("This is not a moment such as 2026-03-31 or 2026-03-31T14:00.", field="at")
    moment = moment if moment.tzinfo else timezone.make_aware(moment)
    if moment > now:
        raise InvalidQuestion("What will be held then nobody knows; ask for a moment that has been.", field="at")
    return moment


def _narrowing(identity: Identity, given: Mapping[str, str]) -> tuple[Grant, Permission | None]:
    """The grant and what would be left of it: nothing where no actions are named."""
    try:
        grant = identity.grants.filter(pk=UUID(given["grant"]), retired_at=None).first()
    except ValueError:
        grant = None
    version = grant.versions.filter(seen_until=None).first() if grant else None
    if grant is None or version is None:
        raise InvalidQuestion("This identity holds no such grant.", field="grant")
    lists = {
        name: [line.strip() for line in given[name].splitlines() if line.strip()] for name in ("actions", "resources")
    }
    if not lists["actions"] and not lists["resources"]:
        return grant, None
    return grant, Permission.from_json({"dialect": version.permission["dialect"], "statements": [lists]})


def _decided(identity: Identity, question: Question, known: Mapping[str, str], now: datetime) -> Verdict:
    asked = request_about(
        identity.pk, question.dialect, question.action, question.resource, context=dict(known), explained=True
    )
    decision = decide(asked, now=now, is_search=True)  # a person tries it, so it is no use of anything
    tone, icon, answer = ("success", "circle-check", "Yes") if decision.permit else ("danger", "circle-x", "No")
    lines = [Line(each.grant_id, each.label, _look(each.effect), each.words) for each in decision.grants]
    sentence = SENTENCES[Reason(decision.reason)]
    return Verdict("The decision point, now", tone, icon, answer, sentence, lines, _reservations(decision))


def _look(effect: str, is_certain: bool = True) -> tuple[str, str, str]:
    if effect == "deny":
        return ("Forbids" if is_certain else "May forbid"), "danger", "ban"
    return ("Allows", "success", "circle-check") if is_certain else ("May allow", "unknown", "help-hexagon")


def _reservations(decision: Decision) -> str:
    said = []
    if decision.not_assessed:
        said.append(f"Not assessed: {', '.join(decision.not_assessed)}.")
    if decision.review is not None:
        until = f", until {decision.review.approved_until:%-d %b %Y}" if decision.review.approved_until else ""
        same = "" if decision.review.saw_this_version else "; it has changed since"
        said.append(f"Reviewed {decision.review.reviewed_at:%-d %b %Y}{until}{same}.")
    return " ".join(said)


_WORDS = {
    "yes": ("success", "circle-check", "Yes", "What it holds allows this, whatever else is true of the request."),
    "no": ("danger", "circle-x", "No", "Nothing that it holds allows this, or something forbids it."),
    "unknown": ("unknown", "help-hexagon", "It depends", "It hangs on what the context does not say."),
}


def _tried(title: str, tried: Tried) -> Verdict:
    tone, icon, answer, sentence = _WORDS[str(tried.answer)]
    note = f"Grants and conditions alone; {tried.looked_at} looked at{', not all' if tried.is_cut else ''}."
    lines = [
        Line(
            each.grant_id,
            each.label,
            _look(each.effect, each.is_certain),
            "; ".join(each.words),
            " → ".join(str(step["label"]) for step in each.path if step.get("label")),
        )
        for each in tried.speaking
    ]
    return Verdict(title, tone, icon, answer, sentence, lines, note)
