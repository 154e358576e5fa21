"""Retention, legal holds and erasure as one page: what stays, what is due, who asked for what to stay or to go."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.audit.erasure import Preview, erase_person, preview_erasure
from governance.audit.holds import lift_hold, list_holds, place_hold
from governance.audit.models import LegalHold
from governance.audit.retention import Due, RetentionRefused, find_due, list_archives
from governance.console.trail_filter import midnight
from governance.console.trail_objects import url_of
from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.people.models import User
from governance.web.access import page
from governance.web.htmx import render_page
from identities.models import Identity
from reviews.models import Campaign

READERS = (Role.ADMINISTRATOR, Role.AUDITOR)
KEEPERS = (Role.ADMINISTRATOR,)
UUID_IN_TEXT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold as it is printed."""

    hold: LegalHold
    name: str
    url: str
    placed_by: str
    lifted_by: str


class HoldForm(forms.Form):
    """What to hold. A subject is pasted as the address of its page, as its id, or (a person) as an e-mail address."""

    kind = forms.ChoiceField(label="Hold", choices=LegalHold.Kind.choices)
    subject = forms.CharField(
        label="Which one",
        required=False,
        max_length=300,
        help_text="The address of its page, or its id. For a person, the e-mail address. Empty for a time.",
    )
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(
        label="Until before", required=False, widget=forms.DateInput(attrs={"type": "date"}), help_text="For a time."
    )
    reason = forms.CharField(label="Why", max_length=1000, help_text="The case or order that asks for it.")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("kind") == LegalHold.Kind.PERIOD:
            return given
        given["subject_id"] = _subject_id(given.get("subject", ""))
        if not given["subject_id"]:
            self.add_error("subject", "Nothing like this was found. Paste the address of its page.")
        return given


class ErasureForm(forms.Form):
    """Whose details are to go."""

    person = forms.CharField(label="Person", max_length=254, help_text="The e-mail address, or the id if that is gone.")
    include_reasons = forms.BooleanField(
        label="Also the reasons that this person gave",
        required=False,
        help_text="They are evidence of why something was decided. Without this, only personal data goes.",
    )
    reason = forms.CharField(
        label="Why", required=False, max_length=1000, help_text="Who asked for it, and where the request is kept."
    )

    def clean_person(self) -> str:
        found = _subject_id(self.cleaned_data["person"])
        if not found:
            raise forms.ValidationError("Nobody has this address or id.")
        return found


@require_safe
@page(roles=READERS)
def retention(request: HttpRequest) -> HttpResponse:
    """The policy, what is due, archives, holds; with `person` also what an erasure would do."""
    if "person" not in request.GET:
        return _show(request)
    form = ErasureForm(request.GET)
    if not form.is_valid():
        return _show(request, erasure_form=form, status=400)
    return _show(request, erasure_form=form, preview=_preview(form))


@require_POST
@page(roles=KEEPERS)
def hold_place(request: HttpRequest) -> HttpResponse:
    """Keep something until the hold is lifted."""
    form = HoldForm(request.POST)
    if not form.is_valid():
        return _show(request, hold_form=form, status=422)
    given = form.cleaned_data
    is_time = given["kind"] == LegalHold.Kind.PERIOD
    try:
        place_hold(
            kind=given["kind"],
            subject_id="" if is_time else given["subject_id"],
            since=midnight(given["since"]) if is_time else None,
            until=midnight(given["until"]) if is_time else None,
            reason=given["reason"],
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
        )
    except DomainError as refusal:
        form.add_error(None, refusal.message)
        return _show(request, hold_form=form, status=refusal.status)
    messages.success(request, "Held. Nothing that this concerns is erased or retired until somebody lifts the hold.")
    return redirect("console:retention")


@require_POST
@page(roles=KEEPERS)
def hold_lift(request: HttpRequest, hold_id: UUID) -> HttpResponse:
    """End a hold."""
    try:
        lift_hold(
            hold_id=hold_id,
            reason=request.POST.get("reason", ""),
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
        )
    except DomainError as refusal:
        return _show(request, refusal=refusal, status=refusal.status)
    messages.success(request, "Lifted.")
    return redirect("console:retention")


@require_POST
@page(roles=KEEPERS)
def erase(request: HttpRequest) -> HttpResponse:
    """Erase the details of one person, after the preview."""
    form = ErasureForm(request.POST)
    if not form.is_valid():
        return _show(request, erasure_form=form, status=422)
    try:
        number = erase_person(
            person_id=UUID(form.cleaned_data["person"]),
            include_reasons=form.cleaned_data["include_reasons"],
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
            reason=form.cleaned_data["reason"],
        )
    except DomainError as refusal:
        return _show(request, erasure_form=form, preview=_preview(form), erasure_refusal=refusal, status=refusal.status)
    messages.success(request, f"Erased {number} details. Their events are still proved; the trail says why they went.")
    return redirect("console:retention")


def _show(request: HttpRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    due, refusal = _due()
    if "preview" in more:
        more["erasure_form"].fields["reason"].required = True  # asked for once one sees what would go
    may_change = request.actor.has_role(*KEEPERS)  # type: ignore[attr-defined]
    context = {
        "months": settings.AUDIT_RETENTION_MONTHS,
        "due": due,
        "policy_refusal": refusal,
        "archives": list_archives(),
        "archive_dir": settings.AUDIT_ARCHIVE_DIR,
        "holds": _hold_rows(list_holds()),
        "may_change": may_change,
        "hold_open": "hold_form" in more,
        "hold_form": HoldForm(auto_id="id_hold_%s"),
        "erasure_form": ErasureForm(auto_id="id_erase_%s"),
        **more,
    }
    return render_page(request, "console/retention.html", context, status=status)


def _due() -> tuple[Due | None, RetentionRefused | None]:
    try:
        return find_due(now=timezone.now()), None
    except RetentionRefused as refusal:
        return None, refusal


def _preview(form: ErasureForm) -> Preview:
    person = UUID(form.cleaned_data["person"])
    return preview_erasure(person_id=person, include_reasons=form.cleaned_data["include_reasons"])


def _subject_id(text: str) -> str:
    """The id in what somebody pasted; empty when there is none."""
    if "@" in text:
        person = User.objects.filter(email__iexact=text.strip()).first()
        return str(person.pk) if person else ""
    found = UUID_IN_TEXT.search(text)
    return found[0].lower() if found else ""


def _hold_rows(holds: Iterable[LegalHold]) -> list[HoldRow]:
    holds = list(holds)
    subjects = {hold.subject_id for hold in holds if hold.subject_id}
    actors = {who for hold in holds for who in (hold.placed_by, hold.lifted_by) if UUID_IN_TEXT.fullmatch(who)}
    people = {str(each.pk): str(each) for each in User.objects.filter(pk__in=subjects | actors)}
    names = people | {str(each.pk): each.name for each in Campaign.objects.filter(pk__in=subjects)}
    names |= {str(each.pk): str(each) for each in Identity.objects.filter(pk__in=subjects)}
    return [
        HoldRow(
            hold=hold,
            name=names.get(hold.subject_id) or str(hold),
            url=_page_of(hold, names),
            placed_by=people.get(hold.placed_by, "a program"),
            lifted_by=people.get(hold.lifted_by, "a program"),
        )
        for hold in holds
    ]


def _page_of(hold: LegalHold, names: dict[str, str]) -> str:
    return url_of(hold.kind, hold.subject_id, "") if hold.subject_id in names else ""
