"""Write orders down, take them back, and close the ones that people carry out."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden
from identities.services.review_facts import expect_removal, forget_removal, honour, withhold
from reviews.models import Decision, Order, OrderAction, ReviewItem
from reviews.policies.remedies import Remedies
from reviews.remediation.preparing import Prepared
from reviews.states import ORDER_MOVES, UNSENT_ORDERS, OrderState, require_transition


class TooLate(Conflict):
    """The order has been sent; what it did can be restored, not recalled."""

    code = "too-late"
    title = "The order has been sent"


class NothingToSettle(Conflict):
    """The order is on its way or has ended; there is nothing to let rest."""

    code = "nothing-to-settle"


class SettlingNeedsReason(DomainError):
    """Letting an order rest unverified is a decision, so it says why."""

    code = "reason-required"


class OwnAccess(Forbidden):
    """The decision would be about one's own access."""

    code = "own-access"


class NotATask(Conflict):
    """Only a task for a person can be reported as done."""

    code = "not-a-task"


def place_order(
    *,
    decision: Decision,
    item: ReviewItem,
    prepared: Prepared,
    execute_after: datetime,
    actor: Actor,
    now: datetime,
) -> Order | None:
    """Write the order that the decision asks for, or nothing where it asks for none.

    An inner step: runs in the caller's transaction, so that decision and order exist together or not at all.
    """
    order = make_order(decision=decision, item=item, prepared=prepared, execute_after=execute_after, now=now)
    if order is not None:
        write_orders([order])
        log.record_many([order_record(order, actor=actor, now=now)])
    return order


def make_order(
    *, decision: Decision, item: ReviewItem, prepared: Prepared, execute_after: datetime, now: datetime
) -> Order | None:
    """The order that the decision asks for, not yet written; nothing where it asks for none."""
    if prepared.action is None:
        return None
    waits, watch_days = way_of(item, prepared.action)
    return Order(
        decision=decision,
        item=item,
        # What Remit itself granted on request stands in a source of its own, not in the identity's.
        source_id=item.grant.source_id if item.grant is not None else item.identity.source_id,
        identity_id=item.identity_id,
        grant_id=item.grant_id,
        credential_id=item.credential_id,
        action=prepared.action,
        state=OrderState.AWAITING_SECOND if waits else _state_after_release(prepared.is_task),
        watch_days=watch_days,
        target=decision.target,
        held=item.grant_version.permission if item.grant_version else None,
        plan=prepared.plan.to_json() if prepared.plan else None,
        instructions=prepared.instructions,
        outcome=prepared.problem,
        execute_after=execute_after,
        state_since=now,
    )


def way_of(item: ReviewItem, action: str) -> tuple[bool, int]:
    """How such an order goes, as settled when the review was drafted: whether a second person releases it before
    anything is sent, and for how many days it locks out before it removes (0: not at all)."""
    remedies = Remedies.from_json(item.campaign.policy.get("remedies", {}))
    traits: dict[str, Any] = {
        "action": str(action),
        "is_privileged": item.is_privileged,
        "environment": str(item.identity.effective_environment),
    }
    return remedies.needs_second(**traits), remedies.days_to_watch(**traits)


def write_orders(orders: Sequence[Order]) -> None:
    """Write new orders; the caller writes their records. An inner step of the caller's transaction."""
    if orders:
        Order.objects.bulk_create(orders)
        due = [order for order in orders if order.state in _ORDERED and _is_due(order, order.state_since)]
        _withhold(due, orders[0].state_since)
        dispatch.after_commit("reviews.drain_orders")


def order_record(order: Order, *, actor: Actor, now: datetime) -> log.Record:
    """The one record of a new order."""
    verb = Verb.ORDER_TASK_OPENED if order.state == OrderState.TASK else Verb.ORDER_PLANNED
    return _record(verb, order, actor, now, old=None)


def _state_after_release(is_task: bool) -> OrderState:
    return OrderState.TASK if is_task else OrderState.PLANNED


