"""Carry orders to their sources.

An order is taken under a lease in one short transaction, executed with no transaction open, and its outcome written in
a second one. Whoever dies in between leaves a lease that runs out; the next worker executes again, and the connector
recognises its own work by the state it finds. Taking an order counts its version up, and an outcome is written only
under the version that was taken: a worker that comes back late finds somebody else's number and says nothing.
"""

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from governance import dispatch
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError
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
from identities.connectors.registry import UnknownKind
from identities.connectors.settings import BadSettings
from identities.models import Source
from reviews.models import Answer, Order, OrderAction, OrderStage
from reviews.remediation import brake, own_grants, restored
from reviews.remediation.overtaking import withdraw_if_overtaken
from reviews.remediation.placing import move_order
from reviews.remediation.preparing import prepare_action
from reviews.remediation.retrying import current_version, wait_before_retry
from reviews.remediation.urgency import is_called_urgent, is_urgent
from reviews.remediation.verifying import verify_own_orders
from reviews.remediation.watching import locked_by_another, watch, why_not_watched
from reviews.remediation.windows import Calendar
from reviews.states import OrderState

logger = structlog.get_logger(__name__)
EXECUTOR = system_actor("executor")
# Waiting does not mend these: somebody has to put the source's settings right first.
LASTING = (BadSettings, UnknownKind)
BATCH = 100
# What was found out before the change and still explains the order after it.
_LASTING_EVIDENCE = ("watch",)

_OUTCOME_OF: dict[ExecutionState, tuple[OrderState, Verb]] = {
    ExecutionState.APPLIED: (OrderState.APPLIED, Verb.ORDER_APPLIED),
    ExecutionState.ALREADY_APPLIED: (OrderState.APPLIED, Verb.ORDER_APPLIED),
    ExecutionState.DRIFTED: (OrderState.DRIFTED, Verb.ORDER_DRIFTED),
    ExecutionState.BLOCKED: (OrderState.BLOCKED, Verb.ORDER_BLOCKED),
    ExecutionState.PARTIAL: (OrderState.PARTIAL, Verb.ORDER_PARTIAL),
}


def drain_orders(*, now: datetime) -> int:
    """Queue every order that is due, and every one whose worker died. Returns how many were queued."""
    verify_own_orders(now=now)
    may_run = _may_run(now).filter(~brake.is_held())
    due = may_run.order_by("execute_after", "id").values_list("id", flat=True)[:BATCH]
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
    except LASTING as problem:
        _stop(order, problem.message, now=timezone.now())
        return
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
    if own_grants.ends_here(order):
        verify_own_orders(now=timezone.now(), only=order.pk)


def _is_due(now: datetime) -> Q:
    """What a worker may take as far as the order itself goes; what was protested against does not go on by itself.

    Nothing is due at a source that a restore of the database holds, whatever it is and however far it had come.
    """
    undone = Order.objects.filter(restores=OuterRef("pk"))
    return ~restored.is_held() & (
        Q(state=OrderState.PLANNED, execute_after__lte=now)
        | Q(state=OrderState.EXECUTING, leased_until__lte=now)
        | Q(~Exists(undone), state=OrderState.WATCHING, execute_after__lte=now, protested_at=None)
    )


def _may_run(now: datetime) -> QuerySet[Order]:
    """The due orders but those that a window or freeze holds: they must not stand in front of the others."""
    due, calendar = Order.objects.filter(_is_due(now)), Calendar(now)
    if calendar.is_empty:
        return due
    held = calendar.held(due.values_list("source_id", flat=True).order_by().distinct())
    return due.exclude(_can_wait() & Q(source_id__in=held) & ~Q(is_called_urgent()))


def _can_wait() -> Q:
    """Nothing of these has begun, and nobody waits for them to undo something."""
    return Q(state__in=[OrderState.PLANNED, OrderState.WATCHING]) & ~Q(action=OrderAction.RESTORE)


