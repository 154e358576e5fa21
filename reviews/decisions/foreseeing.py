"""What many answers would be worth, told before anybody gives them, with a fixed number of queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from identities.models import GrantVersion
from reviews.decisions.answers import PASSING_ON, require_possible
from reviews.decisions.asks import is_heard, require_asked
from reviews.decisions.deciding import foresee as foresee_in_stages
from reviews.decisions.independence import Conflict, Parties, SelfReview, is_attestation, parties_of_items
from reviews.decisions.items import (
    NotAssigned,
    current_versions,
    require_assignee,
    require_no_drift,
    require_open,
    require_undecided,
    require_version,
)
from reviews.decisions.stages import is_simple, may_owners_answer
from reviews.models import ReviewItem


@dataclass(frozen=True, slots=True)
class Prospect:
    """One answer that somebody means to give. version: of the question that they saw."""

    item_id: UUID
    version: int
    answer: str
    until: datetime | None = None
    has_target: bool = False


@dataclass(frozen=True, slots=True)
class Outlook:
    """What `decide` would say to it: a sentence and the error's code, both empty when it would be taken."""

    item_id: UUID
    ok: bool
    problem: str = ""
    code: str = ""
    is_attestation: bool = False


def foresee(*, prospects: Sequence[Prospect], actor: Actor, now: datetime) -> list[Outlook]:
    """What each answer would be worth, in the order given; changes nothing. A missing reason is no refusal yet.

    Says what `decide` would from the same checks, apart from what only the source or the proof of a target can say.
    """
    items = ReviewItem.objects.select_related("campaign", "grant", "grant_version", "credential").in_bulk(
        [each.item_id for each in prospects]
    )
    known = list(items.values())
    parties = dict(zip((item.pk for item in known), parties_of_items(known), strict=True))
    current = current_versions(known)
    found = []
    for each in prospects:
        item = items.get(each.item_id)
        try:
            if item is None or not is_heard(item, actor):
                # Absent and not yours look alike here too.
                raise NotAssigned("This question is not assigned to you.")
            version = current.get(item.grant_id) if item.grant_id else None
            attests = _check(each, item, parties[item.pk], version, actor, now)
        except DomainError as problem:
            found.append(Outlook(each.item_id, False, problem.message, problem.code))
        else:
            found.append(Outlook(each.item_id, True, is_attestation=attests))
    return found


def _check(
    prospect: Prospect, item: ReviewItem, parties: Parties, current: GrantVersion | None, actor: Actor, now: datetime
) -> bool:
    """Whether the answer would only attest. Raises what `decide` would."""
    require_possible(
        item, prospect.answer, reason="given later", until=prospect.until, has_target=prospect.has_target, now=now
    )
    require_open(item.campaign, now)
    person = require_assignee(item, actor) if item.assignee_id == actor.person_id else require_asked(item, actor)
    require_undecided(item)
    require_version(item, prospect.version)
    if prospect.answer in PASSING_ON:
        return False
    attests = is_attestation(person, parties, item.resolution)
    if attests and not may_owners_answer(item):
        raise SelfReview("You cannot decide here: you own this identity.", conflict=str(Conflict.OWNER))
    require_no_drift(item, current)
    return attests if is_simple(item) else _in_stages(prospect, item, actor, now)


def _in_stages(prospect: Prospect, item: ReviewItem, actor: Actor, now: datetime) -> bool:
    """The same where several people or stages are asked: what the answer leads to hangs on the answers of others."""
    if prospect.until is not None or prospect.has_target:
        # Testimony, until the stage that it is given in is settled.
        return True
    standing = foresee_in_stages(item=item, version=prospect.version, answer=prospect.answer, actor=actor, now=now)
    return standing.is_attestation
