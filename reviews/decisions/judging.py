"""What an answer is worth: the rules that one answer, many at once and what is only foreseen share. Nothing is asked
of the database and nothing is written here; `reviews.decisions.facts` has loaded what has to be known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from governance.people.models import User
from reviews.decisions.answers import require_possible
from reviews.decisions.facts import Facts
from reviews.decisions.independence import Conflict, SelfReview, is_attestation, stands_for
from reviews.decisions.items import require_no_drift, require_open, require_undecided, require_version
from reviews.decisions.stages import Course, Final, Vote, may_owners_answer, plot
from reviews.decisions.targets import prove_target
from reviews.models import PASSING_ON, Answer, ReviewItem

ONE_AT_A_TIME = "Privileged access is answered one question at a time."


class OneAtATime(DomainError):
    """Nobody looks at five hundred privileged questions, so each of them is answered by itself."""

    code = "privileged-one-at-a-time"


class NothingRecommended(DomainError):
    """No smaller set is recommended for this row, so it has to be answered by itself."""

    code = "nothing-recommended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What somebody answers, and when. is_bulk: one answer for many; scoping down then means what each recommends."""

    answer: str
    actor: Actor
    now: datetime
    reason: str = ""
    until: datetime | None = None
    target: Permission | None = None
    named_person: User | None = None
    is_bulk: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What the answer is worth: whose it is, the proof of a target, and where it leads.

    course: None where it passes the question on to another person, and where it came too late (`is_late`).
    """

    reply: Reply
    person: UUID
    proof: Mapping[str, Any] | None = None
    course: Course | None = None
    is_late: bool = False

    @property
    def is_attestation(self) -> bool:
        """Whether the answer is testimony: others, or a later stage, decide with it."""
        return self.is_late or (self.course is not None and self.course.is_testimony)

    @property
    def final(self) -> Final | None:
        """What the question ends with, if this answer ends it."""
        return self.course.final if self.course else None

    def leads_where(self, other: "Standing") -> bool:
        """Whether both lead to the same; who is asked next may have changed meanwhile."""
        if self.course is None or other.course is None:
            return self.course is other.course and self.is_late == other.is_late
        return self.course.leads_where(other.course)


def judge(facts: Facts, reply: Reply, *, version: int | None, proof: Mapping[str, Any] | None = None) -> Standing:
    """Check the answer against the facts, and say what it is worth.

    version: the question's version that the person saw; None: it is answered as it is now. proof: of the target, where
    an earlier look at the same version has made it. Raises NotAssigned, OneAtATime, NothingRecommended, SelfReview,
    CampaignNotOpen, StaleItem, AccessChanged, AnswerNotPossible, ReasonRequired and TargetNotInside.
    """
    if reply.is_bulk:
        reply = _as_one_of_many(facts, reply)
    item = facts.item
    has_target = reply.target is not None
    require_possible(item, reply.answer, reason=reply.reason, until=reply.until, has_target=has_target, now=reply.now)
    if facts.came_too_late(reply.actor) and reply.answer not in PASSING_ON:
        return _too_late(facts, reply, proof)
    require_open(item.campaign, reply.now)
    person = facts.require_asked(reply.actor)
    require_undecided(item)
    require_version(item, item.version if version is None else version)
    if reply.answer in PASSING_ON:
        return Standing(reply, person)
    is_owners = is_attestation(person, facts.parties, item.resolution)
    if is_owners and not may_owners_answer(item):
        raise SelfReview("You cannot decide here: you own this identity.", conflict=str(Conflict.OWNER))
    require_no_drift(item, facts.current)
    proof = _proved(item, reply, proof)
    vote = Vote(person, Answer(reply.answer), is_owners, reply.until, reply.target)
    heard = facts.witnesses | {person, *stands_for(person, item.resolution)}
    return Standing(reply, person, proof, plot(facts, vote, proof=proof, not_again=heard))


def _as_one_of_many(facts: Facts, reply: Reply) -> Reply:
    """The answer as it is meant for this row. Absent and not yours look alike here too."""
    facts.require_heard(reply.actor)
    item = facts.item
    if item.is_privileged:
        raise OneAtATime(ONE_AT_A_TIME)
    if reply.answer != Answer.SCOPE_DOWN:
        return reply
    if item.recommendation != Answer.SCOPE_DOWN or item.recommended_target is None:
        raise NothingRecommended("No smaller set is recommended here. Answer this question by itself.")
    return replace(reply, target=Permission.from_json(item.recommended_target))


def _too_late(facts: Facts, reply: Reply, proof: Mapping[str, Any] | None) -> Standing:
    """Somebody whose stage was settled without them is heard, and changes nothing."""
    item = facts.item
    require_open(item.campaign, reply.now)
    person = reply.actor.person_id
    assert person is not None  # noqa: S101 - only people are asked
    is_attestation(person, facts.parties, item.resolution)
    require_no_drift(item, facts.current)
    return Standing(reply, person, _proved(item, reply, proof), is_late=True)


def _proved(item: ReviewItem, reply: Reply, proof: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return prove_target(item, reply.target) if reply.target is not None and proof is None else proof
