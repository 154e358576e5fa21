"""Sign the state of the trail and put the signature where the database's administrator cannot rewrite it.

A checkpoint continues the tree of the one before, so its cost follows the new rows. What is signed is always an
extension of what was signed before: when the database holds less than, or something else than, the newest checkpoint
says, when the folder of checkpoints is gone, or when a later epoch has begun outside, signing is refused. That is how a
tampered trail and a restored backup show; docs/audit.md says what to do then.

Signing is itself recorded (`checkpoint.signed`), and such a record alone is no reason to sign again; otherwise a
quiet system's trail would grow for ever.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.db import connection, transaction

from governance.audit import outside
from governance.audit.actions import Verb
from governance.audit.keys import load_or_create_key
from governance.audit.lineage import Epoch, current_epoch, epochs_outside
from governance.audit.lines import retired_until
from governance.audit.log import Subject, record
from governance.audit.models import AuditCheckpoint, AuditEvent, AuditHead, AuditLink
from governance.audit.notes import BadNote, Checkpoint, open_checkpoint, sign_checkpoint, verifier_key
from governance.audit.retry import once_more
from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from governance.kernel.merkle import Frontier, leaf_hash

ROWS_PER_READ = 2000
# Two signers at once would build on the same predecessor; the number is arbitrary, it only must be ours.
SIGNING_LOCK = 7_203_114_251
# The beat ticks this often; waiting one tick less keeps "at least every interval" true.
TICK = timedelta(seconds=30)


class CheckpointRefused(DomainError):
    """The trail does not continue what was signed before, or the checkpoint cannot be written outside."""

    code = "checkpoint-refused"
    status = 500
    title = "The audit trail was not signed"


@once_more
def write_checkpoint(*, now: datetime, actor: Actor) -> Checkpoint | None:
    """Sign the trail as committed so far, write the file, record it; None when there is nothing new to sign.

    Opens its own transaction, so call it after the use case whose records it should cover has committed.
    Raises CheckpointRefused and KeyUnusable.
    """
    key = load_or_create_key(settings.AUDIT_KEY_FILE)
    with transaction.atomic(durable=True):
        take_signing_lock()
        epoch = current_epoch()
        size = AuditHead.objects.values_list("seq", flat=True).get()
        base = _newest_signed(epoch, key.public_key())
        if base and base.size > size:
            raise CheckpointRefused(
                f"A checkpoint of {base.size} events was signed, but the database holds {size}: rows are missing, "
                "or an older state was restored.",
                signed_size=base.size,
                size=size,
            )
        frontier = _frontier_at(base, now) if base else Frontier()
        if not _has_news(after=frontier.size):
            return None
        frontier = _extend(frontier, size)
        checkpoint = sign_checkpoint(origin=epoch.origin, size=size, root=frontier.root, key=key)
        _keep(checkpoint, frontier, now)
        record(
            verb=Verb.CHECKPOINT_SIGNED,
            actor=actor,
            subject=Subject("checkpoint", str(size), f"Checkpoint of {size} events"),
            now=now,
            new={"origin": checkpoint.origin, "size": size, "root": checkpoint.root.hex()},
        )
        # Inside the transaction: a row without its file would claim a proof that nobody holds. The other way round,
        # a file without its row, is true all the same and is adopted next time.
        try:
            outside.write_file(epoch.folder, checkpoint, verifier_key(checkpoint.origin, key.public_key()))
        except OSError as error:
            raise CheckpointRefused(f"The checkpoint cannot be written to {epoch.folder}: {error}.") from error
    return checkpoint


def write_due_checkpoint(*, now: datetime, actor: Actor) -> Checkpoint | None:
    """`write_checkpoint`, when the settings' time has passed since the last one, or their number of events."""
    last = AuditCheckpoint.objects.filter(origin=current_epoch().origin).order_by("-size").first()
    if last and now - last.signed_at < settings.AUDIT_CHECKPOINT_INTERVAL - TICK:
        size = AuditHead.objects.values_list("seq", flat=True).get()
        if size - last.size < settings.AUDIT_CHECKPOINT_EVENTS:
            return None
    return write_checkpoint(now=now, actor=actor)


