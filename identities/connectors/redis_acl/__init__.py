"""The Redis connector: reads users and their access control lists; narrows, revokes, locks out, restores and verifies.

Made for Redis from version 7.0 on and for Valkey, which speak alike. The folder is not called `redis`, because the
client library is.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from governance.kernel.permissions import Permission
from identities.connectors.contract import Check, Description, Execution, GrantRef, Plan, Record, Setting, Verification
from identities.connectors.redis_acl import checking, plans, reading
from identities.connectors.redis_acl import execute as executing
from identities.connectors.redis_acl import verify as verifying
from identities.connectors.redis_acl.server import open_server, parse_settings

KIND = "redis"


class Redis:
    """One server. Every call opens its own connection and leaves nothing open."""

    SETTINGS: tuple[Setting, ...] = (
        Setting("host", "Host", "Where the server is.", required=True),
        Setting("port", "Port", "6379 unless given.", "integer", default=6379),
        Setting("user", "User", "A user of its own for Remit.", required=True),
        Setting("password", "Password", "Of that user.", "reference", required=True),
        Setting("tls", "TLS", "Whether to speak TLS.", "flag", default=False),
        Setting("ca_file", "CA file", "A bundle of certificates to trust instead of the usual one."),
        Setting("timeout", "Timeout", "Seconds to wait for an answer.", "integer", default=10),
    )

    def __init__(self, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self._settings = parse_settings(self.SETTINGS, settings, secrets)

    def describe(self) -> Description:
        return Description(KIND, "Redis", reading.COVERAGE, reading.NOT_OBSERVABLE)

    def check(self) -> Iterable[Check]:
        return checking.check(self._settings)

    def read(self) -> Iterator[Record]:
        return reading.read(self._settings)

    def plan_revoke(self, grant: GrantRef) -> Plan:
        with open_server(self._settings) as server:
            return plans.plan_revoke(server, grant)

    def plan_narrow(self, grant: GrantRef, target: Permission) -> Plan:
        with open_server(self._settings) as server:
            return plans.plan_narrow(server, grant, target)

    def plan_quarantine(self, identity: str) -> Plan:
        with open_server(self._settings) as server:
            return plans.plan_lock_out(server, "quarantine", identity)

    def plan_deactivate(self, identity: str, credential: str) -> Plan:
        with open_server(self._settings) as server:
            return plans.plan_deactivate(server, identity, credential)

    def plan_restore(self, done: Plan) -> Plan:
        with open_server(self._settings) as server:
            return plans.plan_restore(server, done)

    def execute(self, plan: Plan) -> Execution:
        return executing.execute(self._settings, plan)

    def verify(self, plan: Plan, *, since: datetime | None = None) -> Verification:
        return verifying.verify(self._settings, plan, since)
