"""Try a connection before or after its source is stored: sign in, ask for what is needed, change nothing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import DomainError
from governance.people.access import require_role
from identities.connectors.contract import Check, Checker
from identities.connectors.registry import connector_for
from identities.models import Source
from identities.services.secrets import resolve_secrets
from identities.services.sources import checked_settings, source_subject

logger = structlog.get_logger(__name__)


def check_connection(
    *, kind: str, settings: Mapping[str, Any], source: Source | None = None, actor: Actor, now: datetime
) -> list[Check]:
    """What was tried with these settings, and how it went. Calls the system: outside of transactions only.

    source: where the settings are those of a stored one. It resolves secrets and signs in with them wherever the
    settings point to, so only administrators may, and it leaves a record like registering does. Raises `Forbidden`,
    `UnknownKind`, `BadSettings`, `InvalidSource`; what goes wrong out there is a check that failed.
    """
    require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    settings = checked_settings(settings)
    connector_for(kind, settings, {})
    checks = _try(kind, settings)
    with transaction.atomic(durable=True):
        log.record(
            verb=Verb.SOURCE_CHECKED,
            actor=actor,
            subject=source_subject(source) if source else log.Subject("connection", kind, f"a new {kind}"),
            now=now,
            new={
                "kind": kind,
                "settings": sorted(settings),
                "failed": sum(check.state == "failed" for check in checks),
                "of": len(checks),
            },
        )
    return checks


def _try(kind: str, settings: Mapping[str, Any]) -> list[Check]:
    try:
        connector = connector_for(kind, settings, resolve_secrets(settings))
        if not isinstance(connector, Checker):
            return [Check("Connection", "warning", "Systems of this kind can't be tried from here.")]
        return list(connector.check())
    except DomainError as error:
        return [Check("Connection", "failed", error.message)]
    except Exception as error:
        # Words of a foreign library may hold anything, also what it was given to sign in with.
        logger.exception("source.check_failed", kind=kind)
        return [Check("Connection", "failed", f"The connector stopped unexpectedly ({type(error).__name__}).")]
