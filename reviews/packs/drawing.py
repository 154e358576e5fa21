"""Bars of the report, as SVG without script: parts of a whole, the unknown part hatched, numbers beside them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from governance.kernel.numbers import grouped

WIDTH, HEIGHT = 640, 22
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Part:
    """How many, what they are called, and a tone of the style sheet (good, bad, warn, calm, unknown)."""

    value: int
    label: str
    tone: str


def bar(title: str, parts: Sequence[Part], note: str = "") -> SafeString:
    """One bar with its legend. Parts of nothing are left out; a whole of nothing says so."""
    parts = [part for part in parts if part.value]
    total = sum(part.value for part in parts)
    if not total:
        return format_html('<figure class="bar"><figcaption>{}</figcaption><p class="muted">None.</p></figure>', title)
    said = ", ".join(f"{part.label} {part.value}" for part in parts)
    return format_html(
        '<figure class="bar"><figcaption>{}</figcaption>'
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}{}</svg>'
        '<ul class="legend">{}</ul>{}</figure>',
        title,
        WIDTH,
        HEIGHT,
        f"{title}: {said}",
        _HATCH,
        format_html_join("", '<rect class="{}" x="{}" y="0" width="{}" height="{}"/>', _rects(parts, total)),
        format_html_join(
            "",
            '<li><span class="key {}"></span>{} <strong>{}</strong> <span class="muted">({})</span></li>',
            ((part.tone, part.label, grouped(part.value), share(part.value, total)) for part in parts),
        ),
        format_html('<p class="muted">{}</p>', note) if note else "",
    )


_HATCH = mark_safe(
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="hatch-ground" width="6" height="6"/><rect class="hatch-line" width="2" height="6"/></pattern></defs>'
)


def _rects(parts: Sequence[Part], total: int) -> Iterable[tuple[Any, ...]]:
    left = 0.0
    for part in parts:
        width = part.value / total * WIDTH
        yield part.tone, round(left, 2), round(max(width - 1, 0.5), 2), HEIGHT
        left += width


def share(part: int, whole: int) -> str:
    """A share that never rounds something to nothing or to all."""
    if not whole:
        return "–"
    percent = part / whole * 100
    if 0 < percent < 1:
        return "under 1 %"
    if 99 < percent < 100:
        return "over 99 %"
    return f"{percent:.0f} %"


def clean(value: Any) -> SafeString:
    """What somebody else wrote: shown as text, with no control characters, and turning no text around it."""
    text = _CONTROLS.sub("\ufffd", str(value if value is not None else ""))
    return format_html("<bdi>{}</bdi>", text)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> SafeString:
    """A table of what others wrote."""
    return format_html(
        '<div class="wide"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
        format_html_join("", "<th>{}</th>", ((each,) for each in head)),
        format_html_join(
            "",
            "<tr>{}</tr>",
            ((format_html_join("", "<td>{}</td>", ((clean(cell),) for cell in row)),) for row in rows),
        ),
    )
