"""Blast radius: what somebody reaches who takes an identity over, and what would remain after a narrowing."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.csv import stream_csv
from governance.web.htmx import render_page
from identities.models import Identity
from identities.selectors.inventory import access_identity, list_current_grants
from identities.selectors.reach.radius import Compared, Radius, compare, radius_of
from identities.selectors.reach.trial import Narrowing, read_narrowing
from identities.services.exports import record_download
from identities.views.reach_lines import can_of, drawing_of, facts_of, rows_of, sentence_of, steps_of
from identities.views.requests import PageRequest

MOST_ROWS = 200
MOST_CHOICES = 200
COLUMNS = ("step", "identity", "segment", "place", "name", "resource", "can", "privileged", "via")


@require_safe
@page()
def identity_reach(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """What one identity reaches, drawn and listed; with `?grant=…&target=…` before and after a narrowing."""
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    narrowing, problem = _narrowing(request, identity)
    before = radius_of(identity.pk, actor=request.actor)
    after = _after(request, identity, narrowing)
    compared = compare(before, after) if after else [Compared(each, "stays") for each in before.targets]
    context = {
        "identity": identity,
        "sentence": sentence_of(identity, before),
        "facts": facts_of(before),
        "facts_after": facts_of(after) if after else None,
        "drawing": drawing_of(identity, before, compared, after),
        "rows": rows_of(compared[:MOST_ROWS], is_comparison=after is not None),
        "more_rows": max(0, len(compared) - MOST_ROWS),
        "steps": steps_of(before.onward),
        "steps_cut": before.steps - len(before.onward),
        "gone_steps": _gone_steps(before, after),
        "primitives": before.primitives,
        "gone_primitives": _gone_primitives(before, after),
        "radius": before,
        "narrowing": narrowing,
        "is_proved": narrowing is not None and narrowing.verdict.holds,
        "problem": problem,
        "choices": [
            (version.grant_id, version.grant.label) for version in list_current_grants(identity)[:MOST_CHOICES]
        ],
        "target": request.GET.get("target", ""),
        "csv_url": f"{request.path}reach.csv",
    }
    return render_page(request, "identities/identity_reach.html", context, status=problem.status if problem else 200)


@require_safe
@page()  # type: ignore[arg-type] # a stream is a response too
def identity_reach_csv(request: PageRequest, identity_id: UUID) -> HttpResponseBase:
    """Everything that is reached, as a file."""
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    now = timezone.now()
    record_download(what="reach", form="csv", filtered_by=["identity"], actor=request.actor, now=now)
    radius = radius_of(identity.pk, actor=request.actor)
    return stream_csv(f"reach-{identity.pk}.csv", COLUMNS, _lines(identity, radius))


def _narrowing(request: PageRequest, identity: Identity) -> tuple[Narrowing | None, DomainError | None]:
    asked = request.GET.get("grant", ""), request.GET.get("target", "")
    try:
        return read_narrowing(identity_id=identity.pk, grant=asked[0], target=asked[1]), None
    except DomainError as refusal:
        return None, refusal


def _after(request: PageRequest, identity: Identity, narrowing: Narrowing | None) -> Radius | None:
    """Only what is proved to lie inside what is held can be a narrowing."""
    if narrowing is None or not narrowing.verdict.holds:
        return None
    return radius_of(identity.pk, actor=request.actor, instead=narrowing.instead)


def _gone_steps(before: Radius, after: Radius | None) -> set[str]:
    if after is None:
        return set()
    kept = {each.hop.identity_id for each in after.onward}
    return {each.hop.name for each in before.onward if each.hop.identity_id not in kept}


def _gone_primitives(before: Radius, after: Radius | None) -> set[str]:
    if after is None:
        return set()
    return {each.name for each in before.primitives} - {each.name for each in after.primitives}


def _lines(identity: Identity, radius: Radius) -> Iterator[tuple[Any, ...]]:
    for each in radius.targets:
        yield (
            *("itself", identity.name, each.segment, each.place, each.name, each.resource),
            *("; ".join(can_of(each.classes)), "yes" if each.is_privileged else "no"),
            "; ".join(label for _, label in each.grants),
        )
    for way in radius.primitives:
        kind = "escalation" if way.is_direct else "escalation, perhaps"
        yield kind, identity.name, "admin", "", way.name, "", way.words, "yes", way.source
    for step in radius.onward:
        kind = "one step, perhaps" if step.hop.is_conditional else "one step"
        name = step.hop.name if step.is_visible else "another identity"
        for segment, count, privileged in step.segments or (("", 0, 0),):
            yield kind, name, segment, "", f"{count} grants", "", "", "yes" if privileged else "no", step.hop.via
