"""What an event changed, field by field, in plain words: old and new, with people's names while they exist."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import CharField, Expression, F, Model
from django.db.models import Value as Literal
from django.db.models.functions import Coalesce, NullIf

from governance.audit.selectors import TrailRow
from governance.kernel.numbers import grouped
from governance.people.models import ApiToken, Team, User
from identities.models import Finding, Identity, Source, SyncRun
from reviews.models import Campaign

LONGEST = 200
LONG_LIST = 3
DEEPEST = 3
# How many of each kind a reading found: {"grant": {"added": 0, "unchanged": 239}}.
COUNTS = "counts"
KEPT_AWAY = {"(text)", "(changed)"}
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# What made something; its plain personal facts are what was said then. Later ones say only who or what it was.
_MADE = ("created", "registered", "saved")
# Where an id can lead, and what it is called there: asked together, so that a row of ids costs one query.
_NAMED: Mapping[type[Model], Expression | F] = {
    User: Coalesce(NullIf(F("name"), Literal("")), F("email"), output_field=CharField()),
    Team: F("name"),
    Source: F("name"),
    Identity: F("name"),
    Campaign: F("name"),
    ApiToken: F("name"),
}
# Subjects that the sealed record calls by their kind alone, because a name can change and a person's must be erasable,
# or by what programs call them.
_NAMED_HERE = frozenset({"person", "team", "campaign", "api_token", "source", "identity"})
_NOBODY = frozenset(
    {"owner", "backup_owner", "sponsor", "assignee", "manager", "independent_reviewer", "fallback_reviewer", "members"}
)
# Fields whose ids are all among what has a name; of any other id nobody can say that it is gone.
_ALWAYS_NAMED = _NOBODY | {"person", "team", "source", "campaign", "run"}
LABELS = {
    "rrule": "Repeats",
    "starts_at": "Starts",
    "ends_at": "Ends",
    "next_due_at": "Next date",
    "deadline_at": "Deadline",
    "duration_days": "Days to answer",
    "item_kinds": "Asks about",
    "reviewer_rules": "Who is asked",
    "fallback_reviewer": "Asked when nobody else can be",
    "independent_reviewer": "Independent reviewer",
    "deadline_policy": "At the deadline",
    "interval_reason": "Reason for the interval",
    "is_enabled": "Switched on",
    "is_shared": "Shared with everybody",
    "read_every_seconds": "Read every (seconds)",
    "freshness_limit_seconds": "Counts as fresh for (seconds)",
    "max_retire_percent": "May vanish in one reading (percent)",
    "left_at": "Left",
    "is_active": "May sign in",
    "url": "Address",
    "host": "Address (host)",
    "verbs": "Told about",
    "scope": "Scope",
    "per_hour": "Changes per hour",
    "removed_at": "Removed",
    "lifted_at": "Lifted",
    "revoked_at": "Revoked",
    "expires_at": "Ends",
    "email": "Address",
    "ip": "Network address",
    "beside": "Asked beside",
    "approved_until": "Approved until",
    "reviewed_at": "Reviewed",
    "digest": "Version",
    "old_signs_until": "Old secret signs until",
}


@dataclass(frozen=True, slots=True)
class Value:
    """One side of a change, ready to print. `at` is set for times, which are printed for machines too."""

    text: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that became another. `old` is None where the record says only what it is now."""

    name: str
    label: str
    old: Value | None
    new: Value


Names = Mapping[str, str]
_Side = Mapping[str, Any]
_Pair = tuple[str, Any, Any, bool]


def names_in(rows: Iterable[TrailRow], *, with_context: bool = False) -> Names:
    """What the ids in these events are called, and who acted, by id; what was erased or removed is not among them.

    with_context: also those of the further facts, which lists do not show.
    """
    rows = list(rows)
    wanted: set[str] = set()
    for row in rows:
        for part in (row.old, row.new, row.personal, *([row.context] if with_context else [])):
            wanted.update(_ids_in(part))
        if row.actor_kind == "person":
            wanted.update(_UUID.findall(row.actor_id))
        if row.subject_kind in _NAMED_HERE:
            wanted.update(_UUID.findall(row.subject_id))
    runs = {run for row in rows if isinstance(run := row.new.get("run"), str) and _UUID.fullmatch(run)}
    findings = {row.subject_id for row in rows if row.subject_kind == "finding" and _UUID.fullmatch(row.subject_id)}
    return dict(_called(wanted - runs)) | dict(_runs(runs)) | dict(_findings(findings))


def _called(ids: set[str]) -> Iterator[tuple[str, str]]:
    if not ids:
        return
    asked = [
        model._default_manager.filter(pk__in=ids).order_by().values_list("pk", name) for model, name in _NAMED.items()
    ]
    yield from ((str(key), name) for key, name in asked[0].union(*asked[1:], all=True))


def _runs(ids: set[str]) -> Iterator[tuple[str, str]]:
    if ids:
        found = SyncRun.objects.filter(pk__in=ids).values_list("pk", "started_at")
        yield from ((str(key), f"reading of {at:%-d %b %Y, %H:%M:%S} UTC") for key, at in found)


def _findings(ids: set[str]) -> Iterator[tuple[str, str]]:
    """A finding is called by its rule and by whom it is about: a rule alone says of a hundred findings the same."""
    if ids:
        found = Finding.objects.filter(pk__in=ids).values_list("pk", "rule", "identity__name", "source__name")
        yield from ((str(key), f"{rule} of {identity or source}") for key, rule, identity, source in found)


