"""How long events are kept here, and how old ones leave: to an archive first, and only then from the database.

By default nothing ever leaves. With `AUDIT_RETENTION_MONTHS`, whole months older than that are *due*, oldest first, up
to the first event that a legal hold is on. Two use cases follow each other: `archive_due_events` writes the file and
records that its verification passed, `retire_archived_events` asks the database to delete what that file holds. The
database has the last word (governance/audit/retirement_triggers.py) and keeps every link, so chain, tree and all
checkpoints verify as before. Nothing retires by itself: a person runs `manage.py retire_events`.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from governance.audit.actions import Verb
from governance.audit.archive import Archived, is_unchanged, write_archive
from governance.audit.holds import UnderHold, first_held, name_holds, require_custodian, wait_for_holds
from governance.audit.keys import load_or_create_key
from governance.audit.lineage import current_epoch
from governance.audit.lines import retired_until
from governance.audit.log import Subject, record
from governance.audit.models import AuditArchive, AuditCheckpoint, AuditRetirement
from governance.audit.notes import open_checkpoint
from governance.audit.retirement_triggers import YOUNGEST_MONTHS
from governance.kernel.actors import Actor
from governance.kernel.errors import Conflict, DomainError


class RetentionRefused(DomainError):
    """Events cannot be archived or retired as things stand."""

    code = "retention-refused"
    status = 409
    title = "Nothing was retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What could be retired now. Empty (`events` is 0) with a sentence in `why_not`.

    first, last: the events. before: they all occurred before this moment. stopped_by: the hold that ends the stretch.
    """

    first: int
    last: int
    before: datetime | None
    why_not: str = ""
    stopped_by: str = ""

    @property
    def events(self) -> int:
        return max(0, self.last - self.first + 1)


def policy_months() -> int:
    """Months that events stay here at least; 0 means for ever. Raises RetentionRefused for a policy below the least."""
    months: int = settings.AUDIT_RETENTION_MONTHS
    if months and months < YOUNGEST_MONTHS:
        raise RetentionRefused(
            f"AUDIT_RETENTION_MONTHS is {months}; it must be 0 (keep for ever) or at least {YOUNGEST_MONTHS}."
        )
    return months


def find_due(*, now: datetime) -> Due:
    """Whole months that are older than the policy and may go: covered by a checkpoint and under no hold."""
    months, first = policy_months(), retired_until() + 1
    if not months:
        return Due(first=first, last=first - 1, before=None, why_not="The policy is to keep every event for ever.")
    before = _months_before(now, months)
    signed = _newest_checkpoint()
    last = min(_last_before(before, first), signed.size if signed else 0)
    if last < first:
        return Due(first=first, last=first - 1, before=before, why_not="No event is older than the policy keeps it.")
    held = first_held(after=first - 1, until=last)
    if held is None:
        return Due(first=first, last=last, before=before)
    stopped = name_holds({held[1]})
    why = f"A legal hold is on event {held[0]}: {stopped}." if held[0] == first else ""
    return Due(first=first, last=held[0] - 1, before=before, why_not=why, stopped_by=stopped)


def archive_due_events(*, actor: Actor, now: datetime) -> AuditArchive:
    """Copy what is due into a new file, have it verified, and record that. Raises RetentionRefused, ArchiveBroken.

    An archive that was made before and not retired yet is used again while its file is unchanged.
    """
    require_custodian(actor)
    due = find_due(now=now)
    if not due.events:
        raise RetentionRefused(due.why_not)
    waiting = AuditArchive.objects.filter(first_seq=due.first, last_seq=due.last).order_by("-verified_at").first()
    if waiting and is_unchanged(settings.AUDIT_ARCHIVE_DIR / waiting.file, bytes(waiting.sha256)):
        return waiting
    archived, origin, size = _write(due, now)
    with transaction.atomic(durable=True):
        archive = AuditArchive.objects.create(
            first_seq=due.first,
            last_seq=due.last,
            leaves=archived.leaves,
            origin=origin,
            checkpoint_size=size,
            file=archived.path.name,
            sha256=archived.sha256,
            size=archived.size,
            verified_at=now,
        )
        record(
            verb=Verb.ARCHIVE_VERIFIED,
            actor=actor,
            subject=Subject("archive", str(archive.pk), archive.file),
            now=now,
            new={
                "first_seq": due.first,
                "last_seq": due.last,
                "sha256": archived.sha256.hex(),
                "size": archived.size,
                "checkpoint_size": size,
            },
        )
    return archive


