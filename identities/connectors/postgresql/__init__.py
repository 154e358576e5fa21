"""The PostgreSQL connector: reads roles, rights and use; revokes, narrows, locks out, restores and verifies.

It works as an ordinary role; docs/connectors.md names the few rights that role needs, and a plan says so in words when
one is missing. Made for servers from version 15 on.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from governance.kernel.permissions import Permission
from identities.connectors.contract import Check, Description, Execution, GrantRef, Plan, Record, Verification
from identities.connectors.postgresql import assembly, narrowing, plans, reading
from identities.connectors.postgresql import check as checking
from identities.connectors.postgresql import execute as executing
from identities.connectors.postgresql import verify as verifying
from identities.connectors.postgresql.desk import open_desk
from identities.connectors.postgresql.session import SETTINGS, parse_settings

KIND = "postgresql"


class PostgreSQL:
    """One governed server. Every call opens its own connection and leaves nothing open."""

    SETTINGS = SETTINGS

    def __init__(self, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self._settings = parse_settings(settings, secrets)

    def describe(self) -> Description:
        return Description(KIND, "PostgreSQL", reading.COVERAGE, reading.NOT_OBSERVABLE)

    def check(self) -> Iterator[Check]:
        return checking.check(self._settings)

    def read(self) -> Iterator[Record]:
        return reading.read(self._settings)

    def plan_revoke(self, grant: GrantRef) -> Plan:
        with open_desk(self._settings, self._database(grant)) as desk:
            return plans.plan_revoke(desk, grant, self._settings.lock_timeout)

    def plan_narrow(self, grant: GrantRef, target: Permission) -> Plan:
        names = self._databases(grant, target)
        with ExitStack() as desks:
            *others, desk = [desks.enter_context(open_desk(self._settings, name)) for name in names]
            return narrowing.plan_narrow(desk, grant, target, self._settings.lock_timeout, others)

    def plan_quarantine(self, identity: str) -> Plan:
        with open_desk(self._settings, self._settings.first_database) as desk:
            return plans.plan_quarantine(desk, identity, self._settings.lock_timeout)

    def plan_deactivate(self, identity: str, credential: str) -> Plan:
        with open_desk(self._settings, self._settings.first_database) as desk:
            return plans.plan_deactivate(desk, identity, credential, self._settings.lock_timeout)

    def plan_restore(self, done: Plan) -> Plan:
        return assembly.plan_restore(done, self._settings.user, self._settings.lock_timeout)

    def execute(self, plan: Plan) -> Execution:
        return executing.execute(self._settings, plan)

    def verify(self, plan: Plan, *, since: datetime | None = None) -> Verification:
        return verifying.verify(self._settings, plan, since)

    def _database(self, grant: GrantRef) -> str:
        """The database in which a plan for this grant runs; one for a membership runs in any."""
        return str(grant.native_ref.get("database") or self._settings.first_database)

    def _databases(self, grant: GrantRef, target: Permission) -> list[str]:
        """The same for a part of the grant: what remains of a membership may lie in several."""
        if grant.native_ref.get("kind") != "membership":
            return [self._database(grant)]
        return plans.databases_of(target, self._settings)
