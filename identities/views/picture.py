"""The picture of both axes as pages print it: drawing, boxes in words with what moved, coverage, and the table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from governance.kernel.actors import Actor
from governance.web.quadrant import Dot, Field, Quadrant
from governance.web.templatetags.remit import number, percent, plural
from identities.models import PostureBox
from identities.posture.policy import Policy, policy_in_force
from identities.selectors.inventory import sees_everything
from identities.selectors.posture_picture import LAST_STEP, STEP, Spread, end_of_last_quarter, get_spread, list_points
from identities.selectors.posture_scores import Movement, Picture, movement_since
from identities.views.identity_rows import identity_url

# Up to so many are drawn one by one.
MOST_DOTS = 120
UNMEASURED = PostureBox.UNMEASURED.value
# Worst first: box, tone, icon, and what follows from it.
BOXES = (
    ("unproven_broad", "danger", "alert-octagon", "First in line: mend the sign-in and cut what they hold."),
    ("proven_broad", "warn", "alert-triangle", "They sign in well and may do too much: narrow, add conditions."),
    ("unproven_contained", "info", "info-circle", "They hold little: mend how they prove themselves."),
    ("proven_contained", "success", "circle-check", "Review them at the usual interval."),
    ("unmeasured", "unknown", "help-hexagon", "Too much is unknown to place them; drawn at their worst."),
)
NAMES = dict(PostureBox.choices)
FACTOR_NAMES = {
    "privilege": "Highest privilege",
    "breadth": "Breadth",
    "escalation": "Ways to more privilege",
    "environment": "Environment and data",
    "unused": "Unused share",
    "conditions": "Conditions",
    "duration": "Duration",
}
FACTOR_GAPS = {
    "privilege": "what some grants allow",
    "breadth": "how far grants reach",
    "escalation": "ways to more privilege",
    "environment": "environment and kind of data",
    "unused": "what is used",
    "conditions": "conditions",
    "duration": "how long access lasts",
}


@dataclass(frozen=True, slots=True)
class BoxLine:
    """One box in words. move: how many more than then, None where nothing was assessed then."""

    box: str
    name: str
    count: int
    share: str
    note: str
    tone: str
    icon: str
    url: str
    move: int | None

    @property
    def fewer(self) -> int:
        return -(self.move or 0)


@dataclass(frozen=True, slots=True)
class Coverage:
    """One figure with the whole that it is of, and what is missing from it."""

    title: str
    figure: str
    note: str
    missing: str
    url: str = ""
    missing_url: str = ""


@dataclass(frozen=True, slots=True)
class TableRow:
    """Ten points of exposure: per level (count, url), then the unmeasured at worst."""

    label: str
    cells: Sequence[tuple[int, str]]


def picture_context(*, actor: Actor, now: datetime) -> dict[str, Any]:
    """Everything that the templates of the picture print; `has_scores` is false before the first assessment."""
    policy = policy_in_force()
    spread = get_spread(actor=actor)
    since = end_of_last_quarter(now)
    movement = movement_since(since, actor=actor)
    return {
        "picture": movement.now,
        "has_scores": movement.now.measured_on is not None,
        "unassessed": spread.unassessed,
        "quadrant": _quadrant(movement.now, spread, policy, actor),
        "boxes": [_box_line(movement, spread.unassessed, *box) for box in BOXES],
        "moved_since": since,
        "is_part": not sees_everything(actor),
        "has_moves": movement.then.measured_on is not None,
        "coverage": _coverage(movement.now, spread.unassessed, policy),
        "reasons": [(count, FACTOR_GAPS.get(name, name)) for name, count in spread.reasons],
        "quadrant_table": _table(spread),
        "policy": policy,
    }


def list_url(**fields: str) -> str:
    """The list of identities behind a number."""
    return f"{reverse('identities:identity_list')}?{urlencode(fields)}"


def exposure_words(low: float | None, high: float | None) -> str:
    """ "64", "53 to 63", or that it is not measured."""
    if low is None or high is None:
        return "not measured"
    return f"{high:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"


def _quadrant(picture: Picture, spread: Spread, policy: Policy, actor: Actor) -> Quadrant:
    urls = {box: list_url(box=box) for box, *_ in BOXES}
    unmeasured = picture.boxes[UNMEASURED]
    label = (
        f"{plural(picture.identities - unmeasured, 'identity,identities')} by assurance and exposure; "
        f"{number(unmeasured + spread.unassessed)} unmeasured"
    )
    drawn: dict[str, Any] = {"strong_from": policy.strong_from, "broad_from": policy.broad_from}
    if spread.assessed <= MOST_DOTS:
        points = list_points(actor=actor, limit=MOST_DOTS)
        dots = [
            Dot(
                assurance=None if point.box == UNMEASURED else point.assurance,
                exposure=point.exposure,
                label=f"{point.name}: {_place_words(point.assurance, point.exposure_low, point.exposure, point.box)}",
                url=identity_url(point.identity_id),
            )
            for point in points
        ]
        return Quadrant(label=label, dots=dots, urls=urls, **drawn)
    return Quadrant(label=label, fields=_fields(spread), urls=urls, **drawn)


def _place_words(assurance: int, low: float, high: float, box: str) -> str:
    if box == UNMEASURED:
        return f"not measured, exposure {high:.0f} at worst"
    return f"A{assurance}, exposure {exposure_words(low, high)}"


def _fields(spread: Spread) -> list[Field]:
    counts: Counter[tuple[int | None, int]] = Counter()
    for cell in spread.cells:
        counts[None if cell.box == UNMEASURED else cell.assurance, cell.exposure] += cell.count
    return [
        Field(
            assurance=level,
            exposure=exposure,
            count=count,
            label=f"{plural(count, 'identity,identities')}, {_level_words(level)}, exposure {_range_words(exposure)}",
            url=_cell_url(level, exposure),
        )
        for (level, exposure), count in sorted(counts.items(), key=lambda item: (item[0][0] is None, item[0][0] or 0))
    ]


def _level_words(level: int | None) -> str:
    return "not measured" if level is None else f"A{level}"


def _range(exposure: int) -> str:
    # The last ten points hold 100 too.
    return f"{exposure}-{100 if exposure == LAST_STEP * STEP else exposure + STEP - 1}"


def _range_words(exposure: int) -> str:
    return _range(exposure).replace("-", " to ")


def _cell_url(level: int | None, exposure: int) -> str:
    if level is None:
        return list_url(box=UNMEASURED)
    return list_url(assurance=f"A{level}", exposure=_range(exposure), box=f"-{UNMEASURED}")


def _box_line(movement: Movement, unassessed: int, box: str, tone: str, icon: str, note: str) -> BoxLine:
    assessed = movement.now.boxes[box]
    # What was never assessed is unmeasured too, but nothing is known of it then.
    count = assessed + unassessed if box == UNMEASURED else assessed
    whole = movement.now.identities + unassessed
    return BoxLine(
        box=box,
        name=str(NAMES[box]),
        count=count,
        share=percent(count, whole) if whole else "",
        note=note,
        tone=tone,
        icon=icon,
        url=list_url(box=box),
        move=movement.of(box),
    )


def _coverage(picture: Picture, unassessed: int, policy: Policy) -> list[Coverage]:
    whole = picture.identities + unassessed
    measured = picture.excess + picture.no_excess
    return [
        Coverage(
            title="Powerful rights unused",
            figure=percent(picture.excess, measured),
            note=f"{number(picture.excess)} of {number(measured)} measured. {excess_words(policy)}",
            missing=_missing(whole - measured, "not measured: no log shows for long enough what they use"),
            url=list_url(excess="yes"),
            missing_url=list_url(excess="unknown"),
        ),
        Coverage(
            title="Assurance measured",
            figure=percent(picture.assurance_known, whole),
            note=f"{number(picture.assurance_known)} of {number(whole)} to one level. The others have a range and are "
            "drawn at its lower end.",
            missing=_missing(unassessed, "not assessed yet"),
        ),
        Coverage(
            title="Exposure measured",
            figure=percent(picture.exposure_known, whole),
            note=f"{number(picture.exposure_known)} of {number(whole)}, {number(picture.exposure_exact)} of them to "
            "one number. Ranges are drawn at their upper end.",
            missing=_missing(whole - picture.exposure_known, "unmeasured"),
            missing_url=list_url(exposure=UNMEASURED),
        ),
    ]


def excess_words(policy: Policy) -> str:
    """What holding too much means, with the numbers in force."""
    limit = policy.thresholds
    return (
        f"Some privileged or writing right was not used in {limit['unused_watched_days']} days of watching. Reports "
        "count any right."
    )


def _missing(count: int, words: str) -> str:
    return f"{number(count)} {words}" if count > 0 else ""


def _table(spread: Spread) -> list[TableRow]:
    counts: Counter[tuple[int | None, int]] = Counter()
    for cell in spread.cells:
        counts[None if cell.box == UNMEASURED else cell.assurance, cell.exposure] += cell.count
    levels: tuple[int | None, ...] = (*range(5), None)
    return [
        TableRow(
            _range_words(exposure),
            [(counts[level, exposure], _cell_url(level, exposure)) for level in levels],
        )
        for exposure in range(LAST_STEP * STEP, -1, -STEP)
    ]
