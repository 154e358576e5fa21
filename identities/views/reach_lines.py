"""What an identity reaches, as the page prints it: sentences, rows of the lists, and the drawing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.urls import reverse
from django.utils.safestring import SafeString

from governance.web.flows import Edge, Node, flow
from governance.web.templatetags.remit import plural
from identities.forms.inventory import SEGMENT_LABELS
from identities.models import Identity
from identities.selectors.reach.radius import Compared, Onward, Radius, Target
from identities.views.grant_lines import CLASS_WORDS

MOST_BOXES = 60
"""Boxes of things in the drawing; where there are more, things of one place share a box."""
MOST_STEPS = 16
BREADTH_WORDS = {
    "one": "one thing",
    "set": "a set of things",
    "service": "whole services",
    "account": "a whole account or server",
    "organisation": "a whole cluster or organisation",
    None: "cannot be told",
}
BECOMES = {
    "goes": ("Goes", "success", "circle-minus"),
    "shrinks": ("Shrinks", "success", "arrows-minimize"),
    "is left": ("What is left", "info", "circle-check"),
    "stays": ("Stays", "neutral", "circle"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One thing in the list below the drawing."""

    target: Target
    segment: str
    can: list[str]
    becomes: tuple[str, str, str] | None = None
    lost: list[str] = field(default_factory=list)

    @property
    def grants(self) -> list[tuple[str, str]]:
        return [(reverse("identities:grant_detail", args=[pk]), label) for pk, label in self.target.grants]


def rows_of(compared: Iterable[Compared], *, is_comparison: bool) -> list[Row]:
    """Rows in the order given."""
    return [
        Row(
            each.target,
            SEGMENT_LABELS.get(each.target.segment, each.target.segment),
            can_of(each.target.classes),
            BECOMES[each.becomes] if is_comparison else None,
            can_of(each.lost),
        )
        for each in compared
    ]


def can_of(classes: Iterable[str]) -> list[str]:
    """Classes as words, the most harmful first."""
    held = {str(each) for each in classes}
    return [words for name, words in CLASS_WORDS.items() if name in held]


def sentence_of(identity: Identity, radius: Radius) -> str:
    """The page's message in one sentence."""
    segments = len({each.segment for each in radius.targets})
    if not radius.targets and not radius.onward:
        return f"Whoever takes {identity.name} over reaches nothing that is known."
    things = f"{plural(len(radius.targets), 'thing,things')} in {plural(segments, 'segment,segments')}"
    steps = f", and {plural(radius.steps, 'other identity,other identities')} in one step" if radius.onward else ""
    return f"Whoever takes {identity.name} over reaches {things} by its own grants{steps}."


def drawing_of(identity: Identity, radius: Radius, compared: Sequence[Compared], later: Radius | None) -> SafeString:
    """Three columns: the identity, its segments and its steps, what lies behind them."""
    gone = {each.target.key for each in compared if each.becomes == "goes"} if later else set()
    kept = {each.hop.identity_id for each in later.onward} if later else None
    middle, right, edges = _own(radius.targets, gone)
    for nodes in _steps(radius.onward, kept):
        middle.append(nodes[0])
        edges += [Edge("identity", nodes[0].key, is_open=nodes[2])]
        right += nodes[1]
        edges += [Edge(nodes[0].key, each.key) for each in nodes[1]]
    first = Node("identity", identity.name, url=reverse("identities:identity_detail", args=[identity.pk]), tone="info")
    return flow([[first], middle, right], edges, sentence_of(identity, radius))


