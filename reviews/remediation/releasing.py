"""What people do about a brake: release what it holds, two of them, or call it off; and set what a source may spend."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden
from governance.people.access import require_role
from identities.models import Source
from reviews.models import Brake, BrakeState, Order, OrderHold, ReviewItem, SourceBudget
from reviews.remediation.brake import brake_subject, lock_budgets
from reviews.remediation.placing import move_order, require_disinterested
from reviews.selectors import list_brakes
from reviews.states import OrderState

RELEASERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER)
LONGEST_REASON = 4000
MOST_PER_HOUR = 1_000_000
_HOLDS = Q(released_at=None, order__state=OrderState.PLANNED)


class BrakeEnded(Conflict):
    """The brake holds nothing any more."""

    code = "brake-ended"


class SamePerson(Forbidden):
    """Two different people release a brake."""

    code = "second-person-required"
    title = "A second person has to release this"


class OwnBulk(Forbidden):
    """Whoever ordered the changes does not also let them through."""

    code = "own-bulk"
    title = "Somebody else has to release this"


class ReleaseNeedsReason(DomainError):
    """Letting a mass of changes through, or dropping it, is a decision and says why."""

    code = "reason-required"


class NotCalledOff(Conflict):
    """Only a change that waits because nobody answered can be called off like this."""

    code = "not-called-off"


class InvalidBudget(DomainError):
    """A budget is a number of orders."""

    code = "invalid-budget"


def release_brake(*, brake: Brake, reason: str, actor: Actor, now: datetime) -> Brake:
    """Say that what the brake holds may be sent. The first person's word waits for a second, different one.

    A release covers what both could see: orders that were held after the first person looked wait for another one, and
    the second person counts as its first. Raises Forbidden, OwnBulk, SamePerson, BrakeEnded, ReleaseNeedsReason.
    """
    person = require_releaser(actor)
    reason = require_reason(reason)
    with transaction.atomic(durable=True):
        brake = _lock(brake)
        holds = _held_by(brake)
        if holds.filter(order__decision__decided_by=person).exists():
            raise OwnBulk("Some of these changes are your own answers, so somebody else releases them.")
        if brake.first_by_id == person:
            raise SamePerson("You have released this already. A second person has to agree.")
        if brake.first_by_id is None or brake.first_at is None:
            _sign_first(brake, person, reason, now)
            _record(Verb.BRAKE_SIGNED, brake, actor, now, reason, holds.count())
            return brake
        seen_by_both = holds.filter(held_at__lte=brake.first_at)
        first_by = brake.first_by_id
        let_through = _let_through(seen_by_both, now)
        if _held_by(brake).exists():
            _sign_first(brake, person, reason, now)
        else:
            _end(brake, BrakeState.RELEASED, person, reason, now)
        _record(Verb.BRAKE_RELEASED, brake, actor, now, reason, let_through, first_by)
        dispatch.after_commit("reviews.drain_orders")
    return brake


def call_off_brake(*, brake: Brake, reason: str, actor: Actor, now: datetime) -> Brake:
    """Recall everything that the brake holds; the access stays and its questions count as escalated.

    One person is enough: nothing changes at a source. Raises Forbidden, BrakeEnded, ReleaseNeedsReason.
    """
    person = require_releaser(actor)
    reason = require_reason(reason)
    with transaction.atomic(durable=True):
        brake = _lock(brake)
        held = [hold.order_id for hold in _held_by(brake)]
        orders = list(Order.objects.select_for_update().filter(pk__in=held).order_by("pk"))
        for order in orders:
            _withdraw(order, "Called off at the brake.", reason, actor, now)
        _held_by(brake).update(released_at=now)
        _end(brake, BrakeState.RECALLED, person, reason, now)
        _record(Verb.BRAKE_RECALLED, brake, actor, now, reason, len(orders))
    return brake


def call_off_order(*, order: Order, reason: str, actor: Actor, now: datetime) -> Order:
    """Keep after all what silence would take away: recall one order of a deadline before it is sent.

    For administrators and the review's manager who do not answer for the identity. Raises Forbidden, NotCalledOff,
    ReleaseNeedsReason.
    """
    require_releaser(actor)
    require_disinterested(order, actor)
    if not _answers_for_review(order, actor):
        raise Forbidden("Only administrators and the manager of this review can call this off.")
    reason = require_reason(reason)
    with transaction.atomic(durable=True):
        order = Order.objects.select_for_update(of=("self",)).select_related("decision").get(pk=order.pk)
        if not _is_of_silence(order):
            raise NotCalledOff("Only an order of a deadline that has not been sent can be called off.")
        OrderHold.objects.filter(order=order, released_at=None).update(released_at=now)
        _withdraw(order, "Called off: the access stays for now.", reason, actor, now)
    return order


def list_half_released(*, actor: Actor) -> QuerySet[Brake]:
    """The brakes that one person released and that this one may release as the second."""
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is None or not actor.has_role(*RELEASERS):
        return Brake.objects.none()
    held = OrderHold.objects.filter(_HOLDS, brake=OuterRef("pk"))
    signed = list_brakes(actor=actor).filter(Exists(held), state=BrakeState.HELD, first_by__isnull=False)
    return signed.exclude(first_by=person).exclude(Exists(held.filter(order__decision__decided_by=person)))


def count_held(brake: Brake) -> int:
    """How many orders it holds now."""
    return _held_by(brake).count()


def may_be_called_off(order: Order, actor: Actor) -> bool:
    """Whether this order waits because nobody answered, and this person could keep the access after all."""
    return _is_of_silence(order) and actor.has_role(*RELEASERS) and _answers_for_review(order, actor)


def _answers_for_review(order: Order, actor: Actor) -> bool:
    manages = order.item is not None and order.item.campaign.manager_id == actor.person_id
    return manages or actor.has_role(Role.ADMINISTRATOR)


def _is_of_silence(order: Order) -> bool:
    by_policy = order.decision is not None and order.decision.decided_by_policy != ""
    return by_policy and order.state == OrderState.PLANNED and not order.attempts


def set_source_budget(*, source: Source, per_hour: int | None, reason: str, actor: Actor, now: datetime) -> None:
    """Give a source a number of its own; None goes back to the setting, 0 means no limit. Raises InvalidBudget."""
    require_role(actor, Role.ADMINISTRATOR)
    reason = require_reason(reason)
    if per_hour is not None and not 0 <= per_hour <= MOST_PER_HOUR:
        raise InvalidBudget("Give a number of orders per hour, 0 or more.", fields={"per_hour": "out of range"})
    with transaction.atomic(durable=True):
        lock_budgets()
        old = SourceBudget.objects.filter(source=source).first()
        if per_hour is None:
            SourceBudget.objects.filter(source=source).delete()
        else:
            chosen = {"per_hour": per_hour, "set_by_id": actor.person_id, "set_at": now, "reason": reason}
            SourceBudget.objects.update_or_create(source=source, defaults=chosen)
        log.record(
            verb=Verb.BRAKE_BUDGET_SET,
            actor=actor,
            subject=log.Subject("source", str(source.pk), source.slug),
            now=now,
            old={"per_hour": old.per_hour if old else None},
            new={"per_hour": per_hour},
            reason=reason,
        )


def require_releaser(actor: Actor) -> UUID:
    """The person, if it is one whose role lets a mass of changes through. Raises Forbidden."""
    require_role(actor, *RELEASERS)
    if actor.person_id is None:
        raise Forbidden("Only a person can do this.")
    return actor.person_id


def require_reason(reason: str) -> str:
    """The reason without blanks around it. Raises ReleaseNeedsReason."""
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON or "\x00" in reason:
        raise ReleaseNeedsReason(f"Say why, in up to {LONGEST_REASON} characters.", fields={"reason": "required"})
    return reason


def _lock(brake: Brake) -> Brake:
    # First the lock of whoever sends: nothing more is held, and nothing sent, until this is over.
    lock_budgets()
    locked = Brake.objects.select_for_update(of=("self",)).select_related("source").get(pk=brake.pk)
    if locked.state != BrakeState.HELD:
        raise BrakeEnded("This brake holds nothing any more: somebody was faster.", state=str(locked.state))
    return locked


def _held_by(brake: Brake) -> QuerySet[OrderHold]:
    """What it still holds; orders that were recalled meanwhile are none of its business."""
    return OrderHold.objects.filter(_HOLDS, brake=brake)


def _sign_first(brake: Brake, person: UUID, reason: str, now: datetime) -> None:
    brake.first_by_id, brake.first_at, brake.first_reason, brake.told_in = person, now, reason, None
    brake.version += 1
    brake.save(update_fields=["first_by", "first_at", "first_reason", "told_in", "version"])


def _end(brake: Brake, state: BrakeState, person: UUID, reason: str, now: datetime) -> None:
    brake.state, brake.ended_by_id, brake.ended_at, brake.end_reason = state, person, now, reason
    brake.version += 1
    brake.save(update_fields=["state", "ended_by", "ended_at", "end_reason", "version"])


def _let_through(holds: QuerySet[OrderHold], now: datetime) -> int:
    ids = list(holds.values_list("pk", flat=True))
    Order.objects.filter(pk__in=ids).update(outcome="Released by two people; waiting to be sent.")
    return OrderHold.objects.filter(pk__in=ids).update(released_at=now)


def _withdraw(order: Order, outcome: str, reason: str, actor: Actor, now: datetime) -> None:
    move_order(
        order, OrderState.RECALLED, now=now, actor=actor, verb=Verb.ORDER_RECALLED, outcome=outcome, reason=reason
    )
    # Silence was not carried out, so the question is open in substance: its manager finds it among the escalated.
    ReviewItem.objects.filter(orders=order, escalated_at=None).update(escalated_at=now)


def _record(
    verb: Verb, brake: Brake, actor: Actor, now: datetime, reason: str, orders: int, first_by: UUID | None = None
) -> None:
    log.record(
        verb=verb,
        actor=actor,
        subject=brake_subject(brake),
        now=now,
        new={"state": str(brake.state)},
        reason=reason,
        context={
            "scope": str(brake.scope),
            "source": str(brake.source_id) if brake.source_id else None,
            "orders": orders,
            "first": str(first_by) if first_by else None,
        },
    )
