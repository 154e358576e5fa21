"""Take a file in: Remit's own records, or whatever another system exports, brought into records first.

The head of the file says what it is. A whole inventory goes in as a complete snapshot, a part of one as a snapshot
that retires nothing, a log of use as a delta in which unknown identities are counted and passed over.
"""

import re
import tempfile
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, BinaryIO, cast

import orjson
import structlog
from django.conf import settings

from governance.kernel.actors import Actor, Role
from governance.kernel.errors import DomainError
from governance.people.access import require_role
from identities.connectors.files import FileFormat, FileRefused, Holds, Notes
from identities.connectors.registry import formats, recognise
from identities.models import Source, SyncMode, SyncOrigin, SyncRun, SyncState
from identities.services.sources import PUSH
from identities.sync import runs
from identities.sync.incoming import Incoming, digest_of, rewindable
from identities.sync.lines import SPOOL_IN_MEMORY, Body, TooLarge
from identities.sync.locks import source_lock
from identities.sync.progress import Cancelled, Progress
from identities.sync.receive import Intake, SyncRefused, carry_out, order_in_time, receive, refuse
from identities.sync.records import RECORD_TYPES

logger = structlog.get_logger(__name__)
AUTO, RECORDS = "auto", "records"
_RECORD = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"type"\s*:\s*"([^"]{1,40})"')
USE_TYPES = frozenset({"usage", "usage_window", "end"})


@dataclass(frozen=True, slots=True)
class Import:
    """How a file is to be taken in.

    format: "auto", "records", or the name of a format. is_part: what the file lacks is not gone. mode and is_complete
    are for records alone, which do not say it themselves. again: count a log of use once more that was counted before.
    keep: a dry run keeps what it read, so that `take_in` can apply it. tell: whom to tell how far it is.
    """

    format: str = AUTO
    is_part: bool = False
    mode: SyncMode = SyncMode.SNAPSHOT
    is_complete: bool = False
    dry_run: bool = False
    skip_bad: bool = False
    again: bool = False
    keep: bool = False
    tell: Callable[[dict[str, Any]], None] | None = None


@dataclass(frozen=True, slots=True)
class Converted:
    """Records as a reading, with what the format had to say. lines: of which line of the file each record is."""

    notes: dict[str, Any]
    lines: "array[int] | None"


def import_file(*, source: Source, file: BinaryIO, wish: Import, actor: Actor, now: datetime) -> SyncRun:
    """Take one file in; returns the run in the state in which it ended, as `receive` does.

    A log of use that was taken in before is not counted twice: its run is returned as it was. Raises `FileRefused`
    where nobody knows what the file is or another source should have it, and what `receive` raises: then no run was
    begun.
    """
    require_role(actor, Role.ADMINISTRATOR, scope="sync:write")
    with rewindable(file) as whole:
        found = format_of(Incoming(whole).head(), wish.format)
        if found is None:
            return _receive_records(source, whole, wish, actor, now)
        _check_fits(source, found, wish)
        return _import(source, whole, found, wish, actor, now)


def format_of(head: bytes, wanted: str = AUTO) -> FileFormat | None:
    """The format of a file that begins like this; None for Remit's own records. Raises `FileRefused`."""
    known = {each.name: each for each in formats()}
    if wanted == RECORDS:
        return None
    if wanted != AUTO:
        if wanted not in known:
            raise FileRefused(f"There is no format {wanted!r}. {_known_formats()}", format=wanted)
        return known[wanted]
    if not head.strip():
        raise FileRefused("The file is empty.")
    if _are_records(head):
        return None
    found = recognise(head)
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(each.name for each in found)
        raise FileRefused(f"The file may be {names}; say which with the format.", formats=[each.name for each in found])
    raise FileRefused(f"Nobody here knows what this file is. {_known_formats()}")


def _known_formats() -> str:
    listed = "; ".join(f"{each.name} ({each.title})" for each in formats())
    return f"There are: {RECORDS} (Remit's own records, one JSON object per line); {listed}."


def _are_records(head: bytes) -> bool:
    """Whether the first line is a record of ours, or an attempt at one that a reading will say more about."""
    found = _RECORD.match(head)
    return found is not None and found[1].decode(errors="replace") in RECORD_TYPES


