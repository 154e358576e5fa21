"""The life of a non-human identity, told from facts: seen, registered, active, dormant, locked out, retired.

Pure. Two stages are acts of people (registered, and what an order does), the rest follows from what is observed, so
nobody has to keep a state up to date, and none can contradict its source.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Stage(StrEnum):
    """Where it stands, the latest that applies. DISCOVERED: a reading showed it, and nobody has answered for it yet."""

    DISCOVERED = "discovered"
    REGISTERED = "registered"
    ACTIVE = "active"
    DORMANT = "dormant"
    QUARANTINED = "quarantined"
    RETIRED = "retired"


LABELS = {
    Stage.DISCOVERED: "Discovered",
    Stage.REGISTERED: "Registered",
    Stage.ACTIVE: "Active",
    Stage.DORMANT: "Dormant",
    Stage.QUARANTINED: "Locked out",
    Stage.RETIRED: "Retired",
}


TONES = {
    Stage.DISCOVERED: "warn",
    Stage.REGISTERED: "info",
    Stage.ACTIVE: "success",
    Stage.DORMANT: "warn",
    Stage.QUARANTINED: "neutral",
    Stage.RETIRED: "neutral",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeFacts:
    """What the life is told from. is_dormant: what rule NHI1-C says of it, None where it can't be judged.

    last_used_at: None where no evidence of use is known, which is not the same as unused.
    """

    first_seen_at: datetime
    registered_at: datetime | None
    is_enabled: bool
    is_dormant: bool | None
    last_used_at: datetime | None
    retired_at: datetime | None
    expected_cadence_days: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the stepper. state: done, now, todo or skipped."""

    stage: Stage
    state: str
    note: str = ""
    at: datetime | None = None

    @property
    def label(self) -> str:
        return LABELS[self.stage]


@dataclass(frozen=True, slots=True)
class Life:
    """stage: where it stands. steps: the whole way, in order. next_act: what would be the next thing to do, or ""."""

    stage: Stage
    steps: tuple[Step, ...]
    next_act: str = ""

    @property
    def label(self) -> str:
        return LABELS[self.stage]

    @property
    def tone(self) -> str:
        return TONES[self.stage]


def tell(facts: LifeFacts) -> Life:
    """Where an identity stands in its life."""
    stage = _stage(facts)
    return Life(stage, tuple(_steps(facts, stage)), _next_act(facts, stage))


def _stage(facts: LifeFacts) -> Stage:
    if facts.retired_at is not None:
        return Stage.RETIRED
    if not facts.is_enabled:
        return Stage.QUARANTINED
    if facts.is_dormant:
        return Stage.DORMANT
    if facts.last_used_at is not None:
        return Stage.ACTIVE
    return Stage.REGISTERED if facts.registered_at else Stage.DISCOVERED


def _steps(facts: LifeFacts, stage: Stage) -> Iterator[Step]:
    yield Step(Stage.DISCOVERED, _passed_or_now(Stage.DISCOVERED, stage), "first seen", facts.first_seen_at)
    if facts.registered_at is not None:
        yield Step(Stage.REGISTERED, _passed_or_now(Stage.REGISTERED, stage), "", facts.registered_at)
    else:
        is_past = stage is not Stage.DISCOVERED
        yield Step(Stage.REGISTERED, "skipped" if is_past else "todo", "nobody has answered for it yet")
    yield _active(facts, stage)
    yield _dormant(facts, stage)
    yield _step(Stage.QUARANTINED, stage, "nothing can use it" if stage is Stage.QUARANTINED else "")
    yield Step(Stage.RETIRED, "now" if stage is Stage.RETIRED else "todo", "", facts.retired_at)


def _active(facts: LifeFacts, stage: Stage) -> Step:
    if facts.last_used_at is not None:
        return Step(Stage.ACTIVE, _passed_or_now(Stage.ACTIVE, stage), "last used", facts.last_used_at)
    if facts.is_dormant:
        return Step(Stage.ACTIVE, "skipped", "never seen in use")
    state = "skipped" if stage in (Stage.QUARANTINED, Stage.RETIRED) else "todo"
    return Step(Stage.ACTIVE, state, "use is not observable" if facts.is_dormant is None else "not used yet")


def _dormant(facts: LifeFacts, stage: Stage) -> Step:
    cadence = f"expected every {facts.expected_cadence_days} days" if facts.expected_cadence_days else ""
    if stage is Stage.DORMANT:
        return Step(Stage.DORMANT, "now", cadence or "not used for too long")
    # Whoever was locked out or retired need not have been dormant before.
    return Step(Stage.DORMANT, "skipped" if stage in (Stage.QUARANTINED, Stage.RETIRED) else "todo", cadence)


def _step(step: Stage, stage: Stage, note: str) -> Step:
    if step is stage:
        return Step(step, "now", note)
    return Step(step, "skipped" if stage is Stage.RETIRED else "todo", note)


def _passed_or_now(step: Stage, stage: Stage) -> str:
    return "now" if step is stage else "done"


def _next_act(facts: LifeFacts, stage: Stage) -> str:
    if stage is Stage.RETIRED:
        return ""
    if stage is Stage.QUARANTINED:
        return "If nobody misses it, remove it at its source; the next reading retires it here."
    if stage is Stage.DORMANT:
        return "Say how often it is used, or ask its owner whether it can go."
    if facts.registered_at is None:
        return "Register it: who answers for it, and what it is for."
    return ""