def _is_held(order: Order, now: datetime) -> bool:
    if order.action == OrderAction.RESTORE or is_urgent(order):
        return False
    return Calendar(now).hold_of(order.source_id) is not None


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
        if order.state == OrderState.PLANNED and withdraw_if_overtaken(order, now):
            return None
        if order.state != OrderState.EXECUTING:
            may_go = not _is_held(order, now) and brake.may_pass(order, now)
            return order if may_go and _send(order, now) else None
        if order.attempts >= settings.ORDER_MAX_ATTEMPTS:
            _give_up(order, f"Given up after {order.attempts} attempts. Every worker that took it was lost.", now)
            return None
        order.attempts += 1
        order.version += 1
        order.leased_until = _lease_from(now)
        order.save(update_fields=["attempts", "version", "leased_until"])
    return order


def _send(order: Order, now: datetime) -> bool:
    """From planned to executing, unless another order is changing the same grant: the drain brings this one again."""
    stage = _next_stage(order, now)
    if stage is None:
        return False
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
                **stage,
            )
    except IntegrityError:
        return False
    return True


def _next_stage(order: Order, now: datetime) -> dict[str, Any] | None:
    """What the order is about to do where it may lock out first, as fields; None when it has to wait for another's."""
    if order.state == OrderState.WATCHING:
        return {"stage": OrderStage.REMOVE}
    if not order.watch_days or order.stage:
        return {}
    if (other := locked_by_another(order)) is not None:
        # Removing now would break the promise to watch first; this one's turn comes when that watch is over.
        order.execute_after = max(other.execute_after, now + timedelta(seconds=settings.ORDER_LEASE_SECONDS))
        order.outcome = "Waits until another order has finished watching this identity."
        order.save(update_fields=["execute_after", "outcome"])
        return None
    skipped = why_not_watched(order)
    if skipped:
        return {"stage": OrderStage.REMOVE, "evidence": order.evidence | {"watch": {"skipped": skipped}}}
    return {"stage": OrderStage.LOCK}


def _lease_from(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.ORDER_LEASE_SECONDS)


def _carry_out(order: Order) -> Execution | None:
    """Talk to the source, with no transaction open. None: a person has to do it, as `order.instructions` now say."""
    if own_grants.ends_here(order):
        return own_grants.carry_out(order, actor=EXECUTOR, now=timezone.now())
    if order.stage == OrderStage.LOCK and order.action != OrderAction.RESTORE:
        return _lock_out(order)
    if order.plan is not None:
        return provisioning.execute(source=order.source, plan=Plan.from_json(order.plan))
    plan = _plan_restore(order) if order.action == OrderAction.RESTORE else _plan_anew(order)
    if plan is None:
        return None
    _keep(order, plan=plan.to_json())
    return provisioning.execute(source=order.source, plan=plan)


def _lock_out(order: Order) -> Execution | None:
    """The first of two changes. Where the identity cannot be locked out after all, the second follows at once."""
    if order.lock_plan is not None:
        return provisioning.execute(source=order.source, plan=Plan.from_json(order.lock_plan))
    try:
        plan = provisioning.plan_quarantine(identity=order.identity)
    except NotPossible as refusal:
        order.stage, order.evidence = OrderStage.REMOVE, order.evidence | {"watch": {"skipped": refusal.message}}
        _keep(order, stage=order.stage, evidence=order.evidence)
        return _carry_out(order)
    _keep(order, lock_plan=plan.to_json())
    return provisioning.execute(source=order.source, plan=plan)


def _keep(order: Order, **fields: Any) -> None:
    """Write before it runs, so that what was executed can be shown even if this worker dies now."""
    if not Order.objects.filter(pk=order.pk, version=order.version).update(**fields):
        raise SourceUnreachable("Planning took so long that another worker has taken the order.")


