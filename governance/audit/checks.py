"""Does the database still guard the trail? Asked by `check --database default`, before `migrate`, at every start, by
`/readyz`.

A deployment (`manage.py prepare`) is refused while a guard is broken. A program that starts is not: somebody has to be
able to look at the trail and verify it. It logs each problem as an error, and `/readyz` answers 503 until it is mended,
so that no balancer sends people there.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from django.conf import settings
from django.core.checks import Error, Tags, register
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from governance.audit import drift, triggers

logger = structlog.get_logger(__name__)


def find_drift() -> list[str]:
    """What is not as it was set up, one sentence each; empty also while a migration of the trail waits.

    Where `AUDIT_TABLE_OWNER` says that the programs only write, being able to switch guards off counts as well.
    """
    if triggers.EVENT not in connection.introspection.table_names() or _awaits_migration():
        return []
    return [*drift.broken_guards(), *(drift.open_doors() if settings.AUDIT_TABLE_OWNER else ())]


def report_drift() -> list[str]:
    """At the start of a program: log what drifted. A database that does not answer is not this function's matter."""
    try:
        problems = find_drift()
    except DatabaseError:
        logger.warning("audit.guards_unknown", exc_info=True)
        return []
    finally:
        connection.close()  # programs fork after this
    for sentence in problems:
        logger.error("audit.guard_broken", message=f"Audit trail: {sentence}. Verify the trail, then mend the guard.")
    return problems


@register(Tags.database)
def check_guards(databases: Sequence[str] | None = None, **kwargs: Any) -> list[Error]:
    """One error for each guard that is missing, switched off or altered."""
    if not databases or "default" not in databases:
        return []
    if triggers.EVENT not in connection.introspection.table_names():
        return []  # not migrated yet
    if _awaits_migration():
        return []  # `migrate` asks first, and would refuse to install what is missing; afterwards it counts
    return [
        Error(
            f"Audit trail: {sentence}.",
            hint="Somebody changed the database's own rules. Verify the trail, then install the guards again.",
            id="audit.E001",
        )
        for sentence in drift.broken_guards()
    ]


def _awaits_migration() -> bool:
    """Whether a migration of the trail is still to run: each installs the guards as this version knows them."""
    loader = MigrationLoader(connection)
    return any(key[0] == "audit" and key not in loader.applied_migrations for key in loader.disk_migrations or {})