def changes_of(row: TrailRow, names: Names) -> list[FieldChange]:
    """Every field that the event says to have changed, in the order of labels; what stayed the same is left out."""
    found: dict[str, FieldChange] = {}
    for name, old, new, is_told in _pairs(row):
        if name == COUNTS:
            found |= {change.name: change for change in _counted(new)}
            continue
        if is_told and old == new:
            continue
        before = value_of(name, old, names) if is_told else None
        change = FieldChange(name, label_of(name), before, value_of(name, new, names))
        if isinstance(old, list) and isinstance(new, list) and max(len(old), len(new)) > LONG_LIST:
            change = FieldChange(name, change.label, None, Value(_difference(old, new, names)))
        if KEPT_AWAY & {each for each in (old, new) if isinstance(each, str)}:
            change = FieldChange(name, change.label, None, Value(_away(row)))
        # Personal facts come last: the words beside the trail say more than the mark that the trail itself keeps.
        found[name] = change
    told = {name.partition(".")[0] for name in found}
    named = row.context.get("changed")
    for name in named if isinstance(named, list) else []:
        if name not in told:
            found[name] = FieldChange(name, label_of(name), None, Value(_away(row)))
    return sorted(found.values(), key=lambda change: change.label)


def facts_of(part: _Side, names: Names) -> list[FieldChange]:
    """Facts that are no change (the context of an event), as label and value."""
    flat = [(name, value) for name, value in _flat(part) if value not in (None, "", [], {})]
    return [FieldChange(name, label_of(name), None, value_of(name, value, names)) for name, value in flat]


def label_of(name: str) -> str:
    """The field as the pages call it; of a nested one its path."""
    *path, last = name.split(".")
    label = LABELS.get(last, last.replace("_", " ").capitalize())
    return f"{' '.join(step.replace('_', ' ') for step in path).capitalize()}: {label.lower()}" if path else label


def value_of(name: str, value: Any, names: Names) -> Value:
    """A value as people read it; nothing is said as such."""
    if value in (None, "", [], {}):
        return Value("nobody" if name.rpartition(".")[2] in _NOBODY else "nothing")
    if isinstance(value, bool):
        return Value("yes" if value else "no")
    is_gone = name.rpartition(".")[2] in _ALWAYS_NAMED
    if isinstance(value, list):
        return Value(_short(", ".join(_word(each, names, is_gone=is_gone) for each in value)))
    if isinstance(value, str) and _MOMENT.match(value):
        try:
            return Value(value, datetime.fromisoformat(value))
        except ValueError:
            pass
    return Value(_short(_word(value, names, is_gone=is_gone)))


def _pairs(row: TrailRow) -> Iterator[_Pair]:
    """(field, old, new, whether old is known) from every part of the record that tells of changes."""
    old, new = dict(_flat(row.old)), dict(_flat(row.new))
    for name in dict.fromkeys([*old, *new]):
        yield name, old.get(name), new.get(name), name in old
    yield from _personal_pairs(row)


def _personal_pairs(row: TrailRow) -> Iterator[_Pair]:
    personal = dict(row.personal)
    sides = (personal.get("old"), personal.get("new"))
    if isinstance(sides[0], Mapping) and isinstance(sides[1], Mapping):
        for name in dict.fromkeys([*sides[0], *sides[1]]):
            yield name, sides[0].get(name), sides[1].get(name), True
        personal = {name: value for name, value in personal.items() if name not in ("old", "new")}
    for name, value in personal.items():
        if isinstance(value, Mapping) and {"old", "new"} >= value.keys():
            yield name, value.get("old"), value.get("new"), True
        elif isinstance(value, list) and len(value) == 2:
            yield name, value[0], value[1], True
        elif row.verb.endswith(_MADE):
            yield name, None, value, False


def _flat(part: _Side, path: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    for name, value in part.items():
        where = f"{path}.{name}" if path else name
        if isinstance(value, Mapping) and value and depth < DEEPEST and where != COUNTS:
            yield from _flat(value, where, depth + 1)
        else:
            yield where, value


def _ids_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _UUID.findall(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _ids_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _ids_in(each)


def _word(value: Any, names: Names, *, is_gone: bool = False) -> str:
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value in names:
        return names[value]
    if _UUID.fullmatch(value):
        return f"{value[:8]}… (no longer known here)" if is_gone else f"{value[:8]}…"
    if _DIGEST.fullmatch(value):
        return f"{value[:12]}…"
    return value.replace("_", " ") if re.fullmatch(r"[a-z_]+", value) else value


def _counted(counts: _Side) -> Iterator[FieldChange]:
    """What a reading found, one line for each kind of object; kinds that the source does not have are left out."""
    for kind, numbers in counts.items():
        said = ", ".join(f"{grouped(count)} {what}" for what, count in numbers.items() if count)
        if said:
            yield FieldChange(f"{COUNTS}.{kind}", label_of(kind), None, Value(said))


def _difference(old: Sequence[Any], new: Sequence[Any], names: Names) -> str:
    added = [_word(each, names) for each in new if each not in old]
    removed = [_word(each, names) for each in old if each not in new]
    said = [f"{word} {', '.join(each)}" for word, each in (("added", added), ("removed", removed)) if each]
    return _short("; ".join(said)) or "in another order"


def _away(row: TrailRow) -> str:
    return "changed; the words were erased" if row.is_erased else "changed; the words are not kept"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
