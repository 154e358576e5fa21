"""The posture policy: what is in force with who set it and why, its versions, and a change that is previewed first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError, NotFound
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.templatetags.remit import plural
from identities.forms.posture_policy import ENTRIES, GROUPS, Group, PolicyForm, flat, label_of
from identities.models import PosturePolicy
from identities.posture.changing import set_policy
from identities.posture.moving import preview_policy
from identities.posture.policy import policy_in_force
from identities.selectors.posture_scores import list_policies
from identities.views.identity_rows import identity_url
from identities.views.picture import BOXES, NAMES
from identities.views.requests import PageRequest

EDITORS = (Role.ADMINISTRATOR,)
MOST_VERSIONS = 50
UNITS = ("Days", "Hours", "Minutes", "Bits", "Percent")
# What every value of a group is; its heading says so once.
SHARE = "0 to 1"
TONES = {box: tone for box, tone, *_ in BOXES}


@dataclass(frozen=True, slots=True)
class Change:
    """One number that differs between two versions."""

    label: str
    before: str
    after: str


@require_safe
@page()
def posture_policy(request: PageRequest) -> HttpResponse:
    """The version in force, number by number, and all versions."""
    policy_in_force()
    versions = list(list_policies()[: MOST_VERSIONS + 1])
    context = {
        "version": versions[0],
        "groups": _shown(versions[0].document),
        "versions": _version_lines(versions),
        "may_edit": request.actor.has_role(*EDITORS),
    }
    return render_page(request, "identities/posture_policy.html", context)


@require_safe
@page()
def posture_policy_version(request: PageRequest, number: int) -> HttpResponse:
    """An earlier version: what it said, and what it changed."""
    version = list_policies().filter(number=number).first()
    if version is None:
        raise NotFound("There is no such version of the policy.")
    before = list_policies().filter(number__lt=number).first()
    context = {
        "version": version,
        "before": before,
        "changes": changes_between(before.document, version.document) if before else [],
        "groups": _shown(version.document),
        "in_force": policy_in_force().number,
    }
    return render_page(request, "identities/posture_policy_version.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page(roles=EDITORS)
def posture_policy_edit(request: PageRequest) -> HttpResponse:
    """The form. A first press shows who would move where and writes nothing; the second, with a reason, sets it."""
    in_force = policy_in_force()
    document = list_policies().get(number=in_force.number).document
    if request.method != "POST":
        form = PolicyForm(document, number=in_force.number)
        return render_page(request, "identities/posture_policy_edit.html", {"form": form, "in_force": in_force})
    form = PolicyForm(document, request.POST, number=in_force.number)
    is_preview = "preview" in request.POST
    if is_preview:
        form.fields["reason"].required = False
    context: dict[str, Any] = {"form": form, "in_force": in_force}
    if form.is_valid():
        wanted = form.document()
        try:
            if is_preview:
                context |= _previewed(document, wanted, request)
            else:
                made = set_policy(
                    document=wanted,
                    version=form.cleaned_data["number"],
                    reason=form.cleaned_data["reason"],
                    actor=request.actor,
                    now=timezone.now(),
                )
                messages.success(request, f"Version {made.number} is in force. Scores follow within the next minutes.")
                return redirect("identities:posture_policy")
        except DomainError as refusal:
            form.show(refusal)
    status = 422 if form.errors else 200
    return render_page(request, "identities/posture_policy_edit.html", context, status=status)


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Every number that differs, in the order of the form, then what has no field."""
    old, new = flat(before), flat(after)
    names = [*ENTRIES, *sorted({*old, *new} - set(ENTRIES))]
    return [
        Change(label_of(name), _spoken(old.get(name)), _spoken(new.get(name)))
        for name in names
        if old.get(name) != new.get(name)
    ]


def _previewed(document: Mapping[str, Any], wanted: Mapping[str, Any], request: PageRequest) -> dict[str, Any]:
    changes = changes_between(document, wanted)
    found = preview_policy(document=wanted, actor=request.actor, now=timezone.now())
    moves = [
        {
            "before": str(NAMES[before]),
            "before_tone": TONES[before],
            "after": str(NAMES[after]),
            "after_tone": TONES[after],
            "count": count,
        }
        for (before, after), count in sorted(found.moves.items(), key=lambda move: -move[1])
        if before != after
    ]
    movers = [
        {
            "name": mover.name,
            "url": identity_url(mover.identity_id),
            "before": str(NAMES[mover.before]),
            "after": str(NAMES[mover.after]),
            "after_tone": TONES[mover.after],
            "exposure_before": f"{mover.exposure_before:g}",
            "exposure_after": f"{mover.exposure_after:g}",
        }
        for mover in found.movers
    ]
    return {"changes": changes, "moves": moves, "movers": movers, "preview": found, "is_previewed": True}


def _after_number(help_text: str) -> str:
    """What the form says below a field, as it is said behind a number: "90 days", "3 (1 to 4)"."""
    text = help_text.removesuffix(".")
    if not text or text == SHARE:
        return ""
    return text[0].lower() + text[1:] if text.startswith(UNITS) else f"({text[0].lower()}{text[1:]})"


def _shown(document: Mapping[str, Any]) -> list[tuple[Group, Sequence[tuple[str, str, str]]]]:
    values = flat(document)
    return [
        (
            group,
            [(entry.label, _spoken(values.get(entry.pointer)), _after_number(entry.help)) for entry in group.entries],
        )
        for group in GROUPS
    ]


def _version_lines(versions: Sequence[PosturePolicy]) -> list[dict[str, Any]]:
    lines = []
    for place, version in enumerate(versions[:MOST_VERSIONS]):
        before = versions[place + 1] if place + 1 < len(versions) else None
        changes = changes_between(before.document, version.document) if before else []
        lines.append(
            {
                "version": version,
                "who": version.created_by.name if version.created_by else "",
                "changes": plural(len(changes), "number,numbers") if before else "",
                "first": [f"{each.label}: {each.before} → {each.after}" for each in changes[:2]],
            }
        )
    return lines


def _spoken(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
