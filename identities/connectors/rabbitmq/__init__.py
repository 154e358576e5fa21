"""The RabbitMQ connector: reads users, permissions and tags; revokes, narrows, locks out, restores and verifies.

It speaks to the management HTTP API as a user with the tag `administrator`. Made for RabbitMQ from version 3.10 on.
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
from identities.connectors.rabbitmq import checking, plans, reading
from identities.connectors.rabbitmq import execute as executing
from identities.connectors.rabbitmq import verify as verifying
from identities.connectors.rabbitmq.assembly import plan_restore
from identities.connectors.rabbitmq.broker import open_broker, parse_settings

KIND = "rabbitmq"


class RabbitMQ:
    """One broker or cluster. Every call opens its own client and leaves nothing open."""

    SETTINGS: tuple[Setting, ...] = (
        Setting("address", "Address", "Of the management API, for instance https://broker:15671.", required=True),
        Setting("user", "User", "A user of its own for Remit, with the tag administrator.", required=True),
        Setting("password", "Password", "Of that user.", "reference", required=True),
        Setting("ca_file", "CA file", "A bundle of certificates to trust instead of the usual one."),
        Setting("timeout", "Timeout", "Seconds to wait for an answer.", "integer", default=30),
        Setting(
            "list_lag",
            "List lag",
            "Seconds by which the broker's list of connections may lag behind (its statistics interval and one more).",
            "integer",
            default=6,
        ),
    )

    def __init__(self, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self._settings = parse_settings(self.SETTINGS, settings, secrets)

    def describe(self) -> Description:
        return Description(KIND, "RabbitMQ", reading.COVERAGE, reading.NOT_OBSERVABLE)

    def check(self) -> Iterable[Check]:
        return checking.check(self._settings)

    def read(self) -> Iterator[Record]:
        return reading.read(self._settings)

    def plan_revoke(self, grant: GrantRef) -> Plan:
        with open_broker(self._settings) as broker:
            return plans.plan_revoke(broker, grant)

    def plan_narrow(self, grant: GrantRef, target: Permission) -> Plan:
        with open_broker(self._settings) as broker:
            return plans.plan_narrow(broker, grant, target)

    def plan_quarantine(self, identity: str) -> Plan:
        with open_broker(self._settings) as broker:
            return plans.plan_quarantine(broker, identity)

    def plan_deactivate(self, identity: str, credential: str) -> Plan:
        with open_broker(self._settings) as broker:
            return plans.plan_deactivate(broker, identity, credential)

    def plan_restore(self, done: Plan) -> Plan:
        return plan_restore(done)

    def execute(self, plan: Plan) -> Execution:
        return executing.execute(self._settings, plan)

    def verify(self, plan: Plan, *, since: datetime | None = None) -> Verification:
        return verifying.verify(self._settings, plan, since)