def _own(targets: Sequence[Target], gone: set[tuple[str, str]]) -> tuple[list[Node], list[Node], list[Edge]]:
    middle: list[Node] = []
    right: list[Node] = []
    edges: list[Edge] = []
    by_segment: dict[str, list[Target]] = {}
    for each in targets:
        by_segment.setdefault(each.segment, []).append(each)
    is_grouped = len(targets) > MOST_BOXES
    for segment, reached in by_segment.items():
        key = f"segment {segment}"
        is_gone = all(each.key in gone for each in reached)
        tone = "danger" if any(each.is_privileged for each in reached) else "neutral"
        middle.append(Node(key, SEGMENT_LABELS.get(segment, segment), str(len(reached)), "#reached", tone, is_gone))
        edges.append(Edge("identity", key, is_open=is_gone))
        room = max(3, MOST_BOXES // max(len(by_segment), 1))
        boxes = list(_places(key, reached, gone)) if is_grouped else list(_things(key, reached, gone))
        if len(boxes) > room:
            rest = len(boxes) - room + 1
            boxes = [*boxes[: room - 1], Node(f"{key} more", f"and {rest} more", "in the list", "#reached")]
        right += boxes
        edges += [Edge(key, each.key, is_open=each.is_gone) for each in boxes]
    return middle, right, edges


def _things(key: str, targets: Iterable[Target], gone: set[tuple[str, str]]) -> Iterable[Node]:
    for each in targets:
        url = reverse("identities:grant_detail", args=[each.grants[0][0]]) if each.grants else ""
        tone = "danger" if each.is_privileged else "neutral"
        yield Node(f"{key} {each.resource}", each.name, "", url, tone, each.key in gone, where=each.place)


def _places(key: str, targets: Iterable[Target], gone: set[tuple[str, str]]) -> Iterable[Node]:
    """One box for all things of one place."""
    by_place: dict[str, list[Target]] = {}
    for each in targets:
        by_place.setdefault(each.place, []).append(each)
    for place, reached in sorted(by_place.items(), key=lambda item: (-len(item[1]), item[0])):
        tone = "danger" if any(each.is_privileged for each in reached) else "neutral"
        is_gone = all(each.key in gone for each in reached)
        yield Node(f"{key} {place}", place, plural(len(reached), "thing,things"), "#reached", tone, is_gone)


def _steps(onward: Sequence[Onward], kept: set[Any] | None) -> Iterable[tuple[Node, list[Node], bool]]:
    """(the other identity, what lies behind it, whether the step hangs on something)."""
    for each in onward[:MOST_STEPS]:
        hop = each.hop
        key = f"step {hop.identity_id}"
        url = reverse("identities:identity_detail", args=[hop.identity_id]) if each.is_visible else "#onward"
        is_gone = kept is not None and hop.identity_id not in kept
        name = hop.name if each.is_visible else "another identity"
        note = "perhaps" if hop.is_conditional else "becomes"
        behind = [_behind(key, name, line, is_gone) for line in each.segments]
        yield Node(key, name, note, url, "warn", is_gone), behind, hop.is_conditional or is_gone
    if len(onward) > MOST_STEPS:
        rest = len(onward) - MOST_STEPS
        yield Node("step more", f"and {plural(rest, 'identity,identities')} more", "", "#onward", "warn"), [], True


def _behind(key: str, name: str, line: tuple[str, int, int], is_gone: bool) -> Node:
    segment, count, privileged = line
    label = SEGMENT_LABELS.get(segment, segment or "other")
    return Node(
        f"{key} {segment}", f"{label} of {name}", str(count), "#onward", "danger" if privileged else "neutral", is_gone
    )


def steps_of(onward: Iterable[Onward]) -> list[dict[str, Any]]:
    """Rows of the list of steps."""
    return [
        {
            "name": each.hop.name if each.is_visible else "another identity",
            "url": reverse("identities:identity_detail", args=[each.hop.identity_id]) if each.is_visible else "",
            "via": each.hop.via,
            "is_conditional": each.hop.is_conditional,
            "environment": each.hop.environment,
            "grant_url": reverse("identities:grant_detail", args=[each.hop.grant_id]) if each.hop.grant_id else "",
            "behind": [
                f"{SEGMENT_LABELS.get(segment, segment or 'other')}: {plural(count, 'grant,grants')}"
                + (f", {privileged} privileged" if privileged else "")
                for segment, count, privileged in each.segments
            ],
        }
        for each in onward
    ]


def facts_of(radius: Radius) -> Mapping[str, Any]:
    """Numbers for the tiles."""
    return {
        "things": len(radius.targets),
        "privileged": sum(each.is_privileged for each in radius.targets),
        "breadth": BREADTH_WORDS[radius.breadth],
        "is_breadth_known": radius.breadth is not None,
        "steps": radius.steps if radius.onward else 0,
        "direct": sum(each.is_direct for each in radius.primitives),
        "conditional": sum(not each.is_direct for each in radius.primitives),
    }
