"""The audit trail as pages: the whole, one event, and what happened to one object."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from governance.audit.actions import Verb
from governance.audit.models import AuditCheckpoint
from governance.audit.selectors import TrailPage, TrailRow, get_event, list_events
from governance.kernel.actors import Actor, Role
from governance.people.models import User
from governance.web.access import page
from governance.web.htmx import render_page

READERS = (Role.ADMINISTRATOR, Role.AUDITOR, Role.CAMPAIGN_MANAGER)
# Reviewers see what happened to what they review, but not who signed in when.
REVIEWED_KINDS = frozenset(
    {"identity", "grant", "source", "sync_run", "campaign", "schedule", "item", "order", "brake"}
)
PANEL_ROWS = 12

PAGE_OF = {
    "identity": "identities:identity_detail",
    "grant": "identities:grant_detail",
    "source": "identities:source_detail",
    "sync_run": "identities:sync_run_detail",
    "campaign": "reviews:campaign_detail",
    "schedule": "reviews:schedule_detail",
    "item": "reviews:item_detail",
    "order": "reviews:order_detail",
    "brake": "reviews:brake_detail",
    "user": "people:user_detail",
    "team": "people:team_detail",
}
LOOK_OF = {
    "user": "user",
    "team": "users",
    "people": "users",
    "token": "key",
    "mfa": "shield-lock",
    "source": "database",
    "sync": "refresh",
    "identity": "robot",
    "schedule": "calendar",
    "campaign": "clipboard-check",
    "item": "checkbox",
    "order": "arrows-exchange",
    "brake": "hand-stop",
    "approval": "check",
    "checkpoint": "certificate",
    "evidence_pack": "file-zip",
    "mail": "mail",
    "audit": "history",
    "inventory": "download",
    "view": "bookmark",
}
BAD_ENDS = ("failed", "rejected", "drifted", "blocked", "partial", "reappeared", "still_effective", "sign_in_failed")


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the trail, ready to print; the field names are those of the timeline component."""

    row: TrailRow
    at: datetime
    who: str
    title: str
    detail: str
    subject: str
    subject_url: str
    url: str
    icon: str
    tone: str


class TrailFilter(forms.Form):
    """What to look for; every field is optional."""

    verb = forms.ChoiceField(required=False, label="What happened")
    actor = forms.CharField(required=False, label="Who", max_length=254)
    subject_kind = forms.ChoiceField(required=False, label="About")
    since = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, label="To", widget=forms.DateInput(attrs={"type": "date"}))
    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput)
    subject = forms.CharField(required=False, max_length=80, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        nouns = sorted({verb.value.split(".")[0] for verb in Verb})
        self.fields["verb"].choices = [  # type: ignore[attr-defined]
            ("", "Anything"),
            *[(noun, f"Anything about {noun}") for noun in nouns],
            *[(verb.value, verb.description) for verb in Verb],
        ]
        self.fields["subject_kind"].choices = [("", "Any object"), *[(kind, kind) for kind in PAGE_OF]]  # type: ignore[attr-defined]


@require_safe
@page(roles=READERS)
def audit_trail(request: HttpRequest) -> HttpResponse:
    """The trail, newest first, with what it is sealed by."""
    form = TrailFilter(request.GET)
    events: list[Event] = []
    found = TrailPage([], None)
    if form.is_valid():
        found = list_events(**_criteria(form.cleaned_data))
        events = present(found.rows)
    context = {
        "form": form,
        "events": events,
        "next_before": found.next_before,
        "is_cut_short": found.is_cut_short,
        "is_filtered": any(value for name, value in request.GET.items() if name != "before"),
        "checkpoint": AuditCheckpoint.objects.order_by("-size").first(),
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
    facts = {"Before": row.old, "After": row.new, "Context": row.context, "Personal": row.personal}
    blocks = [(title, json.dumps(value, indent=2, ensure_ascii=False)) for title, value in facts.items() if value]
    return render_page(request, "console/audit_event.html", {"event": event, "blocks": blocks})


@require_safe
@page()
def audit_of(request: HttpRequest, kind: str, subject_id: str) -> HttpResponse:
    """The last events about one object: a panel that pages of the lower apps load by address."""
    may_read = _may_read_about(kind, request.actor)  # type: ignore[attr-defined]
    found = list_events(subject_kind=kind, subject_id=subject_id, limit=PANEL_ROWS) if may_read else None
    context = {
        "may_read": may_read,
        "events": present(found.rows) if found else [],
        "has_more": bool(found and found.next_before),
        "all_url": f"{reverse('console:audit_trail')}?subject_kind={kind}&subject={subject_id}",
    }
    return render_page(request, "console/audit_of.html", context, fragment="console/_audit_of.html")


def _may_read_about(kind: str, actor: Actor) -> bool:
    return actor.has_role(*READERS) or (kind in REVIEWED_KINDS and actor.has_role(Role.REVIEWER))


def present(rows: Iterable[TrailRow]) -> list[Event]:
    """Rows as people read them; everybody's name in one query."""
    rows = list(rows)
    names = _names({row.actor_id for row in rows if row.actor_kind == "person"})
    return [_event(row, names) for row in rows]


def _criteria(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "verb": given["verb"],
        "actor_id": _actor_id(given["actor"]),
        "subject_kind": given["subject_kind"],
        "subject_id": given["subject"],
        "since": _midnight(given["since"]),
        "until": _midnight(given["until"] + timedelta(days=1)) if given["until"] else None,
        "before": given["before"],
    }


def _actor_id(text: str) -> str:
    """A person by address; programs by the id that the trail shows. An unknown address matches nothing."""
    if "@" not in text:
        return text.replace("\x00", "")
    person = User.objects.filter(email__iexact=text).first()
    return str(person.pk) if person else "nobody"


def _midnight(day: Any) -> datetime | None:
    return datetime.combine(day, time.min, UTC) if day else None


def _names(ids: set[str]) -> dict[str, str]:
    return {str(person.pk): str(person) for person in User.objects.filter(pk__in=ids)}


def _event(row: TrailRow, names: dict[str, str]) -> Event:
    noun, _, past = row.verb.partition(".")
    who = names.get(row.actor_id, "somebody erased") if row.actor_kind == "person" else row.actor_label
    bad = past in BAD_ENDS or row.outcome != "success"
    return Event(
        row=row,
        at=row.occurred_at,
        who=who,
        title=row.description.rstrip("."),
        detail=f"“{row.reason}”" if row.reason else "",
        subject=row.subject_label or f"{row.subject_kind} {row.subject_id[:8]}",
        subject_url=_page_of(row.subject_kind, row.subject_id),
        url=reverse("console:audit_event", args=[row.event_id]),
        icon=LOOK_OF.get(noun, "point"),
        tone="danger" if bad else "success" if past in {"verified", "completed"} else "neutral",
    )


def _page_of(kind: str, subject_id: str) -> str:
    try:
        return reverse(PAGE_OF[kind], args=[subject_id])
    except (KeyError, NoReverseMatch):
        return ""