def release_order(*, order: Order, person: UUID, reason: str, actor: Actor, now: datetime) -> None:
    """Send a locked order on that waited for a second person. An inner step; who may release is the caller's matter."""
    is_task = order.plan is None and bool(order.instructions)
    move_order(
        order,
        _state_after_release(is_task),
        now=now,
        actor=actor,
        verb=Verb.ORDER_APPROVED,
        outcome="Released by a second person.",
        reason=reason,
        second_by_id=person,
        second_at=now,
        second_reason=reason,
        execute_after=max(order.execute_after, now),
    )
    dispatch.after_commit("reviews.drain_orders")


def refuse_order(*, order: Order, person: UUID, reason: str, actor: Actor, now: datetime) -> None:
    """End a locked order that a second person does not release. An inner step of the caller's transaction."""
    move_order(
        order,
        OrderState.RECALLED,
        now=now,
        actor=actor,
        verb=Verb.ORDER_REFUSED,
        outcome="A second person refused to release it. Nothing was changed.",
        reason=reason,
        second_by_id=person,
        second_at=now,
        second_reason=reason,
    )


def recall_orders(*, decision: Decision, actor: Actor, now: datetime) -> list[Order]:
    """Take back what the decision ordered. An inner step of the caller's transaction. Raises TooLate."""
    orders = list(Order.objects.select_for_update().filter(decision=decision))
    for order in orders:
        if order.state == OrderState.RECALLED:
            continue
        was_sent = order.attempts or order.evidence or order.task_reported_at
        if order.state not in UNSENT_ORDERS or was_sent:
            raise TooLate("The order has already been sent to the source. Restore it instead.", order=str(order.id))
        move_order(order, OrderState.RECALLED, now=now, actor=actor, verb=Verb.ORDER_RECALLED, outcome="Recalled.")
    return orders


def report_task_done(*, order: Order, note: str, actor: Actor, now: datetime) -> Order:
    """A person says that the task is done. Only a later reading of the source closes the order."""
    with transaction.atomic(durable=True):
        order = Order.objects.select_for_update(of=("self",)).select_related("identity__source").get(pk=order.pk)
        if order.state != OrderState.TASK:
            raise NotATask("This order is not a task for a person, or is already settled.")
        _require_doer(order, actor)
        order.task_reported_by_id = actor.person_id
        order.task_reported_at = now
        order.outcome = "Reported as done; waiting for the source to show it."
        order.version += 1
        order.save(update_fields=["task_reported_by", "task_reported_at", "outcome", "version"])
        _note_on_grant(order, now)
        log.record(
            verb=Verb.ORDER_TASK_DONE,
            actor=actor,
            subject=log.Subject("order", str(order.id)),
            now=now,
            new={"state": order.state},
            reason=note,
        )
    return order


def settle_order(*, order: Order, reason: str, actor: Actor, now: datetime) -> Order:
    """Let an order rest that cannot be verified: somebody looked and says why. Raises NothingToSettle, Forbidden."""
    if not actor.has_role(Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER):
        raise Forbidden("Only reviewers, campaign managers and administrators can let an order rest.")
    require_disinterested(order, actor)
    if not reason.strip():
        raise SettlingNeedsReason("Say why this order may rest although it was not verified.")
    with transaction.atomic(durable=True):
        order = Order.objects.select_for_update().get(pk=order.pk)
        if OrderState.SETTLED not in ORDER_MOVES[OrderState(order.state)]:
            raise NothingToSettle("This order is on its way, or has ended. There is nothing to let rest.")
        move_order(
            order,
            OrderState.SETTLED,
            now=now,
            actor=actor,
            verb=Verb.ORDER_SETTLED,
            outcome="Settled by a person; not verified at the source.",
            reason=reason,
        )
    return order


def require_disinterested(order: Order, actor: Actor) -> None:
    """Nobody gives access back to, or lets it be for, an identity that they own or whose credential they hold."""
    person = actor.person_id
    identity = order.identity
    own = {identity.owner_id, identity.backup_owner_id, identity.sponsor_id}
    if person is not None and (person in own or identity.credentials.filter(holder=person).exists()):
        raise OwnAccess("You answer for this identity, so somebody else has to decide this.")


