"""Apply what a dry run kept: the same reading, without sending the file again."""

from datetime import datetime
from io import BytesIO

from django.conf import settings
from django.db import transaction

from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict
from governance.people.access import require_role
from identities.models import SyncMode, SyncOrigin, SyncRun, SyncState
from identities.sync import runs
from identities.sync.lines import Body
from identities.sync.locks import source_lock
from identities.sync.receive import Intake, carry_out, check_request, order_in_time


class NotKept(Conflict):
    """The dry run kept nothing that could be applied, or lets it go after a day, or was applied already."""

    code = "not-kept"
    title = "There is nothing left to take in"


class TakenInBefore(Conflict):
    """This log of use is part of the inventory already; counting it twice would say that twice as much was done."""

    code = "taken-in-before"
    title = "This file was taken in before"


def take_in(*, run: SyncRun, actor: Actor, now: datetime) -> SyncRun:
    """Carry a dry run out that kept its reading; it ends like any other run, held where it would retire too much.

    It stands for the inventory of now, like the file that it came from would. Raises `NotKept`, `TakenInBefore`,
    `SyncRefused`, `SyncInProgress`, `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR, scope="sync:write")
    with source_lock(run.source_id, wait_seconds=settings.SYNC_WAIT_SECONDS):
        runs.fail_if_abandoned(source_id=run.source_id, now=now)
        kept = SyncRun.objects.select_related("source").filter(pk=run.pk, state=SyncState.DRY_RUN).first()
        if kept is None or kept.held_payload is None:
            raise NotKept("Nothing was kept of this dry run, or it was taken in already. Give the file again.")
        payload = bytes(kept.held_payload)
        _begin_again(kept, actor, now)
        is_use = kept.origin == SyncOrigin.FILE and kept.mode == SyncMode.DELTA and bool(kept.notes)
        body = Body(BytesIO(payload), is_gzip=True)
        return carry_out(kept, Intake(body, actor, now, skip_bad=kept.is_partial, skip_strangers=is_use))


def _begin_again(run: SyncRun, actor: Actor, now: datetime) -> None:
    """From here on it is a run like any other: its death is noticed, its progress seen, a second press refused."""
    if run.source.kind == "push":
        check_request(
            source=run.source, mode=SyncMode(run.mode), is_complete=run.is_complete, origin=SyncOrigin(run.origin)
        )
    with transaction.atomic(durable=True):
        mark = run.request_hash
        if runs.find_earlier(source=run.source, key=mark, request_hash=mark):
            raise TakenInBefore("This file is part of the inventory already.")
        run.idempotency_key = mark
        run.state = SyncState.RUNNING
        run.problem = run.finished_at = run.held_payload = None
        run.actor_id = actor.id
        run.observed_at = order_in_time(run.source, None, now)
        run.started_at = now
        run.save()
