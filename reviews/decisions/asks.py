"""The rows of people who are asked beside the assignee. Inner steps of use cases: the item is locked by the caller."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from governance.audit.actions import Verb
from governance.audit.log import record
from governance.kernel.actors import Actor, system_actor
from governance.people.models import User
from reviews.decisions.independence import parties_of, parties_of_item
from reviews.decisions.items import UNDECIDED, item_context, item_subject, lock_item
from reviews.decisions.loading import among
from reviews.decisions.resolution import Desk, Resolution, desk_of
from reviews.decisions.stages import further_people, others_waiting, resolve_stage, stages_of
from reviews.decisions.witnesses import witnesses_of
from reviews.models import Ask, Campaign, ReviewItem
from reviews.states import CampaignState

ROUTER = system_actor("router")


def ask_of(item: ReviewItem, person: UUID | None) -> Ask | None:
    """The row by which somebody is, or was, asked beside the assignee."""
    return Ask.objects.filter(item=item, person=person).first() if person else None


def drop_ask(item: ReviewItem, person: UUID) -> None:
    """This person has been heard."""
    Ask.objects.filter(item=item, person=person).delete()


def ask_beside(item: ReviewItem, people: Iterable[UUID]) -> None:
    """Ask these people as well, in the item's present stage."""
    for person in people:
        facts = {"stage": item.stage, "round": item.round, "is_released": False}
        Ask.objects.update_or_create(item=item, person_id=person, defaults=facts)


def forget_asks(item: ReviewItem) -> None:
    """The question is asked anew, or left its stage by being taken back: nobody is asked beside the assignee."""
    forget_all_asks([item])


def forget_all_asks(items: Iterable[ReviewItem]) -> None:
    """The same of many questions, with one statement."""
    questions = [item.pk for item in items]
    if not questions:
        return
    Ask.objects.filter(item__in=among(questions)).delete()


def release_others(item: ReviewItem, answered_by: UUID) -> None:
    """The stage is settled: whoever did not answer may still say something, and it changes nothing."""
    Ask.objects.filter(item=item, person=answered_by).delete()
    Ask.objects.filter(item=item).update(is_released=True)
    if item.assignee_id != answered_by:
        facts = {"stage": item.stage, "round": item.round, "is_released": True}
        Ask.objects.update_or_create(item=item, person_id=item.assignee_id, defaults=facts)


def reopen_asks(item: ReviewItem, *, but: UUID) -> None:
    """An answer was taken back: whoever was released in the item's present stage is asked again."""
    Ask.objects.filter(item=item).exclude(stage=item.stage, round=item.round).delete()
    Ask.objects.filter(item=item, person=but).delete()
    Ask.objects.filter(item=item).update(is_released=False)


def seat_next(item: ReviewItem, answered_by: UUID, waiting: Sequence[UUID]) -> None:
    """The assignee answered and others are waited for: the first of them has the question from now on."""
    Ask.objects.filter(item=item, person__in=[answered_by, waiting[0]]).delete()
    item.assignee_id = waiting[0]
    item.save(update_fields=["assignee"])


def people_beside(item_ids: Iterable[UUID]) -> dict[UUID, set[UUID]]:
    """Who is asked beside the assignees of many items, with one query; items without any are absent."""
    found: dict[UUID, set[UUID]] = defaultdict(set)
    asked = Ask.objects.filter(item__in=list(item_ids), is_released=False)
    for item_id, person in asked.values_list("item_id", "person_id"):
        found[item_id].add(person)
    return found


def seats_among(items: Iterable[ReviewItem], actor: Actor) -> set[UUID]:
    """On which of these questions the person is asked beside the assignee; one query, none where all are their own."""
    others = [item.pk for item in items if item.assignee_id != actor.person_id]
    if not others or actor.person_id is None:
        return set()
    asked = Ask.objects.filter(item__in=others, person=actor.person_id, is_released=False)
    return set(asked.values_list("item_id", flat=True))


def ask_first_stage(campaign: Campaign, items: Sequence[ReviewItem], desk: Desk) -> list[Ask]:
    """Unsaved rows of whoever is asked beside the assignees of new items, whose traces are completed.

    Nothing is asked of the database where the first stage asks one person.
    """
    if stages_of(campaign).at(1).people == 1 or not items:
        return []
    everybody = parties_of([(item.identity_id, item.grant_id, item.is_privileged) for item in items])
    asks = []
    for item, parties in zip(items, everybody, strict=True):
        first = Resolution(item.assignee_id, item.resolution)
        further = further_people(campaign, 1, first, parties, desk)
        item.resolution = [*item.resolution, *last_steps(further)]
        asks += [
            Ask(item=item, person_id=each.assignee, stage=item.stage, round=item.round, is_released=False)
            for each in further
        ]
    return asks


def last_steps(people: Iterable[Resolution]) -> list[dict[str, Any]]:
    """How each of these people is asked, without the steps that led there."""
    return [each.trace[-1] for each in people]


def reroute_asks_of(*, person: User, now: datetime) -> int:
    """Whoever cannot answer any more is replaced beside the assignees too, or dropped where nobody is left."""
    asks = Ask.objects.filter(
        person=person, is_released=False, item__state__in=UNDECIDED, item__campaign__state=CampaignState.OPEN
    )
    return sum(_reroute(pk, person, now) for pk in list(asks.values_list("item_id", flat=True)))


def _reroute(item_id: UUID, person: User, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        item = lock_item(item_id)
        ask = ask_of(item, person.pk)
        if ask is None or ask.is_released:
            return False
        replace_ask(item, ask)
        record_seat(Verb.ITEM_REROUTED, item, ROUTER, now, old=person.pk, why="person_left")
    return True


def replace_ask(item: ReviewItem, ask: Ask, *, named: dict[str, Any] | None = None) -> UUID | None:
    """Somebody else takes this row over; without anybody it goes, as long as others are asked. Returns who took it."""
    heard = frozenset(witnesses_of(item) | {ask.person_id, *others_waiting(item, None)})
    found = resolve_stage(
        item.campaign, item.stage, parties_of_item(item), desk_of(item.campaign), not_again=heard, named=named
    )
    ask.delete()
    if not found.is_nobody:
        ask_beside(item, [found.assignee])
    item.resolution = [*item.resolution, *found.trace]
    item.version += 1
    item.save(update_fields=["resolution", "version"])
    return None if found.is_nobody else found.assignee


def record_seat(verb: Verb, item: ReviewItem, actor: Actor, now: datetime, *, old: UUID, why: str) -> None:
    """The record of somebody being asked in the place of another beside the assignee."""
    beside = [str(each) for each in others_waiting(item, item.assignee_id)]
    record(
        verb=verb,
        actor=actor,
        subject=item_subject(item),
        now=now,
        old={"beside": str(old)},
        new={"assignee": str(item.assignee_id), "beside": beside},
        context=item_context(item) | {"why": why},
    )
