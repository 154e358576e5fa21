"""Where an identity stands in its life follows from what is known; what is unknown is said, not guessed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from identities.posture.lifecycle import LifeFacts, Stage, tell

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SEEN = LifeFacts(
    first_seen_at=NOW - timedelta(days=100),
    registered_at=None,
    is_enabled=True,
    is_dormant=None,
    last_used_at=None,
    retired_at=None,
)
REGISTERED = replace(SEEN, registered_at=NOW - timedelta(days=90))
ACTIVE = replace(REGISTERED, last_used_at=NOW - timedelta(days=1), is_dormant=False)
DORMANT = replace(REGISTERED, last_used_at=NOW - timedelta(days=95), is_dormant=True)
LOCKED = replace(DORMANT, is_enabled=False)
GONE = replace(LOCKED, retired_at=NOW)


def states(facts: LifeFacts) -> dict[str, str]:
    return {step.stage.value: step.state for step in tell(facts).steps}


@pytest.mark.parametrize(
    ("facts", "stage"),
    [
        (SEEN, Stage.DISCOVERED),
        (REGISTERED, Stage.REGISTERED),
        (ACTIVE, Stage.ACTIVE),
        (DORMANT, Stage.DORMANT),
        (LOCKED, Stage.QUARANTINED),
        (GONE, Stage.RETIRED),
        (replace(ACTIVE, registered_at=None), Stage.ACTIVE),
        (replace(ACTIVE, retired_at=NOW), Stage.RETIRED),
    ],
)
def test_the_latest_stage_that_applies_holds(facts: LifeFacts, stage: Stage) -> None:
    assert tell(facts).stage is stage


@pytest.mark.parametrize("facts", [SEEN, REGISTERED, ACTIVE, DORMANT, LOCKED, GONE])
def test_exactly_one_step_is_now_and_no_later_one_is_done(facts: LifeFacts) -> None:
    found = [step.state for step in tell(facts).steps]

    assert found.count("now") == 1
    assert "done" not in found[found.index("now") :]


def test_the_whole_way_of_one_that_went_it() -> None:
    assert states(GONE) == {
        "discovered": "done", "registered": "done", "active": "done", "dormant": "skipped",
        "quarantined": "skipped", "retired": "now",
    }  # fmt: skip


def test_somebody_who_never_answered_for_it_is_not_ticked_off() -> None:
    assert states(replace(ACTIVE, registered_at=None))["registered"] == "skipped"
    assert "Register it" in tell(replace(ACTIVE, registered_at=None)).next_act


def test_use_that_nobody_can_see_is_said_and_no_stage() -> None:
    notes = {step.stage: step.note for step in tell(REGISTERED).steps}

    assert notes[Stage.ACTIVE] == "use is not observable"


def test_a_declared_cadence_stands_beside_dormancy() -> None:
    notes = {step.stage: step.note for step in tell(replace(ACTIVE, expected_cadence_days=370)).steps}

    assert notes[Stage.DORMANT] == "expected every 370 days"
