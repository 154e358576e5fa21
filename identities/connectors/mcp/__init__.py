"""The MCP connector: reads which tools the agents' clients may call, and rewrites their configuration files.

It works on files and, where the operator lists them word for word, on servers. That a client honours its file is the
client's own doing; docs/connectors.md says what that means.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from identities.connectors.contract import Check, Description, Execution, GrantRef, Plan, Record, Verification
from identities.connectors.files import Notes
from identities.connectors.mcp import plans
from identities.connectors.mcp import settings as reading
from identities.connectors.mcp import verify as verifying
from identities.connectors.mcp.records import ended, records

KIND = "mcp"
MOST_NOTES = 20
COVERAGE = {
    "identities": True,
    "purpose": False,
    "created_at": False,
    "credentials": True,
    "credential_expiry": False,
    "credential_created_at": False,
    "credential_last_used": False,
    "grants": True,
    "last_used": False,
    "usage": False,
    "grant_expiry": False,
    "conditions": False,
}
NOT_OBSERVABLE = (
    "Which tools an agent called: only a gateway or the client's own log knows.",
    "Whether a person confirms each call, where a client asks.",
    "Clients that are running: they keep what they read at their start.",
    "Whether a client honours its file; Remit changes the file and reads it again.",
    "Tools of servers that the source's settings do not list.",
    "Configuration files that the settings do not name.",
)


class MCP:
    """Agents and their tools, as some configuration files say. Nothing is started or asked unless it is listed."""

    SETTINGS = reading.SETTINGS

    def __init__(self, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self._settings = reading.parse_settings(settings, secrets)

    def describe(self) -> Description:
        return Description(KIND, "AI agents (MCP)", COVERAGE, NOT_OBSERVABLE)

    def check(self) -> Iterator[Check]:
        """Read every file, see whether it can be replaced, and ask the listed servers."""
        for file in self._settings.files:
            yield _check_file(file)
        try:
            found = reading.read_configuration(self._settings.files)
            listed = list(reading.list_servers(self._settings, found))
        except DomainError as problem:
            yield Check("Ask the listed servers", "failed", problem.message)
            return
        for key, listing in listed:
            yield Check(f"Ask {key}", "ok", f"{len(listing.tools)} tools, protocol {listing.protocol}")
        notes = Notes()
        list(records(found, dict(listed), notes))
        for sentence in notes.sentences[:MOST_NOTES]:
            yield Check("What stands in the files", "warning", sentence)
        silent = len(found.servers) - len(listed)
        if silent:
            yield Check("Servers that are not listed", "warning", f"The tools of {silent} servers are not known.")

    def read(self) -> Iterator[Record]:
        """All records, ending with `end`. Raises SourceUnreachable, ReadIncomplete."""
        found = reading.read_configuration(self._settings.files)
        listings = dict(reading.list_servers(self._settings, found))
        yield from ended(records(found, listings, Notes()))

    def plan_revoke(self, grant: GrantRef) -> Plan:
        return plans.plan_revoke(self._settings, grant)

    def plan_narrow(self, grant: GrantRef, target: Permission) -> Plan:
        return plans.plan_narrow(self._settings, grant, target)

    def plan_quarantine(self, identity: str) -> Plan:
        return plans.plan_quarantine(self._settings, identity)

    def plan_restore(self, done: Plan) -> Plan:
        return plans.plan_restore(done)

    def execute(self, plan: Plan) -> Execution:
        return verifying.execute(self._settings, plan)

    def verify(self, plan: Plan, *, since: datetime | None = None) -> Verification:
        return verifying.verify(self._settings, plan)


def _check_file(file: str) -> Check:
    try:
        reading.load_file(file, reading.read_text(file))
    except DomainError as problem:
        return Check(f"Read {file}", "failed", problem.message)
    if not os.access(Path(file).resolve().parent, os.W_OK):
        return Check(
            f"Read {file}", "warning", "It can be read, but its folder can't be written: no change is possible."
        )
    return Check(f"Read {file}", "ok")
