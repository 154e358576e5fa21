"""History in plain words: events of one identity, and rows of the past, ready to print."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse

from governance.kernel.dialects.interface import join_words
from governance.kernel.permissions import Permission, describe
from governance.kernel.questions import Question, find
from identities.models import Change, ChangeAction, GrantVersion, Identity, IdentityVersion
from identities.selectors.as_of import Memory, PastAccess
from identities.selectors.history import names_of
from identities.selectors.timeline import ChangeGroup, Edit, names_of_holders
from identities.selectors.who_could import Could, Reason
from identities.views.change_lines import ICONS, KIND_NAMES, TONES, Line, permission_difference, sentences, url_of
from identities.views.grant_lines import path_words, reach_words, revocability_words
from identities.views.identity_rows import KIND_ICONS

LONGEST = 200
LABELS = {
    "owner": "Owner",
    "sponsor": "Sponsor",
    "name": "Name",
    "label": "Name",
    "path": "Reached",
    "identity": "Held by",
    "revocability": "Can be removed",
    "shared_with": "Shared with",
    "acts_for": "Acts for",
    "valid_from": "Valid from",
    "valid_until": "Valid until",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact that became another."""

    label: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class HappeningLine:
    """One event of the timeline. `lines` are those of the diff component, for permissions."""

    at: datetime
    title: str
    url: str
    tone: str
    icon: str
    detail: str = ""
    facts: list[Fact] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PastRow:
    """One identity as it was."""

    url: str
    name: str
    icon: str
    kind_label: str
    is_gone: bool
    name_now: str
    source: str
    environment: str
    owner: str
    status: str
    tags: list[str]


@dataclass(frozen=True, slots=True)
class AccessLine:
    """One grant as it was."""

    url: str
    label: str
    sentences: list[str]
    is_privileged: bool
    reaches: str
    path: str
    identity: str
    identity_url: str
    source: str
    note: str


@dataclass(frozen=True, slots=True)
class CouldLine:
    """One identity that could, and by what."""

    row: PastRow
    is_certain: bool
    reasons: list[tuple[str, str, str, str]]
    more: int


@dataclass(frozen=True, slots=True)
class MemoryLine:
    """What can be said of one source at the moment. tone: success, warn or unknown."""

    name: str
    tone: str
    known_since: datetime | None
    read_at: datetime | None
    says: str
    run_url: str = ""


def timeline_lines(events: Sequence[ChangeGroup | Edit], identity: Identity) -> list[HappeningLine]:
    """Latest first; a few like changes one by one, many of one reading as one line that leads to it."""
    shown = [change for event in events if isinstance(event, ChangeGroup) for change in event.changes]
    names = names_of(shown)
    told = [change for change in shown if change.action == ChangeAction.CHANGED and "identity" in (change.new or {})]
    ids = [
        str(side["identity"]) for change in told for side in (change.old or {}, change.new or {}) if "identity" in side
    ]
    holders = names_of_holders(ids, identity.source_id) if ids else {}
    lines: list[HappeningLine] = []
    for event in events:
        if isinstance(event, Edit):
            lines.append(_edit_line(event))
        elif event.number <= len(event.changes):
            lines += [_change_line(change, names, holders) for change in event.changes]
        else:
            lines.append(_many_line(event))
    return lines


def past_row(version: IdentityVersion) -> PastRow:
    """The row of an identity version with its source, owner and identity loaded."""
    identity = version.identity
    return PastRow(
        url=reverse("identities:identity_detail", args=[version.identity_id]),
        name=version.name,
        icon=KIND_ICONS.get(version.kind, "robot"),
        kind_label=version.get_kind_display(),
        is_gone=identity.retired_at is not None,
        name_now=identity.name if identity.name != version.name else "",
        source=version.source.name,
        environment=version.environment,
        owner=version.owner.name if version.owner else "",
        status=version.status,
        tags=version.tags,
    )


def access_line(access: PastAccess) -> AccessLine:
    """One grant with its holder."""
    version = access.version
    return AccessLine(
        url=reverse("identities:grant_detail", args=[version.grant_id]),
        label=access.label,
        sentences=_sayings(version.plain, access.path, access.label),
        is_privileged=version.is_privileged,
        reaches=reach_words(version),
        path=path_words(access.path),
        identity=access.identity.name,
        identity_url=reverse("identities:identity_detail", args=[access.identity.identity_id]),
        source=version.grant.source.name,
        note="" if access.is_in_force else "Not in force then: outside the time for which the source gave it",
    )


def could_line(could: Could, question: Question, at: datetime) -> CouldLine:
    """One identity with what decided: (address, what, how it is reached, on what it hangs) per grant."""
    return CouldLine(
        row=past_row(could.identity),
        is_certain=could.answer == "yes",
        reasons=[_reason(each, question, at) for each in could.reasons],
        more=could.more,
    )


def memory_lines(memories: Iterable[Memory]) -> list[MemoryLine]:
    """Each source: known, not known yet, or never read whole."""
    return [MemoryLine(each.name, *_memory(each), run_url=_run_url(each)) for each in memories]


def unknown_words(memories: Sequence[MemoryLine]) -> str:
    """One sentence about the sources of which the moment is not known, or nothing."""
    unknown = [each for each in memories if each.tone == "unknown"]
    hidden = [f"{each.name} ({each.says[:1].lower()}{each.says[1:]})" for each in unknown]
    if not hidden:
        return ""
    named = hidden[:4] + ([f"{len(hidden) - 4} more"] if len(hidden) > 4 else [])
    return f"What is missing here may have been there all the same: {join_words(named)}."


