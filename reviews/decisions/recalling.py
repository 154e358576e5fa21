"""Take an answer back, as long as nothing has been sent to a source."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, Forbidden
from identities.services.review_facts import clear_review, note_review
from reviews.decisions.answers import KEEPING, PASSING_ON
from reviews.decisions.deciding import move_item, record_answer
from reviews.decisions.items import lock_item, require_open
from reviews.models import Decision, ItemKind, ReviewItem
from reviews.remediation import recall_orders
from reviews.states import ItemState


class NotRecallable(Conflict):
    """This answer cannot be taken back: it is not the last one, passed the question on, or was a policy's."""

    code = "not-recallable"


def recall(*, decision: Decision, actor: Actor, now: datetime) -> Decision:
    """Take a decision back and ask the question again; returns the row that says so.

    Possible for whoever gave the answer, the campaign's manager and administrators, while the campaign takes answers
    and the order has not been sent. Raises NotRecallable, Forbidden, CampaignNotOpen, TooLate.
    """
    with transaction.atomic(durable=True):
        item = lock_item(decision.item_id)
        decision = Decision.objects.get(pk=decision.pk)
        require_open(item.campaign, now)
        person = _require_recaller(item, decision, actor)
        _require_recallable(item, decision)
        recall_orders(decision=decision, actor=actor, now=now)
        taken_back = write_recall(decision, person, actor, now)
        forget_approval(item, decision)
        old = move_item(item, state_before(item, decision), **reopened(decision))
        record_answer(Verb.ITEM_RECALLED, item, taken_back, actor, now, old=old)
    return taken_back


def _require_recaller(item: ReviewItem, decision: Decision, actor: Actor) -> UUID:
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    manages = person == item.campaign.manager_id and actor.has_role(Role.CAMPAIGN_MANAGER)
    if person is None or not (person == decision.decided_by_id or manages or actor.has_role(Role.ADMINISTRATOR)):
        raise Forbidden("Only the person who gave this answer, or who manages the review, can take it back.")
    return person


def _require_recallable(item: ReviewItem, decision: Decision) -> None:
    if decision.recalls_id or decision.answer in PASSING_ON or decision.decided_by_id is None:
        raise NotRecallable("This cannot be taken back.")
    if Decision.objects.filter(recalls=decision).exists():
        raise NotRecallable("This answer has been taken back already.")
    wanted = ItemState.ATTESTED if decision.is_attestation else ItemState.DECIDED
    if item.state != wanted:
        raise NotRecallable(f"The question is {item.state}, so there is nothing to take back.")


def write_recall(decision: Decision, person: UUID, actor: Actor, now: datetime, *, reason: str = "") -> Decision:
    """The row that takes the decision back in this person's name."""
    return Decision.objects.create(
        item_id=decision.item_id,
        recalls=decision,
        answer=decision.answer,
        is_attestation=decision.is_attestation,
        until=decision.until,
        target=decision.target,
        proof=decision.proof,
        digest=decision.digest,
        reason=reason,
        decided_by_id=person,
        auth_method=actor.auth_method,
        decided_at=now,
    )


def state_before(item: ReviewItem, decision: Decision) -> ItemState:
    """Where the question stood before this answer."""
    if decision.is_attestation:
        return ItemState.OPEN
    attested = item.decisions.filter(is_attestation=True, recalls=None, recalled_by=None)
    return ItemState.ATTESTED if attested.exists() else ItemState.OPEN


def reopened(decision: Decision) -> dict[str, Any]:
    """Whoever answered is asked again, also when an attestation had sent the question on."""
    return {"decided_at": None, "assignee_id": decision.decided_by_id}


def forget_approval(item: ReviewItem, decision: Decision) -> None:
    """Let the inventory show the approval that stood before, if any."""
    if item.kind != ItemKind.GRANT or decision.is_attestation or decision.answer not in KEEPING or not item.grant_id:
        return
    standing = (
        Decision.objects.filter(
            item__grant_id=item.grant_id,
            answer__in=KEEPING,
            is_attestation=False,
            recalls=None,
            recalled_by=None,
            digest__isnull=False,
        )
        .exclude(pk=decision.pk)
        .order_by("-decided_at")
        .first()
    )
    if standing is None or standing.digest is None:
        clear_review(grant_ids=[item.grant_id])
        return
    note_review(
        grant_ids=[item.grant_id],
        digest_by_grant={item.grant_id: bytes(standing.digest)},
        approved_until=standing.until,
        now=standing.decided_at,
    )
