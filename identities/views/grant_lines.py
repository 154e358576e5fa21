"""What an identity can do, grant by grant: plain words, the path that gives it, and how much of it was used."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse

from governance.kernel.numbers import grouped
from identities.forms.inventory import SEGMENT_LABELS
from identities.models import Grant, GrantVersion
from identities.selectors.filters import SEGMENTS
from identities.selectors.use import GrantUse, UseState

# Held by everybody at the source: folded away, because it says nothing about this identity in particular.
SHARED_BY_ALL = frozenset({"public"})
REVOCABILITY_WORDS = {
    "here": "removable by itself",
    "via_group": "held through a group or role",
    "shared_role": "shared: removing it takes it from others too",
    "infrastructure_code": "managed by infrastructure code",
    "provider_only": "cannot be removed like a right",
}
PATH_WORDS = {
    "direct": "{}",
    "role": "via role {}",
    "group": "via group {}",
    "public": "through PUBLIC, which everybody holds",
    "ownership": "as owner",
    "attribute": "attribute {}",
    "default_privileges": "default privileges: {}",
    "resource_policy": "policy on the resource {}",
    "trust": "by trust in {}",
}
CLASS_WORDS = {
    "admin": "administers",
    "destructive": "can destroy",
    "secret_read": "reads secrets",
    "external_send": "sends outside",
    "write": "writes",
    "read": "reads",
}


@dataclass(frozen=True, slots=True)
class UseLine:
    """The use of one grant: state as the badge takes it, and its parts as a bar takes them."""

    state: str
    label: str
    text: str
    last_seen_at: datetime | None
    parts: int
    used: int
    unused: int
    unknown: int


@dataclass(frozen=True, slots=True)
class GrantLine:
    """One grant as the page prints it."""

    pk: UUID
    url: str
    label: str
    sentences: list[str]
    is_privileged: bool
    classes: list[str]
    also: str
    path: str
    revocability: str
    use: UseLine
    native: str
    until: datetime | None
    is_shared: bool
    is_changed_since_review: bool


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """The grants of one segment, those that everybody holds apart."""

    label: str
    own: list[GrantLine]
    shared: list[GrantLine]


def segment_lines(versions: Sequence[GrantVersion], use: dict[UUID, GrantUse]) -> list[SegmentLine]:
    """Grants by segment, in the order of the product; privileged ones first."""
    lines: dict[str, list[GrantLine]] = {}
    for version in versions:
        lines.setdefault(version.segment, []).append(_grant_line(version, use[version.pk]))
    ordered = [*SEGMENTS, *sorted(set(lines) - set(SEGMENTS))]
    return [
        SegmentLine(
            SEGMENT_LABELS.get(name, name),
            [line for line in lines[name] if not line.is_shared],
            [line for line in lines[name] if line.is_shared],
        )
        for name in ordered
        if name in lines
    ]


def power_answer(versions: Sequence[GrantVersion], use: dict[UUID, GrantUse], *, total: int) -> dict[str, Any]:
    """The second question in numbers: grants, privileged ones, and their use in three values.

    total: how many it holds, where `versions` are only the first. `brief` are those that were not seen, but watched
    too shortly to say more; they are unknown too.
    """
    found = [use[version.pk] for version in versions]
    silent = [each for each in found if each.state is UseState.UNUSED]
    brief = sum(each.is_brief for each in silent)
    hidden = sum(each.state is UseState.NOT_OBSERVABLE for each in found)
    return {
        "grants": len(versions),
        "privileged": sum(version.is_privileged for version in versions),
        "used": sum(each.state is UseState.USED for each in found),
        "unused": len(silent) - brief,
        "brief": brief,
        "hidden": hidden,
        "unknown": hidden + brief,
        "sentence": _use_sentence(
            total,
            (
                (sum(each.state is UseState.USED for each in found), "used"),
                (len(silent) - brief, "not seen in use"),
                (brief, "not seen, but watched too briefly to say"),
                (hidden, "not observable"),
            ),
        ),
    }


def _use_sentence(total: int, parts: Sequence[tuple[int, str]]) -> str:
    told = sum(number for number, _ in parts)
    said = ", ".join(f"{number} {words}" for number, words in parts if number)
    whole = f"{total} grant{'s' if total != 1 else ''}"
    return f"{whole}: {said}." if told == total else f"The first {told} of {whole}: {said}."


def _grant_line(version: GrantVersion, use: GrantUse) -> GrantLine:
    grant = version.grant
    return GrantLine(
        pk=grant.pk,
        url=reverse("identities:grant_detail", args=[grant.pk]),
        label=grant.label,
        sentences=_sentences(version),
        is_privileged=version.is_privileged,
        classes=[CLASS_WORDS[name] for name in CLASS_WORDS if name in version.privilege_classes],
        also=_also(version),
        path=path_words(grant.path),
        revocability="" if grant.revocability == "here" else revocability_words(grant.revocability, grant.shared_with),
        use=use_line(use),
        native=native_json(version.permission),
        until=version.valid_until,
        is_shared=any(step.get("kind") in SHARED_BY_ALL for step in grant.path),
        is_changed_since_review=grant.reviewed_digest is not None
        and bytes(grant.reviewed_digest) != bytes(version.digest),
    )


def _sentences(version: GrantVersion) -> list[str]:
    """What it lets the identity do; rights on things yet to come keep the source's own words, which say so."""
    is_future = any(step.get("kind") == "default_privileges" for step in version.grant.path)
    said = [] if is_future else [_capital(sentence) for sentence in version.plain]
    return said or [version.grant.label]


