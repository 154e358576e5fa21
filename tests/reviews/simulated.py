"""A source in memory that can be read, changed and verified, and ways to cut a worker off in the middle of its work."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.kernel.permissions import Permission
from identities.connectors.contract import (
    Description,
    Execution,
    ExecutionState,
    GrantRef,
    Plan,
    SourceChanged,
    Step,
    Verification,
    VerificationState,
    image_hash,
)
from identities.models import Source, SyncMode, SyncOrigin, SyncRun
from identities.sync.receive import receive

Document = dict[str, Any]


class CutOff(BaseException):
    """The worker is gone. Not an Exception, so that no line of the product can take it for a problem it knows."""


@dataclass
class World:
    """What the source really holds. changes: how often each grant was changed by an execution."""

    held: dict[str, Document] = field(default_factory=dict)
    identity_of: dict[str, str] = field(default_factory=dict)
    changes: Counter[str] = field(default_factory=Counter)
    dies_after_changing: bool = False

    # --- as a connector ---------------------------------------------------------------------------------------------

    def describe(self) -> Description:
        return Description(kind="push", title="Simulated", coverage={})

    def read(self) -> Iterator[Document]:
        """Yields what is held, as records; nothing is known of the time before."""
        for name in dict.fromkeys(self.identity_of.values()):
            yield {"type": "identity", "id": name, "kind": "service_account"}
        for name, permission in self.held.items():
            yield {"type": "grant", "id": name, "identity": self.identity_of[name], "permission": permission}

    def plan_revoke(self, grant: GrantRef) -> Plan:
        return self._plan("revoke", grant, None)

    def plan_narrow(self, grant: GrantRef, target: Permission) -> Plan:
        return self._plan("narrow", grant, target.to_json())

    def execute(self, plan: Plan) -> Execution:
        name, found = plan.grant_external_id, image_hash(self.held.get(plan.grant_external_id))
        if found == plan.post_hash:
            return Execution(ExecutionState.ALREADY_APPLIED, "It is so already.")
        if found != plan.pre_hash:
            return Execution(ExecutionState.DRIFTED, "It is no longer what was planned for.")
        left = plan.steps[0].call["left"]
        if left is None:
            self.held.pop(name)
        else:
            self.held[name] = left
        self.changes[name] += 1
        if self.dies_after_changing:
            raise CutOff
        return Execution(ExecutionState.APPLIED)

    def verify(self, plan: Plan, *, since: Any = None) -> Verification:
        is_gone = image_hash(self.held.get(plan.grant_external_id)) == plan.post_hash
        state = VerificationState.GONE if is_gone else VerificationState.STILL_PRESENT
        return Verification(state, observed_at=timezone.now())

    def _plan(self, action: str, grant: GrantRef, left: Document | None) -> Plan:
        held = self.held.get(grant.external_id)
        if held is None:
            raise SourceChanged("There is no such grant any more.")
        return Plan(
            action=action,
            identity=grant.identity,
            grant_external_id=grant.external_id,
            steps=(Step(f"{action} {grant.external_id}", call={"left": left}),),
            inverse=(Step(f"give {grant.external_id}", call={"left": held}),),
            pre_image={"held": held},
            pre_hash=image_hash(held),
            post_hash=image_hash(left),
        )

    # --- as a test drives it ----------------------------------------------------------------------------------------

    def sync(self, source: Source) -> SyncRun:
        """A complete reading of everything that is held, as the source would send it by itself."""
        lines = [json.dumps(record).encode() for record in self.read()]
        lines.append(b'{"type":"end","records":%d}' % len(lines))
        wish = {"mode": SyncMode.SNAPSHOT, "is_complete": True, "origin": SyncOrigin.API}
        return receive(source=source, lines=lines, actor=system_actor("sync"), now=timezone.now(), **wish)


@contextmanager
def cut_off_at(statement: int | None, *, by: str) -> Iterator[None]:
    """Let whatever runs inside end at its n-th SQL statement: by an exception nobody catches, or by a lost connection.

    statement None lets it run. Afterwards the connection can be used again, as another worker's would be.
    """
    if statement is None:
        yield
        return
    seen = 0

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == statement + 1:
            if by == "exception":
                raise CutOff
            _terminate()
        return execute(sql, params, many, context)

    try:
        with connection.execute_wrapper(watch):
            yield
    except CutOff:
        pass
    except (OperationalError, InterfaceError):
        if by != "connection":
            raise
    finally:
        if seen > statement:
            connection.close()


def _terminate() -> None:
    parameters = connection.get_connection_params()
    known = {key: value for key, value in parameters.items() if key in {"dbname", "user", "password", "host", "port"}}
    pid = connection.connection.info.backend_pid
    with psycopg.connect(**known, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 2000)", [pid])
