"""Take a reading of a source into the inventory, whole or not at all.

One run: hold the source's lock; write the run down; stage, check, compare and write in one transaction; end the run.
Whatever goes wrong, and whenever the process dies, the inventory is either as before or as after.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import IO, Any

import structlog
from celery import current_app
from django.conf import settings
from django.db import DataError, Error, connection, transaction

from governance import dispatch
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.errors import Conflict, DomainError
from governance.waiting import long_answers
from identities.models import Environment, Source, SyncMode, SyncOrigin, SyncRun, SyncState
from identities.services.decision_notes import note_reading, own_notes
from identities.services.identity_versions import write_versions_in
from identities.sync import (
    differences,
    feed,
    guard,
    merge,
    recognise,
    refused,
    runs,
    staging,
    statistics,
    totals,
    usage,
    versions,
)
from identities.sync.lines import Body
from identities.sync.locks import source_lock
from identities.sync.progress import Cancelled, Progress
from identities.sync.records import MOST_ERRORS, RecordReader, RowError, TooManyErrors
from identities.sync.refused import MOST_SKIPPED, Refused

logger = structlog.get_logger(__name__)
POSTURE_TASK = "identities.evaluate_posture"
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


class Faulty(Exception):
    """Some records are refused; `errors` says which and why."""

    def __init__(self, errors: list[RowError], records: int) -> None:
        super().__init__()
        self.errors = errors
        self.records = records


class _Held(Exception):
    def __init__(self, losses: list[guard.Loss], counts: dict[str, Any], staged: "Staged") -> None:
        super().__init__()
        self.losses = losses
        self.counts = counts
        self.staged = staged


@dataclass(frozen=True, slots=True)
class Intake:
    """What one run brings.

    must_end: refuse it without an end record even where it isn't complete. skip_bad: apply what is good and keep what
    isn't for the sender. skip_strangers: pass over the use of identities that nobody knows. keep: a dry run keeps its
    body for a day. lines: of which line of a file each record is. tell: whom to tell how far the run is.
    """

    body: Body
    actor: Actor
    now: datetime
    must_end: bool = False
    skip_bad: bool = False
    is_dry: bool = False
    is_guarded: bool = True
    skip_strangers: bool = False
    keep: bool = False
    lines: Sequence[int] | None = None
    tell: Callable[[dict[str, Any]], None] | None = None
    verb: Verb = Verb.SYNC_APPLIED
    began: float = field(default_factory=time.monotonic)

    def of_lines(self, lines: Sequence[int] | None) -> "Intake":
        """The same, of a file whose lines are known."""
        return replace(self, lines=lines)

    def locate(self, line: int) -> int:
        """Where the record in this line of the body stands in the file that it came from."""
        return self.lines[line - 1] if self.lines and line <= len(self.lines) else line

    @property
    def ended_at(self) -> datetime:
        """The caller's clock, moved on by the time that went by."""
        return self.now + timedelta(seconds=time.monotonic() - self.began)