def take_signing_lock() -> None:
    """Until the transaction ends, nobody else signs or begins an epoch."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SIGNING_LOCK])


def _newest_signed(epoch: Epoch, public_key: Ed25519PublicKey) -> Checkpoint | None:
    """The largest checkpoint of this epoch, from the folder outside or from the database, its signature verified."""
    found: list[Checkpoint] = []
    _refuse_later_epoch(epoch)
    files = outside.list_files(epoch.folder)
    row = AuditCheckpoint.objects.filter(origin=epoch.origin).order_by("-size").first()
    if row and not files:
        raise CheckpointRefused(
            f"A checkpoint of {row.size} events was signed, but the folder {epoch.folder} holds none: it was moved, "
            "emptied, or not mounted. Bring it back; when it is lost for good, begin a new epoch.",
            signed_size=row.size,
        )
    try:
        if files:
            found.append(outside.open_file(files[-1][1], public_key))
        if row:
            found.append(open_checkpoint(row.note, public_key))
    except BadNote as error:
        raise CheckpointRefused(f"The newest checkpoint cannot be trusted: {error}.") from error
    for checkpoint in found:
        if checkpoint.origin != epoch.origin:
            raise CheckpointRefused(
                f"{epoch.folder} holds checkpoints of {checkpoint.origin}, this log is "
                f"{epoch.origin}. Give every log a folder of its own."
            )
    return max(found, key=lambda checkpoint: checkpoint.size, default=None)


def _refuse_later_epoch(epoch: Epoch) -> None:
    newest = max((found.number for found in epochs_outside()), default=epoch.number)
    if newest > epoch.number:
        raise CheckpointRefused(
            f"Epoch {newest} has begun outside, but the database is in epoch {epoch.number}: an older state was "
            "restored. Begin a new epoch.",
            epoch=epoch.number,
            epoch_outside=newest,
        )


def _frontier_at(base: Checkpoint, now: datetime) -> Frontier:
    """The tree at `base`, proved to have the signed root.

    Normally read from the database's row. When the row is missing (a backup was restored, or a crash came between
    file and commit), every row is read again; if they agree with the file, the file is adopted.
    """
    row = AuditCheckpoint.objects.filter(origin=base.origin, size=base.size).first()
    if row:
        with suppress(ValueError):
            frontier = Frontier.from_bytes(bytes(row.frontier))
            if (frontier.size, frontier.root) == (base.size, base.root):
                return frontier
    frontier = _extend(Frontier(), base.size)
    if frontier.root != base.root:
        raise CheckpointRefused(
            f"The first {base.size} events are not the ones that were signed.", signed_size=base.size
        )
    if not row:
        _keep(base, frontier, now)
    return frontier


def _keep(checkpoint: Checkpoint, frontier: Frontier, now: datetime) -> None:
    AuditCheckpoint.objects.create(
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root,
        note=checkpoint.note,
        frontier=frontier.to_bytes(),
        signed_at=now,
    )


def _has_news(*, after: int) -> bool:
    newer = AuditLink.objects.filter(seq__gt=after).values("event_id")
    return AuditEvent.objects.filter(id__in=newer).exclude(verb=Verb.CHECKPOINT_SIGNED).exists()


def _extend(frontier: Frontier, size: int) -> Frontier:
    """The tree with the rows up to `size` appended; hashes are made anew from the payloads."""
    for grown in grow(frontier, size):
        frontier = grown
    return frontier


def grow(frontier: Frontier, size: int) -> Iterator[Frontier]:
    """The trees after each further row up to `size`. Raises CheckpointRefused at a row that is missing or changed."""
    retired = retired_until()
    for row in read_sealed(after=frontier.size, until=size):
        is_retired = row.payload is None and row.seq <= retired
        if row.seq != frontier.size + 1 or (row.payload is None and not is_retired):
            raise CheckpointRefused(f"Event {frontier.size + 1} of the trail is missing.", seq=frontier.size + 1)
        leaf = row.leaf_hash if row.payload is None else leaf_hash(row.payload.encode())
        if leaf != row.leaf_hash:
            raise CheckpointRefused(f"Event {row.seq} of the trail was changed.", seq=row.seq)
        frontier = frontier.append(leaf)
        yield frontier
    if frontier.size != size:
        raise CheckpointRefused(f"Event {frontier.size + 1} of the trail is missing.", seq=frontier.size + 1)


class SealedPayload(NamedTuple):
    """One link with its event's payload; `payload` is None when the event is gone."""

    seq: int
    event_id: UUID
    leaf_hash: bytes
    payload: str | None


def read_sealed(*, after: int, until: int) -> Iterator[SealedPayload]:
    """Links with `after < seq <= until` in order, a few thousand at a time."""
    while after < until:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT l.seq, l.event_id, l.leaf_hash, e.payload
                FROM audit_auditlink l LEFT JOIN audit_auditevent e ON e.id = l.event_id
                WHERE l.seq > %s AND l.seq <= %s ORDER BY l.seq LIMIT %s
                """,
                [after, until, ROWS_PER_READ],
            )
            rows = [SealedPayload(seq, event, bytes(leaf), payload) for seq, event, leaf, payload in cursor]
        if not rows:
            return
        yield from rows
        after = rows[-1].seq
