"""Seats beside an assignee while somebody is away: the stand-in takes them, and gives them back unanswered.

As with questions of one's own (`reviews.decisions.absences`), everything is found in the rows and a tick that comes
twice changes nothing twice. Where the stand-in may not answer, the seat stays: the others of the stage are there.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from reviews.decisions.asks import ask_of, record_seat
from reviews.decisions.independence import parties_of_item
from reviews.decisions.items import UNDECIDED, lock_item
from reviews.decisions.resolution import Step, ask_person, desk_of, obstacle_of_stand_in, stand_in_step
from reviews.decisions.stages import may_owners_answer, others_waiting
from reviews.decisions.witnesses import witnesses_of
from reviews.models import Ask, Delegation, ReviewItem
from reviews.states import CampaignState

CALENDAR = system_actor("absences")
Taken = tuple[UUID, list[Step]] | None


def lend_seats(delegation: Delegation, now: datetime) -> int:
    """Let the stand-in answer beside the assignees wherever the person is asked so. Returns how many seats moved."""
    return _each_seat(delegation, delegation.person_id, _lent, now, why="away")


def return_seats(delegation: Delegation, now: datetime) -> int:
    """Give back what the stand-in has not answered. Returns how many seats moved."""
    return _each_seat(delegation, delegation.delegate_id, _returned, now, why="returned")


def _each_seat(
    delegation: Delegation, holder: UUID, move: Callable[[ReviewItem, Delegation], Taken], now: datetime, *, why: str
) -> int:
    seats = Ask.objects.filter(person=holder, is_released=False, item__state__in=UNDECIDED)
    seats = seats.filter(item__campaign__state=CampaignState.OPEN)
    if delegation.campaigns:
        seats = seats.filter(item__campaign__in=delegation.campaigns)
    if delegation.sources:
        seats = seats.filter(item__identity__source__in=delegation.sources)
    found = list(seats.order_by("pk").values_list("item_id", flat=True))
    return sum(_move(item_id, delegation, holder, move, now, why) for item_id in found)


def _move(
    item_id: UUID,
    delegation: Delegation,
    holder: UUID,
    move: Callable[[ReviewItem, Delegation], Taken],
    now: datetime,
    why: str,
) -> bool:
    with transaction.atomic(durable=True):
        item = lock_item(item_id)
        ask = ask_of(item, holder)
        taken = move(item, delegation) if ask is not None and not ask.is_released else None
        if ask is None or taken is None:
            return False
        ask.person_id, steps = taken
        ask.save(update_fields=["person"])
        item.resolution = [*item.resolution, *steps]
        item.version += 1
        item.save(update_fields=["resolution", "version"])
        record_seat(Verb.ITEM_REROUTED, item, CALENDAR, now, old=holder, why=why)
    return True


def _lent(item: ReviewItem, delegation: Delegation) -> Taken:
    parties, desk = parties_of_item(item), desk_of(item.campaign)
    obstacle = obstacle_of_stand_in(
        delegation, parties, desk, attests=_attests(item, delegation.person_id), not_again=_heard(item)
    )
    stands_in_already = any(
        step.get("rule") == "stand_in" and step.get("person") == str(delegation.person_id) for step in item.resolution
    )
    if obstacle or stands_in_already:
        return None
    return delegation.delegate_id, [stand_in_step(delegation)]


def _returned(item: ReviewItem, delegation: Delegation) -> Taken:
    """To the person again, where the seat came from them and they may still answer."""
    lent = stand_in_step(delegation)
    if lent not in item.resolution:
        return None
    person, parties = delegation.person_id, parties_of_item(item)
    asked, steps = ask_person(
        person,
        parties,
        desk_of(item.campaign),
        {"rule": "returned"},
        attests=_attests(item, person),
        not_again=_heard(item),
    )
    return (asked, steps) if asked is not None else None


def _attests(item: ReviewItem, person: UUID) -> bool:
    return may_owners_answer(item) and person in parties_of_item(item).owning_side


def _heard(item: ReviewItem) -> frozenset[UUID]:
    return frozenset(witnesses_of(item) | set(others_waiting(item, None)))
