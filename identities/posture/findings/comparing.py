"""What the rules said of some objects, against the findings that these objects have: which of them differ, and how.

Values and plain comparisons; nothing here asks or writes the database.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from identities.models import FindingSeverity, FindingState, FixedHow
from identities.posture.results import Outcome, Result

Key = tuple[str, UUID]


class Known(NamedTuple):
    """A finding as it stands before the pass."""

    id: UUID
    rule: str
    object_id: UUID
    identity_id: UUID | None
    state: str
    severity: int
    digest: bytes
    is_unjudged: bool
    unjudged_why: list[str]
    is_gone: bool

    @property
    def key(self) -> Key:
        return self.rule, self.object_id

    @property
    def whole(self) -> Key | None:
        """What the rule says of the identity as a whole, where it says nothing of its credential or trust."""
        return (self.rule, self.identity_id) if self.identity_id else None

    @property
    def is_fixed(self) -> bool:
        return self.state == FindingState.FIXED


class Said(NamedTuple):
    """What a rule says now, as it would be written."""

    outcome: Outcome
    severity: int
    arithmetic: str
    evidence: str
    digest: bytes


@dataclass(slots=True)
class Judged:
    """What the rules said of the objects of one pass, by (rule, object)."""

    assessed: Mapping[str, frozenset[UUID]]
    failed: dict[Key, Said] = field(default_factory=dict)
    unjudged: dict[Key, list[str]] = field(default_factory=dict)
    ended: dict[Key, FixedHow] = field(default_factory=dict)

    @property
    def objects(self) -> list[UUID]:
        ids = {pk for ids in self.assessed.values() for pk in ids}
        return list(ids | {pk for each in (self.failed, self.unjudged, self.ended) for _, pk in each})

    def doubts_about(self, known: Known) -> list[str] | None:
        """Why the object of a finding could not be judged, or None where it could, or was not looked at."""
        if known.key in self.ended:
            return None
        return self.unjudged.get(known.key) or (self.unjudged.get(known.whole) if known.whole else None)

    def end_of(self, key: Key) -> FixedHow | None:
        """How the finding ends by what was said, or None where it does not."""
        if key in self.ended:
            return self.ended[key]
        return FixedHow.VERIFIED if key[1] in self.assessed.get(key[0], ()) else None


@dataclass(slots=True)
class Plan:
    """What has to be written, and nothing else."""

    opened: list[Said] = field(default_factory=list)
    reopened: list[tuple[UUID, Said]] = field(default_factory=list)
    changed: list[tuple[UUID, Said]] = field(default_factory=list)
    severities: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    fixed: dict[UUID, FixedHow] = field(default_factory=dict)
    unjudged: dict[UUID, list[str]] = field(default_factory=dict)

    @property
    def touched(self) -> list[UUID]:
        some = [pk for pk, _ in (*self.reopened, *self.changed)]
        return [*some, *self.fixed, *self.unjudged]


def read_outcomes(outcomes: Iterable[Outcome], assessed: Mapping[str, Collection[UUID]]) -> Judged:
    judged = Judged({rule: frozenset(ids) for rule, ids in assessed.items()})
    for outcome in outcomes:
        key = (outcome.rule, outcome.object_id)
        match outcome.result:
            case Result.FAIL:
                judged.failed[key] = _said(outcome)
            case Result.NOT_ASSESSABLE:
                judged.unjudged[key] = list(outcome.reasons)
            case Result.PASS:
                judged.ended[key] = FixedHow.VERIFIED
            case Result.NOT_APPLICABLE:
                judged.ended[key] = FixedHow.NOT_APPLICABLE
    return judged


def _said(outcome: Outcome) -> Said:
    if outcome.severity is None:
        raise ValueError(f"{outcome.rule} failed on {outcome.object_id} without a severity")
    severity = FindingSeverity[outcome.severity.name]
    arithmetic, evidence = as_json(list(outcome.arithmetic)), as_json(dict(outcome.evidence))
    digest = hashlib.blake2b(f"{severity:d}\n{arithmetic}\n{evidence}".encode(), digest_size=16).digest()
    return Said(outcome, int(severity), arithmetic, evidence, digest)


def as_json(value: Any) -> str:
    # In one order, so that the same evidence has the same digest.
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str).decode()


def compare(judged: Judged, known: Iterable[Known]) -> Plan:
    plan, seen = Plan(), set()
    for each in known:
        seen.add(each.key)
        said = judged.failed.get(each.key)
        if each.is_gone:
            if not each.is_fixed:
                plan.fixed[each.id] = FixedHow.RETIRED
        elif said is not None:
            _compare_failed(each, said, plan)
        elif not each.is_fixed:
            _compare_other(each, judged, plan)
    plan.opened = [said for key, said in judged.failed.items() if key not in seen]
    return plan


def _compare_failed(each: Known, said: Said, plan: Plan) -> None:
    if each.is_fixed:
        plan.reopened.append((each.id, said))
    elif each.digest != said.digest or each.is_unjudged:
        plan.changed.append((each.id, said))
    if said.severity != each.severity and not each.is_fixed:
        plan.severities[each.id] = (each.severity, said.severity)


def _compare_other(each: Known, judged: Judged, plan: Plan) -> None:
    doubts = judged.doubts_about(each)
    if doubts is not None:
        if not each.is_unjudged or doubts != each.unjudged_why:
            plan.unjudged[each.id] = doubts
    elif (how := judged.end_of(each.key)) is not None:
        plan.fixed[each.id] = how
