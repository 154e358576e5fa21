"""Carry a plan out: request by request, each compared with what was shown, and on from where it was cut off."""

import httpx

from identities.connectors.contract import Execution, NotPossible, Plan, SourceUnreachable, Step
from identities.connectors.kubernetes.api import Settings, change, connect
from identities.connectors.kubernetes.facets import Facet, fill_in, meaning, state_of, states_hash
from identities.connectors.kubernetes.plans import assemble, facets_of
from identities.connectors.stepwise import carry_out


def execute(settings: Settings, plan: Plan) -> Execution:
    """Apply the plan once. Raises SourceUnreachable, NotPossible where the plan was altered in storage."""
    facets = facets_of(plan)
    _refuse_altered(plan, facets)
    facet_of = {facet.step().text: facet for facet in facets}
    with connect(settings) as client:
        return carry_out(
            plan,
            look=lambda: states_hash(facets, [facet.look(client) for facet in facets]),
            run=lambda step: _run(client, facet_of[step.text], step),
        )


def _refuse_altered(plan: Plan, facets: list[Facet]) -> None:
    """Everything that a plan says about what it does follows from its facets; if it does not, it was not made here."""
    again = assemble(plan.action, plan.identity, plan.grant_external_id, facets, summary="", irreversible=True)
    shown = [(step.text, dict(step.call)) for step in plan.steps]
    same_steps = shown == [(step.text, dict(step.call)) for step in again.steps]
    hashes = (plan.pre_hash, plan.post_hash, *plan.stages)
    if not same_steps or hashes != (again.pre_hash, again.post_hash, *again.stages):
        raise NotPossible("The plan was altered after it was made, so it does not run.")


def _run(client: httpx.Client, facet: Facet, step: Step) -> None:
    method = step.call["method"]
    body = step.call["body"]
    if method == "DELETE":
        found = facet.fetch(client)
        if found is None:
            return
        if meaning(facet.kind, state_of(facet.kind, found)) != meaning(facet.kind, facet.before):
            raise SourceUnreachable(f"{facet.title()} is just being changed by somebody else.")
        body = fill_in(step, found)
    change(client, method, step.call["path"], body)
