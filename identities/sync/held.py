"""What a person does with a run that would retire too much: let it through, or turn it away."""

from datetime import datetime
from io import BytesIO
from uuid import UUID

from django.conf import settings
from django.db import transaction

from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, Forbidden
from governance.people.access import require_role
from identities.models import Source, SyncRun, SyncState
from identities.sync import runs
from identities.sync.lines import Body
from identities.sync.locks import source_lock
from identities.sync.receive import Intake, carry_out


class NotHeld(Conflict):
    """The run no longer waits: somebody decided, or a newer reading took its place."""

    code = "not-held"
    title = "This run does not wait any more"


def accept_held(*, run: SyncRun, actor: Actor, now: datetime) -> SyncRun:
    """Apply a held run although it retires much. Raises `NotHeld`, `Forbidden`, `SyncInProgress`.

    A program needs the scope inventory:write and must be another one than the sender: somebody else has to look.
    """
    require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    if actor.kind is ActorKind.API_CLIENT and actor.id == run.actor_id:
        raise Forbidden("Whoever sent this run can't let it through as well; somebody else has to look at it.")
    with source_lock(run.source_id, wait_seconds=settings.SYNC_WAIT_SECONDS):
        held = SyncRun.objects.select_related("source").filter(pk=run.pk, state=SyncState.HELD).first()
        if held is None or held.held_payload is None:
            raise NotHeld("This run was decided already, or a newer reading took its place.")
        body = Body(BytesIO(bytes(held.held_payload)), is_gzip=True)
        intake = Intake(body, actor, now, skip_bad=held.is_partial, is_guarded=False, verb=Verb.SYNC_ACCEPTED)
        applied = carry_out(held, intake)
        _resume(applied.source_id, now)
        return applied


def reject_held(*, run: SyncRun, reason: str, actor: Actor, now: datetime) -> SyncRun:
    """Turn a held run away; the inventory stays as it is. Raises `NotHeld`, `Forbidden`."""
    require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    with source_lock(run.source_id, wait_seconds=settings.SYNC_WAIT_SECONDS), transaction.atomic(durable=True):
        held = SyncRun.objects.select_related("source").get(pk=run.pk)
        if held.state != SyncState.HELD:
            raise NotHeld("This run was decided already, or a newer reading took its place.")
        held.state = SyncState.REJECTED
        held.held_payload = None
        held.finished_at = now
        held.save(update_fields=["state", "held_payload", "finished_at"])
        runs.record_outcome(Verb.SYNC_REJECTED, held, actor=actor, now=now, reason=reason)
        _resume(held.source_id, now)
    return held


def _resume(source_id: UUID, now: datetime) -> None:
    """Scheduled reading pauses while a run is held; read anew at once."""
    Source.objects.filter(pk=source_id, is_enabled=True).exclude(kind="push").update(next_read_at=now)