def _plan_restore(order: Order) -> Plan:
    done = order.restores and (order.restores.lock_plan if order.stage == OrderStage.LOCK else order.restores.plan)
    if not done:
        raise NotPossible("There is no plan that could be turned around.")
    return provisioning.plan_restore(source=order.source, done=Plan.from_json(done))


def _plan_anew(order: Order) -> Plan | None:
    """For an order that was dated, could not be planned when it was decided, or is tried again."""
    version = current_version(order)
    if _is_bound(order) and version is not None and version.permission != order.held:
        raise SourceChanged("The access has changed since it was decided. Look at what it is now, then try again.")
    target = Permission.from_json(order.target) if order.target else None
    prepared = prepare_action(action=OrderAction(order.action), subject=order, version=version, target=target)
    order.instructions = prepared.instructions
    return prepared.plan


def _is_bound(order: Order) -> bool:
    """Whether the order is about exactly what the reviewer saw; a dated end is about whatever is there on the day."""
    return order.decision is not None and order.decision.answer != Answer.APPROVE_UNTIL


def _write_outcome(order: Order, execution: Execution, *, now: datetime) -> None:
    state, verb = _OUTCOME_OF[execution.state]
    with transaction.atomic(durable=True):
        locked = _still_ours(order)
        if locked is None:
            return
        evidence = {name: locked.evidence[name] for name in _LASTING_EVIDENCE if name in locked.evidence}
        evidence |= dict(execution.evidence)
        is_changed = state in {OrderState.APPLIED, OrderState.PARTIAL}
        if state == OrderState.APPLIED and locked.stage == OrderStage.LOCK and locked.action != OrderAction.RESTORE:
            watch(locked, evidence=evidence, now=now, actor=EXECUTOR)
            _read_soon(locked, now)
            return
        move_order(
            locked,
            state,
            now=now,
            actor=EXECUTOR,
            verb=verb,
            outcome=execution.reason or "Carried out; waiting for a later reading to confirm it.",
            evidence=evidence,
            applied_at=now if is_changed else None,
            leased_until=None,
        )
        if is_changed or state == OrderState.DRIFTED:
            # To see what the change did, or what the source holds instead of what it was thought to hold.
            _read_soon(locked, now)


def _read_soon(order: Order, now: datetime) -> None:
    if own_grants.is_own(order.grant):
        return  # nothing is read there: the decision point is asked instead
    Source.objects.filter(pk=order.source_id).update(next_read_at=now)
    dispatch.after_commit("identities.read_source", source_id=str(order.source_id))


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
        if locked.attempts >= settings.ORDER_MAX_ATTEMPTS:
            _give_up(locked, f"Given up after {locked.attempts} attempts. {problem}", now)
            return
        move_order(
            locked,
            OrderState.PLANNED,
            now=now,
            actor=EXECUTOR,
            verb=Verb.ORDER_FAILED,
            outcome=f"Attempt {locked.attempts} of {settings.ORDER_MAX_ATTEMPTS} failed and is repeated. {problem}",
            leased_until=None,
            execute_after=now + wait_before_retry(locked),
        )


def _stop(order: Order, problem: str, *, now: datetime) -> None:
    with transaction.atomic(durable=True):
        locked = _still_ours(order)
        if locked is not None:
            _give_up(locked, f"Not repeated, because trying again would not help. {problem}", now)


def _give_up(order: Order, problem: str, now: datetime) -> None:
    move_order(
        order,
        OrderState.FAILED,
        now=now,
        actor=EXECUTOR,
        verb=Verb.ORDER_FAILED,
        outcome=problem,
        leased_until=None,
    )


def _still_ours(order: Order) -> Order | None:
    """The locked row, unless the lease ran out meanwhile and somebody else has taken the order."""
    locked = Order.objects.select_for_update().get(pk=order.pk)
    if locked.version != order.version:
        logger.warning("order.lease_lost", order=str(order.id), attempt=order.attempts)
        return None
    return locked
