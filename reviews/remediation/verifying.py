"""Close orders by what a later reading of the source shows, and reopen them when it shows more again.

Two witnesses are asked: the inventory after the reading (is the grant gone, or inside what was allowed to remain?) and,
where the connector can, the source itself (is what was removed out of reach by every path, and have sessions ended?).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet

from governance import dispatch
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission, includes
from identities import provisioning
from identities.connectors.contract import (
    Capability,
    Plan,
    Verification,
    VerificationState,
)
from identities.models import Change, ChangeAction, IdentityStatus, SyncRun, SyncState
from identities.sync.issuing import SLUG
from reviews.issued.ending import still_permitted
from reviews.models import Order, OrderAction, OrderStage
from reviews.remediation.placing import move_order
from reviews.remediation.retrying import current_version
from reviews.remediation.rotating import release_text, successor_of
from reviews.states import AWAITING_VERIFICATION, ORDER_MOVES, STOPPED_ORDERS, OrderState

logger = structlog.get_logger(__name__)
VERIFIER = system_actor("verifier")
MOST_ASKED_AT_ONCE = 50
# While a restoration is on its way or done, the access is meant to be there.
RESTORING = (OrderState.PLANNED, OrderState.EXECUTING, OrderState.APPLIED, OrderState.PARTIAL)

_OUTCOME_OF: dict[VerificationState, tuple[OrderState, Verb]] = {
    VerificationState.GONE: (OrderState.VERIFIED, Verb.ORDER_VERIFIED),
    VerificationState.STILL_EFFECTIVE: (OrderState.STILL_EFFECTIVE, Verb.ORDER_STILL_EFFECTIVE),
    VerificationState.SESSIONS_REMAIN: (OrderState.SESSIONS_REMAIN, Verb.ORDER_SESSIONS_REMAIN),
    VerificationState.STILL_PRESENT: (OrderState.DRIFTED, Verb.ORDER_DRIFTED),
}


def verify_orders(*, source_id: str, run_id: str, now: datetime) -> None:
    """Ask, for every order of the source that waits for it, whether this reading closes or reopens it.

    Only a run that was applied and whose reading began after the order was carried out can speak for an order.
    """
    run = SyncRun.objects.get(pk=run_id, source_id=source_id)
    if run.state != SyncState.APPLIED:
        return
    for order in _awaiting(run):
        _verify(order, run, now)
    for order in _verified_before(run):
        if not _settled_in_inventory(order, run):
            _move(order, OrderState.REAPPEARED, Verb.ORDER_REAPPEARED, "The access came back at the source.", run, now)


def verify_own_orders(*, now: datetime, only: UUID | None = None) -> None:
    """The same for what Remit granted on request and has ended: its proof is that the decision point refuses now.

    No reading comes for these, so the drain asks: at once, and again while another grant still gives the access.
    """
    ended = Order.objects.filter(
        state__in=AWAITING_VERIFICATION | STOPPED_ORDERS,
        grant__source__slug=SLUG,
        grant__retired_at__isnull=False,
    )
    waiting = ended.filter(pk=only) if only else ended
    for order in _with_objects(waiting.exclude(action=OrderAction.RESTORE))[:MOST_ASKED_AT_ONCE]:
        assert order.grant_id is not None  # noqa: S101 - asked for above
        ends = Change.objects.filter(object_id=order.grant_id, object_kind="grant", action=ChangeAction.RETIRED)
        end, held = ends.select_related("run").order_by("pk").last(), current_version(order)
        if end is None or held is None:
            logger.error("order.own_grant_without_end", order=str(order.id))
            continue
        run = end.run
        try:
            still = still_permitted(order.identity_id, Permission.from_json(held.permission), now)
        except DomainError as problem:
            logger.warning("order.verify_unreachable", order=str(order.id), problem=problem.message)
            continue
        if not still:
            _close(order, "Ended, and the decision point refuses it now.", run, now, {"asked_at": now.isoformat()})
        elif order.state not in STOPPED_ORDERS and order.state != OrderState.TASK:
            sentence = f"Ended, but {still}"
            _move(order, OrderState.STILL_EFFECTIVE, Verb.ORDER_STILL_EFFECTIVE, sentence, run, now)


def _awaiting(run: SyncRun) -> QuerySet[Order]:
    began_after = Q(applied_at__lt=run.observed_at) | Q(
        state=OrderState.TASK, created_at__lt=run.observed_at, execute_after__lt=run.observed_at
    )
    began_after |= Q(state=OrderState.WATCHING, state_since__lt=run.observed_at)
    stopped = Q(state__in=STOPPED_ORDERS, created_at__lt=run.observed_at) & ~Q(action=OrderAction.RESTORE)
    waiting = Order.objects.filter(began_after & Q(state__in=AWAITING_VERIFICATION) | stopped, source_id=run.source_id)
    return _with_objects(waiting.exclude(restorations__state__in=RESTORING))


def _verified_before(run: SyncRun) -> QuerySet[Order]:
    """Verified orders whose object has changed since then: the only ones that can have come back."""
    held_again = (
        Q(grant__retired_at=None, grant__last_changed_at__gt=F("verified_at"))
        | Q(credential__retired_at=None, credential__last_changed_at__gt=F("verified_at"))
        | Q(action=OrderAction.QUARANTINE, identity__last_changed_at__gt=F("verified_at"))
    )
    return _with_objects(
        Order.objects.filter(
            held_again, source_id=run.source_id, state=OrderState.VERIFIED, verified_at__lt=run.observed_at
        )
        .exclude(action=OrderAction.RESTORE)
        # Where a person rotated, the new credential may go by the old one's name.
        .exclude(action=OrderAction.ROTATE, plan__isnull=True)
        .exclude(restorations__state__in=RESTORING)
    )


def _with_objects(orders: QuerySet[Order]) -> QuerySet[Order]:
    return orders.select_related("source", "identity", "grant", "credential", "restores").order_by("created_at")


def _verify(order: Order, run: SyncRun, now: datetime) -> None:
    if order.stage == OrderStage.LOCK and order.action != OrderAction.RESTORE:
        _verify_lock(order, run, now)
        return
    if not _settled_in_inventory(order, run):
        if order.state == OrderState.TASK and order.action == OrderAction.ROTATE:
            _release_rotation(order, run, now)
        # A task is simply not done yet; what Remit itself carried out should be visible by now.
        elif order.state != OrderState.TASK and order.state not in STOPPED_ORDERS:
            _move(order, OrderState.DRIFTED, Verb.ORDER_DRIFTED, _contradiction(order), run, now)
        return
    try:
        verification = _ask_the_source(order)
    except DomainError as problem:
        # It does not answer, or its secret is missing: unverified until the next reading asks again.
        logger.warning("order.verify_unreachable", order=str(order.id), problem=problem.message)
        return
    except Exception:
        # One damaged plan must not keep the orders after it waiting.
        logger.exception("order.verify_failed", order=str(order.id))
        return
    if verification is None:
        _close(order, "A later reading of the source confirms it.", run, now)
        return
    state, verb = _OUTCOME_OF[verification.state]
    if state == OrderState.VERIFIED:
        _close(order, _sentence(verification), run, now, _evidence(verification))
    elif order.state not in STOPPED_ORDERS:
        _move(order, state, verb, _sentence(verification), run, now, _evidence(verification))


def _verify_lock(order: Order, run: SyncRun, now: datetime) -> None:
    """An order that has not come to its removal: is the identity still locked out, and what it held still there?"""
    if _settled_in_inventory(order, run):
        _close(order, "The access is gone at the source; somebody removed it before its day.", run, now)
    elif order.state == OrderState.WATCHING and order.identity.status != IdentityStatus.DISABLED:
        sentence = "The identity was locked out, but a later reading shows it open: something unlocked it."
        _move(order, OrderState.DRIFTED, Verb.ORDER_DRIFTED, sentence, run, now)


def _release_rotation(order: Order, run: SyncRun, now: datetime) -> None:
    """Have the old credential ended as soon as a reading shows its successor in use; once for each successor."""
    credential = order.credential
    successor = successor_of(credential) if credential is not None else None
    if successor is None or order.evidence.get("successor") == str(successor.pk):
        return
    _move(
        order,
        OrderState.PLANNED,
        Verb.ORDER_PLANNED,
        release_text(successor),
        run,
        now,
        {"successor": str(successor.pk)},
        instructions="",
        execute_after=now,
        plan=None,
    )


def _ask_the_source(order: Order) -> Verification | None:
    if order.plan is None or order.action == OrderAction.RESTORE:
        return None
    if Capability.VERIFY not in provisioning.capabilities(order.source):
        return None
    return provisioning.verify(source=order.source, plan=Plan.from_json(order.plan), since=order.applied_at)


def _settled_in_inventory(order: Order, run: SyncRun) -> bool:
    if order.action == OrderAction.RESTORE:
        return _is_back(order, run)
    if order.action == OrderAction.QUARANTINE:
        return order.identity.status == IdentityStatus.DISABLED or order.identity.retired_at is not None
    if order.credential is not None:
        return _credential_settled(order, run)
    if order.grant is None or order.grant.retired_at is not None:
        return True
    if order.action != OrderAction.NARROW or order.target is None:
        return False
    current = order.grant.versions.get(seen_until=None)
    return includes(Permission.from_json(order.target), Permission.from_json(current.permission)).holds


def _is_back(restoration: Order, run: SyncRun) -> bool:
    if restoration.stage == OrderStage.LOCK:
        identity = restoration.identity
        return identity.status != IdentityStatus.DISABLED and identity.retired_at is None
    return restoration.restores is not None and not _settled_in_inventory(restoration.restores, run)


def _contradiction(order: Order) -> str:
    if order.action == OrderAction.RESTORE:
        return "The source was changed, but a later reading does not show the access: something took it away again."
    return "The source was changed, but a later reading still shows the access: something put it back."


def _credential_settled(order: Order, run: SyncRun) -> bool:
    credential = order.credential
    assert credential is not None  # noqa: S101 - asked by the caller
    rotated = credential.last_rotated_at
    if order.action == OrderAction.ROTATE and rotated is not None and rotated > order.created_at:
        return True
    ended = credential.status == IdentityStatus.DISABLED or credential.retired_at is not None
    return ended or (credential.expires_at is not None and credential.expires_at <= run.observed_at)


def _sentence(verification: Verification) -> str:
    if verification.state == VerificationState.GONE:
        return f"A later reading of the source confirms it, by every path. {verification.reason}".strip()
    if verification.state == VerificationState.STILL_EFFECTIVE:
        paths = "; ".join(f"{action} on {resource} {via}" for action, resource, via in verification.still_effective[:5])
        return f"Removed here, but still effective: {paths}."
    if verification.state == VerificationState.SESSIONS_REMAIN:
        return verification.reason or f"{verification.sessions} open session(s) outlive the change."
    return verification.reason or "The source still shows the access."


def _evidence(verification: Verification) -> dict[str, object]:
    return {
        "observed_at": verification.observed_at.isoformat(),
        "still_effective": [list(entry) for entry in verification.still_effective],
        "sessions": verification.sessions,
        "lost": [list(entry) for entry in verification.lost],
    }


def _close(order: Order, sentence: str, run: SyncRun, now: datetime, evidence: dict[str, object] | None = None) -> None:
    _move(order, OrderState.VERIFIED, Verb.ORDER_VERIFIED, sentence, run, now, evidence)


def _move(
    order: Order,
    state: OrderState,
    verb: Verb,
    sentence: str,
    run: SyncRun,
    now: datetime,
    evidence: dict[str, object] | None = None,
    **more: Any,
) -> None:
    with transaction.atomic(durable=True):
        locked = Order.objects.select_for_update().get(pk=order.pk)
        if locked.version != order.version:
            return
        fields: dict[str, Any] = {"evidence": locked.evidence | (evidence or {}), **more}
        if state == locked.state:
            # The same answer once more, perhaps with other paths: news for the page, not for the trail.
            Order.objects.filter(pk=locked.pk).update(outcome=sentence, **fields)
            return
        if state == OrderState.VERIFIED:
            fields |= {"verified_at": run.observed_at, "verified_by_run": run}
        move_order(locked, state, now=now, actor=VERIFIER, verb=verb, outcome=sentence, **fields)
        if state == OrderState.PLANNED:
            dispatch.after_commit("reviews.drain_orders")
        if state == OrderState.VERIFIED and locked.action == OrderAction.RESTORE:
            _mark_restored(locked, now)


def _mark_restored(restoration: Order, now: datetime) -> None:
    original = Order.objects.select_for_update(of=("self",)).get(restorations=restoration)
    others = original.restorations.exclude(pk=restoration.pk).filter(state__in=RESTORING)
    if OrderState.RESTORED in ORDER_MOVES[OrderState(original.state)] and not others.exists():
        move_order(
            original,
            OrderState.RESTORED,
            now=now,
            actor=VERIFIER,
            verb=Verb.ORDER_RESTORED,
            outcome="Restored; a later reading of the source shows the access again.",
        )