def _check_fits(source: Source, found: FileFormat, wish: Import) -> None:
    if not source.is_enabled:
        raise SyncRefused(f"{source.name} is switched off; an administrator can switch it on.")
    if wish.is_complete and wish.is_part:
        raise SyncRefused("A file can't be complete and only a part.", field="part")
    if wish.mode == SyncMode.DELTA:
        raise SyncRefused("Only records can be a delta; this format says itself what it is.", field="mode")
    if source.kind == PUSH:
        return
    if found.holds is not Holds.USAGE:
        raise FileRefused(
            f"{source.name} is read by Remit itself, which knows better than an export what it holds. Connect a source "
            "of kind push for the file.",
            kind=source.kind,
        )
    if found.kind != source.kind:
        raise FileRefused(f"This is a log of {found.kind}, and {source.name} is {source.kind}.", kind=source.kind)


def _receive_records(source: Source, file: IO[bytes], wish: Import, actor: Actor, now: datetime) -> SyncRun:
    return receive(
        source=source,
        lines=Body(file, is_gzip=Incoming(file).is_gzip),
        mode=wish.mode,
        is_complete=wish.is_complete and not wish.is_part,
        origin=SyncOrigin.FILE,
        actor=actor,
        now=now,
        dry_run=wish.dry_run,
        skip_bad=wish.skip_bad,
        keep=wish.keep,
        tell=wish.tell,
    )


def _import(source: Source, file: IO[bytes], found: FileFormat, wish: Import, actor: Actor, now: datetime) -> SyncRun:
    is_use = found.holds is Holds.USAGE
    mark = digest_of(file) if is_use and not wish.again else ""
    key = "" if wish.dry_run else mark
    with source_lock(source.pk, wait_seconds=settings.SYNC_WAIT_SECONDS):
        runs.fail_if_abandoned(source_id=source.pk, now=now)
        if earlier := runs.find_earlier(source=source, key=key, request_hash=mark):
            return earlier
        run = runs.begin(
            source=source,
            mode=SyncMode.DELTA if is_use else SyncMode.SNAPSHOT,
            origin=SyncOrigin.FILE,
            is_complete=found.holds is Holds.INVENTORY and not wish.is_part,
            actor=actor,
            now=now,
            observed_at=order_in_time(source, None, now),
            key=key,
            request_hash=mark,
        )
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY) as spooled:
            spool = cast(IO[bytes], spooled)
            intake = Intake(
                Body(spool),
                actor,
                now,
                is_dry=wish.dry_run,
                skip_bad=wish.skip_bad,
                keep=wish.keep,
                skip_strangers=is_use,
                tell=wish.tell,
            )
            try:
                converted = _convert(run, found, file, spool, wish)
            except Cancelled as cancelled:
                return refuse(run, intake, cancelled, state=SyncState.CANCELLED)
            except DomainError as error:
                return refuse(run, intake, error)
            run.notes = converted.notes
            run.save(update_fields=["notes"])
            return carry_out(run, intake.of_lines(converted.lines))


def _convert(run: SyncRun, found: FileFormat, file: IO[bytes], spool: IO[bytes], wish: Import) -> Converted:
    """Write the file's records to the spool. Raises `FileRefused`, `TooLarge`, `UnreadableBody`, `Cancelled`."""
    notes, lines = Notes(), array("L")
    progress = Progress(run.pk, wish.tell, phase="converting")
    size = Body(file).size
    try:
        for number, record in enumerate(found.records(cast(BinaryIO, Incoming(file)), notes), start=1):
            if found.holds is Holds.USAGE and record["type"] not in USE_TYPES:
                raise FileRefused(f"A log of use can't hold {record['type']} records.")
            if number > settings.SYNC_MAX_RECORDS:
                raise TooLarge(f"There are more than {settings.SYNC_MAX_RECORDS:,} records in the file.")
            spool.write(orjson.dumps(record) + b"\n")
            lines.append(notes.line)
            progress.passed(number, position=file.tell(), size=size)
    except DomainError:
        raise
    except Exception as error:
        # Words of a library may hold anything, also what stands in the file.
        logger.exception("sync.format_failed", format=found.name, run=str(run.pk))
        told = f"The file begins like {found.title}, but could not be understood ({type(error).__name__})."
        raise FileRefused(told) from error
    finally:
        progress.close()
    spool.seek(0)
    said = {"format": found.name, "counts": dict(notes.counts), "sentences": notes.sentences}
    return Converted(said, lines if any(lines) else None)
