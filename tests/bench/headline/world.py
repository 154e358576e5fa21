"""The system that holds the permissions: it keeps them, answers calls, and lets a connector read and change them.

Its own way of answering calls is a few lines of shell patterns, so that what Remit's algebra proves is checked against
something that does not share its code.
"""

import fnmatch
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Any, ClassVar

from governance.kernel.permissions import Permission, difference_samples, sample_requests
from identities.connectors.contract import (
    Description,
    Execution,
    ExecutionState,
    GrantRef,
    Plan,
    Record,
    SourceChanged,
    Step,
    Verification,
    VerificationState,
    image_hash,
)
from tests.bench.headline.estate import Held, Nhi, Statements, probes

MOST_SAMPLES = 20
Call = tuple[str, str]


@dataclass
class World:
    """statements: what each grant says now, by its key; a key that is absent was taken away."""

    nhis: Mapping[str, Nhi]
    statements: dict[str, Statements] = field(default_factory=dict)
    watched: tuple[date, date] = (date.min, date.min)

    def __post_init__(self) -> None:
        self.statements = {held.key: held.statements for nhi in self.nhis.values() for held in nhi.held}

    def allows(self, nhi: Nhi, action: str, resource: str) -> bool:
        """What the system itself answers."""
        return any(
            _fits(each["actions"], action) and _fits(each["resources"], resource)
            for held in nhi.held
            for each in self.statements.get(held.key, ())
        )

    def calls(self, nhi: Nhi, first: date, until: date) -> Counter[Call]:
        """How often each call was made in the span."""
        made: Counter[Call] = Counter()
        for job in nhi.jobs:
            for day in job.days(first, until):
                for action, place in job.calls:
                    made[action, place.on(day)] += job.times
        return made

    def is_excessive(self, nhi: Nhi, first: date, until: date) -> bool:
        """Whether it may do something, somewhere, that it never did there in the span.

        Counted by action and place, not by object: whoever wrote yesterday's file into a folder may write tomorrow's.
        """
        used = {call for job in nhi.jobs if any(job.days(first, until)) for call in job.calls}
        return any(
            self.allows(nhi, action, place.on(until)) for action, place in probes(nhi) if (action, place) not in used
        )


@lru_cache(maxsize=100_000)
def _expression(pattern: str) -> "re.Pattern[str]":
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")), re.IGNORECASE)


def _fits(patterns: list[str], text: str) -> bool:
    return any(_expression(pattern).match(text) for pattern in patterns)


class Simulated:
    """A connector for one part of a world. settings: `part`."""

    WORLD: ClassVar[World]

    def __init__(self, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        del secrets
        self.part = settings.get("part", "")

    def describe(self) -> Description:
        return Description("simulated", "Simulated system", {"identities": True, "grants": True, "usage": True})

    def read(self) -> Iterator[Record]:
        world, number = self.WORLD, 0
        for record in self._records(world):
            number += 1
            yield record
        yield {"type": "end", "records": number}

    def _records(self, world: World) -> Iterator[Record]:
        first, until = world.watched
        if not self.part.endswith("-dark"):
            yield {
                "type": "usage_window",
                "log": "audit",
                "from": _moment(first),
                "until": _moment(until),
                "observable": {"actions": ["*"], "resources": ["*"]},
            }
        for nhi in world.nhis.values():
            if nhi.part != self.part:
                continue
            yield {
                "type": "identity",
                "id": nhi.name,
                "kind": nhi.kind,
                "name": nhi.name,
                "environment": "production",
                "owner": f"owner-{nhi.owner:02d}@bench.example.org",
            }
            for held in nhi.held:
                if held.key in world.statements:
                    yield _grant(nhi, held, world.statements[held.key])
            if nhi.is_observable:
                yield from _usage(world, nhi, first, until)

    def plan_revoke(self, grant: GrantRef) -> Plan:
        return self._plan("revoke", grant, None)

    def plan_narrow(self, grant: GrantRef, target: Permission) -> Plan:
        return self._plan("narrow", grant, target)

    def _plan(self, action: str, grant: GrantRef, target: Permission | None) -> Plan:
        before = self.WORLD.statements.get(grant.external_id)
        if before is None:
            raise SourceChanged("There is no such grant any more.")
        after = _statements(target) if target else None
        gone = (
            [(each.action, each.resource) for each in difference_samples(grant.permission, target, limit=MOST_SAMPLES)]
            if target
            else sample_requests(grant.permission, MOST_SAMPLES)
        )
        return Plan(
            action=action,
            identity=grant.identity,
            grant_external_id=grant.external_id,
            steps=[Step("SET", call={"key": grant.external_id, "statements": after})],
            inverse=[Step("SET", call={"key": grant.external_id, "statements": before})],
            pre_image={"statements": before},
            pre_hash=image_hash(before),
            post_hash=image_hash(after),
            removes=gone,
            summary="Writes what remains.",
        )

    def plan_restore(self, done: Plan) -> Plan:
        return Plan(
            action="restore",
            identity=done.identity,
            grant_external_id=done.grant_external_id,
            steps=done.inverse,
            inverse=done.steps,
            pre_image={},
            pre_hash=done.post_hash,
            post_hash=done.pre_hash,
            summary="Writes what was there.",
        )

    def execute(self, plan: Plan) -> Execution:
        now = image_hash(self.WORLD.statements.get(plan.grant_external_id))
        if now == plan.post_hash:
            return Execution(ExecutionState.ALREADY_APPLIED)
        if now != plan.pre_hash:
            return Execution(ExecutionState.DRIFTED, "The system holds something else by now.")
        for step in plan.steps:
            wanted = step.call["statements"]
            if wanted is None:
                self.WORLD.statements.pop(step.call["key"], None)
            else:
                self.WORLD.statements[step.call["key"]] = wanted
        return Execution(ExecutionState.APPLIED)

    def verify(self, plan: Plan, *, since: datetime | None = None) -> Verification:
        nhi = self.WORLD.nhis[plan.identity]
        still = [(a, r, "another grant") for a, r in plan.removes if self.WORLD.allows(nhi, a, r)]
        state = VerificationState.STILL_EFFECTIVE if still else VerificationState.GONE
        return Verification(state, observed_at=since or datetime.now(UTC), still_effective=still)


def _grant(nhi: Nhi, held: Held, statements: Statements) -> Record:
    return {
        "type": "grant",
        "id": held.key,
        "identity": nhi.name,
        "label": held.label,
        "permission": {"dialect": held.dialect, "statements": statements},
        "path": [{"kind": "direct"}],
        "revocability": "here",
        "shared_with": 0,
    }


def _usage(world: World, nhi: Nhi, first: date, until: date) -> Iterator[Record]:
    seen: dict[Call, list[Any]] = defaultdict(lambda: [until, first, 0])
    for job in nhi.jobs:
        for day in job.days(first, until):
            for action, place in job.calls:
                entry = seen[action, place.on(day)]
                entry[0], entry[1] = min(entry[0], day), max(entry[1], day)
                entry[2] += job.times
    for (action, resource), (earliest, latest, count) in seen.items():
        yield {
            "type": "usage",
            "identity": nhi.name,
            "action": action,
            "resource": resource,
            "first_seen_at": _moment(earliest),
            "last_seen_at": _moment(latest),
            "count": count,
        }


def _statements(permission: Permission) -> Statements:
    """As the system writes it. Only what it can hold: no conditions, no ends."""
    return [
        {"actions": list(each["actions"]), "resources": list(each["resources"])}
        for each in permission.to_json()["statements"]
    ]


def _moment(day: date) -> str:
    return datetime.combine(day, time(3, 0), UTC).isoformat()
