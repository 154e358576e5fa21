"""Take a reading of a source into the inventory, whole or not at all.

One run: hold the source's lock; write the run down; stage, check, compare and write in one transaction; end the run.
Whatever goes wrong, and whenever the process dies, the inventory is either as before or as after.
"""

import gzip
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from typing import IO, Any, cast

import structlog
from celery import current_app
from django.conf import settings
from django.db import DataError, Error, connection, transaction

from governance import dispatch
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.errors import Conflict, DomainError
from identities.models import Environment, Source, SyncMode, SyncOrigin, SyncRun, SyncState
from identities.services.identity_versions import write_versions_in
from identities.sync import guard, merge, runs, staging, totals, usage, versions
from identities.sync.lines import read_lines
from identities.sync.locks import source_lock
from identities.sync.records import RecordReader, RowError, TooManyErrors

logger = structlog.get_logger(__name__)
VERIFY_TASK = "reviews.verify_orders"


class SyncRefused(DomainError):
    """What was asked makes no sense: a complete delta, a push into a source that Remit reads itself."""

    code = "sync-refused"
    title = "This reading can't be taken in"


class SyncRejected(DomainError):
    """Some records can't be accepted, so none was. The run keeps line, pointer and reason of each."""

    code = "sync-rejected"
    title = "Nothing was applied"


class OutOfOrder(Conflict):
    """The reading is older than what the inventory already knows."""

    code = "out-of-order"
    title = "The reading is older than the inventory"


class DatabaseFailed(DomainError):
    """The run was lost on the way; it still waits as it did."""

    code = "database-failed"
    status = 503
    title = "The database gave up"


class _Faulty(Exception):
    def __init__(self, errors: list[RowError], records: int) -> None:
        super().__init__()
        self.errors = errors
        self.records = records


class _Held(Exception):
    def __init__(self, losses: list[guard.Loss], counts: dict[str, Any], records: int, payload: bytes) -> None:
        super().__init__()
        self.losses = losses
        self.counts = counts
        self.records = records
        self.payload = payload


@dataclass(frozen=True, slots=True)
class Intake:
    """What one run brings. `must_end`: refuse it without an end record even where it isn't complete."""

    lines: Iterable[bytes]
    actor: Actor
    now: datetime
    must_end: bool = False
    is_dry: bool = False
    is_guarded: bool = True
    verb: Verb = Verb.SYNC_APPLIED
    began: float = field(default_factory=time.monotonic)

    @property
    def ended_at(self) -> datetime:
        """The caller's clock, moved on by the time that went by."""
        return self.now + timedelta(seconds=time.monotonic() - self.began)


def receive(
    *,
    source: Source,
    lines: Iterable[bytes] | IO[bytes],
    mode: SyncMode,
    is_complete: bool,
    origin: SyncOrigin,
    actor: Actor,
    now: datetime,
    observed_at: datetime | None = None,
    idempotency_key: str = "",
    request_hash: str = "",
    dry_run: bool = False,
    must_end: bool = False,
) -> SyncRun:
    """Take in one reading that a client or a file brought; returns the run in the state in which it ended.

    `applied`, `held` (waits for a person), `rejected` (see `problem` and `row_errors`), `failed`, or `dry_run`: then
    `problem` says what would have stood in the way, and nothing but the run itself was written.
    A run that already ended under the same key and request hash is returned as it was.

    Raises `SyncRefused`, `OutOfOrder`, `SyncInProgress`, `KeyReused`: then no run was begun.
    """
    check_request(source=source, mode=mode, is_complete=is_complete, origin=origin)
    with source_lock(source.pk, wait_seconds=settings.SYNC_WAIT_SECONDS):
        runs.fail_if_abandoned(source_id=source.pk, now=now)
        if earlier := runs.find_earlier(source=source, key=idempotency_key, request_hash=request_hash):
            return earlier
        run = runs.begin(
            source=source,
            mode=mode,
            origin=origin,
            is_complete=is_complete,
            actor=actor,
            now=now,
            observed_at=order_in_time(source, observed_at, now),
            key=idempotency_key,
            request_hash=request_hash,
        )
        read = read_lines(cast(IO[bytes], lines)) if hasattr(lines, "readline") else lines
        return carry_out(run, Intake(read, actor, now, must_end=must_end, is_dry=dry_run))


