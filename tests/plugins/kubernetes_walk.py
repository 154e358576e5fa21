"""One walk through everything the connector does, on the real API server and again on its recorded answers."""

from dataclasses import dataclass, field
from typing import Any

from governance.kernel.permissions import Permission
from identities.connectors.contract import GrantRef, Plan
from identities.connectors.kubernetes import Kubernetes

APP = "system:serviceaccount:prod:app"
# Two bindings give the same, so the first revocation alone takes nothing away.
STATES = ["applied", "still_effective", "applied", "gone", "applied"]


@dataclass
class Walked:
    records: list[dict[str, Any]]
    plans: list[Plan] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def walk(connector: Kubernetes) -> Walked:
    """Read; revoke the binding that is the account's alone; narrow the one it shares; restore that."""
    walked = Walked(list(connector.read()))
    target = permission((["get"], ["api:prod//configmaps//rates"]))

    revoke = connector.plan_revoke(grants(connector, APP)["alone"])
    walked.states += [connector.execute(revoke).state, connector.verify(revoke).state]
    narrow = connector.plan_narrow(grants(connector, APP)["keepers"], target)
    walked.states += [connector.execute(narrow).state, connector.verify(narrow).state]
    restore = connector.plan_restore(narrow)
    walked.states += [connector.execute(restore).state]
    walked.plans += [revoke, narrow, restore]
    walked.left = sorted(grants(connector, APP))
    return walked


def grants(connector: Kubernetes, identity: str) -> dict[str, GrantRef]:
    """What the inventory would hold of an identity, by the name of the binding."""
    return {
        record["native_ref"]["binding"]["name"]: GrantRef(
            identity=record["identity"],
            external_id=record["id"],
            permission=Permission.from_json(record["permission"]),
            path=record["path"],
            native_ref=record["native_ref"],
        )
        for record in connector.read()
        if record["type"] == "grant" and record["identity"] == identity
    }


def permission(*statements: tuple[list[str], list[str]]) -> Permission:
    """(verbs, resources) of each statement."""
    document = [{"actions": actions, "resources": resources} for actions, resources in statements]
    return Permission.from_json({"dialect": "kubernetes", "statements": document})
