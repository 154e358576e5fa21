"""The second person: release an order that the review's rules hold back, or refuse it.

Whoever releases is independent in the same sense as whoever decides, and stricter in one point: nobody on the
identity's side releases, privileged or not. They are not the person who decided, nor anybody who was asked before.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind
from governance.kernel.errors import Conflict, DomainError, Forbidden
from governance.people.access import require_role
from governance.people.models import Team
from identities.models import Credential
from reviews.decisions.independence import SelfReview, parties_of_item
from reviews.decisions.items import lock_item
from reviews.decisions.recalling import ask_again, forget_approval, write_recall
from reviews.decisions.recording import record_answer
from reviews.models import Brake, Decision, Order, ReviewItem
from reviews.remediation import refuse_order, release_order
from reviews.remediation.releasing import list_half_released
from reviews.remediation.urgency import RELEASERS, list_hurried
from reviews.selectors import list_orders
from reviews.states import CampaignState, ItemState, OrderState


class NothingToRelease(Conflict):
    """The order does not wait for a second person, or no longer."""

    code = "nothing-to-release"


class ReleaseNeedsReason(DomainError):
    """Releasing and refusing are decisions, so they say why."""

    code = "reason-required"


def release(*, order: Order, reason: str, actor: Actor, now: datetime) -> Order:
    """Let an order be sent that waited for a second person.

    Raises NothingToRelease, ReleaseNeedsReason, Forbidden, and SelfReview for whoever is not independent of it.
    """
    said, person = _require_reason(reason), _require_releaser(actor)
    with transaction.atomic(durable=True):
        item = _lock_item_of(order)
        order = _lock(order)
        _require_independent(order, item, person)
        release_order(order=order, person=person, reason=said, actor=actor, now=now)
    return order


def refuse(*, order: Order, reason: str, actor: Actor, now: datetime) -> Order:
    """End an order unsent, and ask the question again while its review is open.

    Raises what `release` raises.
    """
    said, person = _require_reason(reason), _require_releaser(actor)
    with transaction.atomic(durable=True):
        item = _lock_item_of(order)
        order = _lock(order)
        _require_independent(order, item, person)
        refuse_order(order=order, person=person, reason=said, actor=actor, now=now)
        if item is not None and order.decision is not None and _is_open(item, now):
            _ask_again(item, order.decision, person, said, actor, now)
    return order


def list_awaiting(*, actor: Actor) -> QuerySet[Order]:
    """The orders that wait for a second person and that this one may release."""
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is None or not actor.has_role(*RELEASERS):
        return Order.objects.none()
    team = Team.members.through.objects.filter(team_id=OuterRef("identity__team_id"), user_id=person)
    held = Credential.objects.filter(identity_id=OuterRef("identity_id"), holder=person, retired_at=None)
    own = Q(identity__owner=person) | Q(identity__backup_owner=person) | Q(identity__sponsor=person)
    asked = Q(decision__decided_by=person) | Q(grant__created_by=person)
    asked |= Q(grant__access_request__asked_by=person)
    asked |= Q(item__resolution__contains=[{"by": str(person)}])
    answered = Decision.objects.filter(item_id=OuterRef("item_id"), decided_by=person)
    waiting = list_orders(actor=actor).filter(state=OrderState.AWAITING_SECOND).exclude(own | asked)
    return waiting.exclude(Exists(team) | Exists(held) | Exists(answered))


@dataclass(frozen=True, slots=True)
class ForRelease:
    """What waits for one person as the second one: orders, brakes that one released, orders to be let past a window."""

    orders: QuerySet[Order]
    brakes: list[Brake]
    hurried: list[Order]

    def count(self, most: int) -> int:
        """How many these are, the orders counted up to `most`; one query."""
        return self.orders[:most].count() + len(self.brakes) + len(self.hurried)


def find_for_release(*, actor: Actor, now: datetime) -> ForRelease:
    """What this person may release as the second one; no query where their role releases nothing."""
    waiting = list_awaiting(actor=actor)
    if actor.kind is not ActorKind.PERSON or not actor.has_role(*RELEASERS):
        return ForRelease(waiting, [], [])
    return ForRelease(waiting, list(list_half_released(actor=actor)), list_hurried(actor=actor, now=now))


def why_not(order: Order, actor: Actor) -> str:
    """Why this person may not release the order, as a sentence; empty when they may."""
    try:
        person = _require_releaser(actor)
        _require_independent(order, order.item, person)
    except DomainError as refusal:
        return refusal.message
    return ""


def _require_reason(reason: str) -> str:
    if not reason.strip():
        raise ReleaseNeedsReason("Say why.", fields={"reason": "Say why."})
    return reason.strip()


def _require_releaser(actor: Actor) -> UUID:
    require_role(actor, *RELEASERS)
    if actor.kind is not ActorKind.PERSON or actor.person_id is None:
        raise Forbidden("Only a second person releases an order; a program cannot.")
    return actor.person_id


def _lock_item_of(order: Order) -> ReviewItem | None:
    # Items are locked before orders, as when an answer is taken back: two who meet here wait instead of deadlocking.
    return lock_item(order.item_id) if order.item_id else None


def _lock(order: Order) -> Order:
    locked = Order.objects.select_for_update(of=("self",)).select_related("decision").get(pk=order.pk)
    if locked.state != OrderState.AWAITING_SECOND:
        raise NothingToRelease("This order does not wait for a second person.", state=locked.state)
    return locked


def _require_independent(order: Order, item: ReviewItem | None, person: UUID) -> None:
    if order.decision is not None and order.decision.decided_by_id == person:
        raise SelfReview("You decided this, so somebody else has to release it.", conflict="decider")
    if item is None:
        return
    parties = parties_of_item(item)
    if person in parties.owning_side:
        raise SelfReview("You answer for this identity, so somebody else has to release this.", conflict="owner")
    if person in parties.holders:
        raise SelfReview(
            "You hold a credential of this identity, so somebody else has to release this.", conflict="holder"
        )
    if person == parties.creator:
        raise SelfReview("You created this access, so somebody else has to release this.", conflict="creator")
    if person == parties.asker:
        raise SelfReview("You asked for this access, so somebody else has to release this.", conflict="asker")
    handed_on = any(step.get("by") == str(person) for step in item.resolution)
    if handed_on or item.decisions.filter(decided_by=person).exists():
        raise SelfReview("You were asked about this before, so somebody else has to release it.", conflict="asked")


def _is_open(item: ReviewItem, now: datetime) -> bool:
    campaign = item.campaign
    return campaign.state == CampaignState.OPEN and now < campaign.deadline_at and item.state == ItemState.DECIDED


def _ask_again(item: ReviewItem, decision: Decision, person: UUID, reason: str, actor: Actor, now: datetime) -> None:
    """The refused decision is taken back in the second person's name, and whoever answered is asked again."""
    taken_back = write_recall(decision, person, actor, now, reason=reason)
    forget_approval(item, decision)
    old = ask_again(item, decision)
    record_answer(Verb.ITEM_RECALLED, item, taken_back, actor, now, old=old)
