"""The life of a run: begun before anything is read, ended exactly once, with one audit record.

A run that is still "running" although nobody holds its source's lock belongs to a process that died; whoever comes
next ends it as failed.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, system_actor
from governance.kernel.errors import DomainError
from identities.models import Source, SyncMode, SyncOrigin, SyncRowError, SyncRun, SyncState
from identities.services.request_keys import KeyReused
from identities.sync import locks
from identities.sync.records import RowError

ERRORS_IN_ANSWER = 100
KEPT_FOR = timedelta(days=1)
INTERRUPTED = {
    "code": "interrupted",
    "title": "The run was interrupted",
    "status": 500,
    "detail": "The process that carried this run out ended in the middle of it. Nothing of it was applied.",
}


def find_earlier(*, source: Source, key: str, request_hash: str) -> SyncRun | None:
    """The run that this key already stands for, if any. Raises `KeyReused` when it was another request."""
    if not key:
        return None
    earlier = SyncRun.objects.defer("held_payload").filter(source=source, idempotency_key=key).first()
    if earlier is not None and earlier.request_hash != request_hash:
        raise KeyReused("The same Idempotency-Key came with another body or other parameters; use a new key.")
    return earlier


def begin(
    *,
    source: Source,
    mode: SyncMode,
    origin: SyncOrigin,
    is_complete: bool,
    actor: Actor,
    now: datetime,
    observed_at: datetime,
    key: str = "",
    request_hash: str = "",
    run_id: UUID | None = None,
) -> SyncRun:
    """Write the run down before it starts, so that its death leaves a trace. The caller holds the source's lock.

    run_id: the id that somebody was promised.
    """
    with transaction.atomic(durable=True):
        try:
            with transaction.atomic():
                return SyncRun.objects.create(
                    id=run_id or uuid4(),
                    source=source,
                    mode=mode,
                    origin=origin,
                    is_complete=is_complete,
                    idempotency_key=key,
                    request_hash=request_hash,
                    actor_id=actor.id,
                    started_at=now,
                    observed_at=observed_at,
                )
        except IntegrityError as error:
            raise KeyReused("The same Idempotency-Key is being used by another request.") from error


def end(
    *,
    run: SyncRun,
    state: SyncState,
    problem: dict[str, Any],
    actor: Actor,
    now: datetime,
    records: int = 0,
    errors: Iterable[RowError] = (),
    held_payload: bytes | None = None,
    counts: dict[str, Any] | None = None,
    notes: dict[str, Any] | None = None,
) -> SyncRun:
    """End a run that did not become part of the inventory, with its reason and its audit record."""
    with transaction.atomic(durable=True):
        stored = SyncRun.objects.select_for_update().only("state").get(pk=run.pk)
        if stored.state not in (SyncState.RUNNING, SyncState.HELD):
            # Its connection died, and somebody who found it abandoned was faster.
            return SyncRun.objects.select_related("source").get(pk=run.pk)
        run.state = state
        run.problem = problem
        run.finished_at = max(now, run.started_at)
        run.records = records
        run.counts = counts or {}
        run.notes = notes or run.notes
        run.held_payload = held_payload
        run.progress = None
        if state in (SyncState.FAILED, SyncState.CANCELLED) or run.origin == SyncOrigin.FILE:
            # Such a run may be repeated with the same key: nothing of it was applied. A file that was refused once may
            # be right when the inventory knows more.
            run.idempotency_key = ""
        run.save()
        write_errors(run, errors)
        if state is SyncState.HELD:
            supersede_held(run, now=now)
        if state in _VERBS:
            record_outcome(_VERBS[state], run, actor=actor, now=now)
            if state is not SyncState.HELD:
                Source.objects.filter(pk=run.source_id).update(last_error=str(problem.get("detail", ""))[:2000])
    return run


def write_errors(run: SyncRun, errors: Iterable[RowError]) -> None:
    """Keep why records were refused. An inner step."""
    SyncRowError.objects.bulk_create(
        SyncRowError(run=run, line=error.line, pointer=error.pointer, code=error.code, reason=error.reason)
        for error in errors
    )


def record_outcome(verb: Verb, run: SyncRun, *, actor: Actor, now: datetime, reason: str = "") -> None:
    """The one audit record of a run. An inner step: the caller's transaction is the run's own."""
    log.record(
        verb=verb,
        actor=actor,
        subject=log.Subject("source", str(run.source_id), run.source.slug),
        now=now,
        new={"run": str(run.pk), "state": run.state, "records": run.records, "counts": run.counts},
        reason=reason,
        context={
            "mode": run.mode,
            "origin": run.origin,
            "is_complete": run.is_complete,
            "observed_at": run.observed_at,
            **({"problem": run.problem["code"]} if run.problem else {}),
        },
    )


def forget_kept(*, now: datetime) -> int:
    """Let go of the readings of dry runs that nobody took in within a day. Returns how many."""
    kept = SyncRun.objects.filter(state=SyncState.DRY_RUN, held_payload__isnull=False)
    return kept.filter(finished_at__lt=now - KEPT_FOR).update(held_payload=None)


def supersede_held(run: SyncRun, *, now: datetime) -> None:
    """Let go of what an earlier run of the source still held: this one is newer. An inner step."""
    problem = {
        "code": "superseded",
        "title": "A newer reading took its place",
        "status": 409,
        "detail": "A later reading of this source arrived before anybody decided about this one.",
    }
    held = SyncRun.objects.filter(source=run.source_id, state=SyncState.HELD).exclude(pk=run.pk)
    held.update(state=SyncState.REJECTED, problem=problem, held_payload=None, finished_at=now)


def fail_abandoned_runs(*, now: datetime) -> int:
    """End every run whose process died. Returns how many."""
    ended = 0
    for run in SyncRun.objects.filter(state=SyncState.RUNNING).select_related("source"):
        if locks.is_free(run.source_id):
            ended += fail_if_abandoned(source_id=run.source_id, now=now)
    return ended


def fail_if_abandoned(*, source_id: UUID, now: datetime) -> int:
    """End this source's abandoned runs. Only the holder of its lock, or who found the lock free, can tell."""
    running = SyncRun.objects.filter(source=source_id, state=SyncState.RUNNING).select_related("source")
    for run in running:
        end(run=run, state=SyncState.FAILED, problem=INTERRUPTED, actor=system_actor("sync"), now=now)
    return len(running)


def problem_of(error: DomainError, **members: Any) -> dict[str, Any]:
    """The problem document that a run keeps; edges add the type link."""
    return {
        **error.details,
        **members,
        "code": error.code,
        "title": error.title,
        "status": error.status,
        "detail": error.message,
    }


_VERBS = {
    SyncState.REJECTED: Verb.SYNC_REJECTED,
    SyncState.FAILED: Verb.SYNC_FAILED,
    SyncState.HELD: Verb.SYNC_HELD,
    SyncState.CANCELLED: Verb.SYNC_CANCELLED,
}