def _write(due: Due, now: datetime) -> tuple[Archived, str, int]:
    key = load_or_create_key(settings.AUDIT_KEY_FILE)
    row = _newest_checkpoint()
    if row is None:
        raise RetentionRefused("No checkpoint has been signed yet, so nothing can be proved later.")
    checkpoint = open_checkpoint(row.note, key.public_key())
    name = f"remit-events-{due.first}-{due.last}-{now:%Y%m%dT%H%M%SZ}.zip"
    path = settings.AUDIT_ARCHIVE_DIR / name
    archived = write_archive(path, first=due.first, last=due.last, checkpoint=checkpoint, key=key)
    return archived, checkpoint.origin, checkpoint.size


def retire_archived_events(*, archive_id: UUID, actor: Actor, now: datetime, reason: str) -> AuditArchive:
    """Delete the contents of an archive's events from the database; their links stay. Irreversible.

    Raises RetentionRefused when the file is gone or changed or the policy keeps the events, UnderHold with the hold's
    name, Conflict when somebody was faster, and Forbidden.
    """
    require_custodian(actor)
    if not reason.strip():
        raise RetentionRefused("Say by which rule or order these events leave.")
    archive = AuditArchive.objects.get(pk=archive_id)
    path = settings.AUDIT_ARCHIVE_DIR / archive.file
    if not is_unchanged(path, bytes(archive.sha256)):
        raise RetentionRefused(f"The archive {path} is not there, or is not the file that was verified.")
    with transaction.atomic(durable=True):
        wait_for_holds()
        _refuse_what_is_not_due(archive, now)
        AuditRetirement.objects.create(archive_id=archive.pk, last_seq=archive.last_seq, retired_at=now)
        record(
            verb=Verb.EVENTS_RETIRED,
            actor=actor,
            subject=Subject("archive", str(archive.pk), archive.file),
            now=now,
            reason=reason.strip(),
            new={"first_seq": archive.first_seq, "last_seq": archive.last_seq, "events": archive.events},
        )
    return archive


def _refuse_what_is_not_due(archive: AuditArchive, now: datetime) -> None:
    if retired_until() != archive.first_seq - 1:
        raise Conflict(f"Events {archive.first_seq} to {archive.last_seq} are not the next ones; somebody was faster.")
    held = first_held(after=archive.first_seq - 1, until=archive.last_seq)
    if held:
        raise UnderHold(f"A legal hold is on event {held[0]}, so nothing was retired: {name_holds({held[1]})}.")
    due = find_due(now=now)
    if archive.last_seq > due.last:
        raise RetentionRefused("The policy keeps some of these events longer.")


def list_archives() -> list[tuple[AuditArchive, AuditRetirement | None]]:
    """Archives, newest events first, each with its retirement."""
    retirements = {each.archive_id: each for each in AuditRetirement.objects.all()}
    return [(archive, retirements.get(archive.pk)) for archive in AuditArchive.objects.order_by("-last_seq")]


def _newest_checkpoint() -> AuditCheckpoint | None:
    return AuditCheckpoint.objects.filter(origin=current_epoch().origin).order_by("-size").first()


def _months_before(now: datetime, months: int) -> datetime:
    """The first of the month that began so many whole months ago."""
    count = now.year * 12 + now.month - 1 - months
    return now.replace(year=count // 12, month=count % 12 + 1, day=1, hour=0, minute=0, second=0, microsecond=0)


def _last_before(moment: datetime, first: int) -> int:
    """The last event so that it and all from `first` on occurred before the moment."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(
                (
                    SELECT min(l.seq) FROM audit_auditevent e JOIN audit_auditlink l ON l.event_id = e.id
                    WHERE e.occurred_at >= %s AND l.seq >= %s
                ) - 1,
                (SELECT max(seq) FROM audit_auditlink),
                0
            )
            """,
            [moment, first],
        )
        found: int = cursor.fetchone()[0]
        return found
