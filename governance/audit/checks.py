"""A system check: the database still guards the trail. Runs with `check --database default` and before `migrate`."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import Error, Tags, register
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from governance.audit import triggers


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
        for sentence in triggers.broken_guards()
    ]


def _awaits_migration() -> bool:
    """Whether a migration of the trail is still to run: each installs the guards as this version knows them."""
    loader = MigrationLoader(connection)
    return any(key[0] == "audit" and key not in loader.applied_migrations for key in loader.disk_migrations or {})
