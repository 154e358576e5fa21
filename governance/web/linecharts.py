"""Lines over time as accessible SVG on the server. Told apart by dash and mark, not by colour; gaps stay gaps.

The title says in words what the lines show. Pages put the same numbers into a table behind the chart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, log10

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from governance.kernel.numbers import grouped

# The drawing in SVG units; the plot leaves room for numbers on the left, days below and names on the right.
_WIDTH, _HEIGHT = 720, 240
_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 12, 596, 204
MOST_TICKS = 8
# Names at the ends of lines stand at least so far apart.
_NAME_HEIGHT = 14
_MOST_MARKS = 40


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a value per place on the axis, None where nothing was measured. style: solid, dashed or dotted."""

    name: str
    values: Sequence[float | None]
    style: str = "solid"


def line_chart(
    lines: Sequence[Line], labels: Sequence[str], title: str, *, top: float = 0, unit: str = ""
) -> SafeString:
    """Lines over the same places. labels: one per place; top: the least end of the scale; unit: behind its numbers."""
    largest = max((value for line in lines for value in line.values if value is not None), default=0)
    end = _round_up(max(largest, top, 1))
    return format_html(
        '<svg class="line-chart" viewBox="0 0 {w} {h}" role="img" aria-label="{title}">'
        "{grid}{ticks}{lines}{names}</svg>",
        w=_WIDTH,
        h=_HEIGHT,
        title=title,
        grid=_grid(end, unit),
        ticks=_ticks(labels),
        lines=format_html_join("", "{}", ((_drawn(line, end),) for line in lines)),
        names=_names(lines, end),
    )


def _round_up(value: float) -> float:
    """The next number that reads well at the end of a scale: 1, 2, 4, 5 or 10 times a power of ten."""
    power = 10 ** int(log10(value)) if value >= 1 else 1
    return next(step * power for step in (1, 2, 4, 5, 10) if step * power >= value)


def _x(place: int, places: int) -> float:
    return round(_LEFT + (_RIGHT - _LEFT) * (place / (places - 1) if places > 1 else 0), 1)


def _y(value: float, end: float) -> float:
    return round(_BOTTOM - (_BOTTOM - _TOP) * value / end, 1)


def _grid(end: float, unit: str) -> SafeString:
    # Half of an odd number would be no number of questions.
    marks = (0, end) if end % 2 else (0, end / 2, end)
    rows = ((_y(value, end), grouped(round(value)) + unit) for value in marks)
    return format_html_join(
        "",
        '<line class="line-grid" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
        '<text class="line-tick" x="{3}" y="{4}" text-anchor="end">{5}</text>',
        ((_LEFT, _RIGHT, y, _LEFT - 6, y + 4, text) for y, text in rows),
    )


def _ticks(labels: Sequence[str]) -> SafeString:
    step = max(1, ceil(len(labels) / MOST_TICKS))
    return format_html_join(
        "",
        '<text class="line-tick" x="{}" y="{}" text-anchor="middle">{}</text>',
        ((_x(place, len(labels)), _BOTTOM + 18, label) for place, label in enumerate(labels) if place % step == 0),
    )


def _drawn(line: Line, end: float) -> SafeString:
    """The parts between gaps; a value that stands alone is a mark."""
    parts = []
    known = [value is not None for value in line.values]
    for is_known, run in groupby(range(len(known)), key=known.__getitem__):
        places = list(run)
        if not is_known:
            continue
        points = [(_x(place, len(known)), _y(line.values[place] or 0, end)) for place in places]
        if len(points) > 1:
            joined = " ".join(f"{x},{y}" for x, y in points)
            parts.append(format_html('<polyline class="line-{}" points="{}"/>', line.style, joined))
        if len(points) == 1 or (line.style == "solid" and len(known) <= _MOST_MARKS):
            parts += [format_html('<circle class="line-mark" cx="{}" cy="{}" r="2.5"/>', x, y) for x, y in points]
    return format_html_join("", "{}", ((part,) for part in parts))


def _names(lines: Sequence[Line], end: float) -> SafeString:
    """Each name where its line ends, moved down where two end at one place."""
    ends = []
    for line in lines:
        last = next((place for place in reversed(range(len(line.values))) if line.values[place] is not None), None)
        if last is not None:
            ends.append((_x(last, len(line.values)), _y(line.values[last] or 0, end), line.name))
    placed: list[tuple[float, float, str]] = []
    lowest: dict[float, float] = {}
    for x, y, name in sorted(ends):
        lowest[x] = max(y + 4, lowest.get(x, 0.0) + _NAME_HEIGHT)
        placed.append((x + 8, lowest[x], name))
    return format_html_join("", '<text class="line-name" x="{}" y="{}">{}</text>', placed)
