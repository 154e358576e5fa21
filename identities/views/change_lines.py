"""What a reading changed, in words: one object, what it was and what it became."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission, describe
from identities.models import Change, ChangeAction

KIND_NAMES = {
    "identity": "Identity",
    "credential": "Credential",
    "grant": "Grant",
    "trust": "Trust relation",
    "resource": "Resource",
}
TONES = {ChangeAction.ADDED: "info", ChangeAction.CHANGED: "warn", ChangeAction.RETIRED: "neutral"}
ICONS = {ChangeAction.ADDED: "plus", ChangeAction.CHANGED: "pencil", ChangeAction.RETIRED: "archive"}
MOST_LINES = 12
LONGEST_VALUE = 300

Line = tuple[str, str]
"""(kept, removed or added; text), for the diff component."""


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One change ready to print; the field names are those of the timeline component."""

    kind: str
    name: str
    action: str
    at: datetime
    title: str
    url: str
    tone: str
    icon: str
    detail: str = ""
    who: str = ""
    lines: list[Line] = field(default_factory=list)


def line_of(change: Change, names: Mapping[UUID, str]) -> ChangeLine:
    """The change as a line; `names` are those of `names_of`."""
    action = ChangeAction(change.action)
    kind = KIND_NAMES.get(change.object_kind, change.object_kind)
    # What is new, or only would be, brings its name along.
    said = change.new or {}
    name = names.get(change.object_id) or said.get("name") or said.get("label") or change.external_id
    lines = differences(change.old or {}, change.new or {}) if action is ChangeAction.CHANGED else []
    return ChangeLine(
        kind=kind,
        name=name,
        action=action.value,
        at=change.created_at,
        title=f"{kind} {action.value}: {name}",
        url=url_of(change),
        tone=TONES[action],
        icon=ICONS[action],
        detail=_detail(change, action),
        lines=lines,
    )


def url_of(change: Change) -> str:
    """The page of the object, where it has one of its own."""
    names = {"identity": "identities:identity_detail", "grant": "identities:grant_detail"}
    return reverse(names[change.object_kind], args=[change.object_id]) if change.object_kind in names else ""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Line]:
    """What was and what became, member by member; permissions as sentences."""
    lines: list[Line] = []
    for name in sorted({*old, *new}):
        if name == "permission":
            lines += permission_difference(old.get(name), new.get(name))
            continue
        lines.append(("removed", f"{_spoken(name)}: {_value(old.get(name))}"))
        lines.append(("added", f"{_spoken(name)}: {_value(new.get(name))}"))
    if len(lines) > MOST_LINES:
        return [*lines[:MOST_LINES], ("kept", f"… and {len(lines) - MOST_LINES} more lines")]
    return lines


def permission_difference(old: Any, new: Any) -> list[Line]:
    """Sentences that stayed, went and came."""
    before, after = sentences(old), sentences(new)
    return [
        *(("kept", text) for text in after if text in before),
        *(("removed", text) for text in before if text not in after),
        *(("added", text) for text in after if text not in before),
    ]


def sentences(document: Any) -> list[str]:
    """A permission in plain words; one that cannot be read says so."""
    if not document:
        return []
    try:
        return describe(Permission.from_json(document))
    except DomainError as error:
        return [error.message]


def _detail(change: Change, action: ChangeAction) -> str:
    """What else is worth saying: which members changed, or what a new object is."""
    if action is ChangeAction.CHANGED:
        return "; ".join(_spoken(name) for name in sorted({*(change.old or {}), *(change.new or {})}))
    content = change.new or change.old or {}
    said = sentences(content.get("permission"))
    if said:
        more = f"; and {len(said) - 1} more" if len(said) > 1 else ""
        return f"{said[0]}{more}"
    return _spoken(str(content.get("kind") or content.get("issuer") or ""))


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _value(value: Any) -> str:
    if value in (None, "", [], {}):
        return "nothing"
    text = value if isinstance(value, str) else repr(value) if isinstance(value, bool) else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
