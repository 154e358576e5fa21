"""Try again: by itself after a while, or because a person has looked and says so."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from governance import dispatch
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import DomainError, Forbidden
from identities.models import GrantVersion
from reviews.models import Order, OrderStage
from reviews.remediation.placing import move_order
from reviews.states import OrderState

FIRST_WAIT_SECONDS = 10
RETRYABLE = frozenset(
    {
        OrderState.DRIFTED,
        OrderState.BLOCKED,
        OrderState.FAILED,
        OrderState.PARTIAL,
        OrderState.SESSIONS_REMAIN,
        OrderState.REAPPEARED,
    }
)
# The change itself was made; carrying the same plan out once more only ends what is left of the sessions.
_CHANGED_ALREADY = frozenset({OrderState.PARTIAL, OrderState.SESSIONS_REMAIN})


class NothingToRetry(DomainError):
    """The order has not failed, so there is nothing to try again."""

    code = "nothing-to-retry"


def retry_order(*, order: Order, actor: Actor, now: datetime) -> Order:
    """Plan a stopped order anew against the source as it was last read, and send it. Raises NothingToRetry, Forbidden.

    A person who tries again has looked at what is there now, so the order binds to that from here on.
    """
    if not actor.has_role(Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER):
        raise Forbidden("Only reviewers, campaign managers and administrators can try an order again.")
    with transaction.atomic(durable=True):
        order = Order.objects.select_for_update().get(pk=order.pk)
        if order.state not in RETRYABLE:
            raise NothingToRetry("This order has not stopped, so there is nothing to try again.")
        version = current_version(order)
        waits = _needs_release_again(order, version)
        is_kept = order.state in _CHANGED_ALREADY
        move_order(
            order,
            OrderState.AWAITING_SECOND if waits else OrderState.PLANNED,
            now=now,
            actor=actor,
            verb=Verb.ORDER_PLANNED,
            outcome="Waiting to be sent again.",
            **_plans_of_retry(order, is_kept=is_kept),
            held=version.permission if version else order.held,
            told_in=None,
            attempts=0,
            execute_after=now,
            applied_at=None,
            verified_at=None,
            verified_by_run=None,
        )
        dispatch.after_commit("reviews.drain_orders")
    return order


def _plans_of_retry(order: Order, *, is_kept: bool) -> dict[str, Any]:
    """What is planned anew: the step that stopped, never the one before it, which may still have to be undone."""
    if is_kept:
        return {}
    return {"lock_plan" if order.stage == OrderStage.LOCK else "plan": None}


def _needs_release_again(order: Order, version: GrantVersion | None) -> bool:
    """A second person released what they saw; what has changed since then asks for one again."""
    if order.second_by_id is None or order.item is None:
        return False
    return version is not None and version.permission != order.held


def wait_before_retry(order: Order) -> timedelta:
    """Twice as long after each attempt up to ORDER_RETRY_MAX_SECONDS, less a share that differs by order.

    The share (up to a quarter) keeps the orders of one source from coming back all at once. It is drawn from the
    order's id and attempt, so that it needs no memory and can be told in advance.
    """
    longest = min(FIRST_WAIT_SECONDS * 2 ** (order.attempts - 1), settings.ORDER_RETRY_MAX_SECONDS)
    drawn = hashlib.blake2b(f"{order.pk}:{order.attempts}".encode(), digest_size=2).digest()
    return timedelta(seconds=longest * (1 - int.from_bytes(drawn) / 0xFFFF / 4))


def current_version(order: Order) -> GrantVersion | None:
    """What the order's grant holds as it was read last."""
    if order.grant_id is None:
        return None
    return GrantVersion.objects.filter(grant_id=order.grant_id).order_by("-number").first()
