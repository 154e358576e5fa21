"""Carrying a plan out, step by step, and ending the connections that would go on with their old rights."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from identities.connectors.contract import Execution, ExecutionState, NotPossible, Plan, Step, image_hash
from identities.connectors.rabbitmq.assembly import hashes_of, parts_of, steps_of
from identities.connectors.rabbitmq.broker import Broker, Connection, Settings, open_broker
from identities.connectors.rabbitmq.parts import Part
from identities.connectors.stepwise import carry_out

REASON = "Closed by Remit: the rights of this user were changed"
PAUSE = 0.5
ROUNDS = 20


def execute(settings: Settings, plan: Plan) -> Execution:
    """Apply the plan. Another call finds the work done and only ends connections again. Raises SourceUnreachable."""
    parts = parts_of(plan)
    if _is_altered(plan, parts):
        return Execution(ExecutionState.BLOCKED, "The stored plan is not what was planned; make a new one.")
    with open_broker(settings) as broker:
        return carry_out(
            plan,
            look=lambda: image_hash([part.read(broker) for part in parts]),
            run=lambda step: parts[step.call["part"]].write(broker),
            follow_up=lambda step: _close(broker, step),
        )


def _is_altered(plan: Plan, parts: Sequence[Part]) -> bool:
    hashes = hashes_of(parts)
    expected = [_comparable(step) for step in steps_of(parts, plan.pre_image["closes"])]
    return expected != [_comparable(step) for step in plan.steps] or hashes != [plan.pre_hash, *plan.stages]


def _comparable(step: Step) -> tuple[str, dict[str, Any]]:
    return step.text, dict(step.call)


def _close(broker: Broker, step: Step) -> None:
    """End every connection that is older than this moment. The broker's list lags, so it is asked again after that."""
    closes = step.call["closes"]
    began = broker.now() + timedelta(seconds=1)
    _end(broker, older(broker.connections(closes["user"], closes["vhost"]), began))
    time.sleep(broker.settings.list_lag)
    for _ in range(ROUNDS):
        left = older(broker.connections(closes["user"], closes["vhost"]), began)
        if not left:
            return
        _end(broker, left)
        time.sleep(PAUSE)
    raise NotPossible(f"{len(left)} open connections did not end.")


def _end(broker: Broker, connections: Sequence[Connection]) -> None:
    for connection in connections:
        broker.delete("connections", connection.name, reason=REASON)


def older(connections: Sequence[Connection], moment: datetime) -> list[Connection]:
    """Those that were there before. moment: by the broker's clock."""
    return [connection for connection in connections if connection.connected_at < moment]
