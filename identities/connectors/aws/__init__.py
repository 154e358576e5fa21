"""The AWS IAM connector: reads users, roles, keys and policies; revokes, narrows, locks out, restores and verifies.

docs/connectors.md names the rights it needs. Files that AWS's own tools write are read by `aws.files`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from governance.kernel.permissions import Permission
from identities.connectors.aws import checking, executing, narrowing, plans, reading, verifying
from identities.connectors.aws.session import SETTINGS, Clients
from identities.connectors.contract import Check, Description, Execution, GrantRef, Plan, Record, Verification

KIND = "aws"


class AWS:
    """One account. Clients are made when they are first needed; the credential is asked for then, too."""

    SETTINGS = SETTINGS

    def __init__(self, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self._clients = Clients(settings, secrets)

    def describe(self) -> Description:
        return Description(KIND, "AWS IAM", reading.COVERAGE, reading.NOT_OBSERVABLE)

    def check(self) -> Iterator[Check]:
        return checking.check(self._clients)

    def read(self) -> Iterator[Record]:
        return reading.read(self._clients)

    def plan_revoke(self, grant: GrantRef) -> Plan:
        return plans.plan_revoke(self._clients, grant)

    def plan_narrow(self, grant: GrantRef, target: Permission) -> Plan:
        return narrowing.plan_narrow(self._clients, grant, target)

    def plan_quarantine(self, identity: str) -> Plan:
        return plans.plan_quarantine(self._clients, identity)

    def plan_deactivate(self, identity: str, credential: str) -> Plan:
        return plans.plan_deactivate(self._clients, identity, credential)

    def plan_restore(self, done: Plan) -> Plan:
        return plans.plan_restore(self._clients, done)

    def execute(self, plan: Plan) -> Execution:
        return executing.execute(self._clients, plan)

    def verify(self, plan: Plan, *, since: datetime | None = None) -> Verification:
        del since  # policies are looked at anew with every request, so nothing that began earlier outlives a change
        return verifying.verify(self._clients, plan)
