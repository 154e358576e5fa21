"""Answer one question: check, plan at the source outside any transaction, then write everything or nothing."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.permissions import Permission
from governance.people.models import User
from identities.services.review_facts import note_review
from reviews.decisions.answers import KEEPING, PASSING_ON, require_possible
from reviews.decisions.independence import (
    Conflict,
    Parties,
    SelfReview,
    is_attestation,
    parties_of_item,
    ruled_out,
    stands_for,
)
from reviews.decisions.items import (
    get_item,
    item_context,
    item_subject,
    lock_item,
    require_assignee,
    require_open,
    require_unchanged,
    require_undecided,
    require_version,
)
from reviews.decisions.ownership import settle_owner
from reviews.decisions.resolution import Resolution, Step, desk_of, resolve
from reviews.decisions.targets import prove_target
from reviews.models import Answer, Decision, ReviewItem
from reviews.remediation import Prepared, place_order, prepare
from reviews.states import ITEM_MOVES, ItemState, require_transition


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What somebody answered, and when."""

    answer: Answer
    actor: Actor
    now: datetime
    reason: str = ""
    until: datetime | None = None
    target: Permission | None = None
    named_person: User | None = None
    is_bulk: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What the answer is worth: whose it is, whether it only attests, and the proof of a target."""

    person: UUID
    parties: Parties
    is_attestation: bool
    proof: Mapping[str, Any] | None


def decide(
    *,
    item: ReviewItem,
    version: int,
    answer: str,
    actor: Actor,
    now: datetime,
    reason: str = "",
    until: datetime | None = None,
    target: Permission | None = None,
    named_person: User | None = None,
    is_bulk: bool = False,
) -> Decision:
    """Give one answer to one question and return it as kept.

    version: the item's version that the person saw. until: for approve_until and rotate. target: for scope_down, what
    shall remain. named_person: for not_mine and dont_know, who is said to know (or nobody).

    An owner's answer on privileged access is an attestation: the item goes on to an independent reviewer. Talks to the
    source to plan the change, so it must not be called inside a transaction. Raises NotAssigned, SelfReview,
    CampaignNotOpen, StaleItem, AccessChanged, AnswerNotPossible, ReasonRequired and TargetNotInside.
    """
    item = get_item(item.pk)
    require_possible(item, answer, reason=reason, until=until, has_target=target is not None, now=now)
    reply = Reply(
        answer=Answer(answer),
        actor=actor,
        now=now,
        reason=reason.strip(),
        until=until,
        target=target,
        named_person=named_person,
        is_bulk=is_bulk,
    )
    standing = _require_standing(item, version, reply)
    prepared = Prepared()
    if not standing.is_attestation:
        prepared = prepare(item=item, answer=reply.answer, target=target)
    with transaction.atomic(durable=True):
        locked = lock_item(item.pk)
        standing = _require_standing(locked, version, reply, proof=standing.proof)
        decision = _write_decision(locked, reply, standing)
        if reply.answer in PASSING_ON:
            _pass_on(locked, decision, reply, standing)
        elif standing.is_attestation:
            _attest(locked, decision, reply, standing)
        else:
            _settle(locked, decision, reply, prepared)
    return decision


def foresee(*, item: ReviewItem, version: int, answer: str, actor: Actor, now: datetime) -> Standing:
    """What the answer would be worth. Raises what `decide` would, apart from a missing reason; changes nothing.

    For telling people which rows an answer will change; only for answers that need neither a date nor a target.
    """
    item = get_item(item.pk)
    require_possible(item, answer, reason="given later", until=None, has_target=False, now=now)
    return _require_standing(item, version, Reply(answer=Answer(answer), actor=actor, now=now))


def _require_standing(item: ReviewItem, version: int, reply: Reply, proof: Mapping[str, Any] | None = None) -> Standing:
    """Check the answer against the state of the world: run before planning, and again under the lock."""
    require_open(item.campaign, reply.now)
    person = require_assignee(item, reply.actor)
    require_undecided(item)
    require_version(item, version)
    parties = parties_of_item(item)
    if reply.answer in PASSING_ON:
        return Standing(person, parties, is_attestation=False, proof=None)
    attests = is_attestation(person, parties, item.resolution)
    if attests and item.state == ItemState.ATTESTED:
        raise SelfReview("You cannot decide here: you own this identity.", conflict=str(Conflict.OWNER))
    require_unchanged(item)
    if reply.target is not None and proof is None:
        proof = prove_target(item, reply.target)
    return Standing(person, parties, attests, proof)


def _write_decision(item: ReviewItem, reply: Reply, standing: Standing) -> Decision:
    return Decision.objects.create(
        item=item,
        answer=reply.answer,
        is_attestation=standing.is_attestation,
        until=reply.until,
        target=reply.target.to_json() if reply.target else None,
        proof=standing.proof,
        digest=item.grant_version.digest if item.grant_version else None,
        reason=reply.reason,
        named_person=reply.named_person,
        decided_by_id=standing.person,
        auth_method=reply.actor.auth_method,
        is_bulk=reply.is_bulk,
        decided_at=reply.now,
    )


def _settle(item: ReviewItem, decision: Decision, reply: Reply, prepared: Prepared) -> None:
    """The answer is final: order what it asks for, and write approvals down where requests are decided."""
    recall_until = reply.now + timedelta(seconds=settings.ORDER_RECALL_SECONDS)
    later = reply.until if reply.answer == Answer.APPROVE_UNTIL else None
    place_order(
        decision=decision,
        item=item,
        prepared=prepared,
        execute_after=later or recall_until,
        actor=reply.actor,
        now=reply.now,
    )
    if reply.answer in KEEPING and item.grant_id is not None and item.grant_version is not None:
        note_review(
            grant_ids=[item.grant_id],
            digest_by_grant={item.grant_id: bytes(item.grant_version.digest)},
            approved_until=later,
            now=reply.now,
        )
    if reply.answer == Answer.MINE:
        settle_owner(item, decision)
    old = move_item(item, ItemState.DECIDED, decided_at=reply.now)
    record_answer(Verb.ITEM_DECIDED, item, decision, reply.actor, reply.now, old=old)


def _attest(item: ReviewItem, decision: Decision, reply: Reply, standing: Standing) -> None:
    """The owner has said what they know; somebody independent of them decides."""
    not_again = witnesses_of(item) | {standing.person, *stands_for(standing.person, item.resolution)}
    resolution = resolve(standing.parties, desk_of(item.campaign), deciding=True, not_again=frozenset(not_again))
    old = move_item(item, ItemState.ATTESTED, **_assignment(item, resolution, reply.now))
    record_answer(Verb.ITEM_ANSWERED, item, decision, reply.actor, reply.now, old=old)


def _pass_on(item: ReviewItem, decision: Decision, reply: Reply, standing: Standing) -> None:
    """Not this person's question: ask the person they name, else whoever comes next."""
    resolution = resolve(
        standing.parties,
        desk_of(item.campaign),
        deciding=item.state == ItemState.ATTESTED,
        not_again=frozenset(witnesses_of(item) | {standing.person}),
        named=_named_step(reply, standing),
    )
    old = {"state": str(item.state), "assignee": str(item.assignee_id)}
    save_item(item, **_assignment(item, resolution, reply.now))
    record_answer(Verb.ITEM_REROUTED, item, decision, reply.actor, reply.now, old=old)