def check_request(*, source: Source, mode: SyncMode, is_complete: bool, origin: SyncOrigin) -> None:
    """Refuse what cannot be meant, before anything is read."""
    if mode == SyncMode.DELTA and is_complete:
        raise SyncRefused("A delta is never complete: it names what changed. Leave complete out.", field="complete")
    if origin != SyncOrigin.CONNECTOR and source.kind != "push":
        raise SyncRefused(f"{source.name} is read by Remit itself and takes no pushed data.", kind=source.kind)
    if not source.is_enabled:
        raise SyncRefused(f"{source.name} is switched off; an administrator can switch it on.")


def order_in_time(source: Source, observed_at: datetime | None, now: datetime) -> datetime:
    """The moment a reading stands for: never before what is known, never ahead of now. Raises `OutOfOrder`."""
    applied = SyncRun.objects.filter(source=source, state=SyncState.APPLIED)
    latest = applied.order_by("-observed_at").values_list("observed_at", flat=True).first()
    if observed_at is None:
        return max(now, latest) if latest else now
    if observed_at > now:
        raise SyncRefused("The reading can't have been made in the future.", field="observed_at")
    if latest and observed_at < latest:
        raise OutOfOrder("A later reading of this source is already part of the inventory.", latest=latest.isoformat())
    return observed_at


def carry_out(run: SyncRun, intake: Intake) -> SyncRun:
    """Apply a begun run and end it, whatever happens. The caller holds the source's lock."""
    try:
        return _apply(run, intake)
    except _Faulty as faulty:
        return _reject(run, intake, faulty)
    except _Held as held:
        return _hold(run, intake, held)
    except DomainError as error:
        return _end(run, intake, SyncState.REJECTED, runs.problem_of(error))
    except DataError:
        logger.exception("sync.unstorable", run=str(run.pk))
        return _end(run, intake, SyncState.REJECTED, _UNSTORABLE)
    except Error as error:
        # The database went away, or chose this transaction as a victim of a deadlock.
        logger.warning("sync.database_failed", run=str(run.pk), error=str(error).partition("\n")[0])
        connection.close_if_unusable_or_obsolete()
        lost = DatabaseFailed("The database ended the run in the middle. Nothing was applied; try again.")
        if run.state == SyncState.HELD:
            raise lost from error
        try:
            return _end(run, intake, SyncState.FAILED, _DATABASE_FAILED)
        except Error:
            # It is still away: the next tick finds the run abandoned and ends it.
            raise lost from error
    except Exception:
        # A mistake in our own code, or a worker told to stop: say so on the run now instead of at the next tick.
        if run.state == SyncState.RUNNING:
            _end(run, intake, SyncState.FAILED, runs.INTERRUPTED)
        raise


def _apply(run: SyncRun, intake: Intake) -> SyncRun:
    # Only what commits may show on the run: the caller's object must not look applied when the commit fails.
    applied = SyncRun.objects.select_related("source").get(pk=run.pk)
    with transaction.atomic(durable=True):
        records = _stage(applied, intake)
        merge.compare(source_id=applied.source_id, is_complete=applied.is_complete)
        counts = merge.count(source_id=applied.source_id)
        losses = _losses(applied, counts)
        if losses and intake.is_guarded and not intake.is_dry:
            raise _Held(losses, counts, records, _packed(records))
        counts |= _write(applied, intake.now)
        _finish(applied, intake, records, counts, losses)
        transaction.set_rollback(intake.is_dry)
    if intake.is_dry:
        applied.save()
    return applied


def _stage(run: SyncRun, intake: Intake) -> int:
    reader = RecordReader(
        is_delta=run.mode == SyncMode.DELTA,
        is_complete=run.is_complete,
        observed_at=run.observed_at,
        default_environment=run.source.environment or Environment.UNKNOWN,
        most_records=settings.SYNC_MAX_RECORDS,
        must_end=intake.must_end,
    )
    staging.create_tables()
    try:
        staging.copy_rows(reader.rows(intake.lines))
    except TooManyErrors:
        if not reader.errors:
            raise
    # Faults between records are looked for only among sound ones: the rest would be consequences.
    errors = reader.errors or staging.find_faults(source_id=run.source_id, is_complete=run.is_complete)
    if errors:
        raise _Faulty(errors, reader.records)
    return reader.records


