"""Posture as pages: the picture with what lies behind it, who moved between two dates, the score of one identity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.charts import Segment
from governance.web.filtered import COLLECT_MS, OutOfPatience, paginate_filtered, patience
from governance.web.htmx import render_page
from governance.web.pagination import KeysetPage, SortKey
from identities.forms.inventory import SEGMENT_LABELS
from identities.models import IdentityKind, PostureBox, PostureVersion
from identities.posture.policy import policy_in_force
from identities.posture.report import MANY
from identities.selectors.inventory import access_identity, list_sources, sees_everything
from identities.selectors.past_filter import read_moment
from identities.selectors.posture_moves import count_moves, list_moved_between
from identities.selectors.posture_picture import count_by, count_by_segment, end_of_last_quarter
from identities.selectors.posture_scores import (
    difference_between,
    difference_of,
    list_versions_of,
    posture_as_of,
)
from identities.views.identity_rows import KIND_ICONS, identity_url
from identities.views.picture import (
    BOXES,
    FACTOR_NAMES,
    NAMES,
    exposure_words,
    list_url,
    picture_context,
)
from identities.views.requests import PageRequest
from identities.views.rollup_lines import rollup_lines
from identities.views.score_lines import (
    BOX_TONES,
    difference_words,
    history_lines,
    range_words,
    score_lines,
    score_of,
    sparkline_of,
    with_dates_in_words,
)

PAGE_SIZE = 50
MOST_SOURCES = 30
LATEST_FIRST = (SortKey("seen_from", descending=True), SortKey("pk", descending=True))
TONES = {box: tone for box, tone, *_ in BOXES}


@dataclass(frozen=True, slots=True)
class SpreadLine:
    """Identities of one kind, source or segment over the boxes. counts: (box, count, url), worst first."""

    name: str
    icon: str
    url: str
    total: int
    parts: Sequence[Segment]
    counts: Sequence[tuple[str, int, str]]


@dataclass(frozen=True, slots=True)
class MoveLine:
    """One identity that stands elsewhere now."""

    name: str
    url: str
    score_url: str
    kind: str
    icon: str
    source: str
    before: str
    before_tone: str
    after: str
    after_tone: str
    at: datetime
    words: Sequence[str]


@require_safe
@page()
def posture(request: PageRequest) -> HttpResponse:
    """The picture, how it divides by kind, source and segment, and the rules with what they could not judge."""
    now = timezone.now()
    actor = request.actor
    shown = picture_context(actor=actor, now=now)
    sources = dict(list_sources(actor=actor).values_list("slug", "name"))
    by_source = count_by("source__slug", actor=actor)
    segments, looked_at = count_by_segment(actor=actor, total=shown["picture"].identities)
    context = shown | {
        "sees_all": sees_everything(actor),
        "kinds": [
            _spread_line("kind", kind, dict(IdentityKind.choices).get(kind, kind), boxes, KIND_ICONS.get(kind, "robot"))
            for kind, boxes in count_by("kind", actor=actor)
        ],
        "sources": [
            _spread_line("source", slug, sources.get(slug, slug), boxes, "database")
            for slug, boxes in by_source[:MOST_SOURCES]
        ],
        "more_sources": max(0, len(by_source) - MOST_SOURCES),
        "segments": [
            _spread_line("segment", segment, SEGMENT_LABELS.get(segment, segment), boxes, "")
            for segment, boxes in segments
        ],
        "segments_of": looked_at,
        "rollups": rollup_lines(actor=actor, now=now) if shown["picture"].identities < MANY else None,
    }
    return render_page(request, "identities/posture.html", context)


@require_safe
@page()
def posture_rules(request: PageRequest) -> HttpResponse:
    """All rules added up; of a large estate a part of the page above that comes by itself."""
    context = {
        "rollups": rollup_lines(actor=request.actor, now=timezone.now()),
        "sees_all": sees_everything(request.actor),
    }
    return render_page(request, "identities/posture_rules.html", context, fragment="identities/_rollups.html")


@require_safe
@page()
def posture_changes(request: PageRequest) -> HttpResponse:
    """Who moved between boxes from one date to another, and why. Both dates stand in the address."""
    now = timezone.now()
    given = {name: str(value) for name, value in request.GET.items()}
    context: dict[str, Any] = {"sees_all": sees_everything(request.actor), "page": KeysetPage()}
    context |= _two_dates(given, now)
    problem = context["problem"]
    if problem is None:
        moved = list_moved_between(first=context["first"], second=context["second"], actor=request.actor)
        wanted = given.get("into", "")
        listed = moved.filter(box=wanted) if wanted in NAMES else moved
        found = paginate_filtered(listed, LATEST_FIRST, cursor=given.get("cursor", ""), size=PAGE_SIZE).page
        context |= {
            "page": KeysetPage(_move_lines(found.rows, context), found.next_cursor, found.previous_cursor),
            "flows": _flows(moved, given),
            "into": wanted if wanted in NAMES else "",
            "into_name": NAMES.get(wanted, ""),
            "all_url": _with(given, into=""),
        }
    return render_page(request, "identities/posture_changes.html", context, status=problem.status if problem else 200)


@require_safe
@page()
def identity_posture(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """The score of one identity: factors, how it went, and what changed between two dates."""
    now = timezone.now()
    identity = access_identity(
        actor=request.actor, identity_id=identity_id, shown=lambda rows: rows.select_related("source", "posture")
    )
    given = {name: str(value) for name, value in request.GET.items()}
    versions = list_versions_of(identity.pk)
    trend, label = sparkline_of(versions)
    score = score_of(identity, policy_in_force())
    context: dict[str, Any] = {
        "identity": identity,
        "score": score,
        "assessed_at": identity.posture.assessed_at if score else None,
        "trend": trend,
        "trend_label": label,
        "history": history_lines(versions, difference_of),
    } | _two_dates(given, now)
    if context["problem"] is None:
        difference = difference_between(identity.pk, context["first"], context["second"])
        policy = policy_in_force()
        context |= {
            "difference": difference,
            "then": score_lines(difference.first, policy) if difference.first else None,
            "after": score_lines(difference.second, policy) if difference.second else None,
            "why": difference_words(difference),
            "factor_moves": [_factor_row(move) for move in difference.factors],
        }
    status = context["problem"].status if context["problem"] else 200
    return render_page(request, "identities/identity_posture.html", context, status=status)


def _spread_line(field: str, value: str, name: str, boxes: Mapping[str, int], icon: str) -> SpreadLine:
    return SpreadLine(
        name=name,
        icon=icon,
        url=list_url(**{field: value}),
        total=sum(boxes.values()),
        parts=[Segment(boxes.get(box, 0), str(NAMES[box]), tone) for box, tone, *_ in BOXES if boxes.get(box)],
        counts=[(box, boxes.get(box, 0), list_url(**{field: value, "box": box})) for box, *_ in BOXES],
    )


def _move_lines(versions: Sequence[PostureVersion], dates: Mapping[str, Any]) -> list[MoveLine]:
    """The rows of one page. One query, for how they stood before."""
    before = posture_as_of([version.identity_id for version in versions], dates["first"])
    query = urlencode({"from": dates["first_text"], "to": dates["second_text"]})
    lines = []
    for version in versions:
        identity, earlier = version.identity, before.get(version.identity_id)
        lines.append(
            MoveLine(
                name=identity.name,
                url=identity_url(identity.pk),
                score_url=f"{reverse('identities:identity_posture', args=[identity.pk])}?{query}",
                kind=identity.get_kind_display(),
                icon=KIND_ICONS.get(identity.kind, "robot"),
                source=identity.source.name,
                before=_place(earlier) if earlier else "Not assessed before",
                before_tone=BOX_TONES[PostureBox(earlier.box)] if earlier else "unknown",
                after=_place(version),
                after_tone=BOX_TONES[PostureBox(version.box)],
                at=version.seen_from,
                words=difference_words(difference_of(earlier, version)) if earlier else [],
            )
        )
    return lines


def _place(version: PostureVersion) -> str:
    exposure = exposure_words(
        None if version.exposure_low is None else float(version.exposure_low),
        None if version.exposure_high is None else float(version.exposure_high),
    )
    level = range_words(version.assurance_lower, version.assurance_upper)
    return f"{NAMES[version.box]} ({level}, exposure {exposure})"


def _flows(moved: Any, given: dict[str, str]) -> list[dict[str, Any]] | None:
    """Where they went, the most first; None where counting takes too long."""
    try:
        with patience(COLLECT_MS):
            counts = count_moves(moved)
    except OutOfPatience:
        return None
    return [
        {
            "before": str(NAMES[before]) if before else "Not assessed before",
            "before_tone": TONES.get(before or "", "unknown"),
            "after": str(NAMES[after]),
            "after_tone": TONES[after],
            "count": count,
            "url": _with(given, into=after),
        }
        for (before, after), count in sorted(counts.items(), key=lambda flow: -flow[1])
    ]


def _factor_row(move: Any) -> dict[str, Any]:
    from_, to = move.before, move.after
    change = round(float(to[1]) - float(from_[1]), 1) if from_ and to else None
    return {
        "move": move,
        "name": FACTOR_NAMES.get(move.name, move.name),
        "before": _points(from_),
        "before_input": with_dates_in_words(move.input_before),
        "after": _points(to),
        "after_input": with_dates_in_words(move.input_after),
        "change": change,
        "change_words": f"{abs(change):g}" if change else "",
    }


def _points(points: tuple[float, float] | None) -> str:
    if points is None:
        return ""
    low, high = float(points[0]), float(points[1])
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _two_dates(given: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Both moments as the form and headings print them. A day means its end, as everywhere where the past is asked."""
    first_text = given.get("from", "") or f"{end_of_last_quarter(now):%Y-%m-%d}"
    second_text = given.get("to", "")
    today = now.astimezone(UTC).date().isoformat()
    shown: dict[str, Any] = {
        "first_text": first_text,
        "second_text": second_text,
        "from_date": first_text[:10],
        "to_date": second_text[:10] or today,
        "today": today,
        "problem": None,
    }
    try:
        first, second = read_moment(first_text, now=now), read_moment(second_text, now=now)
        if second < first:
            raise WrongOrder("The second date lies before the first. Turn them round.")
    except DomainError as refusal:
        return shown | {"problem": refusal}
    return shown | {"first": first, "second": second}


class WrongOrder(DomainError):
    """Two dates of which the later one comes first."""

    code = "wrong-order"
    status = 400
    title = "The dates are the wrong way round"


def _with(given: Mapping[str, str], **changes: str) -> str:
    kept = {name: value for name, value in {**given, **changes}.items() if value and name != "cursor"}
    return f"?{urlencode(kept)}"
