"""Template vocabulary of the console: icons, badges, meters, times, numbers, links that keep their filters."""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any
from zipfile import ZipFile

from django import template
from django.http import QueryDict
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from governance.kernel.numbers import THIN_SPACE, grouped
from governance.web import charts, linecharts
from governance.web import quadrant as quadrants
from governance.web.statuses import TONE_ICONS, look_of

register = template.Library()

MINUTE, HOUR, DAY = 60, 3600, 86400
# Clocks of the database and of programs differ by so much; what lies no further ahead has just happened.
SKEW_SECONDS = 2
LEAST_SHARE = 0.1
_FENCE = re.compile(r"^```$", re.MULTILINE)


# --- icons and badges ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _icon_archive() -> ZipFile:
    """All Tabler icons, opened once: reading the archive's index takes longer than drawing a page."""
    return ZipFile(str(files("tablericons") / "tablericons.zip"))


@lru_cache(maxsize=512)
def _icon(name: str, size: int) -> SafeString:
    """Raises `KeyError` for an icon that does not exist, so that a typing error never ships."""
    drawing = _icon_archive().read(f"outline/{name}.svg").decode()
    shapes = " ".join(drawing[drawing.index(">", drawing.index("<svg")) + 1 : drawing.rindex("</svg>")].split())
    return mark_safe(  # noqa: S308 - comes from the installed archive, never from data
        f'<svg class="icon" width="{size}" height="{size}" viewBox="0 0 24 24" fill="none" stroke="currentColor" '
        f'stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
        f"{shapes}</svg>"
    )


@register.simple_tag
def icon(name: str, size: int = 16) -> SafeString:
    """An outline icon, hidden from screen readers: the words beside it carry the meaning."""
    return _icon(str(name), int(size))


@register.simple_tag
def badge(label: Any, tone: str = "neutral", icon: str = "") -> SafeString:
    """A small label. Pass `icon=""` to get the tone's own shape, `icon="none"` for none."""
    name = icon or TONE_ICONS.get(tone, "circle")
    shape = "" if name == "none" else _icon(name, 14)
    return format_html('<span class="badge" data-tone="{}">{}{}</span>', tone, shape, label)


@register.simple_tag
def status_badge(status: Any, label: str = "") -> SafeString:
    """The badge of a domain state (`"verified"`, `"not_assessable"`, ...): tone, own icon, plain words."""
    look = look_of(status)
    return badge(label or look.label, look.tone, look.icon)


@register.simple_tag
def avatar(name: str) -> SafeString:
    """Initials in a circle; the name itself must stand beside it."""
    words = [word for word in str(name).replace("@", " ").replace(".", " ").split() if word]
    initials = "".join(word[0] for word in words[:2]).upper() or "?"
    tint = sum(ord(letter) for letter in str(name)) % 6
    return format_html('<span class="avatar" data-tint="{}" aria-hidden="true">{}</span>', tint, initials)


# --- charts -------------------------------------------------------------------------------------------------------


@register.simple_tag
def meter(value: float | None, maximum: float = 100, label: str = "", tone: str = "accent") -> SafeString:
    """A filled bar, or the hatched one when there is no value: unknown never looks like zero."""
    if value is None:
        return charts.split_bar([charts.Segment(1, label or "not assessable", "unknown")], label or "Not assessable")
    return charts.meter(float(value), float(maximum), label or f"{value:g} of {maximum:g}", tone)


@register.simple_tag
def exposure(value: float | None) -> SafeString:
    """Exposure 0-100 as bar and number; the tone follows the bands contained, limited, broad, critical."""
    if value is None:
        return format_html('<span class="score">{}<span class="num">–</span></span>', meter(None, label="Unmeasured"))
    tone = "danger" if value >= 75 else "warn" if value >= 50 else "info" if value >= 25 else "success"
    bar = charts.meter(float(value), 100, f"Exposure {value:.0f} of 100", tone)
    return format_html(
        '<span class="score">{}<span class="num" aria-hidden="true">{}</span></span>', bar, f"{value:.0f}"
    )


@register.simple_tag
def split_bar(used: float = 0, unused: float = 0, unknown: float = 0) -> SafeString:
    """Used, unused and not observable as parts of one bar."""
    return charts.split_bar(
        [
            charts.Segment(used, "used", "success"),
            charts.Segment(unused, "unused", "warn"),
            charts.Segment(unknown, "not observable", "unknown"),
        ]
    )


@register.simple_tag
def segments(parts: Sequence[charts.Segment], label: str = "") -> SafeString:
    """Parts of a whole as one bar; the words stand beside it in a legend."""
    return charts.split_bar(parts, label)


@register.simple_tag
def sparkline(values: Sequence[float], label: str) -> SafeString:
    return charts.sparkline(values, label)


