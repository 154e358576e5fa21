"""Which questions about access are the very ones that a person approved before, and why the others are not.

Asked by an opening, which carries such approvals over, and by the preview, which tells how many it would carry.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models.fields.json import KeyTextTransform, KeyTransform

from reviews.campaigns.approved import latest_ends
from reviews.decisions.independence import Parties, conflict_of, list_active_people, parties_of
from reviews.models import Answer, ReviewItem
from reviews.policies.carrying import Carrying


class Why(StrEnum):
    """Why a question is asked although approvals are carried over: the first that applies, in this order."""

    KIND = "kind"
    PRIVILEGED = "privileged"
    NEVER_DECIDED = "never_decided"
    NOT_APPROVED = "not_approved"
    CONTENT = "content"
    APPROVAL_GONE = "approval_gone"
    USE_UNKNOWN = "use_unknown"
    USE = "use"
    OWNER = "owner"
    RISK = "risk"
    ENVIRONMENT = "environment"
    STATUS = "status"
    BY_POLICY = "by_policy"
    TOO_OLD = "too_old"
    TOO_OFTEN = "too_often"
    NOBODY_ACCOUNTABLE = "nobody_accountable"
    NOT_INDEPENDENT = "not_independent"


class Weighed(NamedTuple):
    """What an answer depends on besides the content."""

    use: str | None
    owner: str | None
    is_privileged: bool
    environment: str | None
    status: str | None


# In the order of the fields of Weighed.
_AROUND = (Why.USE, Why.OWNER, Why.RISK, Why.ENVIRONMENT, Why.STATUS)


@dataclass(frozen=True, slots=True)
class Case:
    """One question about access. digest: its content now; reviewed: the content whose approval stands, if any.

    weighed: None where its use was not looked at.
    """

    identity: UUID
    grant: UUID
    version: UUID
    is_privileged: bool
    digest: bytes
    reviewed: bytes | None
    weighed: Weighed | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """The decision that ended the last question about a grant. `origin`, `person` and `decided_at` are of the human
    decision that it repeats, or its own; generation: how often that was carried."""

    origin: UUID
    person: UUID | None
    decided_at: datetime
    generation: int
    answer: str
    version: UUID | None
    weighed: Weighed


def weighed(item: ReviewItem) -> Weighed:
    """What the answer to this question depends on, as the item saw it."""
    identity = item.seen.get("identity") or {}
    return Weighed(
        (item.seen.get("use") or {}).get("state"),
        item.seen.get("owner"),
        item.is_privileged,
        identity.get("environment"),
        identity.get("status"),
    )


def look_back(rules: Carrying, cases: Sequence[Case], now: datetime) -> list[Earlier | Why]:
    """For each question the decision that it may repeat, or why it is asked. A fixed number of queries."""
    earlier = earlier_ends([case.grant for case in cases if rules.privileged or not case.is_privileged])
    found = [_compared(rules, case, earlier.get(case.grant), now) for case in cases]
    same = [case for case, each in zip(cases, found, strict=True) if isinstance(each, Earlier)]
    if not same:
        return found
    people = iter(parties_of([(case.identity, case.grant, case.is_privileged) for case in same]))
    active = list_active_people()
    return [_answered_for(each, next(people), active) if isinstance(each, Earlier) else each for each in found]


def earlier_ends(grant_ids: Collection[UUID]) -> dict[UUID, Earlier]:
    """How the last question about each grant ended; grants that nobody decided on are absent."""
    if not grant_ids:
        return {}
    # Of what was seen then only what is compared: the whole of it is large.
    identity = KeyTransform("identity", "item__seen")
    ended = latest_ends(grant_ids).annotate(
        use=KeyTextTransform("state", KeyTransform("use", "item__seen")),
        owner=KeyTextTransform("owner", "item__seen"),
        environment=KeyTextTransform("environment", identity),
        status=KeyTextTransform("status", identity),
    )
    rows = ended.values(
        *("pk", "decided_by", "decided_at", "carries", "carries__decided_by", "carries__decided_at"),
        *("generation", "answer", "item__grant", "item__grant_version", "item__is_privileged"),
        *("use", "owner", "environment", "status"),
    )
    return {row["item__grant"]: _earlier(row) for row in rows}


def _earlier(row: Mapping[str, Any]) -> Earlier:
    of = "carries__" if row["carries"] else ""
    return Earlier(
        origin=row["carries"] or row["pk"],
        person=row[f"{of}decided_by"],
        decided_at=row[f"{of}decided_at"],
        generation=row["generation"],
        answer=row["answer"],
        version=row["item__grant_version"],
        weighed=Weighed(row["use"], row["owner"], row["item__is_privileged"], row["environment"], row["status"]),
    )


def _compared(rules: Carrying, case: Case, last: Earlier | None, now: datetime) -> Earlier | Why:
    """Whether the question is the one that was answered: the very version, and all that people weigh around it."""
    if case.is_privileged and not rules.privileged:
        return Why.PRIVILEGED
    if last is None:
        return Why.NEVER_DECIDED
    around = case.weighed or last.weighed
    reasons = (
        (last.answer != Answer.APPROVE, Why.NOT_APPROVED),
        (last.version != case.version, Why.CONTENT),
        # An approval that lapsed or was taken back is gone from the grant.
        (case.reviewed != case.digest, Why.APPROVAL_GONE),
        (case.weighed is None, Why.USE_UNKNOWN),
        *((before != present, why) for why, before, present in zip(_AROUND, last.weighed, around, strict=True)),
        (last.person is None, Why.BY_POLICY),
        (not rules.is_young(last.decided_at, now), Why.TOO_OLD),
        (last.generation >= rules.generations, Why.TOO_OFTEN),
    )
    return next((why for applies, why in reasons if applies), last)


def _answered_for(last: Earlier, around: Parties, active: frozenset[UUID]) -> Earlier | Why:
    """Somebody must be accountable, and whoever decided must still be one who may."""
    if around.owner not in active:
        return Why.NOBODY_ACCOUNTABLE
    if last.person is None or conflict_of(last.person, around) is not None:
        return Why.NOT_INDEPENDENT
    return last
