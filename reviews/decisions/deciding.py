"""Answer one question: check, plan at the source outside any transaction, then write everything or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.permissions import Permission
from governance.people.models import User
from identities.services.review_facts import note_review
from reviews.decisions.answers import KEEPING, PASSING_ON, require_possible
from reviews.decisions.asks import (
    ask_beside,
    ask_of,
    came_too_late,
    drop_ask,
    last_steps,
    release_others,
    replace_ask,
    require_asked,
    seat_next,
)
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
    StaleItem,
    get_item,
    lock_item,
    require_open,
    require_unchanged,
    require_undecided,
    require_version,
)
from reviews.decisions.ownership import settle_owner
from reviews.decisions.recording import move_item, record_answer, save_item
from reviews.decisions.resolution import Resolution, Step, desk_of
from reviews.decisions.stages import (
    Course,
    Final,
    Vote,
    may_owners_answer,
    others_waiting,
    plot,
    resolve_stage,
    stages_of,
)
from reviews.decisions.targets import prove_target
from reviews.decisions.witnesses import witnesses_of
from reviews.models import Answer, Decision, ReviewItem
from reviews.remediation import Prepared, place_order, prepare
from reviews.states import ItemState


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
    """What the answer is worth: whose it is, the proof of a target, and where it leads (None: to another person)."""

    person: UUID
    parties: Parties
    proof: Mapping[str, Any] | None
    course: Course | None

    @property
    def is_attestation(self) -> bool:
        """Whether the answer is testimony: others, or a later stage, decide with it."""
        return self.course is not None and self.course.is_testimony


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

    Where the campaign has stages (an owner's answer on privileged access always has a second one), or several people
    are asked, the answer is testimony until the last stage is settled. Somebody whose stage was settled without them is
    still heard, which changes nothing. Talks to the source to plan the change, so it must not be called inside a
    transaction. Raises NotAssigned, SelfReview, CampaignNotOpen, StaleItem, AccessChanged, AnswerNotPossible,
    ReasonRequired and TargetNotInside.
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
    if came_too_late(item, reply.actor) and reply.answer not in PASSING_ON:
        return _hear(item, reply)
    standing = _require_standing(item, version, reply)
    course = standing.course
    prepared = Prepared()
    if course and course.final:
        prepared = prepare(item=item, answer=course.final.answer, target=course.final.target)
    with transaction.atomic(durable=True):
        locked = lock_item(item.pk)
        standing = _require_standing(locked, version, reply, proof=standing.proof)
        if course and not (standing.course and standing.course.leads_where(course)):
            raise StaleItem("Somebody else answered in this moment. Look again, then answer.", version=locked.version)
        decision = _write_decision(locked, reply, standing)
        if standing.course is None:
            _pass_on(locked, decision, reply, standing)
        elif standing.course.final:
            _settle(locked, decision, reply, standing, prepared)
        elif standing.course.stage:
            _enter(locked, decision, reply, standing)
        else:
            _wait(locked, decision, reply, standing)
    return decision


def foresee(
    *,
    item: ReviewItem,
    version: int,
    answer: str,
    actor: Actor,
    now: datetime,
    target: Permission | None = None,
) -> Standing:
    """What the answer would be worth. Raises what `decide` would, apart from a missing reason; changes nothing.

    For telling people which rows an answer will change; not for answers that need a date.
    """
    item = get_item(item.pk)
    require_possible(item, answer, reason="given later", until=None, has_target=target is not None, now=now)
    return _require_standing(item, version, Reply(answer=Answer(answer), actor=actor, now=now, target=target))


def _require_standing(item: ReviewItem, version: int, reply: Reply, proof: Mapping[str, Any] | None = None) -> Standing:
    """Check the answer against the state of the world: run before planning, and again under the lock."""
    require_open(item.campaign, reply.now)
    person = require_asked(item, reply.actor)
    require_undecided(item)
    require_version(item, version)
    parties = parties_of_item(item)
    if reply.answer in PASSING_ON:
        return Standing(person, parties, proof=None, course=None)
    is_owners = is_attestation(person, parties, item.resolution)
    if is_owners and not may_owners_answer(item):
        raise SelfReview("You cannot decide here: you own this identity.", conflict=str(Conflict.OWNER))
    require_unchanged(item)
    if reply.target is not None and proof is None:
        proof = prove_target(item, reply.target)
    vote = Vote(person, reply.answer, is_owners, reply.until, reply.target)
    heard = frozenset(witnesses_of(item) | {person, *stands_for(person, item.resolution)})
    course = plot(item, vote, parties, desk_of(item.campaign), proof=proof, not_again=heard)
    return Standing(person, parties, proof, course)


def _hear(item: ReviewItem, reply: Reply) -> Decision:
    """Keep what somebody says whose stage was settled without them. Nothing else changes."""
    with transaction.atomic(durable=True):
        locked = lock_item(item.pk)
        require_open(locked.campaign, reply.now)
        if not came_too_late(locked, reply.actor) or reply.actor.person_id is None:
            raise StaleItem("This question is asked again. Look at it, then answer.", version=locked.version)
        person = reply.actor.person_id
        is_attestation(person, parties_of_item(locked), locked.resolution)
        require_unchanged(locked)
        proof = prove_target(locked, reply.target) if reply.target is not None else None
        decision = _keep(locked, reply, person, proof, is_attestation=True, stage=None)
        drop_ask(locked, person)
        old = {"state": str(locked.state), "assignee": str(locked.assignee_id)}
        record_answer(Verb.ITEM_ANSWERED, locked, decision, reply.actor, reply.now, old=old, too_late=True)
    return decision


def _write_decision(item: ReviewItem, reply: Reply, standing: Standing) -> Decision:
    attests = standing.is_attestation
    return _keep(item, reply, standing.person, standing.proof, is_attestation=attests, stage=item.stage)


def _keep(
    item: ReviewItem,
    reply: Reply,
    person: UUID,
    proof: Mapping[str, Any] | None,
    *,
    is_attestation: bool,
    stage: int | None,
) -> Decision:
    return Decision.objects.create(
        item=item,
        answer=reply.answer,
        is_attestation=is_attestation,
        stage=stage,
        round=item.round,
        until=reply.until,
        target=reply.target.to_json() if reply.target else None,
        proof=proof,
        digest=item.grant_version.digest if item.grant_version else None,
        reason=reply.reason,
        named_person=reply.named_person,
        decided_by_id=person,
        auth_method=reply.actor.auth_method,
        is_bulk=reply.is_bulk,
        decided_at=reply.now,
    )


def _settle(item: ReviewItem, decision: Decision, reply: Reply, standing: Standing, prepared: Prepared) -> None:
    """The last stage is settled. A single answer is the decision itself; several have an outcome of their own."""
    course = standing.course
    final = decision
    if course and course.is_shared and course.final:
        final = write_outcome(item, course.final, now=reply.now)
    release_others(item, standing.person)
    steps = list(course.steps) if course else []
    old = conclude(item, final, prepared, actor=reply.actor, now=reply.now, steps=steps)
    outcome = final if final != decision else None
    record_answer(Verb.ITEM_DECIDED, item, decision, reply.actor, reply.now, old=old, outcome=outcome)


def write_outcome(item: ReviewItem, final: Final, *, now: datetime) -> Decision:
    """What several answers amount to, as a decision that names the strategy instead of a person."""
    strategy = stages_of(item.campaign).at(item.stage).strategy
    return Decision.objects.create(
        item=item,
        answer=final.answer,
        stage=item.stage,
        round=item.round,
        until=final.until,
        target=final.target.to_json() if final.target else None,
        proof=final.proof,
        digest=item.grant_version.digest if item.grant_version else None,
        decided_by_policy=str(strategy),
        decided_at=now,
    )


def conclude(
    item: ReviewItem,
    decision: Decision,
    prepared: Prepared,
    *,
    actor: Actor,
    now: datetime,
    steps: Sequence[Mapping[str, Any]] = (),
) -> dict[str, str]:
    """Order what the final answer asks for, write approvals down where requests are decided, and end the question.

    An inner step; the caller records it, with what is returned: what the item was.
    """
    later = decision.until if decision.answer == Answer.APPROVE_UNTIL else None
    place_order(
        decision=decision,
        item=item,
        prepared=prepared,
        execute_after=later or now + timedelta(seconds=settings.ORDER_RECALL_SECONDS),
        actor=actor,
        now=now,
    )
    if decision.answer in KEEPING and item.grant_id is not None and item.grant_version is not None:
        note_review(
            grant_ids=[item.grant_id],
            digest_by_grant={item.grant_id: bytes(item.grant_version.digest)},
            approved_until=later,
            now=now,
        )
    if decision.answer == Answer.MINE:
        settle_owner(item, decision)
    passed_over = {"resolution": [*item.resolution, *steps]} if steps else {}
    return move_item(item, ItemState.DECIDED, decided_at=now, **passed_over)


def _enter(item: ReviewItem, decision: Decision, reply: Reply, standing: Standing) -> None:
    """A stage is settled, and a later one gets the question."""
    course = standing.course
    assert course is not None and course.stage is not None  # noqa: S101 - the caller looked
    first, *others = course.people
    release_others(item, standing.person)
    trace = [*item.resolution, *course.steps, *first.trace, *last_steps(others)]
    fields: dict[str, Any] = {"assignee_id": first.assignee, "stage": course.stage, "resolution": trace}
    if first.is_nobody:
        fields["escalated_at"] = reply.now
    old = move_item(item, ItemState.ATTESTED, **fields)
    ask_beside(item, [each.assignee for each in others])
    record_answer(Verb.ITEM_ANSWERED, item, decision, reply.actor, reply.now, old=old)


def _wait(item: ReviewItem, decision: Decision, reply: Reply, standing: Standing) -> None:
    """Others of this stage are waited for. The question is as they saw it, so its version stays."""
    old = {"state": str(item.state), "assignee": str(item.assignee_id)}
    if item.assignee_id == standing.person:
        item.assignee_id = seat_next(item, standing.person)
        item.save(update_fields=["assignee"])
    else:
        drop_ask(item, standing.person)
    record_answer(Verb.ITEM_ANSWERED, item, decision, reply.actor, reply.now, old=old)


def _pass_on(item: ReviewItem, decision: Decision, reply: Reply, standing: Standing) -> None:
    """Not this person's question: ask the person they name, else whoever comes next."""
    old = {"state": str(item.state), "assignee": str(item.assignee_id)}
    named = _named_step(reply, standing)
    ask = ask_of(item, standing.person) if item.assignee_id != standing.person else None
    if ask is not None:
        replace_ask(item, ask, named=named)
    else:
        resolution = resolve_stage(
            item.campaign,
            item.stage,
            standing.parties,
            desk_of(item.campaign),
            not_again=frozenset(witnesses_of(item) | {standing.person, *others_waiting(item, standing.person)}),
            named=named,
        )
        save_item(item, **_assignment(item, resolution, reply.now))
    record_answer(Verb.ITEM_REROUTED, item, decision, reply.actor, reply.now, old=old)


def _named_step(reply: Reply, standing: Standing) -> Step | None:
    # A proposal of somebody who is not independent would be a decision by proxy.
    if reply.named_person is None or ruled_out(standing.person, standing.parties):
        return None
    return {"person": str(reply.named_person.pk), "by": str(standing.person)}


def _assignment(item: ReviewItem, resolution: Resolution, now: datetime) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "assignee_id": resolution.assignee,
        "resolution": [*item.resolution, *resolution.trace],
    }
    if resolution.is_nobody:
        fields["escalated_at"] = now
    return fields
