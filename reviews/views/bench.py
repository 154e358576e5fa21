"""The bench on which an access is narrowed: the same one in a question and in a mere trial."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from governance.kernel import dialects
from governance.kernel.limits import Limits, limits_of
from governance.kernel.permissions import Permission
from identities.models import Grant, GrantVersion, Identity
from reviews import evidence
from reviews.decisions.targets import held_permission
from reviews.evidence import PROPOSED, RECOMMENDED, Observed, Piece, Replayed, Suggestion, Trial, place_key
from reviews.forms.targets import MOST_CONDITIONS, TargetForm
from reviews.models import ItemKind, ReviewItem
from reviews.remediation import Prepared, others_of
from reviews.views.native import NativeChange, native_change

STYLE_WORDS = {
    PROPOSED: ("As proposed", "What somebody proposed when they asked this question."),
    RECOMMENDED: ("As recommended", "What was used when the review opened, and what nobody could have seen."),
    "exact": ("Only what was used", "Each action on each resource that was seen in use, one by one."),
    "readable": ("Readable", "What was used, with similar names written as one pattern. Still inside what is held."),
    "access_level": (
        "By kind of access",
        "Whole kinds of access (read, write …) that were used, nothing of the others.",
    ),
}
USE_GROUPS = (
    ("used", "Used"),
    ("unused", "Not used while it was watched"),
    ("not_observable", "Use cannot be observed"),
)
# Beyond this, groups of tick boxes start closed: people look for one, and need not scroll past all others.
MOST_OPEN = 40
# A condition named in a form of at most so many fields (Django refuses a thousand) leaves room for the rest.
MOST_FIELDS = 950
# Browsers and proxies cut addresses that are much longer.
LONGEST_IN_ADDRESS = 3_500


@dataclass(frozen=True, slots=True)
class Start:
    """A suggestion as the form offers it. style: what the form sends back to mean it."""

    style: str
    label: str
    help: str
    target: Permission

    @classmethod
    def of(cls, suggestion: Suggestion) -> "Start":
        style = suggestion.style
        label, sentence = STYLE_WORDS.get(style, (style.replace("_", " ").capitalize(), ""))
        return cls(style, label, sentence, suggestion.target)


@dataclass(frozen=True, slots=True)
class Place:
    """The pieces on one resource pattern. only: the narrower pattern that was typed for it.

    is_part: it is no held pattern but a part of the one before it, named because it was used.
    """

    resource: str
    key: str
    pieces: Sequence[Piece]
    only: str = ""
    errors: Sequence[str] = ()
    is_open: bool = True
    is_part: bool = False

    @property
    def used(self) -> int:
        return sum(piece.use.state == "used" for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Bench:
    """What is held and what is known about its use, gathered once per request: form, target, trial, page need it.

    held is None where there is nothing to narrow (a credential). chosen: the suggestion that the form starts from.
    """

    held: Permission | None
    observed: Observed
    pieces: list[Piece]
    suggestions: list[Start]
    chosen: Start | None
    now: datetime

    @classmethod
    def of_item(cls, item: ReviewItem, now: datetime, style: str = "") -> "Bench":
        """The bench of a question. style: of the suggestion to start from, empty for the first."""
        observed = evidence.observe(item.identity)
        if item.kind != ItemKind.GRANT:
            return cls(None, observed, [], [], None, now)
        first = {
            PROPOSED: (item.seen.get("proposal") or {}).get("target"),
            RECOMMENDED: item.recommended_target,
        }
        return cls._of(held_permission(item), observed, now, style, first)

    @classmethod
    def of_version(cls, identity: Identity, version: GrantVersion, now: datetime, style: str = "") -> "Bench":
        """The bench of a grant that is only tried."""
        held = Permission.from_json(version.permission)
        return cls._of(held, evidence.observe(identity), now, style, {})

    @classmethod
    def _of(cls, held: Permission, observed: Observed, now: datetime, style: str, first: Mapping[str, Any]) -> "Bench":
        suggestions = [Start.of(each) for each in evidence.suggestions_of(held, observed, now, first)]
        named = [each for each in suggestions if each.style == style]
        chosen = next(iter([*named, *suggestions]), None)
        pieces = evidence.pieces_of(held, observed, now, also=[chosen.target if chosen else None])
        return cls(held, observed, pieces, suggestions, chosen, now)

    @property
    def limits(self) -> Limits:
        return limits_of(self.held.dialect if self.held else "")

    def try_target(self, target: Permission) -> Trial:
        """Proof or counter-example, replay and difference; asks no source."""
        assert self.held is not None  # noqa: S101 - a form without anything held has no target
        return evidence.try_target(self.held, target, self.observed, self.now)

    def try_nothing(self) -> Replayed | None:
        """Which calls would be refused were all of it taken away; None where there is nothing that calls need."""
        if self.held is None:
            return None
        return self.try_target(Permission(self.held.dialect, ())).replayed

    def preset(self) -> set[str]:
        """What is ticked at first: the suggestion, else all that is not known to be unused, else all."""
        if self.chosen:
            return evidence.keys_of(self.chosen.target)
        every = {piece.key for piece in self.pieces}
        return {piece.key for piece in self.pieces if piece.use.state != "unused"} or every

    @property
    def why_no_suggestion(self) -> str:
        """In place of suggestions, where there are none."""
        if not self.observed.windows:
            return "No suggestion: no log of this source shows use, so nobody knows what is needed."
        if self.pieces and all(piece.use.state == "unused" for piece in self.pieces):
            return "No suggestion: nothing of it was used while it was watched. Perhaps all of it can go."
        return "No suggestion: nothing smaller would still cover what was used and what nobody could have seen."

    def held_groups(self) -> list[tuple[str, str, list[Piece]]]:
        """What is held, by what is known of its use. A resource that only a suggestion names is no further right."""
        held = evidence.keys_of(self.held)
        pieces = [piece for piece in self.pieces if piece.key in held]
        groups = [(state, label, [each for each in pieces if each.use.state == state]) for state, label in USE_GROUPS]
        return [group for group in groups if group[2]]


def chooser_of(bench: Bench, given: Any, form: TargetForm | None) -> dict[str, Any]:
    """Everything that `_narrow_target.html` prints, with whatever was typed. given: the POST, or a mapping."""
    was_sent = hasattr(given, "getlist") and bool(given.get("sent") or given.get("keep"))
    errors = form.errors if form else {}
    places = places_of(bench, given, errors)
    return {
        "bench": bench,
        "places": places,
        "may_make_smaller": len(bench.pieces) + len(places) <= MOST_FIELDS,
        "kept": set(given.getlist("keep")) if was_sent else bench.preset(),
        "style": bench.chosen.style if bench.chosen else "",
        "limits": bench.limits,
        "source_words": dialects.get(bench.held.dialect).title if bench.held else "",
        "conditions": _condition_rows(given, errors),
        "target_text": given.get("target_json") or _target_text(bench),
        "target_errors": [*errors.get("keep", []), *errors.get("ends_at", [])],
    }


def places_of(bench: Bench, given: Any, errors: Mapping[str, Any]) -> list[Place]:
    """Pieces by resource: what is held in its order, and after each the parts of it that a suggestion names."""
    by_resource: dict[str, list[Piece]] = {}
    for piece in bench.pieces:
        by_resource.setdefault(piece.resource, []).append(piece)
    held = evidence.keys_of(bench.held)
    wide = [resource for resource, pieces in by_resource.items() if any(each.key in held for each in pieces)]
    parts = _parts_of(bench, wide, [resource for resource in by_resource if resource not in set(wide)])
    are_few = len(bench.pieces) <= MOST_OPEN
    return [
        Place(
            resource,
            key := place_key(resource),
            by_resource[resource],
            given.get(f"only_{key}", ""),
            list(errors.get(f"only_{key}", [])),
            are_few or bool(errors.get(f"only_{key}")),
            is_part,
        )
        for whole in [*wide, ""]
        for resource, is_part in [
            *([(whole, False)] if whole else []),
            *((part, True) for part in parts.get(whole, [])),
        ]
    ]


def _parts_of(bench: Bench, wide: Sequence[str], others: Sequence[str]) -> dict[str, list[str]]:
    """Which held pattern each finer one belongs to; "" for those of which nobody can tell."""
    found: dict[str, list[str]] = {}
    if bench.held is None:
        return found
    dialect = dialects.get(bench.held.dialect)
    languages = [(text, dialect.resource(text)) for text in wide]
    for part in others:
        own = dialect.resource(part)
        whole = next((text for text, language in languages if language.covers(own)), "")
        found.setdefault(whole, []).append(part)
    return found


def _condition_rows(given: Any, errors: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "key": given.get(f"condition_key_{number}", ""),
            "operator": given.get(f"condition_operator_{number}", ""),
            "values_text": given.get(f"condition_values_{number}", ""),
            "errors": [*errors.get(f"condition_key_{number}", [])],
        }
        for number in range(MOST_CONDITIONS)
    ]


def _target_text(bench: Bench) -> str:
    start = bench.chosen.target if bench.chosen else bench.held
    return json.dumps(start.to_json(), indent=2) if start else ""


def narrowing_of(trial: Trial, prepared: Prepared | None, grant: Grant) -> dict[str, Any]:
    """Everything that `_narrow_verdict.html` and `_narrow_plan.html` print of one trial."""
    return {
        "trial": trial,
        "prepared": prepared,
        "native": native_of(prepared),
        "others": others_of(prepared, grant),
        "reach_url": reach_url_of(trial, grant),
    }


def reach_url_of(trial: Trial, grant: Grant) -> str:
    """The blast radius of the holder before and after; empty where the target is too long for an address."""
    target = json.dumps(trial.target.to_json(), separators=(",", ":"))
    if not trial.is_narrower or len(target) > LONGEST_IN_ADDRESS:
        return ""
    page = reverse("identities:identity_reach", args=[grant.identity_id])
    return f"{page}?{urlencode({'grant': grant.pk, 'target': target})}"


def native_of(prepared: Prepared | None) -> NativeChange | None:
    """The plan in the source's own form, where there is one."""
    return native_change(prepared.plan) if prepared and prepared.plan else None