def _also(version: GrantVersion) -> str:
    """What it reaches beside the segment that it is filed under: "also Queues, Storage"."""
    others = [SEGMENT_LABELS.get(name, name) for name in version.further_segments]
    return f"also {', '.join(others)}" if others else ""


def reach_words(facts: Grant | GrantVersion) -> str:
    """Everything that it reaches, what it is filed under first: "Databases, also Queues, Storage"."""
    labels = [SEGMENT_LABELS.get(name, name) for name in (facts.segment, *facts.further_segments)]
    return f"{labels[0]}, also {', '.join(labels[1:])}" if labels[1:] else labels[0]


def path_words(path: Sequence[dict[str, Any]]) -> str:
    """How a grant reaches the identity: "via role writers → role base"."""
    words = [_step_words(step) for step in path if isinstance(step, dict)]
    said = [word for word in words if word]
    return " → ".join([*said[:1], *(word.removeprefix("via ") for word in said[1:])]) or "granted directly"


def _step_words(step: dict[str, Any]) -> str:
    kind = str(step.get("kind", ""))
    name = str(step.get("label") or step.get("id") or "")
    words = PATH_WORDS.get(kind, f"{kind} {{}}").format(name).strip()
    return f"{words} (after SET ROLE)" if step.get("only_after_set_role") else words


def revocability_words(revocability: str, shared_with: int) -> str:
    """How it can be taken away, with the number of others who would lose it."""
    words = REVOCABILITY_WORDS.get(revocability, revocability)
    return f"{words} ({shared_with} others hold it)" if shared_with else words


def use_line(use: GrantUse) -> UseLine:
    """The use as it is printed; silence that was too short to mean anything counts as unknown."""
    is_silent = use.state is UseState.UNUSED
    state = UseState.NOT_OBSERVABLE if is_silent and use.is_brief else use.state
    return UseLine(
        state=state.value,
        label="Not seen yet" if is_silent and use.is_brief else "Not seen in use" if is_silent else "",
        text=use_words(use),
        last_seen_at=use.last_seen_at,
        parts=use.parts,
        used=use.used,
        unused=0 if use.is_brief else use.unused,
        unknown=use.unknown + use.unused if use.is_brief else use.unknown,
    )


def use_words(use: GrantUse) -> str:
    """The three values in words."""
    if use.state is UseState.USED:
        return f"{grouped(use.calls)} call{'s' if use.calls != 1 else ''} seen"
    if use.state is UseState.UNUSED and use.since and use.is_brief:
        return f"watched since {use.since:%-d %b %Y}, too short to conclude"
    if use.state is UseState.UNUSED and use.since:
        return f"not seen since {use.since:%-d %b %Y}"
    return "no log can show the rest" if use.unused and not use.is_brief else "no log can show its use"


def native_json(document: Any) -> str:
    """The permission as the kernel keeps it, indented."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
