"""The two-axis picture: how well identities prove themselves (rightwards) against what they could do (upwards).

The corner that a good sign-in never cures, proven but broad, is top right. What is not measured stands in a lane of its
own, at the worst that it could be, hatched, and never at zero. A small estate is drawn one by one, a large one as
fields of ten points of exposure with their number in them, so that nothing hangs on a colour. It is drawn twice, for
a desk and for a phone: shrinking would make its words unreadable.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from governance.web.charts import hatch

LEVELS = ("unproven", "single secret", "managed secret", "federated", "attested")
BOXES = (
    ("unproven_broad", "unproven and broad"),
    ("proven_broad", "proven but broad"),
    ("unproven_contained", "contained but unproven"),
    ("proven_contained", "proven and contained"),
)
STEP = 10
# Shades of a field; the number in it says the same.
SHADES = 5
# The same where there is little room.
SHORT = {
    "unproven_broad": "unproven, broad",
    "proven_broad": "proven, broad",
    "unproven_contained": "unproven, contained",
    "proven_contained": "proven, contained",
}
_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One identity. assurance: 0 to 4, or None in the lane of what is not measured; exposure: 0 to 100."""

    assurance: int | None
    exposure: float
    label: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """So many identities of one level within ten points of exposure, which begin at `exposure`; None: not measured."""

    assurance: int | None
    exposure: int
    count: int
    label: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quadrant:
    """What is drawn: dots or fields, the lists behind the boxes by their names, and the sentence that is read aloud.

    strong_from, broad_from: where the picture is divided (the policy says it).
    """

    label: str
    dots: Sequence[Dot] = ()
    fields: Sequence[Field] = ()
    urls: Mapping[str, str] = field(default_factory=dict)
    strong_from: int = 3
    broad_from: float = 50


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where things lie, in SVG units."""

    name: str
    width: int
    left: int
    plot: int
    gap: int
    lane: int
    top: int = 26
    height: int = 320
    foot: int = 56

    @property
    def column(self) -> float:
        return self.plot / len(LEVELS)

    @property
    def lane_left(self) -> int:
        return self.left + self.plot + self.gap

    def span(self, assurance: int | None) -> tuple[float, float]:
        """Left edge and width of a level's column, or of the lane."""
        if assurance is None:
            return self.lane_left, self.lane
        return round(self.left + assurance * self.column, 1), round(self.column, 1)

    def y(self, exposure: float) -> float:
        return round(self.top + (100 - exposure) / 100 * self.height, 1)


_WIDE = _Frame("wide", width=760, left=58, plot=575, gap=14, lane=108)
_NARROW = _Frame("narrow", width=360, left=32, plot=250, gap=8, lane=66)


def quadrant(picture: Quadrant) -> SafeString:
    """Both drawings; the style sheet shows the one that fits."""
    return format_html('<div class="quadrants">{}{}</div>', _drawn(picture, _WIDE), _drawn(picture, _NARROW))


def _drawn(picture: Quadrant, frame: _Frame) -> SafeString:
    pattern = f"lane-{next(_numbers)}"
    height = frame.top + frame.height + frame.foot
    return format_html(
        '<svg class="quadrant quadrant-{name}" viewBox="0 0 {width} {height}" role="group" aria-label="{label}">'
        "{defs}{ground}{lane}{axes}{shapes}{names}</svg>",
        name=frame.name,
        width=frame.width,
        height=height,
        label=picture.label,
        defs=hatch(pattern),
        ground=_ground(picture, frame),
        lane=_lane(frame, pattern),
        axes=_axes(picture, frame),
        shapes=_fields(picture.fields, frame) + _dots(picture.dots, frame),
        names=_names(picture, frame),
    )


def _ground(picture: Quadrant, frame: _Frame) -> SafeString:
    """The four boxes as grounds of their own, and the two lines that part them."""
    split = round(picture.strong_from * frame.column, 1)
    middle = frame.y(picture.broad_from)
    upper, lower = middle - frame.top, frame.top + frame.height - middle
    rows = []
    for name, _ in BOXES:
        is_proven, is_broad = not name.startswith("unproven"), name.endswith("broad")
        x, width = (frame.left + split, frame.plot - split) if is_proven else (frame.left, split)
        rows.append((name, x, frame.top if is_broad else middle, width, upper if is_broad else lower))
    grounds = format_html_join(
        "", '<rect class="quadrant-box" data-box="{}" x="{}" y="{}" width="{}" height="{}"/>', rows
    )
    return grounds + format_html(
        '<path class="quadrant-cross" d="M{x} {top}V{bottom}M{left} {middle}H{right}"/>',
        x=frame.left + split,
        top=frame.top,
        bottom=frame.top + frame.height,
        left=frame.left,
        right=frame.left + frame.plot,
        middle=middle,
    )


def _lane(frame: _Frame, pattern: str) -> SafeString:
    return format_html(
        '<rect class="quadrant-lane" x="{x}" y="{y}" width="{width}" height="{height}" fill="url(#{pattern})"/>'
        '<text class="quadrant-tick" x="{middle}" y="{tick}" text-anchor="middle">at worst</text>',
        x=frame.lane_left,
        y=frame.top,
        width=frame.lane,
        height=frame.height,
        pattern=pattern,
        middle=frame.lane_left + frame.lane / 2,
        tick=frame.top + frame.height + 16,
    )


