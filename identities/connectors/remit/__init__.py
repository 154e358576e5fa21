"""The Remit connector: Remit's own API clients, connectors and webhooks, read through its REST API as others are.

What it takes away it withholds: a token without scopes opens nothing from its next request on, and what was withheld
can be given back, never more. The connector's own token needs no scope that could widen anything; docs/connectors.md
says which.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from governance.kernel.errors import DomainError
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
from identities.connectors.remit import plans, records
from identities.connectors.remit.api import Api, parse_settings

KIND = "remit"
COVERAGE = {
    "identities": True,
    "purpose": False,
    "created_at": True,
    "credentials": True,
    "credential_expiry": True,
    "credential_created_at": True,
    "credential_last_used": True,
    "grants": True,
    "last_used": True,
    "usage": False,
    "grant_expiry": True,
    "conditions": False,
}
NOT_OBSERVABLE = (
    "Which scope of a token was used: only the last use of the token is known.",
    "Who holds a webhook's secret at the other end, and whether it checks what is signed.",
    "What lies behind a connector's reference (env:NAME, file:/path), and when that secret ends.",
)


class Remit:
    """One Remit, usually this one."""

    SETTINGS: tuple[Setting, ...] = (
        Setting(
            "address", "Address", "Where this Remit answers, for instance https://remit.example.org", required=True
        ),
        Setting("token", "API token", "A token of its own.", "reference", True),
        Setting("ca_file", "Certificates to trust", "A bundle of an authority of your own, if there is one."),
        Setting("timeout", "Seconds to wait", kind="integer", default=30),
    )

    def __init__(self, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self._settings = parse_settings(self.SETTINGS, settings, secrets)

    def describe(self) -> Description:
        return Description(KIND, "Remit itself", COVERAGE, NOT_OBSERVABLE)

    def check(self) -> Iterator[Check]:
        """Read the lists, and say which of the rights to take and to give back the token has."""
        try:
            with Api(self._settings) as api:
                tokens, sources, webhooks = api.tokens(), api.sources(), api.webhooks()
        except DomainError as problem:
            yield Check("Read API tokens, sources and webhooks", "failed", problem.message)
            return
        found = f"{len(tokens)} tokens, {len(sources)} sources, {len(webhooks)} webhooks"
        yield Check("Read API tokens, sources and webhooks", "ok", found)
        own = next((token for token in tokens if self._settings.is_own(token)), None)
        held = set(own["scopes"]) if own else set()
        for scope, ability in ((plans.NARROW, "Take away"), (plans.RESTORE, "Give back")):
            state, detail = ("ok", "") if scope in held else ("warning", f"The token lacks the scope {scope}.")
            yield Check(ability, state, detail)
        if widening := sorted(held & plans.WIDENING):
            yield Check(
                "Nothing more than needed",
                "warning",
                f"The token could give rights to others by {', '.join(widening)}.",
            )

    def read(self) -> Iterator[Record]:
        """All records, ending with `end`. Raises SourceUnreachable, ReadIncomplete."""
        with Api(self._settings) as api:
            tokens, sources, webhooks, now = api.tokens(), api.sources(), api.webhooks(), api.now
        number = 0
        for record in records.records(tokens, sources, webhooks, now):
            number += 1
            yield record
        yield {"type": "end", "records": number}

    def plan_revoke(self, grant: GrantRef) -> Plan:
        return self._planned(lambda api: plans.plan_revoke(api, grant))

    def plan_narrow(self, grant: GrantRef, target: Permission) -> Plan:
        return self._planned(lambda api: plans.plan_narrow(api, grant, target))

    def plan_quarantine(self, identity: str) -> Plan:
        return self._planned(lambda api: plans.plan_whole(api, identity, "quarantine"))

    def plan_deactivate(self, identity: str, credential: str) -> Plan:
        return self._planned(lambda api: plans.plan_deactivate(api, identity, credential))

    def plan_restore(self, done: Plan) -> Plan:
        return plans.plan_restore(done)

    def execute(self, plan: Plan) -> Execution:
        with Api(self._settings) as api:
            return plans.execute(api, plan)

    def verify(self, plan: Plan, *, since: datetime | None = None) -> Verification:
        with Api(self._settings) as api:
            return plans.verify(api, plan)

    def _planned(self, make: Any) -> Plan:
        with Api(self._settings) as api:
            plan: Plan = make(api)
            return plan
