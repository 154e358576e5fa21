"""Questions that change hands: handed on by somebody, or rerouted because the person left."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from governance.audit.actions import Verb
from governance.audit.log import Record, record, record_many
from governance.kernel.actors import Actor, ActorKind, Role, system_actor
from governance.kernel.errors import DomainError, Forbidden
from governance.people.access import MAIL_LINK
from governance.people.models import User
from reviews.decisions.asks import ask_beside, ask_of, drop_ask, people_beside, reroute_asks_of
from reviews.decisions.independence import (
    Parties,
    SelfReview,
    conflict_of,
    parties_of_item,
    parties_of_items,
    ruled_out,
)
from reviews.decisions.items import (
    UNDECIDED,
    item_context,
    item_subject,
    lock_item,
    require_open,
    require_undecided,
    require_version,
)
from reviews.decisions.nudges import handed_on, keep_nudges
from reviews.decisions.recording import save_item
from reviews.decisions.resolution import Resolution, Step, desk_of
from reviews.decisions.stages import may_owners_answer, others_waiting, resolve_stage, standing_votes
from reviews.decisions.witnesses import witnesses_by_item, witnesses_of
from reviews.models import Ask, ReviewItem
from reviews.states import CampaignState

ROUTER = system_actor("router")
CHUNK = 500


class NotEligible(DomainError):
    """The named person cannot be asked; the message says why."""

    code = "not-eligible"


def reassign_item(*, item: ReviewItem, version: int, to: User, reason: str, actor: Actor, now: datetime) -> ReviewItem:
    """Hand an undecided item to somebody else.

    Allowed for the person asked, the campaign's manager and administrators. Whoever is not independent cannot hand a
    decision on, and an owner's delegate attests as the owner would. Raises Forbidden, SelfReview, NotEligible,
    StaleItem, CampaignNotOpen.
    """
    if not reason.strip():
        raise NotEligible("Say why it goes to somebody else.", fields={"reason": "required"})
    with transaction.atomic(durable=True):
        locked = lock_item(item.pk)
        require_open(locked.campaign, now)
        giver = _require_giver(locked, actor)
        require_asked_for(locked, now, version)
        obstacle_of_hand_over(
            locked,
            parties_of_item(locked),
            giver,
            to,
            waiting=others_waiting(locked, None),
            answered=answered_in_stages(locked),
            witnesses=witnesses_of(locked),
        )
        old = _seat(locked, giver, to)
        keep_nudges([handed_on(locked, to.pk, now)], actor)
        record(
            verb=Verb.ITEM_DELEGATED,
            actor=actor,
            subject=item_subject(locked),
            now=now,
            old=old,
            new={"assignee": str(to.pk)},
            reason=reason.strip(),
            context=item_context(locked),
        )
    return locked


def _seat(item: ReviewItem, giver: UUID, to: User) -> dict[str, str]:
    """Put somebody in the place of whoever gives, beside the assignee or as assignee; returns who was asked before."""
    step = handed_on_step(to.pk, giver)
    ask = ask_of(item, giver) if item.assignee_id != giver else None
    if ask is None or ask.is_released:
        old = {"assignee": str(item.assignee_id)}
        save_item(item, assignee_id=to.pk, resolution=[*item.resolution, step])
        return old
    drop_ask(item, giver)
    ask_beside(item, [to.pk])
    save_item(item, resolution=[*item.resolution, step])
    return {"beside": str(giver)}


def _require_giver(item: ReviewItem, actor: Actor) -> UUID:
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    manages = person == item.campaign.manager_id and actor.has_role(Role.CAMPAIGN_MANAGER)
    is_asked = person is not None and person in others_waiting(item, None)
    if person is None or not (is_asked or manages or actor.has_role(Role.ADMINISTRATOR)):
        raise Forbidden("Only the person asked, or who manages the review, can hand this on.")
    if actor.auth_method == MAIL_LINK:
        raise Forbidden("You came by a link from a mail. Sign in to hand this on, or answer “Not mine”.")
    return person


def require_asked_for(item: ReviewItem, now: datetime, version: int | None) -> None:
    """Raise unless the item still waits for an answer, as the caller saw it (version; None: as it is)."""
    require_open(item.campaign, now)
    require_undecided(item)
    if version is not None:
        require_version(item, version)


def handed_on_step(to: UUID, giver: UUID) -> Step:
    """The step of a trace by which one person gives a question to another."""
    return {"rule": "delegated", "person": str(to), "by": str(giver), "outcome": "asked", "why": ""}


def answered_in_stages(item: ReviewItem) -> set[UUID]:
    """Whoever has a standing answer in this stage of the item or in an earlier one."""
    votes = [each for stage in range(1, item.stage + 1) for each in standing_votes(item, stage=stage)]
    return {each.decided_by_id for each in votes if each.decided_by_id}


def obstacle_of_hand_over(
    item: ReviewItem,
    parties: Parties,
    giver: UUID | None,
    to: User,
    *,
    waiting: Collection[UUID],
    answered: Collection[UUID],
    witnesses: Collection[UUID],
) -> None:
    """Raise SelfReview or NotEligible where `giver` may not give this item to `to`; giver None: a program.

    waiting: whoever is asked now. answered: who has in a stage. witnesses: who has attested.
    """
    deciding = not may_owners_answer(item)
    check = conflict_of if deciding else ruled_out
    conflict = check(giver, parties) if giver else None
    if conflict is not None:
        raise SelfReview(
            f"You cannot choose who decides here: a person who {conflict.sentence} stays out of it.",
            conflict=str(conflict),
        )
    if not to.is_active or to.left_at is not None:
        raise NotEligible("This person has left or cannot sign in.", fields={"to": "not active"})
    if to.pk in waiting:
        raise NotEligible("This person is asked already.", fields={"to": "already asked"})
    conflict = check(to.pk, parties)
    if conflict is not None:
        raise NotEligible(f"This person {conflict.sentence}.", fields={"to": str(conflict)})
    if to.pk in answered or (deciding and to.pk in witnesses):
        raise NotEligible("This person has already attested, so somebody else decides.", fields={"to": "attested"})


def reroute_items_of(*, person: User, now: datetime) -> int:
    """Give every undecided item of a person who cannot answer any more to whoever comes next. Returns how many."""
    total = 0
    after: UUID | None = None
    while True:
        items, moved = _reroute_chunk(person, after, now)
        total += moved
        if not items:
            return total + reroute_asks_of(person=person, now=now)
        after = items[-1].pk


def reroute_orphaned_items(*, now: datetime) -> int:
    """The same for everybody who left or was locked out. Cheap when there is nobody."""
    waiting = ReviewItem.objects.filter(
        state__in=UNDECIDED, campaign__state=CampaignState.OPEN, assignee__is_active=False
    )
    beside = Ask.objects.filter(
        is_released=False, item__state__in=UNDECIDED, item__campaign__state=CampaignState.OPEN, person__is_active=False
    )
    people = User.objects.filter(Q(pk__in=waiting.values("assignee_id")) | Q(pk__in=beside.values("person_id")))
    return sum(reroute_items_of(person=person, now=now) for person in people)


def _reroute_chunk(person: User, after: UUID | None, now: datetime) -> tuple[list[ReviewItem], int]:
    with transaction.atomic(durable=True):
        waiting = ReviewItem.objects.filter(
            assignee=person, state__in=UNDECIDED, campaign__state=CampaignState.OPEN
        ).select_for_update(of=("self",), skip_locked=True)
        if after is not None:
            waiting = waiting.filter(pk__gt=after)
        items = list(waiting.select_related("campaign", "grant_version").order_by("pk")[:CHUNK])
        desks = {item.campaign_id: desk_of(item.campaign) for item in _one_per_campaign(items)}
        witnesses = witnesses_by_item(item.pk for item in items)
        beside = people_beside(item.pk for item in items)
        moved = []
        for item, parties in zip(items, parties_of_items(items), strict=True):
            not_again = frozenset(witnesses.get(item.pk, set()) | {person.pk} | beside.get(item.pk, set()))
            desk = desks[item.campaign_id]
            resolution = resolve_stage(item.campaign, item.stage, parties, desk, not_again=not_again)
            # Where nobody may decide, the item stays with the manager it was escalated to; saying so once is enough.
            if resolution.assignee != person.pk:
                _apply(item, resolution, now)
                moved.append(item)
        ReviewItem.objects.bulk_update(moved, ["assignee", "resolution", "escalated_at", "version"])
        record_many([_rerouted(item, person, now) for item in moved])
    return items, len(moved)


def _apply(item: ReviewItem, resolution: Resolution, now: datetime) -> None:
    item.assignee_id = resolution.assignee
    item.resolution = [*item.resolution, *resolution.trace]
    item.escalated_at = now if resolution.is_nobody else item.escalated_at
    item.version += 1


def _one_per_campaign(items: list[ReviewItem]) -> list[ReviewItem]:
    return list({item.campaign_id: item for item in items}.values())


def _rerouted(item: ReviewItem, person: User, now: datetime) -> Record:
    context: dict[str, Any] = item_context(item) | {"why": "person_left"}
    return Record(
        verb=Verb.ITEM_REROUTED,
        actor=ROUTER,
        subject=item_subject(item),
        now=now,
        old={"assignee": str(person.pk)},
        new={"assignee": str(item.assignee_id)},
        context=context,
    )
