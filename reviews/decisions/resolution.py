"""Who is asked: the campaign's rules in their order, then people who can always be asked, with the reason at each step.

A trace is a list of `{"rule", "person": id or None, "outcome": "asked" | "skipped", "why"}`, oldest step first, and is
kept with the item. Steps by which one person hands an item to another carry `by` as well. The last step of a question
that nobody may decide is `{"rule": "nobody"}`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from uuid import UUID

from governance.kernel.actors import Role
from governance.people.models import RoleAssignment
from reviews.decisions.independence import Parties, conflict_of, list_active_people, ruled_out
from reviews.models import Campaign, ReviewerRule
from reviews.policies.stages import Asked, Stages

Step = dict[str, Any]

RULE_LABELS: Mapping[str, str] = {
    **{rule.value: rule.label for rule in ReviewerRule},
    "independent": "Independent reviewer",
    "fallback": "Fallback reviewer",
    "campaign_manager": "Campaign manager",
    "anyone": "Any other reviewer or administrator",
    "named": "Named by the person asked before",
    "delegated": "Handed on",
    "reviewers": "A reviewer or administrator",
    "stage": "Stage",
    "nobody": "Nobody may decide",
}
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
    )


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
            why = _obstacle(person, parties, desk, attests=attests, not_again=not_again)
            outcome = "skipped" if why else "asked"
            trace.append(step | {"person": str(person), "outcome": outcome, "why": why})
            if not why:
                return Resolution(assignee=person, trace=trace)
    trace.append(
        {"rule": "nobody", "person": str(desk.manager), "outcome": "skipped", "why": "Nobody may decide here."}
    )
    return Resolution(assignee=desk.manager, trace=trace)


def resolve_all(parties: Iterable[Parties], desk: Desk) -> list[Resolution]:
    """`resolve` for many new items, in the order given: the same people give the same answer, which is found once."""
    found = cache(partial(resolve, desk=desk))
    return [found(each) for each in parties]


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
    if parties.is_privileged:
        yield "independent", _one(desk.independent)
    yield "fallback", [desk.fallback]
    yield "campaign_manager", [desk.manager]
    yield "anyone", _rotate(desk.reviewers, parties.identity)


def _people_of_rule(rule: str, parties: Parties, desk: Desk) -> Sequence[UUID]:
    if rule in {ReviewerRule.TEAM, Asked.REVIEWERS}:
        return _rotate(parties.team if rule == ReviewerRule.TEAM else desk.reviewers, parties.identity)
    one: dict[str, UUID | None] = {
        ReviewerRule.OWNER: parties.owner,
        ReviewerRule.BACKUP: parties.backup,
        ReviewerRule.SOURCE_OWNER: parties.source_owner,
        ReviewerRule.MANAGER: parties.owners_manager,
        Asked.INDEPENDENT: desk.independent,
    }
    return _one(one.get(rule))


def _one(person: UUID | None) -> Sequence[UUID]:
    return [person] if person else []


def _rotate(people: Sequence[UUID], identity: UUID) -> Sequence[UUID]:
    """Another first person for another identity, and always the same one: the load spreads explainably."""
    if not people:
        return ()
    start = identity.int % len(people)
    return (*people[start:], *people[:start])
