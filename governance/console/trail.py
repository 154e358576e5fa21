"""The audit trail as pages: the whole, one event with its proof, and the history of one object."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.views.decorators.http import require_safe

from governance.audit.proving import prove_event
from governance.audit.selectors import TrailPage, get_event, list_events, sealing_state
from governance.console.trail_changes import facts_of, names_in
from governance.console.trail_events import Event, present
from governance.console.trail_filter import TrailForm, criteria
from governance.console.trail_objects import KINDS, url_of
from governance.kernel.actors import Actor, Role
from governance.web.access import page
from governance.web.htmx import render_page

READERS = (Role.ADMINISTRATOR, Role.AUDITOR, Role.CAMPAIGN_MANAGER)
EXPORTERS = (Role.ADMINISTRATOR, Role.AUDITOR)
# Reviewers see what happened to what they review, but not who signed in when.
REVIEWED_KINDS = frozenset(
    {"identity", "grant", "source", "campaign", "schedule", "item", "order", "brake", "delegation"}
)
PANEL_ROWS = 12
PAGE_ROWS = 50


@dataclass(frozen=True, slots=True)
class Way:
    """The links to the pages beside this one; empty where there is none."""

    newer: str = ""
    older: str = ""


@require_safe
@page(roles=READERS)
def audit_trail(request: HttpRequest) -> HttpResponse:
    """The trail, newest first, with what it is sealed by."""
    form = TrailForm(request.GET)
    events: list[Event] = []
    found = TrailPage([], None)
    if form.is_valid():
        given = form.cleaned_data
        found = list_events(before=given["before"], after=given["after"], limit=PAGE_ROWS, **criteria(given))
        events = present(found.rows)
    actor: Actor = request.actor  # type: ignore[attr-defined]
    query = _query(request.GET)
    context = {
        "form": form,
        "events": events,
        "next_before": found.next_before,
        "newer_after": found.newer_after,
        "way": _way(found, query),
        "is_cut_short": found.is_cut_short,
        "is_filtered": bool(query),
        "may_export": actor.has_role(*EXPORTERS),
        "export_query": query.urlencode(),
        "sealing": sealing_state(),
    }
    status = 200 if form.is_valid() else 400
    return render_page(request, "console/audit_trail.html", context, fragment="console/_audit_rows.html", status=status)


@require_safe
@page(roles=READERS)
def audit_event(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """One event with everything that was recorded and sealed."""
    row = get_event(event_id)
    if row is None:
        raise Http404
    (event,) = present([row])
    names = names_in([row], with_context=True)
    sealing = sealing_state()
    context = {
        "event": event,
        "facts": facts_of(row.context, names),
        "personal": json.dumps(row.personal, indent=2, ensure_ascii=False) if row.personal else "",
        "payload": row.payload,
        "sealing": sealing,
        "leaf_index": row.seq - 1,
        "is_covered": sealing.signed_size >= row.seq,
        "history_url": reverse("console:audit_of", args=[row.subject_kind, row.subject_id]),
    }
    return render_page(request, "console/audit_event.html", context)


@require_safe
@page(roles=READERS)
def audit_event_proof(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """The event's place in the newest signed checkpoint, as a C2SP tlog-proof."""
    proof = prove_event(event_id)
    if proof is None:
        raise Http404
    return _file(f"{proof.seq}.tlog-proof", proof.text)


@require_safe
@page(roles=READERS)
def audit_event_payload(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """The exact bytes that were hashed: the leaf of the tree is SHA-256 over a zero byte and these."""
    row = get_event(event_id)
    if row is None:
        raise Http404
    return _file(f"{row.seq}.payload", row.payload)


@require_safe
@page()
def audit_of(request: HttpRequest, kind: str, subject_id: str) -> HttpResponse:
    """The history of one object: a panel that pages of the lower apps load by address, and a page with all of it."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    may_read = _may_read_about(kind, actor)
    form = TrailForm({name: request.GET.get(name, "") for name in ("before", "after")})
    place = form.cleaned_data if form.is_valid() else {"before": None, "after": None}
    is_panel = bool(getattr(request, "htmx", False))
    rows = PANEL_ROWS if is_panel else PAGE_ROWS
    found = TrailPage([], None)
    if may_read:
        found = list_events(subject_kind=kind, subject_id=subject_id, limit=rows, **_place(place))
    events = present(found.rows)
    known = KINDS.get(kind)
    label = found.rows[0].subject_label if found.rows else ""
    name = events[0].subject if events else ""
    context = {
        "may_read": may_read,
        "is_panel": is_panel,
        "events": events,
        "has_more": found.next_before is not None,
        "way": _way(found, QueryDict(mutable=True)),
        "kind_label": known.label if known else kind.replace("_", " ").capitalize(),
        "object_url": url_of(kind, subject_id, label),
        "object_name": name,
        "all_url": reverse("console:audit_of", args=[kind, subject_id]),
        "trail_url": f"{reverse('console:audit_trail')}?subject_kind={kind}&subject={subject_id}"
        if actor.has_role(*READERS)
        else "",
    }
    return render_page(request, "console/audit_of.html", context, fragment="console/_audit_of.html")


def _may_read_about(kind: str, actor: Actor) -> bool:
    return actor.has_role(*READERS) or (kind in REVIEWED_KINDS and actor.has_role(Role.REVIEWER))


def _place(given: dict[str, Any]) -> dict[str, int | None]:
    return {name: given[name] for name in ("before", "after")}


def _query(given: QueryDict) -> QueryDict:
    """What narrows the list, without the place in it: the part of the address that is worth keeping."""
    query = QueryDict(mutable=True)
    for name, value in given.items():
        if value and name not in ("before", "after"):
            query[name] = str(value)
    return query


def _way(found: TrailPage, query: QueryDict) -> Way:
    def at(**place: int | None) -> str:
        ((name, seq),) = place.items()
        if seq is None:
            return ""
        there = query.copy()
        there[name] = str(seq)
        return f"?{there.urlencode()}"

    return Way(newer=at(after=found.newer_after), older=at(before=found.next_before))


def _file(name: str, text: str) -> HttpResponse:
    response = HttpResponse(text, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
