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
    pattern = f"hatch-{next(_numbers)}"
    parts, left = [], 0.0
    for segment in segments:
        width = segment.value / total * 100 if total else 0
        if width:
            fill = f"url(#{pattern})" if segment.tone == "unknown" else "currentColor"
            spoken_part = f"{segment.label}: {segment.value:g}"
            parts.append((segment.tone, round(left, 2), round(max(width - 0.5, 0.3), 2), fill, spoken_part))
        left += width
    body = format_html_join(
        "",
        '<g data-tone="{}" class="tone"><rect x="{}%" width="{}%" height="100%" fill="{}"><title>{}</title></rect></g>',
        parts,
    )
    return format_html('<svg class="split-bar" role="img" aria-label="{}">{}{}</svg>', spoken, hatch(pattern), body)


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


def hatch(name: str) -> SafeString:
    """Diagonal lines: the pattern of what is not known."""
    return format_html(
        '<defs><pattern id="{}" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="hatch-ground" width="5" height="5"/><rect class="hatch-line" width="2" height="5"/>'
        "</pattern></defs>",
        name,
    )
