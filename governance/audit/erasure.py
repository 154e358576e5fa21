"""Erase free text and personal data beside the trail, without touching the proof.

What is erased is the detail of an event, as a whole: its commitment covers the whole text. The record itself stays; it
holds random ids and no personal data. A hold that is on one of the events refuses the erasure as a whole, by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from governance.audit.actions import Verb
from governance.audit.holds import UnderHold, holds_on_events, name_holds, require_custodian, wait_for_holds
from governance.audit.log import Record, Subject, record_many
from governance.audit.models import AuditDetail
from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError


class ErasureRefused(DomainError):
    """The erasure has no reason, or names nobody."""

    code = "erasure-refused"
    title = "Nothing was erased"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What erasing a person's details would do.

    going: details that would go. with_personal_data: of these, those with personal data (an address, an IP address).
    staying: details of the person that stay, because they hold only reasons and those are not asked for.
    erased_before: details that are gone already. events: events by or about the person, which stay all the same.
    held: details that a hold is on; while there are any, nothing is erased. holds: which.
    """

    going: int
    with_personal_data: int
    staying: int
    erased_before: int
    events: int
    held: int
    holds: str


def preview_erasure(*, person_id: UUID, include_reasons: bool) -> Preview:
    """What `erase_person` would do; changes nothing."""
    found = _details_of(person_id)
    going = [each for each in found if not each.is_erased and (each.is_personal or include_reasons)]
    held = holds_on_events([each.event_id for each in going])
    return Preview(
        going=len(going),
        with_personal_data=sum(each.is_personal for each in going),
        staying=sum(not each.is_erased for each in found) - len(going),
        erased_before=sum(each.is_erased for each in found),
        events=_count_events(person_id),
        held=len(held),
        holds=name_holds(set(held.values())) if held else "",
    )


def erase_person(*, person_id: UUID, include_reasons: bool, actor: Actor, now: datetime, reason: str) -> int:
    """Erase the details of events by or about a person, and record each erasure; the number erased.

    include_reasons: also details that hold nothing but a reason, which is evidence of why something was decided.
    Raises UnderHold, ErasureRefused and Forbidden.
    """
    require_custodian(actor)
    _refuse_silence(reason)
    with transaction.atomic(durable=True):
        wait_for_holds()
        found = _details_of(person_id)
        ids = [each.event_id for each in found if not each.is_erased and (each.is_personal or include_reasons)]
        return _erase(ids, actor, now, reason)


def erase_details(*, event_ids: Sequence[UUID], actor: Actor, now: datetime, reason: str) -> int:
    """Erase the details of these events and record each erasure; the number erased.

    The text and its salt are gone for good, also for us; copies in backups go when the backups do. Events without
    a detail, or with one erased before, are passed over. Raises UnderHold, ErasureRefused and Forbidden.
    """
    require_custodian(actor)
    _refuse_silence(reason)
    with transaction.atomic(durable=True):
        wait_for_holds()
        return _erase(event_ids, actor, now, reason)


def _erase(event_ids: Sequence[UUID], actor: Actor, now: datetime, reason: str) -> int:
    kept = AuditDetail.objects.select_for_update().filter(event_id__in=event_ids, erased_at__isnull=True)
    ids = sorted(kept.values_list("event_id", flat=True))
    held = holds_on_events(ids)
    if held:
        named = name_holds(set(held.values()))
        raise UnderHold(
            f"{len(held)} of these details are under legal hold, so nothing was erased: {named}.",
            holds=sorted({str(hold) for hold in held.values()}),
        )
    AuditDetail.objects.filter(event_id__in=ids).update(salt=None, text=None, erased_at=now)
    record_many(
        Record(verb=Verb.DETAIL_ERASED, actor=actor, subject=Subject("audit_event", str(each)), now=now, reason=reason)
        for each in ids
    )
    return len(ids)


def _refuse_silence(reason: str) -> None:
    if not reason.strip():
        raise ErasureRefused("Say why: who asked for it, and where the request is kept.")


@dataclass(frozen=True, slots=True)
class _Detail:
    event_id: UUID
    is_erased: bool
    is_personal: bool


def _details_of(person_id: UUID) -> list[_Detail]:
    """The details of every event that the person caused or that is about them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT e.id, d.erased_at IS NOT NULL, coalesce(d.text LIKE '{"personal":%%', false)
            FROM (
                SELECT id FROM audit_auditevent WHERE actor_id = %s
                UNION SELECT id FROM audit_auditevent WHERE subject_id = %s
            ) e JOIN audit_auditdetail d ON d.event_id = e.id
            """,
            [str(person_id), str(person_id)],
        )
        return [_Detail(*columns) for columns in cursor.fetchall()]


def _count_events(person_id: UUID) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM (
                SELECT id FROM audit_auditevent WHERE actor_id = %s
                UNION SELECT id FROM audit_auditevent WHERE subject_id = %s
            ) e
            """,
            [str(person_id), str(person_id)],
        )
        found: int = cursor.fetchone()[0]
        return found
