"""Erase free text and personal data beside the trail, without touching the proof."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from governance.audit.actions import Verb
from governance.audit.log import Record, Subject, record_many
from governance.audit.models import AuditDetail
from governance.kernel.actors import Actor


def erase_details(*, event_ids: Sequence[UUID], actor: Actor, now: datetime, reason: str) -> int:
    """Erase the details of these events and record each erasure; the number erased.

    The text and its salt are gone for good, also for us; copies in backups go when the backups do. Events without
    a detail, or with one erased before, are passed over.
    """
    with transaction.atomic(durable=True):
        kept = AuditDetail.objects.select_for_update().filter(event_id__in=event_ids, erased_at__isnull=True)
        ids = sorted(kept.values_list("event_id", flat=True))
        AuditDetail.objects.filter(event_id__in=ids).update(salt=None, text=None, erased_at=now)
        record_many(
            Record(
                verb=Verb.DETAIL_ERASED,
                actor=actor,
                subject=Subject("audit_event", str(event_id)),
                now=now,
                reason=reason,
            )
            for event_id in ids
        )
    return len(ids)
