"""Carry out a plan of several steps in a system without transactions: once, in order, and on from where it was cut off.

Every step that changes the native state leads to a known hash (`Plan.stages`). The state is compared right before each
of them, so a worker that was killed between two steps finds its place, and somebody else's change stops the plan.
"""

import time
from collections.abc import Callable, Sequence

from identities.connectors.contract import Execution, ExecutionState, NotPossible, Plan, Step

Look = Callable[[], str]
Run = Callable[[Step], None]
# A system that answers before its change is visible everywhere is asked again after these pauses (seconds).
PATIENCE: Sequence[float] = (0.1, 0.3, 1.0, 3.0)


def carry_out(
    plan: Plan, *, look: Look, run: Run, follow_up: Run | None = None, patience: Sequence[float] = PATIENCE
) -> Execution:
    """Do what is left of the plan.

    look: the hash of the native state now. run: one step; raises NotPossible where the system refuses it. follow_up:
    one of the steps beyond `plan.stages` (default: `run`); raises NotPossible where it could not be completed.
    Whatever stopped it, `evidence["done"]` is how many of the plan's steps are done.
    Raises SourceUnreachable as it comes: the order is tried again and goes on from the stage it finds.
    """
    states = (plan.pre_hash, *plan.stages)
    found = look()
    if found not in states:
        return Execution(ExecutionState.DRIFTED, "The source no longer looks as it did when this was planned.")
    # From the end: where a step changes nothing, the later place is meant.
    begin = len(states) - 1 - states[::-1].index(found)
    for number in range(begin, len(plan.stages)):
        failed = _step(plan, number, look=look, run=run, patience=patience, is_first=number == begin)
        if failed is not None:
            return failed
    for number in range(len(plan.stages), len(plan.steps)):
        try:
            (follow_up or run)(plan.steps[number])
        except NotPossible as refusal:
            reason = f"The change is made, but not what follows it: {refusal.message}"
            return Execution(ExecutionState.PARTIAL, reason, {"done": number})
    if begin == len(plan.stages):
        return Execution(ExecutionState.ALREADY_APPLIED, "The source is in the wanted state already.")
    return Execution(ExecutionState.APPLIED, evidence={"steps": len(plan.steps), "resumed_at": begin})


def _step(
    plan: Plan, number: int, *, look: Look, run: Run, patience: Sequence[float], is_first: bool
) -> Execution | None:
    """None when the step has led to its stage."""
    place = f"step {number + 1} of {len(plan.stages)}"
    expected = plan.pre_hash if number == 0 else plan.stages[number - 1]
    if not is_first and look() != expected:
        return _stopped(number, f"Before {place} somebody else changed the same thing.", ExecutionState.DRIFTED)
    try:
        run(plan.steps[number])
    except NotPossible as refusal:
        return _stopped(number, f"The source refused {place}: {refusal.message}", ExecutionState.BLOCKED)
    if _settles(look, plan.stages[number], patience):
        return None
    reason = f"The source accepted {place}, and does not show what it should have led to."
    return Execution(ExecutionState.PARTIAL, reason, {"done": number})


def _stopped(number: int, reason: str, untouched: ExecutionState) -> Execution:
    """After the first step something is changed already, and only then is the outcome a part of the plan."""
    return Execution(ExecutionState.PARTIAL if number else untouched, reason, {"done": number})


def _settles(look: Look, wanted: str, patience: Sequence[float]) -> bool:
    for pause in patience:
        if look() == wanted:
            return True
        time.sleep(pause)
    return look() == wanted
