"""In which stage a question is, who is asked in it, and what an answer leads to: nothing is written here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from governance.kernel.permissions import Permission
from reviews.decisions.facts import Facts
from reviews.decisions.independence import Parties, SelfReview, conflict_of, is_attestation
from reviews.decisions.resolution import OWNING_RULES, Desk, Resolution, Step, resolve
from reviews.decisions.targets import held_permission, prove_narrowing
from reviews.models import PASSING_ON, Answer, Ask, Campaign, Decision, ItemKind, ReviewItem
from reviews.policies.outcomes import Kind, Outcome, agreed_target, outcome_of, settled
from reviews.policies.stages import Nobody, Passed, Sees, Stage, Stages

KINDS = {
    Answer.APPROVE: Kind.ACCEPT,
    Answer.APPROVE_UNTIL: Kind.ACCEPT,
    Answer.KEEP: Kind.ACCEPT,
    Answer.MINE: Kind.ACCEPT,
    Answer.SCOPE_DOWN: Kind.REDUCE,
    Answer.ROTATE: Kind.REDUCE,
    Answer.REVOKE: Kind.DENY,
    Answer.DEACTIVATE: Kind.DENY,
    Answer.RETIRE: Kind.DENY,
}
# Rules that every resolution ends with; who is found by them was not named by the stage.
RESERVE = frozenset({"fallback", "campaign_manager", "anyone", "nobody"})


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's answer in a stage. is_owners: it is the owning side's, on privileged access."""

    person: UUID
    answer: Answer
    is_owners: bool
    until: datetime | None = None
    target: Permission | None = None

    @property
    def kind(self) -> Kind:
        return KINDS[self.answer]


@dataclass(frozen=True, slots=True)
class Final:
    """What becomes of the question: an answer with its date, or its target and the proof of it."""

    answer: Answer
    until: datetime | None = None
    target: Permission | None = None
    proof: Any = None


@dataclass(frozen=True, slots=True)
class Course:
    """Where an answer leads: on waiting for others (outcome None), into a later stage, or to the end (`final`).

    is_shared: several people answer here, so that the end is an outcome of its own and no single answer. people: who is
    asked in the stage entered. steps: what the trace says about stages that were passed over.
    """

    outcome: Outcome | None
    is_shared: bool
    stage: int | None = None
    people: tuple[Resolution, ...] = ()
    steps: tuple[Step, ...] = ()
    final: Final | None = None

    @property
    def is_testimony(self) -> bool:
        """Whether the answer itself is not the decision."""
        return self.is_shared or self.final is None

    def leads_where(self, other: "Course") -> bool:
        """Whether both lead to the same; who is asked next may have changed meanwhile."""
        return (self.outcome, self.is_shared, self.stage, self.final) == (
            other.outcome,
            other.is_shared,
            other.stage,
            other.final,
        )


def stages_of(campaign: Campaign) -> Stages:
    """The stages as the campaign keeps them."""
    return _read(orjson.dumps(campaign.policy.get("stages", {})))


@lru_cache(maxsize=256)  # they are looked at several times for each answer
def _read(text: bytes) -> Stages:
    return Stages.from_json(orjson.loads(text))


def may_owners_answer(item: ReviewItem) -> bool:
    """Whether the owning side of privileged access is heard in the present stage; it never decides."""
    return item.stage == 1 or bool(OWNING_RULES & set(stages_of(item.campaign).at(item.stage).asks))


def asks_one(campaign: Campaign) -> bool:
    """Whether each stage asks one person, so that whatever a question ends with is somebody's own answer."""
    return all(stage.people == 1 for stage in stages_of(campaign).stages)


def hides_earlier_answers(item: ReviewItem) -> bool:
    """Whether the people of the present stage answer without knowing what was said before."""
    return stages_of(item.campaign).at(item.stage).sees is Sees.NOTHING


