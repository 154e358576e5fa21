"""What stands between a reading and the inventory, as a person wants to see it before it counts: who would lose what.

Asked of the tables of a run that has been compared and not yet written.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from identities.diff import changed_members
from identities.models import Change, ChangeAction
from identities.sync import merge

FIRST_OF_EACH = 50
ACTIONS = (ChangeAction.RETIRED, ChangeAction.CHANGED, ChangeAction.ADDED)
MOST_LOSERS = 20

# Within each action: identities, then what is privileged, then the rest.
_CHANGES = f"""
SELECT d.kind, d.id, d.external_id, d.action, d.old::text, (s.body - {merge.UNCHANGING})::text
FROM sync_diff d
LEFT JOIN sync_stage s ON s.kind = d.kind AND s.external_id = d.external_id AND d.action <> 'retired'
LEFT JOIN identities_grant g ON d.kind = 'grant' AND g.id = d.id
WHERE d.action = %(action)s AND %(kind)s IN ('', d.kind)
ORDER BY d.kind <> 'identity', NOT coalesce(g.is_privileged, false), d.kind, d.external_id
LIMIT %(most)s
"""  # noqa: S608 - a constant of this package
_LOSERS = """
SELECT i.id, i.name, i.external_id, i.grant_count,
       EXISTS (SELECT 1 FROM sync_diff d WHERE d.kind = 'identity' AND d.action = 'retired' AND d.id = i.id),
       lost.grants, lost.privileged, lost.credentials
FROM (
    SELECT identity_id, count(*) FILTER (WHERE kind = 'grant') AS grants,
           count(*) FILTER (WHERE is_privileged) AS privileged,
           count(*) FILTER (WHERE kind = 'credential') AS credentials
    FROM (
        SELECT g.identity_id, d.kind, g.is_privileged
        FROM sync_diff d JOIN identities_grant g ON g.id = d.id
        WHERE d.kind = 'grant' AND d.action = 'retired'
        UNION ALL
        SELECT c.identity_id, d.kind, false
        FROM sync_diff d JOIN identities_credential c ON c.id = d.id
        WHERE d.kind = 'credential' AND d.action = 'retired'
        UNION ALL
        SELECT d.id, d.kind, false FROM sync_diff d WHERE d.kind = 'identity' AND d.action = 'retired'
    ) gone
    GROUP BY identity_id
) lost
JOIN identities_identity i ON i.id = lost.identity_id
ORDER BY lost.grants DESC, lost.privileged DESC, lost.credentials DESC, i.name, i.id
LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Loser:
    """An identity that would lose something: how many of its grants (`of_grants` in all) and credentials."""

    identity_id: UUID
    name: str
    external_id: str
    of_grants: int
    is_retired: bool
    grants: int
    privileged: int
    credentials: int


def find_losers() -> list[Loser]:
    """The identities that would lose most, first; at most `MOST_LOSERS`."""
    with connection.cursor() as cursor:
        cursor.execute(_LOSERS, [MOST_LOSERS])
        return [Loser(*row) for row in cursor.fetchall()]


def find_changes(*, limit: int, now: datetime, kind: str = "", actions: Iterable[str] = ACTIONS) -> list[Change]:
    """Up to `limit` changes of each action, not saved."""
    return [change for action in actions for change in _changes(action, kind, limit, now)]


def _changes(action: str, kind: str, limit: int, now: datetime) -> list[Change]:
    with connection.cursor() as cursor:
        cursor.execute(_CHANGES, {"action": action, "kind": kind, "most": limit})
        return [_change(*row, now=now) for row in cursor.fetchall()]


def _change(
    kind: str, pk: UUID, external_id: str, action: str, was: str | None, becomes: str | None, *, now: datetime
) -> Change:
    old: Any = json.loads(was) if was else None
    new: Any = json.loads(becomes) if becomes else None
    if action == ChangeAction.CHANGED:
        old, new = changed_members(old, new)
    return Change(
        object_kind=kind, object_id=pk, external_id=external_id, action=action, old=old, new=new, created_at=now
    )


def sample(*, now: datetime) -> dict[str, Any]:
    """What a dry run keeps of its answer, as JSON."""
    changes = find_changes(limit=FIRST_OF_EACH, now=now)
    return {
        "losers": [asdict(loser) | {"identity_id": str(loser.identity_id)} for loser in find_losers()],
        "changes": [
            {"object_kind": each.object_kind, "object_id": str(each.object_id), "external_id": each.external_id,
             "action": str(each.action), "old": each.old, "new": each.new}
            for each in changes
        ],
    }  # fmt: skip


def losers_of(preview: dict[str, Any]) -> list[Loser]:
    """The losers of a kept answer."""
    return [Loser(**(each | {"identity_id": UUID(each["identity_id"])})) for each in preview["losers"]]


def changes_of(preview: dict[str, Any], *, at: datetime) -> list[Change]:
    """The changes of a kept answer."""
    return [Change(**(each | {"object_id": UUID(each["object_id"])}), created_at=at) for each in preview["changes"]]
