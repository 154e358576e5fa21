"""Carrying a plan out: one command for the change, then ending connections and making it outlast a restart."""

import time
from datetime import datetime

from governance.kernel.dialects.redis_rules import UnknownRule
from identities.connectors.contract import Execution, ExecutionState, NotPossible, Plan, Step
from identities.connectors.redis_acl.assembly import current_hash, state_hash, steps_of
from identities.connectors.redis_acl.server import Client, Server, Settings, open_server
from identities.connectors.stepwise import carry_out

LINGERING = frozenset("OSb")
"""CLIENT LIST flags of connections whose rights are not looked at again: monitors, replicas, and those that wait."""
ROUNDS = 10
PAUSE = 0.2


def execute(settings: Settings, plan: Plan) -> Execution:
    """Apply the plan. Another call finds the work done and repeats what follows it. Raises SourceUnreachable."""
    with open_server(settings) as server:
        if _is_altered(server, plan):
            return Execution(ExecutionState.BLOCKED, "The stored plan is not what was planned; make a new one.")
        return carry_out(
            plan,
            look=lambda: current_hash(server, plan.pre_image),
            run=lambda step: _send(server, step),
            follow_up=lambda step: _follow_up(server, step),
        )


def _is_altered(server: Server, plan: Plan) -> bool:
    image = plan.pre_image
    expected = [(step.text, dict(step.call)) for step in steps_of(image)]
    try:
        hashes = [state_hash(server, image["part"], image[name]) for name in ("before", "after")]
    except UnknownRule:
        return True
    return expected != [(step.text, dict(step.call)) for step in plan.steps] or hashes != [
        plan.pre_hash,
        *plan.stages,
    ]


def _send(server: Server, step: Step) -> None:
    server.call(*step.call["words"])


def _follow_up(server: Server, step: Step) -> None:
    if "ends" not in step.call:
        _send(server, step)
        return
    for _ in range(ROUNDS):
        left = remaining(server.clients(), step.call["user"], step.call["ends"])
        if not left:
            return
        for client in left:
            _kill(server, client)
        time.sleep(PAUSE)
    raise NotPossible(f"{len(left)} open connections did not end.")


def _kill(server: Server, client: Client) -> None:
    server.call("CLIENT", "KILL", "ID", client.id)  # 0 where it has ended meanwhile, which is well enough


def remaining(clients: list[Client], user: str, ends: str, since: datetime | None = None) -> list[Client]:
    """Connections of a user that a change does not reach: all, or those whose rights are not looked at again."""
    found = [client for client in clients if client.user == user]
    if ends == "lingering":
        found = [client for client in found if LINGERING & set(client.flags)]
    if since is not None:
        age = (datetime.now(since.tzinfo) - since).total_seconds()
        found = [client for client in found if client.age > age + 1]
    return found
