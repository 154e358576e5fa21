"""Carrying a plan out: step by step, only from the states it was made for, going on where it was cut off."""

from identities.connectors.aws import calls
from identities.connectors.aws.plans import facets_of_plan
from identities.connectors.aws.session import Clients
from identities.connectors.aws.state import from_json, hash_of, read_state
from identities.connectors.contract import Execution, ExecutionState, Plan
from identities.connectors.stepwise import carry_out

# IAM answers before a change is visible everywhere; usually it takes a few seconds.
PATIENCE = (0.1, 0.4, 1.0, 2.0, 4.0, 8.0, 15.0)


def execute(clients: Clients, plan: Plan) -> Execution:
    """Apply the plan once. Raises SourceUnreachable, ReadIncomplete; the next call goes on from the state it finds."""
    fault = fault_of(plan)
    if fault:
        return Execution(ExecutionState.BLOCKED, fault)
    facets = facets_of_plan(plan)
    iam = clients.iam
    return carry_out(
        plan,
        look=lambda: hash_of(read_state(iam, facets)),
        run=lambda step: calls.send(iam, step),
        patience=PATIENCE,
    )


def fault_of(plan: Plan) -> str:
    """Why this stored plan must not run: what it says it does is not what its steps do."""
    altered = "This plan was altered after it was made, so it does not run."
    state = from_json(plan.pre_image["state"])
    if hash_of(state) != plan.pre_hash or len(plan.steps) != len(plan.stages):
        return altered
    for step, stage in zip(plan.steps, plan.stages, strict=True):
        if not step.call or calls.render(step.call) != step.text:
            return altered
        state = calls.predict(state, step.call)
        if hash_of(state) != stage:
            return altered
    return "" if plan.post_hash == plan.stages[-1] else altered
