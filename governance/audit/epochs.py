"""Begin a new epoch: the trail goes on under a new name, because it cannot continue what was signed before.

That is so after a restore (the newest events are lost), when the folder of checkpoints is lost for good, and when the
signing key is replaced. What can still be proved is said in the record `epoch.begun`, which is itself covered by the
new epoch's first checkpoint: the last checkpoint of the old epoch, word for word, and up to which event each earlier
epoch's checkpoints fit this database.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.db import transaction

from governance.audit import outside
from governance.audit.actions import Verb
from governance.audit.checkpoint import CheckpointRefused, grow, take_signing_lock, write_checkpoint
from governance.audit.keys import KeyUnusable, load_or_create_key
from governance.audit.lineage import Epoch, current_epoch, epochs_outside, first_epoch, later_epoch
from governance.audit.log import Subject, record
from governance.audit.models import AuditCheckpoint, AuditHead
from governance.audit.notes import BadNote, Checkpoint, open_checkpoint, read_verifier_key
from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from governance.kernel.merkle import Frontier

logger = structlog.get_logger(__name__)


class EpochRefused(DomainError):
    """A new epoch was asked for without saying why."""

    code = "epoch-refused"
    title = "No new epoch was begun"


@dataclass(frozen=True, slots=True)
class Fit:
    """How far the checkpoints of one earlier epoch agree with this database.

    fits_to: the largest size whose tree the database still holds, 0 for none; signed_to: the largest that was signed.
    Where they differ, the events behind fits_to are not in this database any more.
    """

    origin: str
    fits_to: int
    signed_to: int


@dataclass(frozen=True, slots=True)
class Begun:
    """What `begin_epoch` did. `previous` is the last checkpoint of the epoch before, None when nothing was signed.

    first: the new epoch's first checkpoint; None when it could not be written yet, then `problem` says why and the
    periodic signing repeats it.
    """

    epoch: Epoch
    previous: Checkpoint | None
    fits: tuple[Fit, ...]
    first: Checkpoint | None
    problem: str = ""


def begin_epoch(*, actor: Actor, now: datetime, reason: str) -> Begun:
    """Begin the next epoch, record it, and sign its first checkpoint.

    Opens its own transaction. Reads the whole trail once, and refuses (CheckpointRefused) when an event is missing or
    changed: a new name must not cover a trail that does not fit itself. Raises EpochRefused without a reason, and
    KeyUnusable.
    """
    if not reason.strip():
        raise EpochRefused("Say why the trail goes on under a new name: the reason stands in the record.")
    key = load_or_create_key(settings.AUDIT_KEY_FILE).public_key()
    with transaction.atomic(durable=True):
        take_signing_lock()
        before = _epochs_before()
        signed = {epoch.origin: _signed_in(epoch, key) for epoch in before}
        size = AuditHead.objects.values_list("seq", flat=True).get()
        fits = _fits(signed, size)
        previous = max(signed[before[-1].origin], key=lambda found: found.size, default=None)
        epoch = later_epoch(before[-1].number + 1)
        record(
            verb=Verb.EPOCH_BEGUN,
            actor=actor,
            subject=Subject("epoch", str(epoch.number), f"Epoch {epoch.number} of the trail"),
            now=now,
            old={"epoch": before[-1].number, "origin": before[-1].origin},
            new={"epoch": epoch.number, "origin": epoch.origin, "events": size},
            reason=reason.strip(),
            context={"previous": _as_facts(previous), "fits": [_fit_as_facts(fit) for fit in fits]},
        )
    return _sign_first(epoch, previous, fits, actor=actor, now=now)


def _sign_first(
    epoch: Epoch, previous: Checkpoint | None, fits: tuple[Fit, ...], *, actor: Actor, now: datetime
) -> Begun:
    """The first checkpoint is a transaction of its own: a folder that is full must not undo that the epoch began."""
    try:
        first = write_checkpoint(now=now, actor=actor)
    except (CheckpointRefused, KeyUnusable) as error:
        logger.error("audit.checkpoint_refused", code=error.code, message=error.message, **error.details)
        return Begun(epoch, previous, fits, None, error.message)
    return Begun(epoch, previous, fits, first)


def _epochs_before() -> list[Epoch]:
    """All epochs so far, oldest first; the last one is the one that ends, by what the database or the folder says."""
    known = {epoch.number: epoch for epoch in (first_epoch(), *epochs_outside(), current_epoch())}
    return [known[number] for number in sorted(known)]


def _signed_in(epoch: Epoch, key: Ed25519PublicKey) -> list[Checkpoint]:
    """The checkpoints of an epoch that can be trusted: signed by our key, or by the one that lies beside them."""
    keys = [key]
    with suppress(OSError, UnicodeDecodeError, BadNote):
        keys.append(read_verifier_key((epoch.folder / outside.VERIFIER_KEY).read_text(encoding="utf-8")))
    notes = [path.read_text(encoding="utf-8", errors="replace") for _, path in outside.list_files(epoch.folder)]
    notes += AuditCheckpoint.objects.filter(origin=epoch.origin).values_list("note", flat=True)
    found = {}
    for note in notes:
        checkpoint = _open(note, keys)
        if checkpoint and checkpoint.origin == epoch.origin:
            found[checkpoint.size] = checkpoint
    return list(found.values())


def _open(note: str, keys: Iterable[Ed25519PublicKey]) -> Checkpoint | None:
    for key in keys:
        with suppress(BadNote):
            return open_checkpoint(note, key)
    return None


def _fits(signed: dict[str, list[Checkpoint]], size: int) -> tuple[Fit, ...]:
    """Compare every earlier checkpoint with the trail's tree as it is now, in one pass over the trail."""
    fits_to = dict.fromkeys(signed, 0)
    by_size: dict[int, list[Checkpoint]] = {}
    for checkpoints in signed.values():
        for checkpoint in checkpoints:
            by_size.setdefault(checkpoint.size, []).append(checkpoint)
    for tree in grow(Frontier(), size):
        for checkpoint in by_size.get(tree.size, ()):
            if checkpoint.root == tree.root:
                fits_to[checkpoint.origin] = tree.size
    return tuple(
        Fit(origin, fits_to[origin], max(checkpoint.size for checkpoint in checkpoints))
        for origin, checkpoints in signed.items()
        if checkpoints
    )


def _as_facts(checkpoint: Checkpoint | None) -> dict[str, Any] | None:
    if checkpoint is None:
        return None
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "note": checkpoint.note,
    }


def _fit_as_facts(fit: Fit) -> dict[str, Any]:
    return {"origin": fit.origin, "fits_to": fit.fits_to, "signed_to": fit.signed_to}
