"""After a restore nothing is sent until a person has looked at each source.

A restored database is behind the world: an order that was carried out after the backup looks unsent, an access that was
given back looks taken. Carrying the old orders out again would mostly find its own work, and sometimes undo what people
decided since. So the restore holds every source, and what a worker had in its hands is planned again. A person ends the
hold, after a reading that began later than the restore showed what is so.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.fields import BooleanField

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, system_actor
from governance.kernel.errors import Conflict, DomainError, NotFound
from governance.people.access import require_role
from identities.models import Source, SyncRun, SyncState
from reviews.models import Order, RestoreHold, ReviewItem
from reviews.remediation.placing import move_order
from reviews.remediation.releasing import RELEASERS, require_reason, require_releaser
from reviews.states import OrderState

RESTORER = system_actor("restore")
# The restore leaves this table behind in the same transaction as the data, and removes it when all holds are in place.
UNFINISHED = "restore_unfinished"
WAITING = frozenset({OrderState.AWAITING_SECOND, OrderState.PLANNED})


class NotReadSince(DomainError):
    """Nobody can know what is so at the source before it was read again."""

    code = "not-read-since-restore"
    status = 409
    title = "The source was not read since the restore"


class HoldEnded(Conflict):
    """Somebody else has ended this hold."""

    code = "restore-hold-ended"


@dataclass(frozen=True, slots=True)
class HeldSource:
    """One hold as people look at it. read_at: when the newest complete reading began that is later than the restore.

    waiting: orders there that were not sent. sent: orders that were under way when the backup was taken.
    """

    hold: RestoreHold
    read_at: datetime | None
    waiting: int
    sent: int


def is_held() -> Q:
    """For a filter over orders: whether a restore holds them. Also while a restore is not finished."""
    holds = RestoreHold.objects.filter(source=OuterRef("source"), ended_at=None)
    unfinished = RawSQL("to_regclass(%s) IS NOT NULL", [UNFINISHED], output_field=BooleanField())
    return Q(Exists(holds)) | Q(unfinished)


def hold_everything(*, state_of: datetime, now: datetime) -> tuple[int, int]:
    """Hold every source and plan again what was under way. An inner step of the restore; (sources, orders) touched."""
    RestoreHold.objects.filter(ended_at=None).update(restored_at=now)
    without = Source.objects.exclude(Exists(RestoreHold.objects.filter(source=OuterRef("pk"), ended_at=None)))
    RestoreHold.objects.bulk_create(
        [RestoreHold(source_id=pk, state_of=state_of, restored_at=now) for pk in without.values_list("pk", flat=True)],
        batch_size=1000,
    )
    under_way = list(Order.objects.select_for_update().filter(state=OrderState.EXECUTING).order_by("pk"))
    for order in under_way:
        move_order(
            order,
            OrderState.PLANNED,
            now=now,
            actor=RESTORER,
            verb=Verb.ORDER_INTERRUPTED,
            outcome="Was under way when the backup was taken; held until somebody has looked at the source.",
            leased_until=None,
        )
    # To see what is so outside is the first thing that people need.
    Source.objects.filter(is_enabled=True, next_read_at__isnull=False).update(next_read_at=now)
    return RestoreHold.objects.filter(ended_at=None).count(), len(under_way)


def access_hold(*, actor: Actor, slug: str) -> RestoreHold:
    """The open hold of a source, for those who may end it. Raises Forbidden, and NotFound where there is none."""
    require_role(actor, *RELEASERS)
    hold = RestoreHold.objects.filter(source__slug=slug, ended_at=None).select_related("source").first()
    if hold is None:
        raise NotFound("No restore holds this source.")
    return hold


def list_held_sources() -> list[HeldSource]:
    """The open holds, those with orders first. Four queries for any number of sources."""
    holds = list(RestoreHold.objects.filter(ended_at=None).select_related("source").order_by("source__name", "pk"))
    if not holds:
        return []
    sources = [hold.source_id for hold in holds]
    since = min(hold.restored_at for hold in holds)
    readings = SyncRun.objects.filter(
        source__in=sources, state=SyncState.APPLIED, is_complete=True, started_at__gt=since
    )
    read_at = dict(readings.order_by().values("source").annotate(at=Max("observed_at")).values_list("source", "at"))
    open_orders = Order.objects.filter(source__in=sources).order_by().values("source")
    counts: dict[UUID, dict[str, Any]] = {
        row["source"]: dict(row)
        for row in open_orders.annotate(
            waiting=Count("pk", filter=Q(state__in=WAITING)), sent=Count("pk", filter=_SENT)
        )
    }
    found = [
        HeldSource(
            hold,
            at if (at := read_at.get(hold.source_id)) and at > hold.restored_at else None,
            counts.get(hold.source_id, {}).get("waiting", 0),
            counts.get(hold.source_id, {}).get("sent", 0),
        )
        for hold in holds
    ]
    return sorted(found, key=lambda each: -each.waiting)


_SENT = Q(state__in=[OrderState.APPLIED, OrderState.WATCHING, OrderState.PARTIAL])


def release_hold(*, hold: RestoreHold, reason: str, actor: Actor, now: datetime) -> RestoreHold:
    """Let the orders at a source be sent again. Raises Forbidden, NotReadSince, HoldEnded, ReleaseNeedsReason."""
    person, reason = require_releaser(actor), require_reason(reason)
    with transaction.atomic(durable=True):
        hold = _lock(hold)
        _require_reading(hold)
        waiting = _waiting_at(hold).count()
        _end(hold, person, reason, now)
        _record(Verb.RESTORE_HOLD_RELEASED, hold, actor, now, reason, waiting)
        dispatch.after_commit("reviews.drain_orders")
    return hold


def call_off_held(*, hold: RestoreHold, reason: str, actor: Actor, now: datetime) -> RestoreHold:
    """Withdraw every order at a source that was not sent, and end the hold; the questions count as escalated.

    Needs no reading: nothing changes at the source. Raises Forbidden, HoldEnded, ReleaseNeedsReason.
    """
    person, reason = require_releaser(actor), require_reason(reason)
    with transaction.atomic(durable=True):
        hold = _lock(hold)
        orders = list(_waiting_at(hold).select_for_update().order_by("pk"))
        for order in orders:
            move_order(
                order,
                OrderState.RECALLED,
                now=now,
                actor=actor,
                verb=Verb.ORDER_RECALLED,
                outcome="Withdrawn after the restore of an earlier state.",
                reason=reason,
            )
        ReviewItem.objects.filter(orders__in=orders, escalated_at=None).update(escalated_at=now)
        _end(hold, person, reason, now)
        _record(Verb.RESTORE_HOLD_RECALLED, hold, actor, now, reason, len(orders))
    return hold


def _waiting_at(hold: RestoreHold) -> QuerySet[Order]:
    return Order.objects.filter(source_id=hold.source_id, state__in=WAITING)


def _require_reading(hold: RestoreHold) -> None:
    read = SyncRun.objects.filter(
        source=hold.source_id,
        state=SyncState.APPLIED,
        is_complete=True,
        started_at__gt=hold.restored_at,
        observed_at__gt=hold.restored_at,
    )
    if not read.exists():
        raise NotReadSince(
            "Let the source be read first, completely: only then is it known which orders were carried out after the "
            "backup was taken."
        )


def _lock(hold: RestoreHold) -> RestoreHold:
    locked = RestoreHold.objects.select_for_update(of=("self",)).select_related("source").get(pk=hold.pk)
    if locked.ended_at is not None:
        raise HoldEnded("This source is not held any more: somebody was faster.")
    return locked


def _end(hold: RestoreHold, person: UUID, reason: str, now: datetime) -> None:
    hold.ended_at, hold.ended_by_id, hold.end_reason = now, person, reason
    hold.save(update_fields=["ended_at", "ended_by", "end_reason"])


def _record(verb: Verb, hold: RestoreHold, actor: Actor, now: datetime, reason: str, orders: int) -> None:
    log.record(
        verb=verb,
        actor=actor,
        subject=log.Subject("source", str(hold.source_id)),
        now=now,
        reason=reason,
        context={"hold": str(hold.pk), "orders": orders, "restored_at": hold.restored_at, "state_of": hold.state_of},
    )


def is_unfinished() -> bool:
    """Whether a restore wrote its data and did not get to the end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [UNFINISHED])
        return bool(cursor.fetchone()[0])
