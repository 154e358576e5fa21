"""Approvals whose ground is gone: their date is over, or the access is no longer the one that was approved.

Ending the access itself on the agreed date is an order's work; this ends the approval, once, with a record.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from governance.audit.actions import Verb
from governance.audit.log import Record, Subject, record_many
from governance.kernel.actors import Actor, system_actor
from identities.models import Grant, GrantVersion, Withholding
from identities.services.review_facts import clear_review, lapse_review

CALENDAR = system_actor("calendar")
CHUNK = 1000


def expire_due_approvals(*, now: datetime) -> int:
    """Let every approval lapse that no longer stands. Returns how many did."""
    total = 0
    while lapsed := _expire_chunk(now):
        total += lapsed
    return total


def _expire_chunk(now: datetime) -> int:
    other_content = GrantVersion.objects.filter(grant=OuterRef("pk"), seen_until=None).exclude(
        digest=OuterRef("reviewed_digest")
    )
    with transaction.atomic(durable=True):
        grants = list(
            Grant.objects.select_for_update(skip_locked=True)
            .filter(reviewed_digest__isnull=False, retired_at=None)
            .filter(Q(approved_until__lte=now) | Exists(other_content))
            .order_by("pk")[:CHUNK]
        )
        record_many([lapsed(grant, actor=CALENDAR, why=_why(grant, now), now=now) for grant in grants])
        over = {grant.pk for grant in grants if _why(grant, now) == "date_reached"}
        lapse_review(grant_ids=over, why=Withholding.APPROVAL_LAPSED, now=now)
        clear_review(grant_ids=[grant.pk for grant in grants if grant.pk not in over])
    return len(grants)


def _why(grant: Grant, now: datetime) -> str:
    over = grant.approved_until is not None and grant.approved_until <= now
    return "date_reached" if over else "access_changed"


def lapsed(grant: Grant, *, actor: Actor, why: str, now: datetime) -> Record:
    """The record of an approval that ends, with what it was; the caller ends it."""
    return Record(
        verb=Verb.APPROVAL_LAPSED,
        actor=actor,
        subject=Subject("grant", str(grant.pk)),
        now=now,
        old={
            "reviewed_at": grant.reviewed_at,
            "digest": bytes(grant.reviewed_digest or b"").hex(),
            "approved_until": grant.approved_until,
        },
        context={"why": why, "identity": str(grant.identity_id)},
    )
