"""Pages of the past: inventory and access at a date, who could do something, and the history of one identity."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.kernel import dialects
from governance.kernel.documents import format_moment
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Answer
from governance.kernel.questions import InvalidQuestion, Question, read_question
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import KeysetPage, SortKey, paginate
from governance.web.places import read_place, write_place
from identities.models import Environment, Identity
from identities.posture.policy import policy_numbered
from identities.selectors import as_of
from identities.selectors.filters import InvalidFilter
from identities.selectors.inventory import access_identity, list_sources, sees_everything
from identities.selectors.past_filter import InvalidMoment, PastFilter, read_moment
from identities.selectors.posture_scores import posture_as_of
from identities.selectors.timeline import Place, list_happenings
from identities.selectors.who_could import judge, who_could
from identities.views import history_lines as lines
from identities.views.history_form import PastFilterForm
from identities.views.requests import PageRequest
from identities.views.score_lines import ScoreLines, score_lines

PAGE_SIZE = 50
PANEL_EVENTS = 8
MOST_GRANTS, MOST_GRANTS_AT_ALL = 150, 5_000
ACCESS_PLACE = (str, UUID, UUID)
COULD_PLACE = (str, UUID)
BY_NAME = (SortKey("name"), SortKey("identity_id"))
ANSWERS = {"": None, "yes": Answer.YES, "depends": Answer.UNKNOWN}


@require_safe
@page()
def history(request: PageRequest) -> HttpResponse:
    """Inventory or access as of a date; a date or filter that nobody could mean lists nothing and says why."""
    now = timezone.now()
    given = {name: str(value) for name, value in request.GET.items()}
    is_access = given.get("view") == "access"
    context: dict[str, Any] = {
        "form": PastFilterForm(given, sources=_source_choices(request)),
        "is_access": is_access,
        "sees_all": sees_everything(request.actor),
        "identities_url": _with(given, view=""),
        "access_url": _with(given, view="access"),
        "page": KeysetPage(),
    } | _date(given.get("at", ""), now)
    problem = context["problem"]
    if problem is None:
        try:
            filters = PastFilter.parse(given)
            context |= _past(request, filters, context["at"], is_access=is_access, cursor=given.get("cursor", ""))
        except InvalidFilter as refusal:
            problem = context["problem"] = refusal
    return render_page(request, "identities/history.html", context, status=problem.status if problem else 200)


@require_safe
@page()
def history_who_could(request: PageRequest) -> HttpResponse:
    """Who could do one thing at a date: certain answers and those that hang on conditions, apart."""
    now = timezone.now()
    given = {name: str(value) for name, value in request.GET.items()}
    answer = given.get("answer", "yes")
    answer = answer if answer in ANSWERS and answer else "yes"
    context: dict[str, Any] = {
        "given": given,
        "dialects": [(name, dialect.title) for name, dialect in dialects.DIALECTS.items()],
        "answer": answer,
        "is_asked": bool(given.get("action") or given.get("resource")),
        "sees_all": sees_everything(request.actor),
        "yes_url": _with(given, answer="yes"),
        "depends_url": _with(given, answer="depends"),
        "page": KeysetPage(),
    } | _date(given.get("at", ""), now)
    problem: DomainError | None = context["problem"]
    if problem is None and context["is_asked"]:
        try:
            question = read_question(given.get("action", ""), given.get("resource", ""), given.get("dialect", ""))
            context |= _could(request, question, context["at"], answer, given.get("cursor", ""))
        except InvalidQuestion as refusal:
            problem = context["problem"] = refusal
    return render_page(request, "identities/history_who_could.html", context, status=problem.status if problem else 200)


@require_safe
@page()
def identity_history(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """Everything that happened to one identity, latest first; a panel of its page gets the latest few."""
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    place = _place(request.GET.get("before", ""))
    is_panel = request.GET.get("panel") == "yes"
    found = list_happenings(identity, after=place, limit=PANEL_EVENTS if is_panel else PAGE_SIZE)
    following = found.following
    context = {
        "identity": identity,
        "events": lines.timeline_lines(found.events, identity),
        "older_url": f"?before={following.change}.{following.version}" if following else "",
        "is_later_part": place is not None,
        "is_panel": is_panel,
        "has_more": following is not None,
        "today": timezone.now().astimezone(UTC).date().isoformat(),
    }
    return render_page(request, "identities/history_identity.html", context, fragment="identities/_history_panel.html")


@require_safe
@page()
def identity_as_of(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """One identity and what it held at a date."""
    now = timezone.now()
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    context: dict[str, Any] = {"identity": identity} | _date(request.GET.get("at", ""), now)
    if context["problem"] is None:
        at: datetime = context["at"]
        limit = MOST_GRANTS_AT_ALL if request.GET.get("grants") == "all" else MOST_GRANTS
        was = as_of.identity_as_of(identity, at)
        versions = list(as_of.access_as_of(identity, at)[: limit + 1]) if was else []
        held = as_of.as_they_were(versions[:limit], was, at) if was else []
        context |= {
            "was": was,
            "environment_label": Environment(was.environment).label if was else "",
            "grants": [lines.access_line(each) for each in held],
            "score": _score_as_of(identity, at) if was else None,
            "privileged": sum(each.version.is_privileged for each in held),
            "has_more": len(versions) > limit,
            **_known(as_of.list_memories(actor=request.actor, at=at, slug=identity.source.slug)),
            "all_url": _with({"at": str(request.GET.get("at", ""))}, grants="all"),
        }
    status = context["problem"].status if context["problem"] else 200
    return render_page(request, "identities/history_as_of.html", context, status=status)


def _score_as_of(identity: Identity, at: datetime) -> ScoreLines | None:
    """How it was scored then, in the words of the policy of that time; None where it was not assessed by then."""
    version = posture_as_of([identity.pk], at).get(identity.pk)
    return score_lines(version, policy_numbered(version.policy_id)) if version else None


def _past(request: PageRequest, filters: PastFilter, at: datetime, *, is_access: bool, cursor: str) -> dict[str, Any]:
    memories = as_of.list_memories(actor=request.actor, at=at, slug=filters.source)
    found = _known(memories) | {"is_filtered": not filters.is_empty}
    if not is_access:
        versions = as_of.list_identities_as_of(actor=request.actor, filters=filters, at=at)
        shown = paginate(versions, BY_NAME, cursor=cursor, size=PAGE_SIZE)
        rows = [lines.past_row(version) for version in shown.rows]
        return found | {"page": KeysetPage(rows, shown.next_cursor, shown.previous_cursor)}
    backwards, place = read_place("access", cursor, ACCESS_PLACE) if cursor else (False, None)
    stretch = as_of.list_access_as_of(
        actor=request.actor,
        filters=filters,
        at=at,
        after=tuple(place) if place else None,
        backwards=backwards,
        limit=PAGE_SIZE,
    )
    return found | {"page": _access_page(stretch, backwards=backwards, is_first=place is None)}


def _access_page(stretch: as_of.AccessPage, *, backwards: bool, is_first: bool) -> KeysetPage:
    if not stretch.rows:
        return KeysetPage()
    ends = [(each.identity.name, each.identity.identity_id, each.version.grant_id) for each in stretch.rows]
    has_next = stretch.has_more or backwards
    has_previous = stretch.has_more if backwards else not is_first
    return KeysetPage(
        [lines.access_line(each) for each in stretch.rows],
        write_place("access", ends[-1]) if has_next else "",
        write_place("access", ends[0], backwards=True) if has_previous else "",
    )


def _could(request: PageRequest, question: Question, at: datetime, answer: str, cursor: str) -> dict[str, Any]:
    judged = judge(question, at)
    place = read_place("could", cursor, COULD_PLACE)[1] if cursor else None
    found = who_could(
        actor=request.actor,
        judgement=judged,
        at=at,
        answer=ANSWERS[answer],
        after=tuple(place) if place else None,
        limit=PAGE_SIZE,
    )
    return {
        "question": question,
        "dialect_title": dialects.get(question.dialect).title,
        "judged": judged.caught,
        "allowing": judged.count(allows=True),
        "depending": judged.count(allows=None) + judged.count(denies=None),
        "denying": judged.count(denies=True),
        **_known(as_of.list_memories(actor=request.actor, at=at)),
        "page": KeysetPage(
            [lines.could_line(each, question, at) for each in found.rows],
            write_place("could", found.last) if found.last else "",
        ),
        "permalink": _with({**_asked(question), "answer": answer, "at": format_moment(at)}),
        "file_query": _with({**_asked(question), "at": format_moment(at)}),
        "is_full": found.is_full,
        "is_later_part": place is not None,
    }


def _asked(question: Question) -> dict[str, str]:
    return {"action": question.action, "resource": question.resource, "dialect": question.dialect}


def _known(memories: Sequence[as_of.Memory]) -> dict[str, Any]:
    told = lines.memory_lines(memories)
    return {"memories": told, "unknown": lines.unknown_words(told)}


def _date(text: str, now: datetime) -> dict[str, Any]:
    """The moment asked for, as the form and the headings print it; a problem where it is none."""
    today = now.astimezone(UTC).date().isoformat()
    try:
        at = read_moment(text, now=now)
    except InvalidMoment as refusal:
        return {"problem": refusal, "at": None, "date": text[:10], "given_at": text, "today": today, "is_now": False}
    return {
        "problem": None,
        "at": at,
        "date": at.astimezone(UTC).date().isoformat(),
        "given_at": text,
        "today": today,
        "is_now": at == now,
        "is_exact": len(text.strip()) > 10,
    }


def _place(text: str) -> Place | None:
    """Where the timeline goes on; something else starts it from its beginning."""
    change, _, version = text.partition(".")
    if change.isascii() and change.isdecimal() and version.isascii() and version.isdecimal() and len(text) < 40:
        return Place(min(int(change), 2**63 - 1), min(int(version), 2**63 - 1))
    return None


def _with(given: dict[str, str], **changes: str) -> str:
    kept = {name: value for name, value in (given | changes).items() if value and name != "cursor"}
    return f"?{urlencode(kept)}"


def _source_choices(request: PageRequest) -> list[tuple[str, str]]:
    return list(list_sources(actor=request.actor).order_by("name").values_list("slug", "name"))
