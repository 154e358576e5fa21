"""Bring back what an order took away, for a limited time."""

from datetime import datetime, timedelta

from django.db import transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden
from reviews.models import Order, OrderAction, OrderStage
from reviews.remediation.own_grants import is_own
from reviews.remediation.placing import require_disinterested
from reviews.states import OrderState

RESTORABLE = frozenset(
    {
        OrderState.WATCHING,
        OrderState.APPLIED,
        OrderState.VERIFIED,
        OrderState.STILL_EFFECTIVE,
        OrderState.SESSIONS_REMAIN,
        OrderState.PARTIAL,
    }
)
MAX_DAYS = 90


class NotRestorable(Conflict):
    """Nothing was taken away by this order, or it cannot be brought back."""

    code = "not-restorable"
    title = "This order cannot be restored"


class RestoreNeedsReason(DomainError):
    """Bringing access back is a decision too, so it says why and for how long."""

    code = "reason-required"


def restore_order(*, order: Order, reason: str, days: int = 30, actor: Actor, now: datetime) -> Order:
    """Order the inverse of `order` and, `days` later, its repetition: what is restored is restored for a time.

    Returns the restoring order. Raises NotRestorable, RestoreNeedsReason, Forbidden.
    """
    if not actor.has_role(Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER):
        raise Forbidden("Only reviewers, campaign managers and administrators can restore access.")
    require_disinterested(order, actor)
    if not reason.strip():
        raise RestoreNeedsReason("Say why the access is needed again.")
    if not 1 <= days <= MAX_DAYS:
        raise RestoreNeedsReason(f"Restore for 1 to {MAX_DAYS} days.")
    with transaction.atomic(durable=True):
        order = Order.objects.select_for_update().get(pk=order.pk)
        restoration = bring_back(order, days=days, now=now)
        log.record(
            verb=Verb.ORDER_PLANNED,
            actor=actor,
            subject=log.Subject("order", str(restoration.id)),
            now=now,
            new={"state": restoration.state, "action": restoration.action},
            context={"restores": str(order.id), "ends_at": now + timedelta(days=days)},
            reason=reason,
        )
        dispatch.after_commit("reviews.drain_orders")
    return restoration


def bring_back(order: Order, *, days: int, now: datetime) -> Order:
    """Write the inverse of a locked order and its repetition, `days` later. An inner step. Raises NotRestorable.

    What was locked out before it was removed is restored by two orders, one for each of the two changes.
    """
    _require_restorable(order)
    stages = [OrderStage.LOCK] if order.state == OrderState.WATCHING else [""]
    if order.lock_plan is not None and order.state != OrderState.WATCHING:
        stages.append(OrderStage.LOCK)
    restorations = [_inverse(order, stage, now) for stage in stages]
    _repetition(order, now + timedelta(days=days), now)
    return restorations[0]


def _require_restorable(order: Order) -> None:
    if order.action == OrderAction.RESTORE or order.state not in RESTORABLE:
        raise NotRestorable("Only access that an order has taken away can be restored.")
    plan = order.lock_plan if order.stage == OrderStage.LOCK else order.plan
    if plan is None:
        raise NotRestorable("A person did this at the source, so a person has to undo it there.")
    if is_own(order.grant):
        raise NotRestorable("It was granted on request; whoever still needs it asks again.")
    if plan.get("irreversible"):
        raise NotRestorable("This change cannot be undone; issue a new credential instead.")
    running = order.restorations.exclude(state__in=[OrderState.RECALLED, OrderState.FAILED])
    if running.exists():
        raise NotRestorable("A restoration of this order is already under way.")


def _inverse(order: Order, stage: str, now: datetime) -> Order:
    return Order.objects.create(
        restores=order,
        stage=stage,
        item_id=order.item_id,
        source_id=order.source_id,
        identity_id=order.identity_id,
        grant_id=order.grant_id,
        credential_id=order.credential_id,
        action=OrderAction.RESTORE,
        target=order.held,
        held=order.target,
        execute_after=now,
        outcome="Waiting to be sent.",
    )


def _repetition(order: Order, when: datetime, now: datetime) -> Order:
    return Order.objects.create(
        item_id=order.item_id,
        source_id=order.source_id,
        identity_id=order.identity_id,
        grant_id=order.grant_id,
        credential_id=order.credential_id,
        action=order.action,
        target=order.target,
        held=order.held,
        execute_after=when,
        outcome="The restored access ends on this date.",
        state_since=now,
    )
