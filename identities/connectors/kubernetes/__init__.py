"""The Kubernetes connector: reads RBAC; revokes, narrows, locks out, restores and verifies. Also its file formats.

docs/connectors.md names the rights that the connector needs; a plan says so in words when one is missing.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from governance.kernel.permissions import Permission
from identities.connectors.contract import (
    Check,
    Description,
    Execution,
    GrantRef,
    Plan,
    Record,
    Setting,
    Verification,
)
from identities.connectors.kubernetes import check as checking
from identities.connectors.kubernetes import execute as executing
from identities.connectors.kubernetes import narrowing, plans, reading
from identities.connectors.kubernetes import verify as verifying
from identities.connectors.kubernetes.api import SETTINGS, connect, parse_settings
from identities.connectors.kubernetes.desk import Desk

KIND = "kubernetes"


class Kubernetes:
    """One governed cluster. Every call opens its own connection and leaves nothing open."""

    SETTINGS: tuple[Setting, ...] = SETTINGS

    def __init__(self, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self._settings = parse_settings(settings, secrets)

    def describe(self) -> Description:
        return Description(KIND, "Kubernetes", reading.COVERAGE, reading.NOT_OBSERVABLE)

    def check(self) -> Iterable[Check]:
        return checking.check(self._settings)

    def read(self) -> Iterator[Record]:
        return reading.read(self._settings)

    def plan_revoke(self, grant: GrantRef) -> Plan:
        with connect(self._settings) as client:
            return plans.plan_revoke(Desk(client, self._settings), grant)

    def plan_narrow(self, grant: GrantRef, target: Permission) -> Plan:
        with connect(self._settings) as client:
            return narrowing.plan_narrow(Desk(client, self._settings), grant, target)

    def plan_quarantine(self, identity: str) -> Plan:
        with connect(self._settings) as client:
            return plans.plan_quarantine(Desk(client, self._settings), identity)

    def plan_deactivate(self, identity: str, credential: str) -> Plan:
        with connect(self._settings) as client:
            return plans.plan_deactivate(Desk(client, self._settings), identity, credential)

    def plan_restore(self, done: Plan) -> Plan:
        with connect(self._settings) as client:
            return plans.plan_restore(Desk(client, self._settings), done)

    def execute(self, plan: Plan) -> Execution:
        return executing.execute(self._settings, plan)

    def verify(self, plan: Plan, *, since: datetime | None = None) -> Verification:
        return verifying.verify(self._settings, plan, since)
