"""Carry changes to the system that holds the permission, through whatever its connector can do.

Everything here talks to the outside world, so nothing here may run inside a database transaction; callers keep what
comes back. Where the connector lacks a capability the answer is NotPossible, and the caller turns the change into a
task for a person.
"""

from datetime import datetime
from typing import Any

from django.db import transaction

from governance.kernel.permissions import Permission
from identities.connectors.contract import (
    Capability,
    Connector,
    Deactivator,
    Execution,
    Executor,
    GrantRef,
    Narrower,
    NotPossible,
    Plan,
    Quarantiner,
    Restorer,
    Revoker,
    SourceUnreachable,
    Verification,
    Verifier,
    capabilities_of,
)
from identities.connectors.registry import connector_for
from identities.models import Credential, Grant, GrantVersion, Identity, Source
from identities.services.secrets import resolve_secrets


def connector_of(source: Source) -> Connector:
    """The connector of a source, with its secrets resolved. Raises SecretMissing; SourceUnreachable when it is off."""
    if not source.is_enabled:
        raise SourceUnreachable(f"{source.name} is switched off.")
    return connector_for(source.kind, source.settings, resolve_secrets(source.settings))


def capabilities(source: Source) -> frozenset[Capability]:
    """What can be done at this source, read off its connector without calling it."""
    return capabilities_of(connector_for(source.kind, source.settings, {}))


def grant_ref(grant: Grant, version: GrantVersion) -> GrantRef:
    """The grant as the values that a connector understands."""
    return GrantRef(
        identity=grant.identity.external_id,
        external_id=grant.external_id,
        permission=Permission.from_json(version.permission),
        path=tuple(grant.path),
        native_ref=dict(grant.native_ref),
    )


def plan_revoke(*, grant: Grant, version: GrantVersion) -> Plan:
    """What would be executed to take the grant away. Raises NotPossible, SourceUnreachable."""
    return _able(grant.source, Revoker, "take access away").plan_revoke(grant_ref(grant, version))


def plan_narrow(*, grant: Grant, version: GrantVersion, target: Permission) -> Plan:
    """What would be executed so that only `target` remains. Raises NotPossible, SourceUnreachable."""
    return _able(grant.source, Narrower, "narrow access").plan_narrow(grant_ref(grant, version), target)


def plan_quarantine(*, identity: Identity) -> Plan:
    """What would be executed to lock the identity out without losing anything."""
    return _able(identity.source, Quarantiner, "lock an identity out").plan_quarantine(identity.external_id)


def plan_deactivate(*, credential: Credential) -> Plan:
    """What would be executed to end one credential."""
    connector = _able(credential.source, Deactivator, "end a credential")
    return connector.plan_deactivate(credential.identity.external_id, credential.external_id)


def plan_restore(*, source: Source, done: Plan) -> Plan:
    """What would be executed to bring back what `done` took away."""
    return _able(source, Restorer, "restore access").plan_restore(done)


def execute(*, source: Source, plan: Plan) -> Execution:
    """Apply the plan once; repeating it changes nothing. Raises SourceUnreachable."""
    return _able(source, Executor, "change anything").execute(plan)


def verify(*, source: Source, plan: Plan, since: datetime | None = None) -> Verification:
    """Look at the source anew: is what the plan removes really out of reach? Raises SourceUnreachable.

    since: when the plan was carried out.
    """
    return _able(source, Verifier, "verify a change").verify(plan, since=since)


def _able(source: Source, protocol: type, ability: str) -> Any:
    # A durable block refuses to be nested, so this fails loudly when a source is about to be called while database
    # locks are held; outside a transaction it costs nothing, not even a round trip.
    with transaction.atomic(durable=True):
        pass
    connector = connector_of(source)
    if not isinstance(connector, protocol):
        raise NotPossible(f"Remit cannot {ability} in {source.name} itself; a person has to do it there.")
    return connector
