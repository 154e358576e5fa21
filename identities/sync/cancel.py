"""Ask a run that is under way to stop. It ends itself at its next step; nothing of it is applied."""

from datetime import datetime

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, Forbidden
from governance.people.access import require_role
from identities.models import SyncRun, SyncState


class NotRunning(Conflict):
    """The run has ended, so there is nothing left to cancel."""

    code = "not-running"
    title = "This run is over"


def cancel_run(*, run: SyncRun, actor: Actor, now: datetime, reason: str = "") -> SyncRun:
    """Request the end of a running run; asking twice is asking once. Raises `NotRunning`, `Forbidden`.

    Administrators may, programs with the scope inventory:write, and the token that sent the run. A run that is about to
    commit is waited for, and is then over.
    """
    _require_may_cancel(actor, run)
    with transaction.atomic(durable=True):
        # Not a full lock: what the run itself writes refers to this row.
        stored = SyncRun.objects.select_for_update(no_key=True, of=("self",)).select_related("source")
        current = stored.defer("held_payload", "refused_payload").get(pk=run.pk)
        if current.state != SyncState.RUNNING:
            raise NotRunning("This run has ended already; nothing was cancelled.", state=current.state)
        if current.cancel_requested_at is None:
            current.cancel_requested_at = now
            current.save(update_fields=["cancel_requested_at"])
            _record(current, actor, now, reason)
    return current


def may_cancel(actor: Actor, run: SyncRun) -> bool:
    """Whether `cancel_run` would take the actor's word, should the run be under way."""
    try:
        _require_may_cancel(actor, run)
    except Forbidden:
        return False
    return True


def _require_may_cancel(actor: Actor, run: SyncRun) -> None:
    if not _sent_it(actor, run):
        require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")


def _sent_it(actor: Actor, run: SyncRun) -> bool:
    return actor.kind is ActorKind.API_CLIENT and actor.id == run.actor_id and "sync:write" in actor.scopes


def _record(run: SyncRun, actor: Actor, now: datetime, reason: str) -> None:
    log.record(
        verb=Verb.SYNC_CANCEL_REQUESTED,
        actor=actor,
        subject=log.Subject("source", str(run.source_id), run.source.slug),
        now=now,
        new={"run": str(run.pk)},
        reason=reason,
        context={"mode": run.mode, "origin": run.origin},
    )
