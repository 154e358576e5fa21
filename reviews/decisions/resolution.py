"""Who is asked: the campaign's rules in their order, then people who can always be asked, with the reason at each step.

A trace is a list of `{"rule", "person": id or None, "outcome": "asked" | "away" | "skipped", "why"}`, oldest
step first, and is kept with the item. Steps by which one person hands an item to another carry `by` as well; "away" is
followed by the step of whoever stands in; the step of a team carries `members`, as they were then. The last step of a
question that nobody may decide is `{"rule": "nobody"}`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any
from uuid import UUID

from governance.kernel.actors import Role
from governance.people.models import RoleAssignment, Team
from reviews.decisions.independence import Parties, conflict_of, list_active_people, ruled_out
from reviews.models import Campaign, Delegation, ReviewerRule
from reviews.policies.reviewers import Reviewers
from reviews.policies.stages import Asked, Stages

Step = dict[str, Any]

RULE_LABELS: Mapping[str, str] = {
    **{rule.value: rule.label for rule in ReviewerRule},
    "suggested": "Suggested owner",
    "independent": "Independent reviewer",
    "fallback": "Fallback reviewer",
    "campaign_manager": "Campaign manager",
    "anyone": "Any other reviewer or administrator",
    "named": "Named by the person asked before",
    "delegated": "Handed on",
    "stand_in": "Stand-in during an absence",
    "returned": "Back after an absence",
    "reviewers": "A reviewer or administrator",
    "stage": "Stage",
    "nobody": "Nobody may decide",
    "deadline": "Deadline policy",
    "escalated": "Asked before",
}
AWAY = "Is away, and has named who answers in their place."
TEAM_RULES = frozenset({ReviewerRule.TEAM, ReviewerRule.GROUP})
MOST_FROZEN = 100
OWNING_RULES = frozenset({ReviewerRule.OWNER, ReviewerRule.BACKUP, ReviewerRule.TEAM})


@dataclass(frozen=True, slots=True)
class Desk:
    """The people whom a campaign can ask besides those around an item. Loaded once per chunk."""

    rules: tuple[str, ...]
    independent: UUID | None
    fallback: UUID
    manager: UUID
    reviewers: tuple[UUID, ...]
    active: frozenset[UUID]
    away: Mapping[UUID, tuple[Delegation, ...]] = field(default_factory=dict)
    campaign: UUID | None = None
    named: UUID | None = None
    group: tuple[UUID, ...] = ()
    levels: int = 3

    def stand_in_of(self, person: UUID, source: UUID | None) -> Delegation | None:
        """The delegation under which somebody else answers this person's question about this source now, if any."""
        if self.campaign is None:
            return None
        return next((each for each in self.away.get(person, ()) if each.covers(self.campaign, source)), None)


@dataclass(frozen=True, slots=True)
class Resolution:
    """assignee is the campaign manager where nobody may decide: they can hand the item on, not decide it."""

    assignee: UUID
    trace: list[Step]

    @property
    def is_nobody(self) -> bool:
        return self.trace[-1]["rule"] == "nobody"


def desk_of(campaign: Campaign) -> Desk:
    """The people of this campaign, as they are now."""
    held = RoleAssignment.objects.filter(role__in=[Role.REVIEWER, Role.ADMINISTRATOR], user__is_active=True)
    return Desk(
        rules=Stages.of(campaign.policy).at(1).asks or tuple(campaign.reviewer_rules),
        independent=campaign.independent_reviewer_id,
        fallback=campaign.fallback_reviewer_id,
        manager=campaign.manager_id,
        reviewers=tuple(sorted(set(held.values_list("user_id", flat=True)))),
        active=list_active_people(),
        away=absences(),
        campaign=campaign.pk,
        **_named_by(campaign),
    )


def _named_by(campaign: Campaign) -> dict[str, Any]:
    """The person, the team and the reach that the campaign's policy names."""
    policy = Reviewers.from_json(campaign.policy.get("reviewers", {}))
    members: Sequence[UUID] = ()
    if policy.team:
        rows = Team.members.through.objects.filter(team_id=policy.team).order_by("user_id")
        members = list(rows.values_list("user_id", flat=True))
    return {
        "named": UUID(policy.person) if policy.person else None,
        "group": tuple(members),
        "levels": policy.levels,
    }


def absences() -> dict[UUID, tuple[Delegation, ...]]:
    """Every delegation in effect, by the person who is away. Few rows, however many people there are."""
    found: dict[UUID, list[Delegation]] = defaultdict(list)
    for each in Delegation.objects.filter(started_at__isnull=False, ended_at=None).order_by("starts_at", "pk"):
        found[each.person_id].append(each)
    return {person: tuple(theirs) for person, theirs in found.items()}


