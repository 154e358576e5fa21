"""Small charts drawn on the server as accessible SVG: no script, no inline style, readable by a screen reader.

Geometry goes into SVG attributes; colour comes from classes in `static/css/charts.css`. Every chart has a title that
says in words what it shows; pages put the numbers beside it as text or a table as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a whole: how many, what it is called, and its tone."""

    value: float
    label: str
    tone: str


@dataclass(frozen=True, slots=True)
class Dot:
    """One bubble of the quadrant: assurance 0-4, exposure 0-100, how many, and where a click leads."""

    x: float
    y: float
    count: int
    label: str
    url: str = ""


def sparkline(values: Sequence[float], label: str, *, width: int = 120, height: int = 28) -> SafeString:
    """A line without axes; `label` must say the message ("Orders per day, 3 to 14, rising")."""
    if not values:
        return mark_safe("")
    low, high = min(values), max(values)
    span = (high - low) or 1
    step = (width - 4) / max(len(values) - 1, 1)
    points = [
        (round(2 + index * step, 1), round(height - 3 - (value - low) / span * (height - 6), 1))
        for index, value in enumerate(values)
    ]
    line = " ".join(f"{x},{y}" for x, y in points)
    area = f"2,{height} {line} {points[-1][0]},{height}"
    return format_html(
        '<svg class="sparkline" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{label}">'
        '<polygon points="{area}"/><polyline points="{line}"/><circle cx="{x}" cy="{y}" r="2.25"/></svg>',
        w=width, h=height, label=label, area=area, line=line, x=points[-1][0], y=points[-1][1],
    )  # fmt: skip


def meter(value: float, maximum: float, label: str, tone: str = "accent") -> SafeString:
    """A bar filled to `value` of `maximum`; `label` is read aloud ("Exposure 64 of 100")."""
    share = max(0.0, min(1.0, value / maximum if maximum else 0.0))
    return format_html(
        '<svg class="meter" data-tone="{}" role="img" aria-label="{}"><rect class="meter-track" width="100%" '
        'height="100%"/><rect class="meter-fill" width="{}%" height="100%"/></svg>',
        tone,
        label,
        round(share * 100, 1),
    )


def split_bar(segments: Sequence[Segment], label: str = "") -> SafeString:
    """One bar cut into parts of a whole; the unknown part is hatched, so that it never reads as "fine"."""
    total = sum(segment.value for segment in segments)
    spoken = label or ", ".join(f"{segment.label} {segment.value:g}" for segment in segments)
    hatch = f"hatch-{next(_numbers)}"
    parts, left = [], 0.0
    for segment in segments:
        width = segment.value / total * 100 if total else 0
        if width:
            fill = f"url(#{hatch})" if segment.tone == "unknown" else "currentColor"
            spoken_part = f"{segment.label}: {segment.value:g}"
            parts.append((segment.tone, round(left, 2), round(max(width - 0.5, 0.3), 2), fill, spoken_part))
        left += width
    body = format_html_join(
        "",
        '<g data-tone="{}" class="tone"><rect x="{}%" width="{}%" height="100%" fill="{}"><title>{}</title></rect></g>',
        parts,
    )
    return format_html('<svg class="split-bar" role="img" aria-label="{}">{}{}</svg>', spoken, _hatch(hatch), body)


def bars(rows: Sequence[Segment], label: str) -> SafeString:
    """Horizontal bars as a list: name, bar, number. The list is the table, so nothing else is needed for readers."""
    largest = max((row.value for row in rows), default=0) or 1
    items = format_html_join(
        "",
        '<li><span class="bars-name">{}</span>{}<span class="num">{}</span></li>',
        (
            (row.label, meter(row.value, largest, f"{row.label}: {row.value:g}", row.tone), f"{row.value:g}")
            for row in rows
        ),
    )
    return format_html('<ul class="bars" aria-label="{}">{}</ul>', label, items)


