"""Past a window or a freeze: one order that cannot wait, let through by two different people who say why.

It gets an order whose date has come past the calendar and past nothing else: a second person that the review asks for,
and the brake stand as they did. What two people looked at is one plan; an order that is planned anew waits again.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from governance import dispatch
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden
from governance.people.access import require_role
from identities.models import Credential
from reviews.models import Order, OrderAction, UrgentRelease
from reviews.remediation.placing import require_disinterested, write_order_audit
from reviews.remediation.windows import Calendar, Hold
from reviews.selectors import list_orders
from reviews.states import OrderState

RELEASERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER)
LONGEST_REASON = 1_000
MOST_HURRIED = 100


class NotHeld(Conflict):
    """No window and no freeze holds this order now."""

    code = "not-held"


class UrgencyNeedsReason(DomainError):
    """Going past a window is a decision, so both people say why."""

    code = "reason-required"


class SamePerson(Forbidden):
    """Two different people let an order past a window."""

    code = "second-person-required"
    title = "A second person has to agree"


class OwnDecision(Forbidden):
    """Whoever decided on the change does not also hurry it."""

    code = "own-decision"


def release_urgently(*, order: Order, reason: str, actor: Actor, now: datetime) -> UrgentRelease:
    """Say that this order does not wait for its window. The first person's word waits for a second, different one.

    Raises NotHeld, UrgencyNeedsReason, SamePerson, OwnDecision, Forbidden.
    """
    person = _require_releaser(order, actor)
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON or "\x00" in reason:
        raise UrgencyNeedsReason("Say why it cannot wait, in at most 1,000 characters.", fields={"reason": "required"})
    with transaction.atomic(durable=True):
        order = Order.objects.select_for_update(of=("self",)).select_related("decision").get(pk=order.pk)
        _require_held(order, now)
        known = UrgentRelease.objects.filter(order=order).first()
        if known is None or known.plan != plan_of(order):
            urgency = _sign_first(order, person, reason, now)
            verb = Verb.ORDER_URGENCY_SIGNED
        else:
            urgency = _sign_second(known, person, reason, now)
            verb = Verb.ORDER_URGENTLY_RELEASED
            dispatch.after_commit("reviews.drain_orders")
        write_order_audit(verb=verb, order=order, actor=actor, now=now, old=str(order.state), reason=reason)
    return urgency


def hold_of(order: Order, calendar: Calendar) -> Hold | None:
    """Why a planned order waits although its time has come, or will wait once it has; None where nothing holds it."""
    if order.state != OrderState.PLANNED or order.action == OrderAction.RESTORE or is_urgent(order):
        return None
    return calendar.hold_of(order.source_id, at=max(order.execute_after, calendar.now))


def urgency_of(order: Order) -> UrgentRelease | None:
    """What was said about the order as it is planned now."""
    urgency: UrgentRelease | None = getattr(order, "urgency", None)
    return urgency if urgency is not None and urgency.plan == plan_of(order) else None


def is_urgent(order: Order) -> bool:
    """Whether two people let the order as it is planned now past its window."""
    urgency = urgency_of(order)
    return urgency is not None and urgency.second_at is not None


def is_called_urgent() -> Exists:
    """The condition on orders of which two people said so at some time; `is_urgent` has the last word."""
    return Exists(UrgentRelease.objects.filter(order=OuterRef("pk"), second_at__isnull=False))


def may_release_urgently(order: Order, actor: Actor, now: datetime) -> bool:
    """Whether the form is worth showing for a held order; `release_urgently` decides for itself."""
    if order.execute_after > now:
        return False
    urgency = urgency_of(order)
    if urgency is not None and actor.person_id == urgency.first_by_id:
        return False
    try:
        _require_releaser(order, actor)
    except Forbidden:
        return False
    return True


def list_hurried(*, actor: Actor, now: datetime) -> list[Order]:
    """The held orders that one person let past their window and that this one may let past as the second.

    A fixed number of queries; at most MOST_HURRIED are looked at, the latest first.
    """
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is None or not actor.has_role(*RELEASERS):
        return []
    own = Q(identity__owner=person) | Q(identity__backup_owner=person) | Q(identity__sponsor=person)
    held = Credential.objects.filter(identity_id=OuterRef("identity_id"), holder=person)
    signed = list_orders(actor=actor).filter(state=OrderState.PLANNED, urgency__second_by=None, execute_after__lte=now)
    signed = signed.exclude(own | Q(decision__decided_by=person) | Q(urgency__first_by=person)).exclude(Exists(held))
    found = [order for order in signed.filter(urgency__isnull=False)[:MOST_HURRIED] if urgency_of(order) is not None]
    calendar = Calendar(now) if found else None
    return [order for order in found if calendar is not None and hold_of(order, calendar) is not None]


def plan_of(order: Order) -> str:
    """What names the plan that people looked at; empty while there is none."""
    return str(order.plan.get("pre_hash") or "") if order.plan else ""


def _require_releaser(order: Order, actor: Actor) -> UUID:
    require_role(actor, *RELEASERS)
    if actor.person_id is None:
        raise Forbidden("Only a person can do this.")
    require_disinterested(order, actor)
    if order.decision is not None and order.decision.decided_by_id == actor.person_id:
        raise OwnDecision("You decided this, so two others say whether it can wait.")
    return actor.person_id


def _require_held(order: Order, now: datetime) -> None:
    if order.execute_after > now or hold_of(order, Calendar(now)) is None:
        raise NotHeld("No window and no freeze holds this order now.", state=str(order.state))


def _sign_first(order: Order, person: UUID, reason: str, now: datetime) -> UrgentRelease:
    said = {"plan": plan_of(order), "first_by_id": person, "first_at": now, "first_reason": reason}
    nobody_yet = {"second_by_id": None, "second_at": None, "second_reason": "", "told_in": None}
    urgency, _ = UrgentRelease.objects.update_or_create(order=order, defaults=said | nobody_yet)
    return urgency


def _sign_second(urgency: UrgentRelease, person: UUID, reason: str, now: datetime) -> UrgentRelease:
    if urgency.first_by_id == person:
        raise SamePerson("You said this already. A second, different person has to agree.")
    urgency.second_by_id, urgency.second_at, urgency.second_reason = person, now, reason
    urgency.save(update_fields=["second_by", "second_at", "second_reason"])
    return urgency
