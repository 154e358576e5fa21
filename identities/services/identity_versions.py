"""What an identity was at each time: one row per stretch in which neither its source nor people changed anything.

Both sides call this inside their own transaction, after they wrote; a thousand identities cost as many statements as
one.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from identities.services.posture_marks import mark_identities

# (column of the version, what it is of the identity `i`)
_COLUMNS = (
    ("source_id", "i.source_id"),
    ("name", "i.name"),
    ("kind", "i.kind"),
    ("status", "i.status"),
    ("environment", "i.effective_environment"),
    ("purpose", "i.effective_purpose"),
    ("owner_id", "i.owner_id"),
    ("team_id", "i.team_id"),
    ("tags", "i.tags || i.source_tags"),
    (
        "content",
        "jsonb_build_object('custody', i.custody, 'owner', i.source_owner, 'sponsor', i.source_sponsor,"
        " 'acts_for', i.acts_for)",
    ),
)
_NAMES = ", ".join(name for name, _ in _COLUMNS)
_VALUES = ", ".join(value for _, value in _COLUMNS)
_OLD = ", ".join(f"v.{name}" for name, _ in _COLUMNS)

_CLOSE = f"""
UPDATE identities_identityversion v SET seen_until = greatest(v.seen_from, %(at)s)
FROM identities_identity i
WHERE i.id IN ({{changed}}) AND v.identity_id = i.id AND v.seen_until IS NULL
  AND (i.retired_at IS NOT NULL OR ({_OLD}) IS DISTINCT FROM ({_VALUES}))
"""  # noqa: S608 - constants of this module
# What was there before is read once, into `earlier`: a statement that looked it up per identity in the table that it
# fills would walk over its own new rows again and again where statistics take the table for small.
_OPEN = f"""
WITH earlier AS MATERIALIZED (
    SELECT v.identity_id, max(v.seen_until) AS until, bool_or(v.seen_until IS NULL) AS is_open
    FROM identities_identityversion v WHERE v.identity_id IN ({{changed}}) GROUP BY v.identity_id
)
INSERT INTO identities_identityversion ({_NAMES}, identity_id, seen_from, seen_until)
SELECT {_VALUES}, i.id, greatest(%(at)s, earlier.until), NULL
FROM identities_identity i
LEFT JOIN earlier ON earlier.identity_id = i.id
WHERE i.id IN ({{changed}}) AND i.retired_at IS NULL AND earlier.is_open IS NOT TRUE
"""  # noqa: S608


def write_versions_of(identity_ids: Sequence[UUID], *, at: datetime) -> None:
    """Write down what these identities are since `at`, where that differs from before. An inner step.

    What people said stands in no change feed, so posture is told to look again.
    """
    mark_identities(identity_ids)
    write_versions_in("SELECT unnest(%(ids)s::uuid[])", {"ids": list(identity_ids)}, at=at)


def write_versions_in(changed: str, parameters: dict[str, Any], *, at: datetime) -> None:
    """The same for the identities whose ids the SQL query `changed` gives."""
    with connection.cursor() as cursor:
        for statement in (_CLOSE, _OPEN):
            cursor.execute(statement.format(changed=changed), {**parameters, "at": at})