def standing_votes(item: ReviewItem, *, stage: int) -> list[Decision]:
    """The answers that count in a stage of the present round, oldest first."""
    given = Decision.objects.filter(
        item=item,
        stage=stage,
        round=item.round,
        decided_by__isnull=False,
        recalls=None,
        recalled_by=None,
    )
    return list(given.exclude(answer__in=PASSING_ON).order_by("decided_at", "pk"))


def others_waiting(item: ReviewItem, person: UUID | None) -> list[UUID]:
    """Who else is asked now, the assignee first."""
    asked = Ask.objects.filter(item=item, is_released=False).order_by("created_at", "pk")
    everybody = [item.assignee_id, *asked.values_list("person_id", flat=True)]
    return [one for one in everybody if one != person]


# --- who is asked -------------------------------------------------------------------------------------------------


def resolve_stage(
    campaign: Campaign,
    number: int,
    parties: Parties,
    desk: Desk,
    *,
    not_again: frozenset[UUID] = frozenset(),
    named: Step | None = None,
) -> Resolution:
    """Who is asked in a stage in the place of somebody who is not asked any more, or first of all."""
    stages = stages_of(campaign)
    if number >= stages.independence:
        return resolve(parties, desk, deciding=True, not_again=not_again, named=named)
    rules = rules_of(stages.at(number), campaign)
    if named and number > 1 and not OWNING_RULES & set(rules) and conflict_of(UUID(named["person"]), parties):
        named = None
    return resolve(parties, replace(desk, rules=rules), not_again=not_again, named=named)


def people_of_stage(
    campaign: Campaign, number: int, parties: Parties, desk: Desk, not_again: frozenset[UUID]
) -> list[Resolution]:
    """Everybody who is asked in a stage; nobody where the stage is passed over without them."""
    stage = stages_of(campaign).at(number)
    first = resolve_stage(campaign, number, parties, desk, not_again=not_again)
    if _is_reserve(first, rules_of(stage, campaign)):
        return [] if stage.when_nobody is Nobody.SKIP else [first]
    return [first, *further_people(campaign, number, first, parties, desk, not_again)]


def further_people(
    campaign: Campaign,
    number: int,
    first: Resolution,
    parties: Parties,
    desk: Desk,
    not_again: frozenset[UUID] = frozenset(),
) -> list[Resolution]:
    """Who is asked beside the first one: whom the stage's own rules name, never the reserve."""
    stage = stages_of(campaign).at(number)
    rules, found = rules_of(stage, campaign), [first]
    while len(found) < stage.people and not _is_reserve(found[-1], rules):
        so_far = not_again | {each.assignee for each in found}
        found.append(resolve_stage(campaign, number, parties, desk, not_again=so_far))
    return [each for each in found[1:] if not _is_reserve(each, rules)]


def rules_of(stage: Stage, campaign: Campaign) -> tuple[str, ...]:
    """The rules by which a stage names its people; a stage that says nothing asks as the review does."""
    return tuple(str(rule) for rule in stage.asks or campaign.reviewer_rules)


def _is_reserve(resolution: Resolution, rules: Sequence[str]) -> bool:
    last = resolution.trace[-1]["rule"]
    return last in RESERVE or (last == "independent" and last not in rules)


# --- what an answer leads to --------------------------------------------------------------------------------------


def plot(facts: Facts, vote: Vote, *, proof: Any, not_again: frozenset[UUID]) -> Course:
    """Where this answer leads, with everything that was said in the stage before. not_again: who was heard already."""
    item = facts.item
    stages = stages_of(item.campaign)
    stage = stages.at(item.stage)
    earlier = votes_cast(facts)
    waiting = facts.waiting(but=vote.person)
    votes = [*earlier, vote]
    is_shared = bool(earlier or waiting)
    outcome = settled(stage.strategy, [each.kind for each in votes], waiting=len(waiting))
    if outcome is None:
        return Course(None, is_shared)
    final = final_of(item, outcome, votes) if is_shared else Final(vote.answer, vote.until, vote.target, proof)
    course = Course(outcome, is_shared, final=final)
    is_end = stages.ends_with(item.stage, is_privileged=item.is_privileged)
    return course if is_end else _onward(facts, course, votes, not_again)