def _run_url(memory: Memory) -> str:
    return reverse("identities:sync_run_detail", args=[memory.run_id]) if memory.run_id else ""


def _memory(memory: Memory) -> tuple[str, datetime | None, datetime | None, str]:
    if memory.known_since is None:
        return "unknown", None, memory.read_at, "Never read completely"
    if not memory.is_known:
        return "unknown", memory.known_since, memory.read_at, f"Not known before {_day(memory.known_since)}"
    return "success", memory.known_since, memory.read_at, f"Known since {_day(memory.known_since)}"


def _reason(reason: Reason, question: Question, at: datetime) -> tuple[str, str, str, str]:
    first, *others = _sayings(_about(reason.version, question, at), reason.path, reason.label)[:2]
    what = "; ".join([first, *(text[:1].lower() + text[1:] for text in others)])
    hangs = [f"only if {text}" for text in _each_of(reason.allowed_if)] if reason.allows is None else []
    if reason.denies is None:
        hangs += [f"refused if {text}" for text in _each_of(reason.denied_if)]
    url = reverse("identities:grant_detail", args=[reason.version.grant_id])
    return url, what, path_words(reason.path), "; ".join(hangs)


def _about(version: GrantVersion, question: Question, at: datetime) -> Sequence[str]:
    """What its statements say that answer the question: a role with forty rights is a reason by one of them."""
    permission = Permission.from_json(version.permission)
    parts = [replace(permission, statements=(statement,)) for statement in permission.statements]
    telling = tuple(part.statements[0] for part in parts if not find(question, part, at).is_silent)
    return describe(replace(permission, statements=telling)) if telling else version.plain


def _sayings(plain: Sequence[str], path: Sequence[dict[str, Any]], label: str) -> list[str]:
    """What it let the identity do; rights on things yet to come keep the source's own words, which say so."""
    is_future = any(step.get("kind") == "default_privileges" for step in path)
    return [label] if is_future or not plain else [text[:1].upper() + text[1:] for text in plain]


def _each_of(texts: Sequence[str]) -> list[str]:
    return ["; or if ".join(texts)] if texts else []


def _edit_line(edit: Edit) -> HappeningLine:
    facts = [Fact(_label(name), value_words(name, old), value_words(name, new)) for name, old, new in edit.facts]
    words = join_words([fact.label.lower() for fact in facts])
    return HappeningLine(
        at=edit.at,
        title=f"{words[:1].upper()}{words[1:]} set",
        url="",
        tone="info",
        icon="user-edit",
        detail="with a reading, from what the source says" if edit.is_with_reading else "by a person",
        facts=facts,
    )


def _change_line(change: Change, names: dict[UUID, str], holders: dict[str, str]) -> HappeningLine:
    action = ChangeAction(change.action)
    kind = KIND_NAMES.get(change.object_kind, change.object_kind)
    old, new = change.old or {}, change.new or {}
    is_back = action is ChangeAction.ADDED and "retired_at" in old
    facts: list[Fact] = []
    lines: list[Line] = []
    if action is ChangeAction.CHANGED:
        members = sorted({*old, *new} - {"permission"})
        facts = [
            Fact(_label(name), value_words(name, old.get(name), holders), value_words(name, new.get(name), holders))
            for name in members
        ]
        lines = permission_difference(old["permission"], new.get("permission")) if "permission" in old else []
    said = sentences(new.get("permission") or old.get("permission")) if action is not ChangeAction.CHANGED else []
    name = names.get(change.object_id, change.external_id)
    return HappeningLine(
        at=change.run.observed_at,
        title=f"{kind} {'seen again' if is_back else action.value}: {name}",
        url=url_of(change),
        tone=TONES[action],
        icon=ICONS[action],
        detail=f"{said[0]}{f'; and {len(said) - 1} more' if len(said) > 1 else ''}" if said else "",
        facts=facts,
        lines=lines,
    )


def _many_line(group: ChangeGroup) -> HappeningLine:
    change = group.changes[0]
    action = ChangeAction(change.action)
    kind = KIND_NAMES.get(change.object_kind, change.object_kind).lower()
    return HappeningLine(
        at=group.at,
        title=f"{group.number} {kind}s {action.value}",
        url=reverse("identities:sync_run_detail", args=[change.run_id]),
        tone=TONES[action],
        icon=ICONS[action],
        detail="in one reading",
    )


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " ").capitalize())


def value_words(name: str, value: Any, holders: dict[str, str] | None = None) -> str:  # noqa: PLR0911 - one per sort
    """A value as people read it; nothing is said as such."""
    if value in (None, "", [], {}):
        return "nobody" if name in ("owner", "sponsor") else "nothing"
    if name == "path":
        return path_words(value)
    if name == "revocability":
        return revocability_words(value, 0)
    if name == "identity":
        return (holders or {}).get(value, value)
    if name == "shared_with":
        return f"{value} others"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return join_words(value)
    if name.endswith("_at") or name.startswith("valid_"):
        return _moment(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text.replace("_", " ") if name in ("kind", "status", "custody", "environment") else text
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _moment(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%-d %B %Y %H:%M} UTC"
    except (TypeError, ValueError):
        return str(text)


def _day(moment: datetime) -> str:
    return f"{moment:%-d %B %Y}"