def quadrant(dots: Sequence[Dot], *, unmeasured: int = 0) -> SafeString:
    """The two-axis picture: assurance (A0 to A4, rightwards) against exposure (0 to 100, upwards).

    Proven means A3 or better; broad means an exposure of 50 or more. The corner that sign-in alone never cures,
    proven but broad, is top right. Identities without a measurement stand in a lane of their own, never at zero.
    Dot area grows with the count.
    """
    hatch = f"hatch-{next(_numbers)}"
    total = sum(dot.count for dot in dots) + unmeasured
    return format_html(
        '<svg class="quadrant" viewBox="0 0 760 332" role="group" aria-label="{label}">{defs}{boxes}'
        '<rect class="quadrant-lane" x="656" y="{top}" width="100" height="{height}" fill="url(#{hatch})"/>'
        '<rect class="quadrant-plate" x="660" y="{plate}" width="92" height="64" rx="6"/>'
        '<text class="quadrant-count" x="706" y="{middle}" text-anchor="middle">{unmeasured}</text>'
        '<text class="quadrant-label" x="706" y="{below}" text-anchor="middle">unmeasured</text>'
        '<text class="quadrant-tick" x="44" y="20" text-anchor="end">100</text>'
        '<text class="quadrant-tick" x="44" y="{middle}" text-anchor="end">50</text>'
        '<text class="quadrant-tick" x="44" y="278" text-anchor="end">0</text>'
        '<text class="quadrant-axis" x="12" y="{middle}" text-anchor="middle" '
        'transform="rotate(-90 12 {middle})">exposure</text>'
        '<text class="quadrant-axis" x="{axis_x}" y="324" text-anchor="middle">assurance</text>{ticks}{bubbles}</svg>',
        label=f"{total} identities by assurance and exposure; {unmeasured} unmeasured",
        defs=_hatch(hatch),
        boxes=_boxes(),
        hatch=hatch,
        top=_TOP,
        height=_HEIGHT,
        middle=_TOP + _HEIGHT // 2 + 4,
        plate=_TOP + _HEIGHT // 2 - 30,
        below=_TOP + _HEIGHT // 2 + 24,
        unmeasured=unmeasured,
        axis_x=_LEFT + _WIDTH // 2,
        ticks=format_html_join(
            "",
            '<text class="quadrant-tick" x="{}" y="302" text-anchor="middle">A{}</text>',
            ((_column(level), level) for level in range(5)),
        ),
        bubbles=format_html_join("", "{}", ((_bubble(dot, dots),) for dot in dots)),
    )


# Where the quadrant's plot lies inside its drawing, in SVG units.
_LEFT, _TOP, _WIDTH, _HEIGHT = 52, 8, 590, 272


def _column(assurance: float) -> float:
    """The middle of an assurance level's column; five columns share the width."""
    return round(_LEFT + (assurance + 0.5) / 5 * _WIDTH, 1)


def _boxes() -> SafeString:
    unproven, proven, half = _WIDTH * 3 // 5, _WIDTH * 2 // 5, _HEIGHT // 2
    return format_html_join(
        "",
        '<rect class="quadrant-box" data-box="{0}" x="{1}" y="{2}" width="{3}" height="{4}"/>'
        '<text class="quadrant-label" x="{5}" y="{6}">{7}</text>',
        (
            (name, x, y, width, half, x + 10, y + 22, text)
            for name, x, y, width, text in (
                ("unproven-broad", _LEFT, _TOP, unproven, "unproven and broad"),
                ("proven-broad", _LEFT + unproven, _TOP, proven, "proven but broad"),
                ("unproven-contained", _LEFT, _TOP + half, unproven, "contained but unproven"),
                ("proven-contained", _LEFT + unproven, _TOP + half, proven, "proven and contained"),
            )
        ),
    )


def _bubble(dot: Dot, dots: Sequence[Dot]) -> SafeString:
    biggest = max(each.count for each in dots) or 1
    radius = round(6 + 15 * (dot.count / biggest) ** 0.5, 1)
    x = _column(dot.x)
    y = round(min(max(_TOP + (100 - dot.y) / 100 * _HEIGHT, _TOP + radius), _TOP + _HEIGHT - radius), 1)
    drawing = format_html(
        '<circle class="quadrant-dot" cx="{}" cy="{}" r="{}"><title>{}</title></circle>', x, y, radius, dot.label
    )
    if radius > 9:
        drawing += format_html(
            '<text class="quadrant-number" x="{}" y="{}" text-anchor="middle">{}</text>', x, y + 4, dot.count
        )
    if dot.url:
        return format_html('<a href="{}" aria-label="{}">{}</a>', dot.url, dot.label, drawing)
    return format_html('<g role="img" aria-label="{}">{}</g>', dot.label, drawing)


def _hatch(name: str) -> SafeString:
    """Diagonal lines: the pattern of what is not known."""
    return format_html(
        '<defs><pattern id="{}" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="hatch-ground" width="5" height="5"/><rect class="hatch-line" width="2" height="5"/>'
        "</pattern></defs>",
        name,
    )
