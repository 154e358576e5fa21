"""Take an answer back, as long as nothing has been sent to a source."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, Forbidden
from identities.services.review_facts import clear_review, note_review
from reviews.decisions.asks import ask_beside, reopen_asks
from reviews.decisions.items import UNDECIDED, lock_item, require_open
from reviews.decisions.ownership import unsettle_owner
from reviews.decisions.recording import move_item, record_answer, save_item
from reviews.models import KEEPING, PASSING_ON, Decision, ItemKind, ReviewItem
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
        outcome = _outcome_of(item, decision)
        recall_orders(decision=outcome or decision, actor=actor, now=now)
        taken_back = write_recall(decision, person, actor, now)
        if outcome is not None:
            write_recall(outcome, person, actor, now)
        forget_approval(item, outcome or decision)
        unsettle_owner(item, outcome or decision, now)
        old = ask_again(item, decision)
        record_answer(Verb.ITEM_RECALLED, item, taken_back, actor, now, old=old, outcome=outcome)
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
    if item.state not in UNDECIDED | {ItemState.DECIDED}:
        raise NotRecallable(f"The question is {item.state}, so there is nothing to take back.")
    if decision.is_attestation and decision.stage is None:
        raise NotRecallable("This came after its stage was settled, so it counts nowhere.")
    if decision.round != item.round or _standing(item).filter(stage__gt=_stage_of(item, decision)).exists():
        raise NotRecallable(f"The question is {item.state}, so there is nothing to take back.")
    if item.state != ItemState.DECIDED and not decision.is_attestation:
        raise NotRecallable(f"The question is {item.state}, so there is nothing to take back.")


def _standing(item: ReviewItem) -> QuerySet[Decision]:
    """Everything that counts in the present round."""
    given = Decision.objects.filter(item=item, round=item.round, recalls=None, recalled_by=None)
    return given.exclude(answer__in=PASSING_ON)


def _stage_of(item: ReviewItem, decision: Decision) -> int:
    return decision.stage or item.stage


def _outcome_of(item: ReviewItem, decision: Decision) -> Decision | None:
    """The row that says what the answers of this stage amount to, where the question ended with it."""
    stage = _stage_of(item, decision)
    return _standing(item).filter(decided_by=None, stage=stage).first() if decision.is_attestation else None


def write_recall(decision: Decision, person: UUID, actor: Actor, now: datetime, *, reason: str = "") -> Decision:
    """The row that takes the decision back in this person's name."""
    return Decision.objects.create(
        item_id=decision.item_id,
        recalls=decision,
        answer=decision.answer,
        is_attestation=decision.is_attestation,
        stage=decision.stage,
        round=decision.round,
        until=decision.until,
        target=decision.target,
        proof=decision.proof,
        digest=decision.digest,
        reason=reason,
        decided_by_id=person,
        auth_method=actor.auth_method,
        decided_at=now,
    )


def ask_again(item: ReviewItem, decision: Decision) -> dict[str, str]:
    """Whoever answered is asked again, in their stage, also when their answer had sent the question on.

    Where their stage still waits for others they are asked beside them; whoever was let go is asked again as well. An
    answer that no person gave alone (a policy's, several people's) leaves the question with whoever has it.
    """
    if decision.decided_by_id is None:
        return move_item(item, ItemState.ATTESTED, decided_at=None)
    stage, person = _stage_of(item, decision), decision.decided_by_id
    if item.state in UNDECIDED and item.stage == stage:
        old = {"state": str(item.state), "assignee": str(item.assignee_id)}
        save_item(item)
        ask_beside(item, [person])
        return old
    before = _standing(item).filter(stage__lt=stage, is_attestation=True)
    state = ItemState.ATTESTED if before.exists() else ItemState.OPEN
    old = move_item(item, state, decided_at=None, assignee_id=person, stage=stage)
    reopen_asks(item, but=person)
    return old


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