def _named_step(reply: Reply, standing: Standing) -> Step | None:
    # A proposal of somebody who is not independent would be a decision by proxy.
    if reply.named_person is None or ruled_out(standing.person, standing.parties):
        return None
    return {"person": str(reply.named_person.pk), "by": str(standing.person)}


def witnesses_of(item: ReviewItem) -> set[UUID]:
    """Everybody whose answer on this item was not its end: they attested or passed it on, and are not asked again."""
    return witnesses_by_item([item.pk]).get(item.pk, set())


def witnesses_by_item(item_ids: Iterable[UUID]) -> dict[UUID, set[UUID]]:
    """`witnesses_of` for many items with one query; items without any are absent."""
    given = Decision.objects.filter(item__in=list(item_ids), recalled_by=None, recalls=None, decided_by__isnull=False)
    witnesses = given.filter(Q(is_attestation=True) | Q(answer__in=PASSING_ON))
    found: dict[UUID, set[UUID]] = defaultdict(set)
    for item_id, person in witnesses.values_list("item_id", "decided_by_id"):
        found[item_id].add(person)
    return found


def _assignment(item: ReviewItem, resolution: Resolution, now: datetime) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "assignee_id": resolution.assignee,
        "resolution": [*item.resolution, *resolution.trace],
    }
    if resolution.is_nobody:
        fields["escalated_at"] = now
    return fields


def move_item(item: ReviewItem, state: ItemState, **fields: Any) -> dict[str, str]:
    """Move a locked item along the table; returns what it was, for the record."""
    old = {"state": str(item.state), "assignee": str(item.assignee_id)}
    require_transition(ITEM_MOVES, ItemState(item.state), state)
    save_item(item, state=state, **fields)
    return old


def save_item(item: ReviewItem, **fields: Any) -> None:
    """Write fields of a locked item and count the change."""
    item.version += 1
    for name, value in fields.items():
        setattr(item, name, value)
    item.save(update_fields=["version", *(name.removesuffix("_id") for name in fields)])


def record_answer(
    verb: Verb, item: ReviewItem, decision: Decision, actor: Actor, now: datetime, *, old: Mapping[str, str]
) -> None:
    """The one record of one answer. The proof and the target stand in the decision; the record holds their digests."""
    log.record(
        verb=verb,
        actor=actor,
        subject=item_subject(item),
        now=now,
        old=old,
        new={"state": str(item.state), "assignee": str(item.assignee_id), "answer": str(decision.answer)},
        reason=decision.reason,
        context=item_context(item)
        | {
            "decision": str(decision.pk),
            "attestation": decision.is_attestation,
            "bulk": decision.is_bulk,
            "until": decision.until,
            "target": decision.proof["target"] if decision.proof else None,
            "policy": decision.decided_by_policy,
            "named": str(decision.named_person_id) if decision.named_person_id else None,
            "recalls": str(decision.recalls_id) if decision.recalls_id else None,
        },
    )
