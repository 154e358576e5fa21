"""Have a connector read its source, then take the reading in like any other.

The outside world is asked before the run's transaction begins; what it says is spooled to disk first, so a source
that answers slowly holds no row.
"""

import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import IO, Any, cast
from uuid import UUID

import orjson
import structlog
from django.db import transaction

from governance import dispatch
from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError, NotFound
from identities.connectors.contract import Record
from identities.connectors.registry import connector_for
from identities.models import Source, SyncMode, SyncOrigin, SyncRun, SyncState
from identities.services.secrets import resolve_secrets
from identities.services.sources import PUSH, READ_TASK, NotReadable, describe_from
from identities.sync import runs
from identities.sync.lines import Body
from identities.sync.locks import source_lock
from identities.sync.progress import Cancelled, Progress
from identities.sync.receive import Intake, carry_out, order_in_time

logger = structlog.get_logger(__name__)
LONGEST_PAUSE = timedelta(hours=1)
SPOOL_IN_MEMORY = 4 * 1024 * 1024
DUE_AT_ONCE = 100


def read_source(
    *,
    source_id: UUID | str,
    actor: Actor,
    now: datetime,
    dry_run: bool = False,
    run_id: UUID | None = None,
    wait_seconds: float = 0,
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> SyncRun:
    """Read one source through its connector and apply what it says; returns the ended run.

    A source that can't be reached or not be read completely ends the run as failed, and is tried again later, each
    time after a longer pause. A dry run says what would change (`preview`) and leaves inventory, source and schedule
    alone. run_id: the id that somebody was promised. tell: whom to tell how far it is.
    Raises `NotFound`, `NotReadable`, `SyncInProgress` (after `wait_seconds`).
    """
    source = Source.objects.filter(pk=source_id).first()
    if source is None:
        raise NotFound("There is no such source.")
    if source.kind == PUSH or not source.is_enabled:
        raise NotReadable(f"{source.name} is not read by Remit, or is switched off.")
    began = time.monotonic()
    lock = source_lock(source.pk, wait_seconds=wait_seconds)
    with lock, tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY) as file:
        spool = cast(IO[bytes], file)
        runs.fail_if_abandoned(source_id=source.pk, now=now)
        run = runs.begin(
            source=source,
            mode=SyncMode.SNAPSHOT,
            origin=SyncOrigin.CONNECTOR,
            is_complete=True,
            actor=actor,
            now=now,
            # The source is looked at from now on; what changes there while it is read belongs to the next reading.
            observed_at=order_in_time(source, None, now),
            run_id=run_id,
        )
        intake = Intake(Body(spool), actor, now, is_dry=dry_run, tell=tell, began=began)
        problem = _spool(source, spool, run, intake)
        if problem is None:
            run = carry_out(run, intake)
        else:
            run = runs.end(run=run, state=_state_after(problem, intake), problem=problem, actor=actor, now=now)
        if not dry_run:
            _schedule_next(run, now, planned=source.next_read_at)
    return run


def _state_after(problem: dict[str, Any], intake: Intake) -> SyncState:
    if problem["code"] == Cancelled.code:
        return SyncState.CANCELLED
    return SyncState.DRY_RUN if intake.is_dry else SyncState.FAILED


def read_again(*, source_id: UUID | str, now: datetime) -> None:
    """Have the source read once more as soon as the reading that is under way has ended.

    Whoever asks while one is under way may have changed something after it began.
    """
    Source.objects.filter(pk=source_id, is_enabled=True).update(next_read_at=now)


def queue_due_sources(*, now: datetime) -> int:
    """Queue one reading for every source that is due; returns how many. Two of these at once queue each once."""
    with transaction.atomic(durable=True):
        due = Source.objects.filter(is_enabled=True, next_read_at__lte=now).exclude(kind=PUSH)
        sources = list(due.select_for_update(skip_locked=True, of=("self",)).order_by("next_read_at")[:DUE_AT_ONCE])
        for source in sources:
            # Should the message be lost, the source is simply due again after its interval.
            Source.objects.filter(pk=source.pk).update(next_read_at=now + _interval(source))
            dispatch.after_commit(READ_TASK, source_id=str(source.pk))
    return len(sources)


def _spool(source: Source, spool: IO[bytes], run: SyncRun, intake: Intake) -> dict[str, Any] | None:
    """Write everything that the connector yields; the problem, if it could not say everything."""
    progress = Progress(run.pk, intake.tell, phase="asking")
    try:
        connector = connector_for(source.kind, source.settings, resolve_secrets(source.settings))
        if describe_from(source, connector) and not intake.is_dry:
            source.save(update_fields=["coverage", "not_observable", "capabilities"])
        _write(connector.read(), spool, progress)
    except DomainError as error:
        return runs.problem_of(error)
    except Exception as error:
        # Words of a foreign library may hold anything, also what it was given to sign in with.
        logger.exception("sync.connector_failed", source=source.slug)
        failure = DomainError(f"The connector stopped unexpectedly ({type(error).__name__}); the log says more.")
        return runs.problem_of(failure) | {"code": "connector-failed", "status": 500, "title": "The reading failed"}
    finally:
        progress.close()
    spool.seek(0)
    return None


def _write(records: Iterable[Record], spool: Any, progress: Progress) -> None:
    for number, record in enumerate(records, start=1):
        spool.write(orjson.dumps(record) + b"\n")
        progress.passed(number)


def _schedule_next(run: SyncRun, now: datetime, *, planned: datetime | None) -> None:
    source = Source.objects.get(pk=run.source_id)
    if run.state == SyncState.APPLIED and source.next_read_at != planned:
        return  # somebody asked for another reading while this one was under way
    if run.state == SyncState.HELD:
        # Reading the same again would only hold the same again; the person's answer resumes it.
        next_read_at = None
    elif run.state == SyncState.APPLIED:
        next_read_at = now + _interval(source)
    else:
        next_read_at = now + _pause(source)
    Source.objects.filter(pk=source.pk, is_enabled=True).update(next_read_at=next_read_at)


def _interval(source: Source) -> timedelta:
    return timedelta(seconds=source.read_every_seconds)


def _pause(source: Source) -> timedelta:
    """The interval, doubled with every failure since the last success, up to an hour (or the interval, if longer)."""
    interval = _interval(source)
    ended = SyncRun.objects.filter(source=source, origin=SyncOrigin.CONNECTOR).order_by("-started_at")
    states = list(ended.values_list("state", flat=True)[:12])
    failures = next((n for n, state in enumerate(states) if state == SyncState.APPLIED), len(states))
    return max(interval, min(interval * 2 ** max(failures - 1, 0), LONGEST_PAUSE))
