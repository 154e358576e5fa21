"""A drawing of what leads where, in columns from left to right, as accessible SVG: no script, no inline style.

Nodes are links where they have an address, so the keyboard goes through them in reading order. Colour comes from
classes in `static/css/charts.css`; state has a shape or a word as well. Pages put the same as a table beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH = 960
ROW = 30
_HEIGHT_OF_NODE = 24
_TOP = 6
_LONGEST = 36


@dataclass(frozen=True, slots=True)
class Node:
    """One box. note: said after the label, in fewer words. where: told to all, and drawn where there is room for it.
    tone: a state. is_gone: crossed out, no longer there.
    """

    key: str
    label: str
    note: str = ""
    url: str = ""
    tone: str = "neutral"
    is_gone: bool = False
    where: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """What leads from one box to another; is_open: only under a condition, or no longer."""

    start: str
    end: str
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class _Placed:
    node: Node
    x: float
    y: float
    width: float

    @property
    def middle(self) -> float:
        return self.y + _HEIGHT_OF_NODE / 2


def flow(columns: Sequence[Sequence[Node]], edges: Sequence[Edge], label: str) -> SafeString:
    """The drawing. The last column sets the distances; every other box stands beside the middle of what it leads to.

    `label` must say the message ("etl nightly reaches 12 things in 3 segments").
    """
    placed = _placed(columns, edges)
    height = max((each.y for each in placed.values()), default=0) + _HEIGHT_OF_NODE + _TOP
    return format_html(
        '<svg class="flow" viewBox="0 0 {} {}" width="{}" height="{}" role="group" aria-label="{}">{}{}</svg>',
        WIDTH,
        round(height),
        WIDTH,
        round(height),
        label,
        _edges(placed, edges),
        _nodes(placed, columns),
    )


def _placed(columns: Sequence[Sequence[Node]], edges: Sequence[Edge]) -> Mapping[str, _Placed]:
    number = max(len(columns), 1)
    gap = 72
    width = (WIDTH - gap * (number - 1)) / number
    found: dict[str, _Placed] = {}
    for place in reversed(range(number)):
        x = place * (width + gap)
        free = float(_TOP)
        for node in _ordered(columns[place], edges, found):
            wanted = _beside(node, edges, found)
            y = max(free, wanted - _HEIGHT_OF_NODE / 2 if wanted is not None else free)
            found[node.key] = _Placed(node, round(x, 1), round(y, 1), round(width, 1))
            free = y + ROW
    return found


def _beside(node: Node, edges: Sequence[Edge], found: Mapping[str, _Placed]) -> float | None:
    """The middle of what a box leads to."""
    ends = [found[edge.end].middle for edge in edges if edge.start == node.key and edge.end in found]
    return (min(ends) + max(ends)) / 2 if ends else None


def _ordered(nodes: Sequence[Node], edges: Sequence[Edge], found: Mapping[str, _Placed]) -> list[Node]:
    """So that lines cross as little as may be; what leads nowhere keeps its place after the others."""
    places = {node.key: _beside(node, edges, found) for node in nodes}
    return sorted(nodes, key=lambda node: (places[node.key] is None, places[node.key] or 0.0))


def _edges(placed: Mapping[str, _Placed], edges: Sequence[Edge]) -> SafeString:
    return format_html_join(
        "",
        '<path class="flow-edge{}" d="M{},{} C{},{} {},{} {},{}"/>',
        (
            _curve(placed[edge.start], placed[edge.end], edge)
            for edge in edges
            if edge.start in placed and edge.end in placed
        ),
    )


def _curve(start: _Placed, end: _Placed, edge: Edge) -> tuple[str | float, ...]:
    left, right = start.x + start.width, end.x
    bend = round((left + right) / 2, 1)
    return (
        " is-open" if edge.is_open else "",
        left,
        start.middle,
        bend,
        start.middle,
        bend,
        end.middle,
        right,
        end.middle,
    )


def _nodes(placed: Mapping[str, _Placed], columns: Sequence[Sequence[Node]]) -> SafeString:
    listed = sorted((placed[node.key] for column in columns for node in column), key=lambda each: (each.x, each.y))
    return format_html_join("", "{}", ((_node(each),) for each in listed))


def _node(each: _Placed) -> SafeString:
    node = each.node
    spoken = ", ".join(filter(None, (node.label, node.note, node.where)))
    spoken = f"{spoken} (goes away)" if node.is_gone else spoken
    note = node.note or (node.where if len(node.label) + len(node.where) < _LONGEST else "")
    room = _LONGEST - (len(note) + 1 if note else 0)
    box = format_html(
        '<title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="5"/><text x="{}" y="{}">{}{}</text>',
        spoken,
        each.x,
        each.y,
        each.width,
        _HEIGHT_OF_NODE,
        each.x + 9,
        each.y + 16.5,
        _cut(node.label, room),
        format_html(' <tspan class="flow-note">{}</tspan>', note) if note else "",
    )
    css = "flow-node is-gone" if node.is_gone else "flow-node"
    if node.url:
        return format_html(
            '<a class="{}" data-tone="{}" href="{}" aria-label="{}">{}</a>', css, node.tone, node.url, spoken, box
        )
    return format_html('<g class="{}" data-tone="{}" role="img" aria-label="{}">{}</g>', css, node.tone, spoken, box)


def _cut(text: str, room: int) -> str:
    """Without its middle where it is too long: names differ at both ends."""
    room = max(room, 12)
    if len(text) <= room:
        return text
    return f"{text[: room // 2]}…{text[-(room - room // 2 - 1) :]}"