def receive(
    *,
    source: Source,
    lines: Body | Iterable[bytes] | IO[bytes],
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
    skip_bad: bool = False,
    keep: bool = False,
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> SyncRun:
    """Take in one reading that a client or a file brought; returns the run in the state in which it ended.

    `applied`, `held` (waits for a person), `rejected` (see `problem` and `row_errors`), `failed`, `cancelled`, or
    `dry_run`: then `problem` says what would have stood in the way, and nothing but the run itself was written.
    With `skip_bad` the good records are applied although others are not, the run is marked partial and retires nothing
    by absence: what is missing from it may stand among the refused.
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
        with closing(lines if isinstance(lines, Body) else Body(lines)) as body:
            return carry_out(
                run,
                Intake(body, actor, now, must_end=must_end, skip_bad=skip_bad, is_dry=dry_run, keep=keep, tell=tell),
            )


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
        with long_answers(settings.DATABASE_LONG_ANSWER_SECONDS):
            return _apply(run, intake)
    except Faulty as faulty:
        return _reject(run, intake, faulty)
    except _Held as held:
        return _hold(run, intake, held)
    except DomainError as error:
        return refuse(run, intake, error)
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


def refuse(run: SyncRun, intake: Intake, error: DomainError, *, state: SyncState = SyncState.REJECTED) -> SyncRun:
    """End a begun run that brought nothing into the inventory, because of this error."""
    ended = SyncState.CANCELLED if isinstance(error, Cancelled) else state
    return _end(run, intake, ended, runs.problem_of(error))


def _apply(run: SyncRun, intake: Intake) -> SyncRun:
    # Only what commits may show on the run: the caller's object must not look applied when the commit fails.
    applied = SyncRun.objects.select_related("source").get(pk=run.pk)
    progress = Progress(run.pk, intake.tell)
    try:
        with transaction.atomic(durable=True):
            staged = stage(applied, intake, progress)
            progress.phase("comparing")
            merge.compare(source_id=applied.source_id, is_complete=staged.is_complete)
            counts = merge.count(source_id=applied.source_id)
            losses = _losses(applied, counts)
            applied.preview = differences.sample(now=intake.now) if intake.is_dry else None
            if losses and intake.is_guarded and not intake.is_dry:
                raise _Held(losses, counts, staged)
            counts |= _write(applied, intake.now, counts, progress)
            progress.close()
            _finish(applied, intake, staged, counts, losses)
            transaction.set_rollback(intake.is_dry)
    finally:
        progress.close()
    if intake.is_dry:
        applied.save()
    else:
        statistics.refresh(counts)
    return applied


@dataclass(frozen=True, slots=True)
class Staged:
    """What stands in the staging tables. is_complete: whether what is absent may be retired."""

    records: int
    is_complete: bool
    refused: Refused | None = None
    strangers: staging.Strangers | None = None


def stage(run: SyncRun, intake: Intake, progress: Progress) -> Staged:
    """Read, check and stage. Raises `Faulty` when records are refused and may not be skipped."""
    reader = RecordReader(
        is_delta=run.mode == SyncMode.DELTA,
        is_complete=run.is_complete,
        observed_at=run.observed_at,
        default_environment=run.source.environment or Environment.UNKNOWN,
        most_records=settings.SYNC_MAX_RECORDS,
        line_key=recognise.line_key(run.source),
        must_end=intake.must_end,
        most_errors=MOST_SKIPPED if intake.skip_bad else MOST_ERRORS,
    )
    staging.create_tables()
    try:
        lines = recognise.unrecognised(intake.body, reader, run.source, run.mode, progress)
        staging.copy_rows(reader.rows(lines))
    except TooManyErrors:
        raise Faulty(_located(reader.errors, intake), reader.records) from None
    strangers = staging.drop_strangers(source_id=run.source_id) if intake.skip_strangers else None
    if intake.skip_bad and reader.is_whole:
        errors = refused.drop_faulty(reader.errors, source_id=run.source_id, is_complete=run.is_complete)
        if errors:
            kept = refused.keep(errors, intake.body, locate=intake.locate)
            return Staged(reader.records, is_complete=False, refused=kept, strangers=strangers)
        return Staged(reader.records, run.is_complete, strangers=strangers)
    # Faults between records are looked for only among sound ones: the rest would be consequences.
    errors = reader.errors or staging.find_faults(source_id=run.source_id, is_complete=run.is_complete)
    if errors:
        raise Faulty(_located(errors, intake), reader.records)
    return Staged(reader.records, run.is_complete, strangers=strangers)


def _located(errors: Sequence[RowError], intake: Intake) -> list[RowError]:
    return [replace(error, line=intake.locate(error.line)) for error in errors[:MOST_ERRORS]]


def _losses(run: SyncRun, counts: dict[str, dict[str, int]]) -> list[guard.Loss]:
    """The kinds of which more would go than the source allows."""
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


def _write(run: SyncRun, now: datetime, counts: dict[str, Any], progress: Progress) -> dict[str, dict[str, int]]:
    progress.phase("deriving")
    versions.derive_facts()
    progress.phase("writing")
    with own_notes():
        merge.write(run_id=run.pk, source_id=run.source_id, observed_at=run.observed_at, now=now, counts=counts)
        progress.phase("history")
        versions.write_versions(observed_at=run.observed_at)
        note_reading(source_id=run.source_id, changed=merge.changed_number(counts))
    merge.resolve_people(source_id=run.source_id)
    used = usage.write_usage(source_id=run.source_id, is_delta=run.mode == SyncMode.DELTA)
    write_versions_in("SELECT id FROM sync_diff WHERE kind = 'identity'", {}, at=run.observed_at)
    totals.write_totals(source_id=run.source_id)
    return used


def _finish(run: SyncRun, intake: Intake, staged: Staged, counts: dict[str, Any], losses: list[guard.Loss]) -> None:
    run.records = staged.records
    run.counts = counts
    run.finished_at = intake.ended_at
    run.held_payload = None
    run.progress = None
    if staged.refused:
        run.is_partial = True
        run.refused = staged.refused.count
        run.refused_payload = staged.refused.payload
        runs.write_errors(run, staged.refused.first)
    if staged.strangers and staged.strangers.records:
        run.notes = staged.strangers.noted_in(run.notes)
    if intake.is_dry:
        run.state = SyncState.DRY_RUN
        run.problem = _held_problem(run, losses) if losses else None
        if intake.keep:
            run.held_payload = _packed(intake, staged)
        return
    run.state = SyncState.APPLIED
    run.problem = None
    run.save(update_fields=_OUTCOME)
    runs.supersede_held(run, now=intake.now)
    seen: dict[str, Any] = {"last_success_at": run.observed_at, "last_error": ""}
    if staged.is_complete:
        seen["last_complete_at"] = run.observed_at
    Source.objects.filter(pk=run.source_id).update(**seen)
    _check_references()
    runs.record_outcome(intake.verb, run, actor=intake.actor, now=intake.now)
    feed.take_feed_number(run)
    if POSTURE_TASK in current_app.tasks:
        dispatch.after_commit(POSTURE_TASK)
    if VERIFY_TASK in current_app.tasks:
        dispatch.after_commit(VERIFY_TASK, source_id=str(run.source_id), run_id=str(run.pk))


# A wish to cancel that came too late stays on the run.
_OUTCOME = [
    *("state", "problem", "records", "counts", "finished_at", "held_payload", "progress"),
    *("is_partial", "refused", "refused_payload", "notes", "preview"),
]


def _check_references() -> None:
    """Millions of references are checked now rather than at commit, when others wait for the trail and the feed."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _reject(run: SyncRun, intake: Intake, faulty: Faulty) -> SyncRun:
    many = len(faulty.errors)
    error = SyncRejected(
        f"{many:,} problem{'s' if many != 1 else ''} found in {faulty.records:,} record"
        f"{'s' if faulty.records != 1 else ''}; nothing was changed."
    )
    problem = runs.problem_of(error, errors_found=many)
    return _end(run, intake, SyncState.REJECTED, problem, records=faulty.records, errors=faulty.errors)


def _hold(run: SyncRun, intake: Intake, held: _Held) -> SyncRun:
    refused = held.staged.refused
    run.is_partial = refused is not None
    return _end(
        run,
        intake,
        SyncState.HELD,
        _held_problem(run, held.losses),
        records=held.staged.records,
        counts=held.counts,
        held_payload=_packed(intake, held.staged),
    )


def _packed(intake: Intake, staged: Staged) -> bytes:
    return intake.body.packed(left_out=staged.refused.left_out if staged.refused else frozenset())


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


_UNSTORABLE = runs.problem_of(SyncRejected("The database can't store some value of this reading; nothing was changed."))
_DATABASE_FAILED = runs.problem_of(
    DatabaseFailed("The database ended the run in the middle. Nothing was applied; send it again.")
)
