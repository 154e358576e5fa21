"""Carry orders to their sources.

An order is taken under a lease in one short transaction, executed with no transaction open, and its outcome written in
a second one. Whoever dies in between leaves a lease that runs out; the next worker executes again, and the connector
recognises its own work by the state it finds. Taking an order counts its version up, and an outcome is written only
under the version that was taken: a worker that comes back late finds somebody else's number and says nothing.
"""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from governance import dispatch
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role, system_actor
from governance.kernel.errors import DomainError, Forbidden
from governance.kernel.permissions import Permission
from identities import provisioning
from identities.connectors.contract import (
    Execution,
    ExecutionState,
    NotPossible,
    Plan,
    SourceChanged,
    SourceUnreachable,
)
from identities.models import GrantVersion, Source
from reviews.models import Answer, Order, OrderAction
from reviews.remediation import brake
from reviews.remediation.overtaking import withdraw_if_overtaken
from reviews.remediation.placing import move_order
from reviews.remediation.preparing import prepare_action
from reviews.states import OrderState

logger = structlog.get_logger(__name__)
EXECUTOR = system_actor("executor")
MAX_ATTEMPTS = 8
BATCH = 100
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

_OUTCOME_OF: dict[ExecutionState, tuple[OrderState, Verb]] = {
    ExecutionState.APPLIED: (OrderState.APPLIED, Verb.ORDER_APPLIED),
    ExecutionState.ALREADY_APPLIED: (OrderState.APPLIED, Verb.ORDER_APPLIED),
    ExecutionState.DRIFTED: (OrderState.DRIFTED, Verb.ORDER_DRIFTED),
    ExecutionState.BLOCKED: (OrderState.BLOCKED, Verb.ORDER_BLOCKED),
    ExecutionState.PARTIAL: (OrderState.PARTIAL, Verb.ORDER_PARTIAL),
}


def drain_orders(*, now: datetime) -> int:
    """Queue every order that is due, and every one whose worker died. Returns how many were queued."""
    due = (
        Order.objects.filter(_is_due(now), ~brake.is_held())
        .order_by("execute_after", "id")
        .values_list("id", flat=True)[:BATCH]
    )
    with transaction.atomic(durable=True):
        for order_id in due:
            dispatch.after_commit("reviews.execute_order", order_id=str(order_id))
    return len(due)


def execute_order(*, order_id: str, now: datetime) -> None:
    """Carry one order out. Does nothing when it is not due or somebody else holds it.

    now: decides what is due and starts the lease. The outcome is dated by the clock as it is written: carrying out
    takes time, and only a reading that began after the change may speak about it.
    """
    order = _take(order_id, now)
    if order is None:
        return
    log = logger.bind(order=str(order.id), attempt=order.attempts)
    log.info("order.executing")
    try:
        execution = _carry_out(order)
    except SourceChanged as problem:
        execution = Execution(state=ExecutionState.DRIFTED, reason=problem.message)
    except NotPossible as problem:
        execution = Execution(state=ExecutionState.BLOCKED, reason=problem.message)
    except DomainError as problem:
        _try_later(order, problem.message, now=timezone.now())
        return
    except Exception as error:
        # Words of a foreign library may hold anything, also what it was given to sign in with.
        log.exception("order.connector_failed")
        _try_later(order, f"The connector stopped unexpectedly ({type(error).__name__}).", now=timezone.now())
        return
    if execution is None:
        _open_task(order, now=timezone.now())
        return
    _write_outcome(order, execution, now=timezone.now())
    log.info("order.executed", state=str(execution.state))


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
        version = _current_version(order)
        move_order(
            order,
            OrderState.PLANNED,
            now=now,
            actor=actor,
            verb=Verb.ORDER_PLANNED,
            outcome="Waiting to be sent again.",
            plan=order.plan if order.state in _CHANGED_ALREADY else None,
            held=version.permission if version else order.held,
            attempts=0,
            execute_after=now,
            applied_at=None,
            verified_at=None,
            verified_by_run=None,
        )
        dispatch.after_commit("reviews.drain_orders")
    return order


def _is_due(now: datetime) -> Q:
    return Q(state=OrderState.PLANNED, execute_after__lte=now) | Q(state=OrderState.EXECUTING, leased_until__lte=now)


def _take(order_id: str, now: datetime) -> Order | None:
    with transaction.atomic(durable=True):
        order = (
            Order.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("source", "identity__source", "grant__source", "grant__identity")
            .select_related("credential__identity", "credential__source", "restores", "decision")
            .filter(_is_due(now), pk=order_id)
            .first()
        )
        if order is None:
            return None
        if order.state == OrderState.PLANNED:
            if withdraw_if_overtaken(order, now):
                return None
            return order if brake.may_pass(order, now) and _send(order, now) else None
        if order.attempts >= MAX_ATTEMPTS:
            _give_up(order, "Every worker that took this order was lost.", now)
            return None
        order.attempts += 1
        order.version += 1
        order.leased_until = _lease_from(now)
        order.save(update_fields=["attempts", "version", "leased_until"])
    return order