def resolve(
    parties: Parties,
    desk: Desk,
    *,
    deciding: bool = False,
    not_again: frozenset[UUID] = frozenset(),
    named: Step | None = None,
) -> Resolution:
    """Find who is asked about one item.

    deciding: the owner has attested (or need not), so only people who may decide are asked.
    not_again: people who said that it is not theirs, or who hand it on. named: a step that is tried first.
    """
    trace: list[Step] = []
    for rule, candidates in _candidates(parties, desk, deciding=deciding, named=named):
        step = {**(named or {}), "rule": rule} if rule == "named" else {"rule": rule}
        if not candidates:
            trace.append(step | {"person": None, "outcome": "skipped", "why": "There is none."})
            continue
        attests = not deciding and rule in OWNING_RULES | {"named"}
        for person in candidates:
            asked, steps = ask_person(person, parties, desk, step, attests=attests, not_again=not_again)
            trace += steps
            if asked is not None:
                if rule in TEAM_RULES:
                    # Teams change; who could have been asked then stays with the question.
                    trace[-len(steps)]["members"] = sorted(str(each) for each in candidates)[:MOST_FROZEN]
                return Resolution(assignee=asked, trace=trace)
    trace.append(
        {"rule": "nobody", "person": str(desk.manager), "outcome": "skipped", "why": "Nobody may decide here."}
    )
    return Resolution(assignee=desk.manager, trace=trace)


def resolve_all(parties: Iterable[Parties], desk: Desk) -> list[Resolution]:
    """`resolve` for many new items, in the order given: the same people give the same answer, which is found once."""
    found = cache(partial(resolve, desk=desk))
    return [found(each) for each in parties]


def ask_person(
    person: UUID, parties: Parties, desk: Desk, step: Step, *, attests: bool, not_again: frozenset[UUID]
) -> tuple[UUID | None, list[Step]]:
    """Who answers when it is this person's turn: they, or whoever stands in for them; with the steps of the trace."""
    why = _obstacle(person, parties, desk, attests=attests, not_again=not_again)
    reached = step | {"person": str(person), "outcome": "skipped" if why else "asked", "why": why}
    absence = None if why else desk.stand_in_of(person, parties.source)
    if absence is None:
        return (None if why else person), [reached]
    reached |= {"outcome": "away", "why": AWAY}
    why = obstacle_of_stand_in(absence, parties, desk, attests=attests, not_again=not_again)
    return (None if why else absence.delegate_id), [reached, stand_in_step(absence, why)]


def stand_in_step(absence: Delegation, why: str = "") -> Step:
    """The step of a trace by which somebody answers in another's place; why: what keeps them from it."""
    return {
        "rule": "stand_in",
        "person": str(absence.delegate_id),
        "by": str(absence.person_id),
        "delegation": str(absence.pk),
        "outcome": "skipped" if why else "asked",
        "why": why,
    }


def obstacle_of_stand_in(
    absence: Delegation, parties: Parties, desk: Desk, *, attests: bool, not_again: frozenset[UUID]
) -> str:
    """Why the delegate cannot stand in here, or nothing. One link only: whoever is away as well is not followed on."""
    if desk.stand_in_of(absence.delegate_id, parties.source) is not None:
        return "Is away as well; a stand-in has no stand-in."
    return _obstacle(absence.delegate_id, parties, desk, attests=attests, not_again=not_again)


def _obstacle(person: UUID, parties: Parties, desk: Desk, *, attests: bool, not_again: frozenset[UUID]) -> str:
    if person not in desk.active:
        return "Has left or cannot sign in."
    if person in not_again:
        return "Has passed this question on."
    conflict = ruled_out(person, parties) if attests else conflict_of(person, parties)
    return f"Not independent: {conflict.sentence}." if conflict else ""


def _candidates(
    parties: Parties, desk: Desk, *, deciding: bool, named: Step | None
) -> Iterator[tuple[str, Sequence[UUID]]]:
    if named:
        yield "named", [UUID(named["person"])]
    if not deciding:
        for rule in desk.rules:
            yield rule, _people_of_rule(rule, parties, desk)
        if parties.suggested:
            yield "suggested", parties.suggested
    if parties.is_privileged:
        yield "independent", _one(desk.independent)
    yield "fallback", [desk.fallback]
    yield "campaign_manager", [desk.manager]
    yield "anyone", _rotate(desk.reviewers, parties.identity)


def _people_of_rule(rule: str, parties: Parties, desk: Desk) -> Sequence[UUID]:
    people: Mapping[str, Sequence[UUID]] = {
        ReviewerRule.OWNER: _one(parties.owner),
        ReviewerRule.BACKUP: _one(parties.backup),
        ReviewerRule.TEAM: _rotate(parties.team, parties.identity),
        ReviewerRule.SOURCE_OWNER: _one(parties.source_owner),
        # Upwards until one is there: whoever left, or may not answer, is passed over like everybody else.
        ReviewerRule.MANAGER: parties.managers[: desk.levels],
        ReviewerRule.PERSON: _one(desk.named),
        ReviewerRule.GROUP: _rotate(desk.group, parties.identity),
        Asked.INDEPENDENT: _one(desk.independent),
        Asked.REVIEWERS: _rotate(desk.reviewers, parties.identity),
    }
    return people.get(rule, ())


def _one(person: UUID | None) -> Sequence[UUID]:
    return [person] if person else []


def _rotate(people: Sequence[UUID], identity: UUID) -> Sequence[UUID]:
    """Another first person for another identity, and always the same one: the load spreads explainably."""
    if not people:
        return ()
    start = identity.int % len(people)
    return (*people[start:], *people[:start])