def _onward(facts: Facts, course: Course, votes: Sequence[Vote], not_again: frozenset[UUID]) -> Course:
    """The first later stage that gets the question and has somebody to ask; else the outcome is final."""
    item = facts.item
    stages, steps = stages_of(item.campaign), list[Step]()
    passed, number = passed_of(item, course.outcome or Outcome.NONE, votes), item.stage
    heard = not_again | {each.person for each in votes}
    while (following := stages.following(number, passed)) is not None:
        number = following
        people = people_of_stage(item.campaign, number, facts.parties, facts.desk, heard)
        if people:
            return replace(course, final=None, stage=number, people=tuple(people), steps=tuple(steps))
        why = f"Nobody to ask in stage {number}, so it is passed over."
        steps.append({"rule": "stage", "person": None, "outcome": "skipped", "why": why})
    return replace(course, steps=tuple(steps)) if steps else course


def passed_of(item: ReviewItem, outcome: Outcome, votes: Sequence[Vote]) -> Passed:
    """What a stage says to the next one."""
    targets = {each.target.digest() for each in votes if each.target}
    return Passed(
        outcome=outcome,
        disagreed=len({each.kind for each in votes}) > 1 or len(targets) > 1,
        is_privileged=item.is_privileged,
        only_owners=_owners_tipped(item, outcome, votes),
    )


def _owners_tipped(item: ReviewItem, outcome: Outcome, votes: Sequence[Vote]) -> bool:
    """Whether without the owning side's answers something else would have come out."""
    if not any(each.is_owners for each in votes):
        return False
    if any(each.is_owners and each.kind is Kind.REDUCE for each in votes) and outcome is Outcome.REDUCE:
        return True
    strategy = stages_of(item.campaign).at(item.stage).strategy
    return outcome_of(strategy, [each.kind for each in votes if not each.is_owners]) != outcome


def votes_cast(facts: Facts) -> list[Vote]:
    """What was said in the present stage so far, as votes."""
    return [
        Vote(
            person=decision.decided_by_id,
            answer=Answer(decision.answer),
            is_owners=_is_owners(decision.decided_by_id, facts.parties, facts.item),
            until=decision.until,
            target=Permission.from_json(decision.target) if decision.target else None,
        )
        for decision in facts.votes
        if decision.decided_by_id is not None
    ]


def _is_owners(person: UUID, parties: Parties, item: ReviewItem) -> bool:
    try:
        return is_attestation(person, parties, item.resolution)
    except SelfReview:
        # They came to hold a credential after they answered: as little independent as an owner.
        return parties.is_privileged


def final_of(item: ReviewItem, outcome: Outcome, votes: Iterable[Vote]) -> Final:
    """The outcome as an answer to the question. Where several dates were set, the earliest stands."""
    same = [each for each in votes if each.kind == outcome]
    until = min((each.until for each in same if each.until), default=None)
    is_grant = item.kind == ItemKind.GRANT
    if outcome is Outcome.DENY:
        return Final(Answer.REVOKE if is_grant else Answer.DEACTIVATE)
    if outcome is Outcome.REDUCE and not is_grant:
        return Final(Answer.ROTATE, until)
    target = _agreed(item, same) if outcome is Outcome.REDUCE else None
    if target is not None:
        return Final(Answer.SCOPE_DOWN, None, target, prove_narrowing(held_permission(item), target))
    if not is_grant:
        return Final(Answer.KEEP)
    return Final(Answer.APPROVE_UNTIL, until) if until else Final(Answer.APPROVE)


def _agreed(item: ReviewItem, votes: Iterable[Vote]) -> Permission | None:
    return agreed_target(held_permission(item), [each.target for each in votes if each.target])
