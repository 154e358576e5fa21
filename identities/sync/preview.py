"""What a held run would change, found by carrying it out up to the comparison and taking that back."""

import json
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from governance.kernel.actors import system_actor
from governance.kernel.errors import Conflict
from identities.diff import changed_members
from identities.models import Change, ChangeAction, SyncRun, SyncState
from identities.sync import merge, receive
from identities.sync.held import NotHeld
from identities.sync.lines import Body
from identities.sync.progress import Progress

MOST_LOSERS = 20
REMEMBERED = 16
ALL_ACTIONS = (ChangeAction.RETIRED, ChangeAction.CHANGED, ChangeAction.ADDED)

_DECIDED = "This run was decided already, or a newer reading took its place."

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


class CannotPreview(Conflict):
    """The held reading no longer fits the inventory, so what it would change can't be said."""

    code = "cannot-preview"
    title = "What it would change can't be said"


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


@dataclass(frozen=True, slots=True)
class HeldPreview:
    """What would happen. counts: as of a run. losers: who would lose most, first. changes: some of them, not saved."""

    counts: dict[str, dict[str, int]]
    losers: list[Loser]
    changes: list[Change]


def preview_held(
    *, run: SyncRun, now: datetime, limit: int, kind: str = "", actions: tuple[str, ...] = ()
) -> HeldPreview:
    """Compare a held run with the inventory as it is now; up to `limit` changes of each action, retirements first.

    The first look costs as much as the reading itself did up to that point; the next ones cost nothing until something
    else was read into the source. Changes nothing. Raises `NotHeld`, `CannotPreview`.
    """
    held = (
        SyncRun.objects.defer("held_payload").select_related("source").filter(pk=run.pk, state=SyncState.HELD).first()
    )
    if held is None:
        raise NotHeld(_DECIDED)
    # All that can change the answer: what was read into the source, and what the source says of itself.
    applied = SyncRun.objects.filter(source=held.source_id, state=SyncState.APPLIED).order_by("-started_at")
    state = (applied.values_list("pk", flat=True).first(), held.source.version)
    kept = _previewed(held.pk, state, limit, kind, actions or ALL_ACTIONS)
    return replace(kept, changes=[_at(change, now) for change in kept.changes])


def _at(change: Change, now: datetime) -> Change:
    shown = copy(change)
    shown.created_at = now
    return shown


@lru_cache(maxsize=REMEMBERED)
def _previewed(
    run_id: UUID, state: tuple[UUID | None, int], limit: int, kind: str, actions: tuple[str, ...]
) -> HeldPreview:
    """The preview of a held run at one state of the inventory. Remembered by this process; a fault is not."""
    del state  # only tells one answer from another
    found = SyncRun.objects.select_related("source").filter(pk=run_id, state=SyncState.HELD).first()
    if found is None or found.held_payload is None:
        raise NotHeld(_DECIDED)
    now = found.started_at
    body = Body(BytesIO(bytes(found.held_payload)), is_gzip=True)
    intake = receive.Intake(body, system_actor("preview"), now, skip_bad=found.is_partial)
    progress = Progress(found.pk)
    try:
        with transaction.atomic():
            staged = receive.stage(found, intake, progress)
            merge.compare(source_id=found.source_id, is_complete=staged.is_complete)
            preview = HeldPreview(
                counts=merge.count(source_id=found.source_id),
                losers=_losers(),
                changes=[change for action in actions for change in _changes(action, kind, limit, now)],
            )
            transaction.set_rollback(True)
    except receive.Faulty as faulty:
        raise CannotPreview("Some of its records no longer fit the inventory. Turn it away and read anew.") from faulty
    finally:
        progress.close()
    return preview


def _losers() -> list[Loser]:
    with connection.cursor() as cursor:
        cursor.execute(_LOSERS, [MOST_LOSERS])
        return [Loser(*row) for row in cursor.fetchall()]


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
