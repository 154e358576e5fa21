"""What a held run would change, found by carrying it out up to the comparison and taking that back; and a dry run's."""

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from django.db import transaction

from governance.kernel.actors import system_actor
from governance.kernel.errors import Conflict
from identities.models import Change, SyncRun, SyncState
from identities.sync import differences, merge, receive
from identities.sync.differences import Loser
from identities.sync.held import NotHeld
from identities.sync.lines import Body
from identities.sync.progress import Progress


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

    Costs as much as the reading itself did up to that point, and changes nothing. Raises `NotHeld`, `CannotPreview`.
    """
    found = SyncRun.objects.select_related("source").filter(pk=run.pk, state=SyncState.HELD).first()
    if found is None or found.held_payload is None:
        raise NotHeld("This run was decided already, or a newer reading took its place.")
    body = Body(BytesIO(bytes(found.held_payload)), is_gzip=True)
    intake = receive.Intake(body, system_actor("preview"), now, skip_bad=found.is_partial)
    progress = Progress(found.pk)
    wanted = actions or differences.ACTIONS
    try:
        with transaction.atomic():
            staged = receive.stage(found, intake, progress)
            merge.compare(source_id=found.source_id, is_complete=staged.is_complete)
            preview = Preview(
                counts=merge.count(source_id=found.source_id),
                losers=differences.find_losers(),
                changes=differences.find_changes(limit=limit, now=now, kind=kind, actions=wanted),
            )
            transaction.set_rollback(True)
    except receive.Faulty as faulty:
        raise CannotPreview("Some of its records no longer fit the inventory. Turn it away and read anew.") from faulty
    finally:
        progress.close()
    return preview
