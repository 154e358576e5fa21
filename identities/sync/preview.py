"""What a held run would change, found by carrying it out up to the comparison and taking that back; and a dry run's."""

from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from uuid import UUID

from django.db import transaction

from governance.kernel.actors import system_actor
from governance.kernel.errors import Conflict
from identities.models import Change, SyncRun, SyncState
from identities.sync import differences, merge, receive
from identities.sync.differences import Loser
from identities.sync.held import NotHeld
from identities.sync.lines import Body
from identities.sync.progress import Progress

REMEMBERED = 16
_DECIDED = "This run was decided already, or a newer reading took its place."


class CannotPreview(Conflict):
    """The held reading no longer fits the inventory, so what it would change can't be said."""

    code = "cannot-preview"
    title = "What it would change can't be said"


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen. counts: as of a run. losers: who would lose most, first. changes: some of them, not saved."""

    counts: dict[str, dict[str, int]]
    losers: list[Loser]
    changes: list[Change]


def preview_of(*, run: SyncRun, now: datetime, limit: int, kind: str = "", actions: tuple[str, ...] = ()) -> Preview:
    """What a held run would change, or what a dry run found; up to `limit` changes of each action.

    A dry run's answer is of the time at which it ran. Raises `NotHeld`, `CannotPreview`.
    """
    if run.state != SyncState.DRY_RUN or run.preview is None:
        return preview_held(run=run, now=now, limit=limit, kind=kind, actions=actions)
    found: list[Change] = []
    for action in actions or differences.ACTIONS:
        matching = [
            each
            for each in differences.changes_of(run.preview, at=run.started_at)
            if each.action == action and kind in ("", each.object_kind)
        ]
        found += matching[:limit]
    return Preview(counts=run.counts, losers=differences.losers_of(run.preview), changes=found)


def preview_held(*, run: SyncRun, now: datetime, limit: int, kind: str = "", actions: tuple[str, ...] = ()) -> Preview:
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
    kept = _previewed(held.pk, state, limit, kind, actions or differences.ACTIONS)
    return replace(kept, changes=[_at(change, now) for change in kept.changes])


def _at(change: Change, now: datetime) -> Change:
    shown = copy(change)
    shown.created_at = now
    return shown


@lru_cache(maxsize=REMEMBERED)
def _previewed(
    run_id: UUID, state: tuple[UUID | None, int], limit: int, kind: str, actions: tuple[str, ...]
) -> Preview:
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
            preview = Preview(
                counts=merge.count(source_id=found.source_id),
                losers=differences.find_losers(),
                changes=differences.find_changes(limit=limit, now=now, kind=kind, actions=actions),
            )
            transaction.set_rollback(True)
    except receive.Faulty as faulty:
        raise CannotPreview("Some of its records no longer fit the inventory. Turn it away and read anew.") from faulty
    finally:
        progress.close()
    return preview