def _losses(run: SyncRun, counts: dict[str, dict[str, int]]) -> list[guard.Loss]:
    found = [
        guard.Loss(
            kind,
            each["retired"] - merge.expected_number(kind),
            merge.current_number(kind, source_id=run.source_id),
        )
        for kind, each in counts.items()
        if each["retired"]
    ]
    return [loss for loss in found if guard.exceeds(loss, max_percent=run.source.max_retire_percent)]


def _write(run: SyncRun, now: datetime) -> dict[str, dict[str, int]]:
    versions.derive_facts()
    merge.write(run_id=run.pk, source_id=run.source_id, observed_at=run.observed_at, now=now)
    versions.write_versions(observed_at=run.observed_at)
    merge.resolve_people(source_id=run.source_id)
    counts = usage.write_usage(source_id=run.source_id, is_delta=run.mode == SyncMode.DELTA)
    write_versions_in("SELECT id FROM sync_diff WHERE kind = 'identity'", {}, at=run.observed_at)
    totals.write_totals(source_id=run.source_id)
    return counts


def _finish(run: SyncRun, intake: Intake, records: int, counts: dict[str, Any], losses: list[guard.Loss]) -> None:
    run.records = records
    run.counts = counts
    run.finished_at = intake.ended_at
    run.held_payload = None
    if intake.is_dry:
        run.state = SyncState.DRY_RUN
        run.problem = _held_problem(run, losses) if losses else None
        return
    run.state = SyncState.APPLIED
    run.problem = None
    run.save()
    runs.supersede_held(run, now=intake.now)
    seen: dict[str, Any] = {"last_success_at": run.observed_at, "last_error": ""}
    if run.is_complete:
        seen["last_complete_at"] = run.observed_at
    Source.objects.filter(pk=run.source_id).update(**seen)
    runs.record_outcome(intake.verb, run, actor=intake.actor, now=intake.now)
    if VERIFY_TASK in current_app.tasks:
        dispatch.after_commit(VERIFY_TASK, source_id=str(run.source_id), run_id=str(run.pk))


def _reject(run: SyncRun, intake: Intake, faulty: _Faulty) -> SyncRun:
    many = len(faulty.errors)
    error = SyncRejected(
        f"{many:,} problem{'s' if many != 1 else ''} found in {faulty.records:,} record"
        f"{'s' if faulty.records != 1 else ''}; nothing was changed."
    )
    problem = runs.problem_of(error, errors_found=many)
    return _end(run, intake, SyncState.REJECTED, problem, records=faulty.records, errors=faulty.errors)


def _hold(run: SyncRun, intake: Intake, held: _Held) -> SyncRun:
    return _end(
        run,
        intake,
        SyncState.HELD,
        _held_problem(run, held.losses),
        records=held.records,
        counts=held.counts,
        held_payload=held.payload,
    )


def _held_problem(run: SyncRun, losses: list[guard.Loss]) -> dict[str, Any]:
    error = guard.TooManyRetired(
        guard.describe_losses(losses, max_percent=run.source.max_retire_percent),
        limit_percent=run.source.max_retire_percent,
        losses=[{"kind": loss.kind, "retired": loss.retired, "current": loss.current} for loss in losses],
    )
    return runs.problem_of(error)


def _end(run: SyncRun, intake: Intake, state: SyncState, problem: dict[str, Any], **facts: Any) -> SyncRun:
    # What a dry run found is an answer, not an event.
    ended = SyncState.DRY_RUN if intake.is_dry and state is SyncState.REJECTED else state
    return runs.end(run=run, state=ended, problem=problem, actor=intake.actor, now=intake.ended_at, **facts)


def _packed(records: int) -> bytes:
    buffer = BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as packed:
        for line in staging.staged_lines():
            packed.write(line + b"\n")
        packed.write(b'{"type":"end","records":%d}\n' % records)
    return buffer.getvalue()


_UNSTORABLE = runs.problem_of(SyncRejected("The database can't store some value of this reading; nothing was changed."))
_DATABASE_FAILED = runs.problem_of(
    DatabaseFailed("The database ended the run in the middle. Nothing was applied; send it again.")
)
