"""An end that was agreed or announced for later falls away when a later review keeps the access.

Somebody has looked at it since, and said that it stays; a later date of their own has an order of its own.
"""

from datetime import datetime

from django.db.models import Q

from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from reviews.models import Answer, Decision, Order, OrderAction
from reviews.remediation.placing import move_order
from reviews.states import OrderState

CALENDAR = system_actor("calendar")
KEPT = (Answer.APPROVE, Answer.APPROVE_UNTIL, Answer.KEEP)
ENDINGS = (OrderAction.REVOKE, OrderAction.NARROW, OrderAction.DEACTIVATE)


def withdraw_if_overtaken(order: Order, now: datetime) -> bool:
    """Recall a locked, planned, dated order that a later answer contradicts. An inner step of the taking."""
    announced_at = _announced_at(order)
    if announced_at is None or order.attempts:
        return False
    about = Q(item__grant=order.grant_id) if order.grant_id else Q(item__credential=order.credential_id)
    later = Decision.objects.filter(about, answer__in=KEPT, is_attestation=False, recalls=None, recalled_by=None)
    if not later.filter(decided_at__gt=announced_at).exists():
        return False
    move_order(
        order,
        OrderState.RECALLED,
        now=now,
        actor=CALENDAR,
        verb=Verb.ORDER_RECALLED,
        outcome="Withdrawn: a later review keeps this access.",
    )
    return True


def _announced_at(order: Order) -> datetime | None:
    """When the end was set for a later date; None where the order is not of that kind."""
    decision = order.decision
    if decision is None:
        # What was restored for a time ends without a decision of its own.
        return order.state_since if order.item_id and order.action in ENDINGS else None
    return decision.decided_at if decision.until is not None and decision.answer != Answer.ROTATE else None