def _axes(picture: Quadrant, frame: _Frame) -> SafeString:
    across = format_html_join(
        "",
        '<text class="quadrant-tick" x="{}" y="{}" text-anchor="end">{}</text>',
        ((frame.left - 6, frame.y(value) + 4, f"{value:g}") for value in sorted({0, 25, 75, 100, picture.broad_from})),
    )
    below = format_html_join(
        "",
        '<text class="quadrant-tick" x="{}" y="{}" text-anchor="middle">{}</text>',
        (
            (
                _middle(frame, level),
                frame.top + frame.height + 16,
                f"A{level} {words}" if _is_wide(frame) else f"A{level}",
            )
            for level, words in enumerate(LEVELS)
        ),
    )
    title = format_html(
        '<text class="quadrant-axis" x="{}" y="{}" text-anchor="middle" transform="rotate(-90 {} {})">exposure</text>',
        14, frame.y(50), 14, frame.y(50),
    ) if _is_wide(frame) else SafeString()  # fmt: skip
    return across + below + title


def _names(picture: Quadrant, frame: _Frame) -> SafeString:
    """Names of the boxes, outside the plot so that nothing covers them; each leads to its list."""
    split = picture.strong_from
    unproven = round(frame.left + split / 2 * frame.column, 1)
    proven = round(frame.left + (split + len(LEVELS)) / 2 * frame.column, 1)
    above, beneath = frame.top - 9, frame.top + frame.height + 42
    rows = [
        (
            name,
            words if _is_wide(frame) else SHORT[name],
            unproven if name.startswith("unproven") else proven,
            above if name.endswith("broad") else beneath,
        )
        for name, words in BOXES
    ]
    rows.append(("unmeasured", "unmeasured", round(frame.lane_left + frame.lane / 2, 1), above))
    return format_html_join("", "{}", ((_name(*row, url=picture.urls.get(row[0], "")),) for row in rows))


def _name(box: str, words: str, x: float, y: float, *, url: str) -> SafeString:
    text = format_html(
        '<text class="quadrant-label" data-box="{}" x="{}" y="{}" text-anchor="middle">{}</text>', box, x, y, words
    )
    return format_html('<a href="{}">{}</a>', url, text) if url else text


def _fields(fields: Sequence[Field], frame: _Frame) -> SafeString:
    most = max((each.count for each in fields), default=1)
    return format_html_join("", "{}", ((_field(each, most, frame),) for each in fields))


def _field(each: Field, most: int, frame: _Frame) -> SafeString:
    left, width = frame.span(each.assurance)
    tall = frame.height * STEP / 100
    top = frame.y(each.exposure + STEP)
    shade = max(1, min(SHADES, round((each.count / most) ** 0.5 * SHADES)))
    drawing = format_html(
        '<rect class="quadrant-field{lane}" data-shade="{shade}" x="{x}" y="{y}" width="{width}" height="{height}" '
        'rx="4"><title>{label}</title></rect>'
        '<text class="quadrant-number" data-shade="{shade}" x="{middle}" y="{base}" text-anchor="middle">'
        "{number}</text>",
        lane=" is-unmeasured" if each.assurance is None else "",
        shade=shade,
        x=left + 3,
        y=top + 2,
        width=round(width - 6, 1),
        height=tall - 4,
        label=each.label,
        middle=round(left + width / 2, 1),
        base=top + tall / 2 + 4,
        number=short_number(each.count),
    )
    return format_html('<a href="{}" aria-label="{}">{}</a>', each.url, each.label, drawing) if each.url else drawing


def _dots(dots: Sequence[Dot], frame: _Frame) -> SafeString:
    return format_html_join("", "{}", ((_dot(dot, x, y),) for dot, x, y in _spread(dots, frame)))


def _spread(dots: Sequence[Dot], frame: _Frame) -> Iterator[tuple[Dot, float, float]]:
    """Dots of one level that would cover each other stand side by side, around the middle of their column."""
    beside: dict[tuple[int | None, int], int] = {}
    for dot in sorted(dots, key=lambda each: (each.exposure, each.label)):
        left, width = frame.span(dot.assurance)
        row = round(dot.exposure / 3.5)
        place = beside.get((dot.assurance, row), 0)
        beside[dot.assurance, row] = place + 1
        most = max(1, int((width - 12) // 11))
        place %= most
        shift = (place + 1) // 2 * 11 * (1 if place % 2 else -1)
        y = min(max(frame.y(dot.exposure), frame.top + 6), frame.top + frame.height - 6)
        yield dot, round(left + width / 2 + shift, 1), y


def _dot(dot: Dot, x: float, y: float) -> SafeString:
    drawing = format_html(
        '<circle class="quadrant-dot{}" cx="{}" cy="{}" r="5"><title>{}</title></circle>',
        " is-unmeasured" if dot.assurance is None else "", x, y, dot.label,
    )  # fmt: skip
    return format_html('<a href="{}" aria-label="{}">{}</a>', dot.url, dot.label, drawing) if dot.url else drawing


def short_number(value: int) -> str:
    """950, 1.2k, 12k, 340k: what fits into a field; the exact number stands in the table beside the picture."""
    if value < 1_000:
        return str(value)
    thousands = value / 1_000
    return f"{thousands:.1f}k" if thousands < 9.95 else f"{thousands:.0f}k"


def _middle(frame: _Frame, level: int) -> float:
    return round(frame.left + (level + 0.5) * frame.column, 1)


def _is_wide(frame: _Frame) -> bool:
    return frame is _WIDE
