"""Lock out, watch, then remove: an order that first finds out whether anybody misses the access.

Locking out hits the identity as a whole, so it is only done where the identity keeps nothing: everything else that it
holds is being taken away too. Otherwise the access is removed at once, as without watching, and the order says why.
How long it lasts stands in the row (`execute_after` while WATCHING); no message has to arrive for it to end.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from governance import dispatch
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden
from governance.people.access import require_role
from identities import provisioning
from identities.connectors.contract import Capability
from identities.models import Grant, SyncState, Usage
from reviews.models import Order, OrderAction
from reviews.remediation.placing import move_order, write_order_audit
from reviews.remediation.restoring import bring_back
from reviews.states import SETTLED_ORDERS, OrderState

RESTORED_DAYS = 14
LONGEST_REASON = 1_000


class NothingToProtest(Conflict):
    """The order does not lock anybody out now."""

    code = "nothing-to-protest"


class ProtestNeedsReason(DomainError):
    """Whoever says that something broke says what."""

    code = "reason-required"


def why_not_watched(order: Order) -> str:
    """Why a locked order that asks for watching removes at once instead, as a sentence; empty when it can watch."""
    try:
        able = Capability.QUARANTINE in provisioning.capabilities(order.source)
    except DomainError:
        able = False
    if not able:
        return "Remit cannot lock an identity out here."
    if _kept_grants(order).exists():
        return f"{order.identity.name} keeps other access, which locking out would hit too."
    return ""


def locked_by_another(order: Order) -> Order | None:
    """Another order that watches this identity now."""
    watching = Order.objects.filter(identity_id=order.identity_id, state=OrderState.WATCHING).exclude(pk=order.pk)
    return watching.order_by("execute_after").first()


def watch(order: Order, *, evidence: dict[str, object], now: datetime, actor: Actor) -> None:
    """The lock is on: wait until the day. An inner step under the order's lock."""
    until = now + timedelta(days=order.watch_days)
    move_order(
        order,
        OrderState.WATCHING,
        now=now,
        actor=actor,
        verb=Verb.ORDER_WATCHED,
        outcome=f"The access is removed on {until:%-d %B %Y, %H:%M} UTC unless somebody protests.",
        evidence=evidence | {"watch": {"locked_at": now.isoformat(), "until": until.isoformat()}},
        execute_after=until,
        leased_until=None,
        attempts=0,
    )


def protest(*, order: Order, reason: str, actor: Actor, now: datetime) -> Order:
    """Somebody says that the lock-out broke something: take it off at once, for RESTORED_DAYS days.

    Unlike restoring, this is for the identity's owners too: nothing was removed yet, and they are who is hit. Returns
    the restoring order. Raises NothingToProtest, ProtestNeedsReason, Forbidden.
    """
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise ProtestNeedsReason("Say what broke.", fields={"reason": "Say what broke, in at most 1,000 characters."})
    with transaction.atomic(durable=True):
        order = Order.objects.select_for_update(of=("self",)).select_related("identity").get(pk=order.pk)
        _require_concerned(order, actor)
        if order.state != OrderState.WATCHING or order.protested_at is not None:
            raise NothingToProtest("This order locks nobody out now.", state=order.state)
        order.protested_by_id = actor.person_id
        order.protested_at = now
        order.protest_reason = reason.strip()
        order.outcome = "Somebody protested; the lock is being taken off."
        order.version += 1
        order.save(update_fields=["protested_by", "protested_at", "protest_reason", "outcome", "version"])
        restoration = bring_back(order, days=RESTORED_DAYS, now=now)
        write_order_audit(
            verb=Verb.ORDER_PROTESTED,
            order=order,
            actor=actor,
            now=now,
            old=str(order.state),
            reason=order.protest_reason,
        )
        dispatch.after_commit("reviews.drain_orders")
        # Opens the question; found again by the calendar's tick where the message is lost.
        dispatch.after_commit("reviews.open_due_campaigns")
    return restoration


def may_protest(order: Order, actor: Actor) -> bool:
    """Whether the button is worth showing."""
    if order.state != OrderState.WATCHING or order.protested_at is not None:
        return False
    try:
        _require_concerned(order, actor)
    except Forbidden:
        return False
    return True


def uses_since_locked(order: Order) -> int | None:
    """Actions that a log showed of the identity after it was locked out; None where no log of this time was read yet.

    They are calls that got through, in an open session, say. Refused ones are not reported by any source so far.
    """
    locked_at = order.evidence.get("watch", {}).get("locked_at")
    if locked_at is None:
        return None
    since = _told_since(order, datetime.fromisoformat(locked_at))
    if since is None:
        return None
    windows = order.source.usage_windows.filter(
        Q(identity=None) | Q(identity=order.identity_id), observed_until__gt=since
    )
    if not windows.exists():
        return None
    return Usage.objects.filter(identity=order.identity_id, last_seen_at__gt=since).count()


def _told_since(order: Order, locked_at: datetime) -> datetime | None:
    """From when on what is seen surely came after the lock; None where that is not yet.

    Where calls are only counted, the first reading after the lock still counts those before it.
    """
    if not Usage.objects.filter(identity=order.identity_id, counted_from__isnull=False).exists():
        return locked_at
    readings = order.source.sync_runs.filter(state=SyncState.APPLIED, started_at__gt=locked_at)
    found: datetime | None = readings.order_by("started_at").values_list("finished_at", flat=True).first()
    return found


def _kept_grants(order: Order) -> QuerySet[Grant]:
    leaving = Order.objects.filter(identity_id=order.identity_id, action=OrderAction.REVOKE, grant__isnull=False)
    leaving = leaving.exclude(state__in=SETTLED_ORDERS)
    held = Grant.objects.filter(identity_id=order.identity_id, retired_at=None).exclude(orders=order)
    # What everybody holds through PUBLIC is nothing that the identity was given.
    return held.exclude(path__contains=[{"kind": "public"}]).exclude(pk__in=leaving.values("grant_id"))


def _require_concerned(order: Order, actor: Actor) -> None:
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is not None and _answers_for(order, person):
        return
    require_role(actor, Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER)


def _answers_for(order: Order, person: UUID) -> bool:
    identity = order.identity
    if person in {identity.owner_id, identity.backup_owner_id, identity.sponsor_id}:
        return True
    return identity.team is not None and identity.team.members.filter(pk=person).exists()
