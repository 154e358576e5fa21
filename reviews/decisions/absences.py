"""What the dates of delegations bring about: open questions move on when somebody goes, and back when they return.

Everything is found in the tables, chunk by chunk, so a tick that comes twice, late or half changes nothing twice: the
row says whether a delegation is in effect, and an item says under which delegation it is where it is.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from reviews.decisions.asks import people_beside
from reviews.decisions.delegating import close_delegation, delegation_subject
from reviews.decisions.independence import Parties, conflict_of, parties_of_items, ruled_out
from reviews.decisions.items import UNDECIDED, item_context, item_subject
from reviews.decisions.resolution import Desk, Step, ask_person, desk_of, obstacle_of_stand_in, stand_in_step
from reviews.decisions.seats import lend_seats, return_seats
from reviews.decisions.stages import may_owners_answer, resolve_stage
from reviews.decisions.witnesses import witnesses_by_item
from reviews.models import Delegation, ReviewItem
from reviews.states import CampaignState

CALENDAR = system_actor("absences")
CHUNK = 500
# An opening that was under way when somebody came back may still hand out questions by what it had read before.
LOOKED_AFTER = timedelta(hours=1)

Move = tuple[UUID, list[Step]]


def apply_delegations(*, now: datetime) -> int:
    """Start and end what is due, and move the questions concerned. Returns how many moved."""
    _begin_due(now)
    _end_due(now)
    in_effect = Delegation.objects.filter(started_at__isnull=False, ended_at=None)
    moved = 0
    for each in in_effect.order_by("pk"):
        moved += _go_through(each, _held_by_person(each), _handed_over, now) + lend_seats(each, now)
    over = Delegation.objects.filter(ended_at__isnull=False, returned_at=None)
    for each in over.order_by("pk"):
        moved += _go_through(each, _held_by_stand_in(each), _brought_back, now) + return_seats(each, now)
        if each.ended_at is not None and now >= each.ended_at + LOOKED_AFTER:
            Delegation.objects.filter(pk=each.pk).update(returned_at=now)
    if moved:
        dispatch.after_commit("reviews.send_due_mail")
    return moved


def _begin_due(now: datetime) -> None:
    while True:
        with transaction.atomic(durable=True):
            due = Delegation.objects.filter(started_at=None, ended_at=None, starts_at__lte=now, ends_at__gt=now)
            delegation = due.select_for_update(skip_locked=True).order_by("starts_at", "pk").first()
            if delegation is None:
                return
            delegation.started_at = now
            delegation.version += 1
            delegation.save(update_fields=["started_at", "version"])
            log.record(
                verb=Verb.DELEGATION_STARTED,
                actor=CALENDAR,
                subject=delegation_subject(delegation),
                now=now,
                old={"state": "planned"},
                new={"state": "active"},
            )


def _end_due(now: datetime) -> None:
    while True:
        with transaction.atomic(durable=True):
            due = Delegation.objects.filter(ended_at=None, ends_at__lte=now)
            delegation = due.select_for_update(skip_locked=True).order_by("ends_at", "pk").first()
            if delegation is None:
                return
            close_delegation(delegation, CALENDAR, now, why="date" if delegation.started_at else "missed")


def _held_by_person(delegation: Delegation) -> QuerySet[ReviewItem]:
    items = ReviewItem.objects.filter(assignee=delegation.person_id)
    if delegation.campaigns:
        items = items.filter(campaign__in=delegation.campaigns)
    return items.filter(identity__source__in=delegation.sources) if delegation.sources else items


def _held_by_stand_in(delegation: Delegation) -> QuerySet[ReviewItem]:
    marked = [{"rule": "stand_in", "delegation": str(delegation.pk)}]
    return ReviewItem.objects.filter(assignee=delegation.delegate_id, resolution__contains=marked)


class _Case:
    """One undecided item with what deciding about its next person needs. heard: who has answered or is asked beside."""

    def __init__(self, item: ReviewItem, parties: Parties, desk: Desk, heard: set[UUID]) -> None:
        self.item, self.parties, self.desk, self.heard = item, parties, desk, frozenset(heard)
        self.deciding = not may_owners_answer(item)

    def attests(self, person: UUID) -> bool:
        return not self.deciding and person in self.parties.owning_side

    def next_in_line(self, *but: UUID) -> Move:
        item, not_again = self.item, self.heard | frozenset(but)
        found = resolve_stage(item.campaign, item.stage, self.parties, self.desk, not_again=not_again)
        return found.assignee, found.trace

    def last_asked(self) -> Step:
        return next((step for step in reversed(self.item.resolution) if step.get("outcome") == "asked"), {})


def _handed_over(case: _Case, delegation: Delegation) -> Move | None:
    """To the stand-in; to whoever comes next where they cannot, or where the person holds it for somebody else."""
    person, attests = delegation.person_id, case.attests(delegation.person_id)
    check = ruled_out if attests else conflict_of
    if check(person, case.parties):
        # They may not answer it themself (it waits for them to hand it on), so nobody may in their place.
        return None
    if case.last_asked().get("rule") == "stand_in":
        why = "Stands in here already; a stand-in has no stand-in."
    else:
        why = obstacle_of_stand_in(delegation, case.parties, case.desk, attests=attests, not_again=case.heard)
    step = stand_in_step(delegation, why)
    if not why:
        return delegation.delegate_id, [step]
    assignee, trace = case.next_in_line(person)
    return assignee, [step, *trace]


def _brought_back(case: _Case, delegation: Delegation) -> Move | None:
    """To the person again; to whoever comes next where they cannot answer any more."""
    if case.last_asked().get("delegation") != str(delegation.pk):
        return None
    person = delegation.person_id
    asked, steps = ask_person(
        person,
        case.parties,
        case.desk,
        {"rule": "returned"},
        attests=case.attests(person),
        not_again=case.heard,
    )
    if asked is not None:
        return asked, steps
    assignee, trace = case.next_in_line(person, delegation.delegate_id)
    return assignee, [*steps, *trace]


def _go_through(
    delegation: Delegation,
    items: QuerySet[ReviewItem],
    move: Callable[[_Case, Delegation], Move | None],
    now: datetime,
) -> int:
    moved, after = 0, None
    while True:
        last, count = _chunk(delegation, items, move, after, now)
        moved += count
        if last is None:
            return moved
        after = last


def _chunk(
    delegation: Delegation,
    items: QuerySet[ReviewItem],
    move: Callable[[_Case, Delegation], Move | None],
    after: UUID | None,
    now: datetime,
) -> tuple[UUID | None, int]:
    with transaction.atomic(durable=True):
        cases = _cases(items if after is None else items.filter(pk__gt=after))
        records, changed = [], []
        for case in cases:
            found = move(case, delegation)
            # Where nobody else may answer, the question stays where it is; saying so once is enough.
            if found is None or found[0] == case.item.assignee_id:
                continue
            records.append(_apply(case.item, found, delegation, now))
            changed.append(case.item)
        ReviewItem.objects.bulk_update(changed, ["assignee", "resolution", "escalated_at", "version"])
        log.record_many(records)
    return (cases[-1].item.pk if cases else None), len(changed)


def _cases(items: QuerySet[ReviewItem]) -> list[_Case]:
    waiting = items.filter(state__in=UNDECIDED, campaign__state=CampaignState.OPEN)
    locked = waiting.select_for_update(of=("self",), skip_locked=True).select_related("campaign", "grant_version")
    found = list(locked.order_by("pk")[:CHUNK])
    desks = {
        campaign.pk: desk_of(campaign) for campaign in {item.campaign_id: item.campaign for item in found}.values()
    }
    witnesses, beside = witnesses_by_item(item.pk for item in found), people_beside(item.pk for item in found)
    return [
        _Case(item, parties, desks[item.campaign_id], witnesses.get(item.pk, set()) | beside.get(item.pk, set()))
        for item, parties in zip(found, parties_of_items(found), strict=True)
    ]


def _apply(item: ReviewItem, found: Move, delegation: Delegation, now: datetime) -> log.Record:
    assignee, steps = found
    old = str(item.assignee_id)
    item.assignee_id = assignee
    item.resolution = [*item.resolution, *steps]
    item.escalated_at = now if steps[-1]["rule"] == "nobody" else item.escalated_at
    item.version += 1
    context: dict[str, Any] = item_context(item) | {
        "why": "returned" if delegation.ended_at else "away",
        "delegation": str(delegation.pk),
    }
    return log.Record(
        verb=Verb.ITEM_REROUTED,
        actor=CALENDAR,
        subject=item_subject(item),
        now=now,
        old={"assignee": old},
        new={"assignee": str(assignee)},
        context=context,
    )
