"""A plan of several steps runs once, in order, whatever happens between two of them."""

from typing import Any

import pytest

from identities.connectors.contract import Execution, ExecutionState, NotPossible, Plan, SourceUnreachable, Step
from identities.connectors.contract import image_hash as hash_of
from identities.connectors.stepwise import carry_out

STATES = ["wide", "wide and narrow", "narrow"]
STEPS = (Step("attach narrow"), Step("detach wide"))


def make_plan(*, follow_ups: int = 0) -> Plan:
    hashes = [hash_of(state) for state in STATES]
    return Plan(
        action="narrow",
        identity="app",
        grant_external_id="g",
        steps=(*STEPS, *(Step(f"end session {n}") for n in range(follow_ups))),
        inverse=(),
        pre_image={},
        pre_hash=hashes[0],
        post_hash=hashes[2],
        stages=tuple(hashes[1:]),
    )


class Place:
    """A source with one state; `fails` raises in place of the step of this number."""

    def __init__(self, state: int = 0, fails: dict[str, Exception] | None = None) -> None:
        self.state, self.fails, self.ran = state, fails or {}, []

    def run(self, step: Step) -> None:
        if step.text in self.fails:
            raise self.fails[step.text]
        self.ran.append(step.text)
        if step in STEPS:
            self.state = STEPS.index(step) + 1

    def carry_out(self, plan: Plan, **options: Any) -> Execution:
        return carry_out(plan, look=lambda: hash_of(STATES[self.state]), run=self.run, patience=(0.0,), **options)


def test_a_plan_runs_from_its_first_step_to_its_follow_ups():
    place = Place()

    done = place.carry_out(make_plan(follow_ups=1))

    assert done.state is ExecutionState.APPLIED
    assert place.ran == ["attach narrow", "detach wide", "end session 0"]


@pytest.mark.parametrize("cut_at", ["attach narrow", "detach wide", "end session 0"])
def test_a_plan_that_was_cut_off_goes_on_where_it_was(cut_at):
    place, plan = Place(fails={cut_at: SourceUnreachable("away")}), make_plan(follow_ups=1)
    with pytest.raises(SourceUnreachable):
        place.carry_out(plan)
    place.fails = {}

    done = place.carry_out(plan)

    assert place.ran == ["attach narrow", "detach wide", "end session 0"]
    assert done.state is (ExecutionState.ALREADY_APPLIED if "session" in cut_at else ExecutionState.APPLIED)


def test_a_second_run_changes_nothing():
    place, plan = Place(), make_plan()
    place.carry_out(plan)

    again = place.carry_out(plan)

    assert again.state is ExecutionState.ALREADY_APPLIED
    assert place.ran == ["attach narrow", "detach wide"]


def test_another_state_than_planned_stops_before_the_first_step():
    place = Place()

    done = carry_out(make_plan(), look=lambda: hash_of("something else"), run=place.run)

    assert (done.state, place.ran) == (ExecutionState.DRIFTED, [])


def test_somebody_who_changes_the_same_between_two_steps_stops_the_rest():
    place = Place()
    looks = iter([STATES[0], STATES[1], "something else"])

    done = carry_out(make_plan(), look=lambda: hash_of(next(looks)), run=place.run, patience=(0.0,))

    assert done.state is ExecutionState.PARTIAL
    assert "step 2 of 2" in done.reason
    assert place.ran == ["attach narrow"]


@pytest.mark.parametrize(
    ("refused", "state"), [("attach narrow", ExecutionState.BLOCKED), ("detach wide", ExecutionState.PARTIAL)]
)
def test_a_refusal_is_blocked_before_anything_changed_and_partial_after(refused, state):
    done = Place(fails={refused: NotPossible("no")}).carry_out(make_plan())

    assert done.state is state
    assert "no" in done.reason


def test_a_step_without_its_effect_is_not_called_done():
    done = carry_out(make_plan(), look=lambda: hash_of(STATES[0]), run=lambda step: None, patience=(0.0,))

    assert done.state is ExecutionState.PARTIAL


def test_a_follow_up_that_fails_leaves_the_change_made():
    done = Place(fails={"end session 0": NotPossible("still open")}).carry_out(make_plan(follow_ups=1))

    assert done.state is ExecutionState.PARTIAL
    assert "still open" in done.reason
