"""The places outside that hold checkpoints besides the folder, and what each of them has taken so far.

The folder is the book of reference: what cannot be written there is not signed. Every other place gets what is signed
afterwards, each by itself, so one that fails keeps neither the signing nor the others waiting. It is tried again, ever
more slowly, and catches up; that it failed, and that it works again, stands in the trail.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import structlog
from django.conf import settings
from django.db import transaction

from governance.audit import outside
from governance.audit.actions import Verb
from governance.audit.carriers import BadAddress, Carrier, Undelivered, read_address
from governance.audit.lineage import current_epoch
from governance.audit.log import Subject, record
from governance.audit.models import AuditCheckpoint, AuditPlace
from governance.audit.notes import Checkpoint
from governance.kernel.actors import Actor

logger = structlog.get_logger(__name__)

# A sender that died leaves its place to the next one after this time.
LEASE = timedelta(minutes=5)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
MOST_AT_ONCE = 50
FAILURE_LENGTH = 300


@dataclass(frozen=True, slots=True)
class PlaceState:
    """One place for people: `size` events are proved there since `kept_at`; `failure` is empty while it works."""

    label: str
    size: int
    kept_at: datetime | None
    failed_at: datetime | None = None
    failure: str = ""


def list_places() -> list[PlaceState]:
    """All places, the folder first, with what each holds of the present epoch."""
    epoch = current_epoch()
    files = outside.list_files(epoch.folder)
    row = AuditCheckpoint.objects.filter(origin=epoch.origin).order_by("-size").first()
    folder = PlaceState("folder", files[-1][0] if files else 0, row.signed_at if row and files else None)
    rows = AuditPlace.objects.in_bulk()
    return [folder, *(_state(address, rows.get(_key(address)), epoch.origin) for address in _addresses())]


def _state(address: str, row: AuditPlace | None, origin: str) -> PlaceState:
    try:
        label = read_address(address).label
    except BadAddress as error:
        return PlaceState("a place that the settings misspell", 0, None, failure=str(error))
    if row is None:
        return PlaceState(label, 0, None)
    size = row.size if row.origin == origin else 0
    return PlaceState(label, size, row.kept_at, row.failed_at, row.failure)


def send_checkpoints(*, now: datetime, actor: Actor) -> None:
    """Send to each place what it does not hold yet. Nothing of it happens inside a transaction."""
    for address in _addresses():
        try:
            carrier = read_address(address)
        except BadAddress as error:
            logger.error("audit.place_misspelt", message=str(error))
            continue
        _send_to(_key(address), carrier, now=now, actor=actor)


def _send_to(key: str, carrier: Carrier, *, now: datetime, actor: Actor) -> None:
    row = _claim(key, now)
    if row is None:
        return
    kept, failure = None, ""
    try:
        for checkpoint in _due(row, carrier, now):
            carrier.send(checkpoint, now)
            kept = checkpoint
    except Undelivered as error:
        failure = str(error)[:FAILURE_LENGTH] or "no reason was given"
    _settle(key, carrier.label, kept, failure, now=now, actor=actor)


def _claim(key: str, now: datetime) -> AuditPlace | None:
    """The place, for this sender alone until the lease ends; None when it waits, or somebody else has it."""
    with transaction.atomic(durable=True):
        AuditPlace.objects.get_or_create(key=key, defaults={"next_try_at": now})
        waiting = AuditPlace.objects.select_for_update(skip_locked=True).filter(key=key, next_try_at__lte=now)
        row = waiting.first()
        if row:
            AuditPlace.objects.filter(key=key).update(next_try_at=now + LEASE)
    return row


def _due(row: AuditPlace, carrier: Carrier, now: datetime) -> Iterator[Checkpoint]:
    """What the place lacks, oldest first: everything, or the newest alone."""
    if row.kept_at and now - row.kept_at < carrier.pause:
        return
    origin = current_epoch().origin
    signed = AuditCheckpoint.objects.order_by("size")
    lacking = list(signed.filter(origin=row.origin, size__gt=row.size)[:MOST_AT_ONCE])
    if row.origin != origin:
        lacking += signed.filter(origin=origin)[: MOST_AT_ONCE - len(lacking)]
    if not carrier.wants_all:
        newest = signed.filter(origin=origin).last()
        lacking = [newest] if newest and lacking else []
    for found in lacking:
        yield Checkpoint(found.origin, found.size, bytes(found.root), found.note)


def _settle(key: str, label: str, kept: Checkpoint | None, failure: str, *, now: datetime, actor: Actor) -> None:
    """Note what the place took, and record it when it begins to fail or works again."""
    with transaction.atomic(durable=True):
        row = AuditPlace.objects.select_for_update().get(key=key)
        has_changed = bool(row.failure) != bool(failure) and bool(failure or kept)
        if kept:
            row.origin, row.size, row.kept_at = kept.origin, kept.size, now
        if failure:
            wait = min(FIRST_WAIT * 2 ** min(row.attempts, 10), LONGEST_WAIT)
            row.failure, row.failed_at, row.attempts, row.next_try_at = failure, now, row.attempts + 1, now + wait
        else:
            row.attempts, row.next_try_at = 0, now
            row.failure = "" if kept else row.failure
        row.save()
        if has_changed:
            record(
                verb=Verb.CHECKPOINT_PLACE_FAILED if failure else Verb.CHECKPOINT_PLACE_RECOVERED,
                actor=actor,
                subject=Subject("checkpoint_place", key, "place of checkpoints"),
                now=now,
                reason=f"{label}: {failure}" if failure else label,
                outcome="failed" if failure else "success",
            )
    if failure:
        logger.error("audit.place_failed", place=label, message=failure)


def _addresses() -> list[str]:
    found: list[str] = settings.AUDIT_CHECKPOINT_PLACES
    return found


def _key(address: str) -> str:
    return sha256(address.encode()).hexdigest()[:32]