def move_order(
    order: Order,
    state: OrderState,
    *,
    now: datetime,
    actor: Actor,
    verb: Verb,
    outcome: str,
    reason: str = "",
    **fields: Any,
) -> None:
    """Move a locked order along the table and write its record. An inner step of the caller's transaction."""
    old = order.state
    require_transition(ORDER_MOVES, OrderState(old), state)
    order.state = state
    order.state_since = now
    order.outcome = outcome
    order.version += 1
    for name, value in fields.items():
        setattr(order, name, value)
    order.save(update_fields=["state", "state_since", "outcome", "version", *(_column(name) for name in fields)])
    _note_on_grant(order, now)
    write_order_audit(verb=verb, order=order, actor=actor, now=now, old=old, reason=reason)


def _column(name: str) -> str:
    return name.removesuffix("_id")


def _note_on_grant(order: Order, now: datetime) -> None:
    """Tell the inventory whether the grant's absence is expected, so that its guard is not alarmed by our own work.

    And whether the decision point still honours it: not once removing it is ordered, nor when it comes back.
    """
    if order.grant_id is None or order.action not in _TAKING_AWAY:
        return
    if order.state in {OrderState.EXECUTING, OrderState.REAPPEARED} or (
        order.state in _ORDERED and _is_due(order, now)
    ):
        _withhold([order], now)
    elif order.state in _LIFTING or (order.state == OrderState.VERIFIED and order.action == OrderAction.NARROW):
        honour(grant_ids=[order.grant_id])
    if order.state in {OrderState.APPLIED, OrderState.PARTIAL} or order.task_reported_at:
        expect_removal(grant_ids=[order.grant_id], now=now)
    if order.state in {OrderState.VERIFIED, OrderState.RESTORED, OrderState.DRIFTED, OrderState.SETTLED}:
        forget_removal(grant_ids=[order.grant_id])


_TAKING_AWAY = frozenset({OrderAction.REVOKE, OrderAction.NARROW})
_ORDERED = frozenset({OrderState.PLANNED, OrderState.TASK})
_LIFTING = frozenset({OrderState.RECALLED, OrderState.RESTORED, OrderState.SETTLED})


def _is_due(order: Order, now: datetime) -> bool:
    """Whether nothing stands before it but the time to recall it; what is approved until a day is not due."""
    return order.execute_after <= now + timedelta(seconds=settings.ORDER_RECALL_SECONDS)


def _withhold(orders: Sequence[Order], now: datetime) -> None:
    withhold(
        narrowed={
            order.grant_id: order.target if order.action == OrderAction.NARROW else None
            for order in orders
            if order.grant_id is not None and order.action in _TAKING_AWAY
        },
        now=now,
    )


def write_order_audit(
    *, verb: Verb, order: Order, actor: Actor, now: datetime, old: str | None, reason: str = ""
) -> None:
    """One record of one step of an order; names, addresses and statements stay out of it."""
    log.record_many([_record(verb, order, actor, now, old=old, reason=reason)])


def _record(verb: Verb, order: Order, actor: Actor, now: datetime, *, old: str | None, reason: str = "") -> log.Record:
    return log.Record(
        verb=verb,
        actor=actor,
        subject=log.Subject("order", str(order.id)),
        now=now,
        reason=reason,
        old={"state": old} if old else None,
        new={"state": str(order.state), "action": str(order.action)},
        context={
            "item": str(order.item_id) if order.item_id else None,
            "decision": str(order.decision_id) if order.decision_id else None,
            "identity": str(order.identity_id),
            "grant": str(order.grant_id) if order.grant_id else None,
            "credential": str(order.credential_id) if order.credential_id else None,
            "restores": str(order.restores_id) if order.restores_id else None,
            "plan": order.plan.get("pre_hash") if order.plan else None,
            "attempt": order.attempts,
            # The reading that proves it, which the row forgets when the access comes back.
            "run": str(order.verified_by_run_id) if order.state == OrderState.VERIFIED else None,
        },
    )


def _require_doer(order: Order, actor: Actor) -> None:
    owns = actor.person_id is not None and actor.person_id in {
        order.identity.owner_id,
        order.identity.backup_owner_id,
        order.identity.source.owner_id,
    }
    if not owns and not actor.has_role(Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER):
        raise Forbidden("Only the owner of the identity or of its source, or a reviewer, can report this task as done.")