def _send(order: Order, now: datetime) -> bool:
    """From planned to executing, unless another order is changing the same grant: the drain brings this one again."""
    try:
        with transaction.atomic():
            move_order(
                order,
                OrderState.EXECUTING,
                now=now,
                actor=EXECUTOR,
                verb=Verb.ORDER_SENT,
                outcome="Being carried out.",
                attempts=order.attempts + 1,
                leased_until=_lease_from(now),
            )
    except IntegrityError:
        return False
    return True


def _lease_from(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.ORDER_LEASE_SECONDS)


def _carry_out(order: Order) -> Execution | None:
    """Talk to the source, with no transaction open. None: a person has to do it, as `order.instructions` now say."""
    if order.plan is not None:
        return provisioning.execute(source=order.source, plan=Plan.from_json(order.plan))
    plan = _plan_restore(order) if order.action == OrderAction.RESTORE else _plan_anew(order)
    if plan is None:
        return None
    # Kept before it runs, so that what was executed can be shown even if this worker dies now.
    if not Order.objects.filter(pk=order.pk, version=order.version).update(plan=plan.to_json()):
        raise SourceUnreachable("Planning took so long that another worker has taken the order.")
    return provisioning.execute(source=order.source, plan=plan)


def _plan_restore(order: Order) -> Plan:
    if order.restores is None or order.restores.plan is None:
        raise NotPossible("There is no plan that could be turned around.")
    return provisioning.plan_restore(source=order.source, done=Plan.from_json(order.restores.plan))


def _plan_anew(order: Order) -> Plan | None:
    """For an order that was dated, could not be planned when it was decided, or is tried again."""
    version = _current_version(order)
    if _is_bound(order) and version is not None and version.permission != order.held:
        raise SourceChanged("The access has changed since it was decided. Look at what it is now, then try again.")
    target = Permission.from_json(order.target) if order.target else None
    prepared = prepare_action(action=OrderAction(order.action), subject=order, version=version, target=target)
    order.instructions = prepared.instructions
    return prepared.plan


def _is_bound(order: Order) -> bool:
    """Whether the order is about exactly what the reviewer saw; a dated end is about whatever is there on the day."""
    return order.decision is not None and order.decision.answer != Answer.APPROVE_UNTIL


def _current_version(order: Order) -> GrantVersion | None:
    if order.grant_id is None:
        return None
    return GrantVersion.objects.filter(grant_id=order.grant_id).order_by("-number").first()


def _write_outcome(order: Order, execution: Execution, *, now: datetime) -> None:
    state, verb = _OUTCOME_OF[execution.state]
    with transaction.atomic(durable=True):
        locked = _still_ours(order)
        if locked is None:
            return
        is_changed = state in {OrderState.APPLIED, OrderState.PARTIAL}
        move_order(
            locked,
            state,
            now=now,
            actor=EXECUTOR,
            verb=verb,
            outcome=execution.reason or "Carried out; waiting for a later reading to confirm it.",
            evidence=dict(execution.evidence),
            applied_at=now if is_changed else None,
            leased_until=None,
        )
        if is_changed or state == OrderState.DRIFTED:
            # To see what the change did, or what the source holds instead of what it was thought to hold.
            Source.objects.filter(pk=locked.source_id).update(next_read_at=now)
            dispatch.after_commit("identities.read_source", source_id=str(locked.source_id))


def _open_task(order: Order, *, now: datetime) -> None:
    with transaction.atomic(durable=True):
        locked = _still_ours(order)
        if locked is None:
            return
        move_order(
            locked,
            OrderState.TASK,
            now=now,
            actor=EXECUTOR,
            verb=Verb.ORDER_TASK_OPENED,
            outcome="A person has to do this at the source.",
            instructions=order.instructions,
            leased_until=None,
        )


def _try_later(order: Order, problem: str, *, now: datetime) -> None:
    with transaction.atomic(durable=True):
        locked = _still_ours(order)
        if locked is None:
            return
        if locked.attempts >= MAX_ATTEMPTS:
            _give_up(locked, problem, now)
            return
        wait = timedelta(seconds=min(5 * 2**locked.attempts, 900))
        move_order(
            locked,
            OrderState.PLANNED,
            now=now,
            actor=EXECUTOR,
            verb=Verb.ORDER_FAILED,
            outcome=f"Attempt {locked.attempts} failed and will be repeated. {problem}",
            leased_until=None,
            execute_after=now + wait,
        )


def _give_up(order: Order, problem: str, now: datetime) -> None:
    move_order(
        order,
        OrderState.FAILED,
        now=now,
        actor=EXECUTOR,
        verb=Verb.ORDER_FAILED,
        outcome=f"Given up after {order.attempts} attempts. {problem}",
        leased_until=None,
    )


def _still_ours(order: Order) -> Order | None:
    """The locked row, unless the lease ran out meanwhile and somebody else has taken the order."""
    locked = Order.objects.select_for_update().get(pk=order.pk)
    if locked.version != order.version:
        logger.warning("order.lease_lost", order=str(order.id), attempt=order.attempts)
        return None
    return locked