@register.simple_tag
def bars(rows: Sequence[charts.Segment], label: str) -> SafeString:
    return charts.bars(rows, label)


@register.simple_tag
def line_chart(
    lines: Sequence[linecharts.Line], labels: Sequence[str], title: str, top: float = 0, unit: str = ""
) -> SafeString:
    return linecharts.line_chart(lines, labels, title, top=top, unit=unit)


@register.simple_tag
def quadrant(picture: quadrants.Quadrant) -> SafeString:
    """The picture of assurance against exposure; a table of the same numbers stands behind it."""
    return quadrants.quadrant(picture)


# --- numbers and times --------------------------------------------------------------------------------------------


@register.filter
def number(value: float | None) -> str:
    """4212 becomes "4 212" with a narrow no-break space; nothing becomes an en dash."""
    if value is None or value == "":
        return "–"
    return grouped(value)


@register.filter
def percent(part: float | None, whole: float | None = 1) -> str:
    """The share of `whole`, one decimal below ten percent; an en dash when there is no whole to divide by.

    Only all is 100 %, and only nothing is 0 %: 427 of 428 are 99.8 %.
    """
    if part is None or not whole:
        return "–"
    share = float(part) / float(whole) * 100
    if 0 < share < LEAST_SHARE:
        return f"under {LEAST_SHARE}{THIN_SPACE}%"
    if 99.5 <= share < 100:
        return f"{min(share, 100 - LEAST_SHARE):.1f}{THIN_SPACE}%"
    return f"{share:.1f}{THIN_SPACE}%" if 0 < share < 10 else f"{share:.0f}{THIN_SPACE}%"


@register.filter
def fenced(text: str) -> list[tuple[bool, str]]:
    """(is code, text) parts of a text in which code stands between lines of three backticks."""
    parts = []
    for number, part in enumerate(_FENCE.split(str(text or ""))):
        if part.strip():
            parts.append((number % 2 == 1, part.strip("\n")))
    return parts


@register.filter
def plural(count: int, words: str) -> str:
    """`{{ n|plural:"grant,grants" }}` gives "1 grant" or "4 212 grants"."""
    one, many = words.split(",")
    return f"{number(count)} {one if count == 1 else many}"


@register.simple_tag
def time_tag(value: datetime | None, empty: str = "never") -> SafeString:
    """How long ago or how soon, with the exact UTC time on hover and for machines."""
    if value is None:
        return format_html('<span class="muted">{}</span>', empty)
    utc = value.astimezone(timezone.get_default_timezone())
    return format_html(
        '<time datetime="{}" title="{} UTC" data-relative>{}</time>',
        value.isoformat(),
        utc.strftime("%Y-%m-%d %H:%M:%S"),
        relative(value, timezone.now()),
    )


def relative(value: datetime, now: datetime) -> str:
    """Short and calm: "just now", "in a moment", "5 min ago", "in 3 d"; beyond 60 days the date itself says more."""
    seconds = (value - now).total_seconds()
    distance = abs(seconds)
    if distance < 45:
        return "in a moment" if seconds > SKEW_SECONDS else "just now"
    if distance >= 60 * DAY:
        return value.strftime("%-d %b %Y")
    if distance < HOUR:
        text = f"{max(1, round(distance / MINUTE))} min"
    elif distance < DAY:
        text = f"{round(distance / HOUR)} h"
    else:
        text = f"{round(distance / DAY)} d"
    return f"in {text}" if seconds > 0 else f"{text} ago"


# --- links that keep their filters --------------------------------------------------------------------------------


@register.simple_tag(takes_context=True)
def querystring_with(context: dict[str, Any], **changes: Any) -> str:
    """The current query string with some values replaced; `None` removes, and the place in the list is forgotten.

    `<a href="{% querystring_with kind="ai_agent" %}">`. A cursor only stays when it is what changes.
    """
    request = context.get("request")
    params = request.GET.copy() if request else QueryDict(mutable=True)
    params.pop("cursor", None)
    for name, value in changes.items():
        if value is None or value == "":
            params.pop(name, None)
        elif isinstance(value, list | tuple):
            params.setlist(name, [str(item) for item in value])
        else:
            params[name] = str(value)
    return "?" + params.urlencode()


@register.simple_tag(takes_context=True)
def without(context: dict[str, Any], name: str, value: Any = None) -> str:
    """The current query string less one filter, or less one value of it. For the cross of a chip."""
    params = context["request"].GET.copy()
    params.pop("cursor", None)
    kept = [item for item in params.getlist(name) if value is not None and item != str(value)]
    params.setlist(name, kept)
    if not kept:
        del params[name]
    return "?" + params.urlencode()
