"""One question outside of any schedule: somebody has tried a narrowing and asks whether it shall be done.

Asking decides nothing. The proposal goes along with the question, and whoever is independent answers it, as in every
other review; that is why no order can come of it without a decision.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError
from governance.kernel.permissions import Permission
from governance.people.access import require_role
from governance.people.models import User
from identities.models import Grant, GrantVersion
from reviews.campaigns.gate import freshness_of
from reviews.campaigns.opening import campaign_subject, population_digest, sign_trail
from reviews.campaigns.schedules import person_behind
from reviews.campaigns.snapshot import make_grant_items
from reviews.decisions.asks import ask_first_stage
from reviews.decisions.independence import SelfReview, parties_of, ruled_out
from reviews.decisions.resolution import desk_of
from reviews.decisions.targets import prove_narrowing
from reviews.models import Ask, Campaign, DeadlinePolicy, ItemKind, ReviewerRule, ReviewItem
from reviews.states import CampaignState, ItemState

TIME_TO_ANSWER = timedelta(days=14)
ASKERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER)
LONGEST_WHY = 4_000


class AskedAlready(Conflict):
    """A question about this access waits for its answer; `item` names it."""

    code = "asked-already"
    title = "This is being asked already"


class NothingHeld(Conflict):
    """The source no longer holds this access, so there is nothing to ask."""

    code = "nothing-held"


class WhyTooLong(DomainError):
    """The reason does not fit."""

    code = "reason-too-long"


@dataclass(frozen=True, slots=True)
class _Proposal:
    target: Permission
    why: str
    by: User
    now: datetime

    def to_json(self) -> dict[str, Any]:
        """As it is kept with the question; the person by id, so that the name can change and be erased."""
        facts = {"target": self.target.to_json(), "digest": self.target.digest().hex(), "why": self.why}
        return facts | {"by": str(self.by.pk), "at": self.now.isoformat()}


def ask_about(*, grant: Grant, proposal: Permission, actor: Actor, now: datetime, why: str = "") -> ReviewItem:
    """Open a review with just this question, the proposal attached, and return the question.

    Asked are the owner, the backup, then whoever proposes (a program's proposals: whoever issued its token), and the
    rules of independence hold as everywhere. Raises Forbidden, TargetNotInside, NothingHeld, AskedAlready with the
    open question, and SelfReview: holders of a credential and the creator of the access do not propose either.
    """
    require_role(actor, *ASKERS, scope="reviews:write")
    if len(why) > LONGEST_WHY or "\x00" in why:
        raise WhyTooLong(f"The reason has at most {LONGEST_WHY} characters.", fields={"why": "too long"})
    person = person_behind(actor)
    with transaction.atomic(durable=True):
        version = _lock_current(grant.pk)
        _require_disinterested(person.pk, version, actor)
        prove_narrowing(Permission.from_json(version.permission), proposal)
        waiting = open_question_about(grant.pk)
        if waiting is not None:
            raise AskedAlready("A question about this access waits for its answer.", item=str(waiting.pk))
        campaign = _campaign(version, person, actor, now)
        extra = {"proposal": _Proposal(proposal, why.strip(), person, now).to_json()}
        item = write_question(campaign, version, extra, now)
        _record(campaign, item, proposal, actor, now)
        dispatch.after_commit("reviews.send_due_mail")
    sign_trail(actor, now)
    return item


def require_held(grant: Grant) -> tuple[Grant, GrantVersion]:
    """The grant with what it holds now. Raises NothingHeld."""
    version = None if grant.retired_at else grant.versions.filter(seen_until=None).first()
    if version is None:
        raise NothingHeld("The source no longer holds this access, so there is nothing to narrow.")
    return grant, version


def open_question_about(grant_id: UUID) -> ReviewItem | None:
    """The question about this access that waits for an answer, if any."""
    waiting = ReviewItem.objects.filter(
        grant=grant_id, state__in=[ItemState.OPEN, ItemState.ATTESTED], campaign__state=CampaignState.OPEN
    )
    return waiting.select_related("campaign", "assignee").order_by("campaign__deadline_at", "pk").first()


def _lock_current(grant_id: UUID) -> GrantVersion:
    """The current version, its grant locked: two people who ask at once open one question."""
    grant = Grant.objects.select_for_update(of=("self",)).get(pk=grant_id)
    versions = GrantVersion.objects.select_related("grant__identity__source", "grant__source")
    version = versions.filter(grant=grant, seen_until=None).first()
    if version is None or grant.retired_at is not None:
        raise NothingHeld("The source no longer holds this access.")
    return version


def _require_disinterested(person: UUID, version: GrantVersion, actor: Actor) -> None:
    if actor.kind is not ActorKind.PERSON:
        return
    [parties] = parties_of([(version.grant.identity_id, version.grant_id, version.is_privileged)])
    conflict = ruled_out(person, parties)
    if conflict is not None:
        raise SelfReview(
            f"Somebody else has to propose this: you are one who {conflict.sentence}.", conflict=str(conflict)
        )


def _campaign(version: GrantVersion, person: User, actor: Actor, now: datetime) -> Campaign:
    decides = actor.has_role(Role.ADMINISTRATOR, Role.REVIEWER)
    return Campaign.objects.create(
        name=f"One question: {version.grant.identity.name}"[:200],
        item_kinds=[ItemKind.GRANT],
        reviewer_rules=[ReviewerRule.OWNER, ReviewerRule.BACKUP],
        fallback_reviewer=person,
        independent_reviewer=person if decides else None,
        deadline_policy=DeadlinePolicy.KEEP_AND_ESCALATE,
        manager=person,
        state=CampaignState.OPEN,
        opened_at=now,
        deadline_at=now + TIME_TO_ANSWER,
    )


def write_question(campaign: Campaign, version: GrantVersion, extra: dict[str, Any], now: datetime) -> ReviewItem:
    """The only question of an open review, about this version; `extra` is kept with what is seen. An inner step."""
    desk = desk_of(campaign)
    [item] = make_grant_items(campaign, [version], desk, now)
    item.seen = item.seen | extra
    asks = ask_first_stage(campaign, [item], desk)
    item.save(force_insert=True)
    Ask.objects.bulk_create(asks)
    campaign.frozen = {
        "taken_at": now.isoformat(),
        "asked": {"grant": str(version.grant_id), "label": version.grant.label},
        "sources": [freshness_of(version.grant.source, now)],
        "warnings": [],
        "expected": {ItemKind.GRANT: 1},
        "counts": {
            "grants": 1,
            "credentials": 0,
            "privileged": int(item.is_privileged),
            "nobody": int(item.escalated_at is not None),
            "people": 1 + len(asks),
        },
        "population": population_digest(campaign),
    }
    campaign.save(update_fields=["frozen"])
    return item


def _record(campaign: Campaign, item: ReviewItem, proposal: Permission, actor: Actor, now: datetime) -> None:
    log.record(
        verb=Verb.CAMPAIGN_OPENED,
        actor=actor,
        subject=campaign_subject(campaign),
        now=now,
        new={"state": str(CampaignState.OPEN), "deadline_at": campaign.deadline_at},
        context={
            "why": "asked",
            "item": str(item.pk),
            "grant": str(item.grant_id),
            "assignee": str(item.assignee_id),
            "proposal": proposal.digest().hex(),
            "counts": campaign.frozen["counts"],
            "population": campaign.frozen["population"],
        },
    )
