"""Answer questions: judge, plan at the source outside any transaction, then write everything or nothing.

One answer is many with one row: whatever is decided, by page, program or draft, goes through `answer_all`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from governance.people.models import User
from reviews.decisions.asks import ask_beside, drop_ask, last_steps, release_others, replace_ask, seat_next
from reviews.decisions.facts import Facts, find, gather
from reviews.decisions.independence import ruled_out
from reviews.decisions.items import StaleItem, lock_items, read_items
from reviews.decisions.judging import Reply, Standing, judge
from reviews.decisions.loading import among, new, with_objects
from reviews.decisions.recording import answer_record, before_of
from reviews.decisions.resolution import Resolution, Step
from reviews.decisions.stages import asks_one, resolve_stage
from reviews.decisions.together import again_after_deadlock
from reviews.decisions.writing import Writing, outcome_decision
from reviews.models import Campaign, Decision, ReviewItem
from reviews.remediation import Prepared, asks_source, may_order, prepare
from reviews.states import ItemState


@dataclass(frozen=True, slots=True)
class Wanted:
    """One answer to one question. version: of the question that the person saw; None: it is answered as it is now."""

    item_id: UUID
    version: int | None
    reply: Reply


@dataclass(frozen=True, slots=True)
class Planned:
    """What an answer was worth before the question was locked, in which version, and what it would do at the source."""

    version: int
    standing: Standing
    prepared: Prepared


Outcome = Decision | DomainError


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
    reply = Reply(
        answer=answer, actor=actor, now=now, reason=reason, until=until, target=target, named_person=named_person
    )
    [outcome] = answer_all(wanted=[Wanted(item.pk, version, reply)], actor=actor, now=now)
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def answer_all(*, wanted: Sequence[Wanted], actor: Actor, now: datetime) -> list[Outcome]:
    """Give answers to different questions in one transaction: per question, in the order given, the answer as kept or
    why it was refused. A refusal touches no other question.

    Talks to sources first, so it must not be called inside a transaction.
    """
    refused: dict[UUID, DomainError] = {}
    planned = _plan(wanted, refused)
    taken = [each for each in wanted if each.item_id not in refused]
    kept = again_after_deadlock(lambda: _answer(taken, planned, refused, actor, now)) if taken else {}
    return [kept[each.item_id] if each.item_id in kept else refused[each.item_id] for each in wanted]


def _plan(wanted: Sequence[Wanted], refused: dict[UUID, DomainError]) -> dict[UUID, Planned]:
    """What the answers would do at their sources, worked out before anything is locked.

    Nothing is looked at twice where no answer can end in a change: then judging under the lock is all there is to do.
    """
    if not any(asks_source(each.reply.answer) for each in wanted) and _all_asks_one(wanted):
        return {}
    planned = {}
    facts = gather(read_items([each.item_id for each in wanted]))
    for each in wanted:
        try:
            around = find(facts, each.item_id)
            standing = judge(around, each.reply, version=each.version)
        except DomainError as refusal:
            refused[each.item_id] = refusal
            continue
        final, prepared = standing.final, Prepared()
        if final is not None:
            prepared = prepare(item=around.item, answer=final.answer, target=final.target)
        planned[each.item_id] = Planned(around.item.version, standing, prepared)
    return planned


def _all_asks_one(wanted: Sequence[Wanted]) -> bool:
    items = ReviewItem.objects.filter(pk__in=among([each.item_id for each in wanted]))
    campaigns = Campaign.objects.filter(pk__in=items.values("campaign")).only("policy")
    return all(asks_one(campaign) for campaign in campaigns)


def _answer(
    wanted: Sequence[Wanted],
    planned: Mapping[UUID, Planned],
    refused: dict[UUID, DomainError],
    actor: Actor,
    now: datetime,
) -> dict[UUID, Decision]:
    kept: dict[UUID, Decision] = {}
    writing = Writing(actor, now)
    is_kept = not planned and not any(may_order(each.reply.answer) for each in wanted)
    with transaction.atomic(durable=True):
        facts = gather(lock_items([each.item_id for each in wanted], is_kept=is_kept))
        accepted = []
        for each in wanted:
            try:
                accepted.append(_judge_again(find(facts, each.item_id), each, planned.get(each.item_id)))
            except DomainError as refusal:
                refused[each.item_id] = refusal
        for around, standing, prepared in accepted:
            kept[around.item.pk] = _add(writing, around, standing, prepared)
        writing.write()
    return kept


def _judge_again(facts: Facts, wanted: Wanted, planned: Planned | None) -> tuple[Facts, Standing, Prepared]:
    """What the answer is worth now that the question is locked. Raises StaleItem where that is no longer what was
    planned."""
    if planned is None:
        standing = judge(facts, wanted.reply, version=wanted.version)
        final = standing.final
        if final is None:
            return facts, standing, Prepared()
        if not asks_source(final.answer):
            return facts, standing, prepare(item=facts.item, answer=final.answer)
    else:
        standing = judge(facts, wanted.reply, version=planned.version, proof=planned.standing.proof)
        if standing.leads_where(planned.standing):
            return facts, standing, planned.prepared
    raise StaleItem("Somebody else answered in this moment. Look again, then answer.", version=facts.item.version)


# --- what becomes of the question ---------------------------------------------------------------------------------


def _add(writing: Writing, facts: Facts, standing: Standing, prepared: Prepared) -> Decision:
    """Put together what the answer changes, and its record."""
    item, reply = facts.item, standing.reply
    decision = writing.keep(_decision(item, standing))
    outcome = None
    if standing.is_late:
        verb, old = Verb.ITEM_ANSWERED, before_of(item)
        drop_ask(item, standing.person)
    elif standing.course is None:
        verb, old = Verb.ITEM_REROUTED, _pass_on(writing, facts, standing)
    elif standing.course.final:
        final = decision
        if standing.course.is_shared:
            outcome = final = writing.keep(outcome_decision(item, standing.course.final, now=reply.now))
        _release_others(facts, standing)
        verb, old = Verb.ITEM_DECIDED, writing.conclude(item, final, prepared, steps=standing.course.steps)
    elif standing.course.stage:
        verb, old = Verb.ITEM_ANSWERED, _enter(writing, facts, standing)
    else:
        verb, old = Verb.ITEM_ANSWERED, _wait(facts, standing)
    facts_of_record: dict[str, Any] = {"old": old, "outcome": outcome, "too_late": standing.is_late}
    writing.records.append(answer_record(verb, item, decision, reply.actor, reply.now, **facts_of_record))
    return decision


def _decision(item: ReviewItem, standing: Standing) -> Decision:
    reply = standing.reply
    decision = new(
        Decision,
        id=log.new_id(),
        item_id=item.pk,
        answer=reply.answer,
        is_attestation=standing.is_attestation,
        stage=None if standing.is_late else item.stage,
        round=item.round,
        until=reply.until,
        target=reply.target.to_json() if reply.target else None,
        proof=standing.proof,
        digest=item.grant_version.digest if item.grant_version else None,
        reason=reply.reason.strip(),
        named_person_id=reply.named_person.pk if reply.named_person else None,
        decided_by_id=standing.person,
        auth_method=reply.actor.auth_method,
        is_bulk=reply.is_bulk,
        decided_at=reply.now,
    )
    return with_objects(decision, item=item)


def _release_others(facts: Facts, standing: Standing) -> None:
    if facts.asks:
        release_others(facts.item, standing.person)


def _enter(writing: Writing, facts: Facts, standing: Standing) -> dict[str, str]:
    """A stage is settled, and a later one gets the question."""
    item, course = facts.item, standing.course
    assert course is not None and course.stage is not None  # noqa: S101 - the caller looked
    first, *others = course.people
    _release_others(facts, standing)
    trace = [*item.resolution, *course.steps, *first.trace, *last_steps(others)]
    fields: dict[str, Any] = {"assignee_id": first.assignee, "stage": course.stage, "resolution": trace}
    if first.is_nobody:
        fields["escalated_at"] = standing.reply.now
    old = writing.move(item, ItemState.ATTESTED, **fields)
    ask_beside(item, [each.assignee for each in others])
    return old


def _wait(facts: Facts, standing: Standing) -> dict[str, str]:
    """Others of this stage are waited for. The question is as they saw it, so its version stays."""
    item, old = facts.item, before_of(facts.item)
    if item.assignee_id == standing.person:
        seat_next(item, standing.person, facts.waiting(but=standing.person))
    else:
        drop_ask(item, standing.person)
    return old


def _pass_on(writing: Writing, facts: Facts, standing: Standing) -> dict[str, str]:
    """Not this person's question: ask the person they name, else whoever comes next."""
    item, old = facts.item, before_of(facts.item)
    named = _named_step(facts, standing)
    ask = facts.ask_of(standing.person) if item.assignee_id != standing.person else None
    if ask is not None:
        taken_by = replace_ask(item, ask, named=named)
        if taken_by is not None:
            writing.hand_on(item, taken_by)
        return old
    resolution = resolve_stage(
        item.campaign,
        item.stage,
        facts.parties,
        facts.desk,
        not_again=facts.witnesses | {standing.person, *facts.waiting(but=standing.person)},
        named=named,
    )
    writing.hand_on(item, resolution.assignee)
    return writing.change(item, **_assignment(item, resolution, standing.reply.now))


def _named_step(facts: Facts, standing: Standing) -> Step | None:
    # A proposal of somebody who is not independent would be a decision by proxy.
    named = standing.reply.named_person
    if named is None or ruled_out(standing.person, facts.parties):
        return None
    return {"person": str(named.pk), "by": str(standing.person)}


def _assignment(item: ReviewItem, resolution: Resolution, now: datetime) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "assignee_id": resolution.assignee,
        "resolution": [*item.resolution, *resolution.trace],
    }
    if resolution.is_nobody:
        fields["escalated_at"] = now
    return fields
