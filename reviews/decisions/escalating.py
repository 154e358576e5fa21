"""Questions that stay silent while their review is open go to the next person in line: once, with a trace.

The manager of the owner is asked, then the campaign manager, as far as they are independent. Who was asked before stays
in the trace. Where neither may decide, the campaign manager can hand the question on.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from governance.audit.actions import Verb
from governance.audit.log import Record, record_many
from governance.kernel.actors import system_actor
from reviews.decisions.asks import people_beside
from reviews.decisions.independence import Parties, conflict_of, parties_of_items
from reviews.decisions.items import UNDECIDED, item_context, item_subject
from reviews.decisions.resolution import Desk, Resolution, Step, desk_of
from reviews.decisions.witnesses import witnesses_by_item
from reviews.models import Campaign, Decision, ReviewerRule, ReviewItem
from reviews.policies.escalation import Escalation
from reviews.states import CampaignState

ESCALATOR = system_actor("escalation")
CHUNK = 500
# Somebody who has just been asked, or has just answered a part, gets this long.
GRACE = timedelta(days=1)


def escalate_silent_items(*, now: datetime) -> int:
    """Send every silent question whose time has come to the next person. Returns how many went.

    Any number of workers may do this at once; a question goes once.
    """
    total = 0
    for campaign, is_privileged in list(_due(now)):
        desk = desk_of(campaign)
        after: UUID | None = None
        while True:
            items = _escalate_chunk(campaign, desk, is_privileged, after, now)
            total += len(items)
            if len(items) < CHUNK:
                break
            after = items[-1].pk
    return total


def _due(now: datetime) -> Iterator[tuple[Campaign, bool]]:
    """Reviews and risks whose time has come."""
    running = Campaign.objects.filter(state=CampaignState.OPEN, deadline_at__gt=now, opened_at__isnull=False)
    for campaign in running.order_by("deadline_at", "pk"):
        rules = Escalation.from_json(campaign.policy.get("escalation", {}))
        for is_privileged in (True, False):
            due_at = rules.due_at(
                is_privileged=is_privileged,
                opened_at=campaign.opened_at or now,
                deadline_at=campaign.deadline_at,
            )
            if due_at is not None and due_at <= now:
                yield campaign, is_privileged


def _escalate_chunk(
    campaign: Campaign, desk: Desk, is_privileged: bool, after: UUID | None, now: datetime
) -> list[ReviewItem]:
    lately = Decision.objects.filter(item=OuterRef("pk"), decided_at__gt=now - GRACE)
    with transaction.atomic(durable=True):
        silent = ReviewItem.objects.select_for_update(of=("self",), skip_locked=True).filter(
            ~Exists(lately),
            campaign=campaign,
            campaign__state=CampaignState.OPEN,
            state__in=UNDECIDED,
            is_privileged=is_privileged,
            escalated_at=None,
        )
        if after is not None:
            silent = silent.filter(pk__gt=after)
        items = list(silent.select_related("grant_version").order_by("pk")[:CHUNK])
        witnesses, beside = witnesses_by_item(item.pk for item in items), people_beside(item.pk for item in items)
        everybody = parties_of_items(items)
        records = []
        for item, parties in zip(items, everybody, strict=True):
            heard = witnesses.get(item.pk, set()) | beside.get(item.pk, set())
            not_again = frozenset(heard | {item.assignee_id})
            old = item.assignee_id
            _send_on(item, next_in_line(parties, desk, not_again=not_again), now)
            records.append(_escalated(item, old, now))
        ReviewItem.objects.bulk_update(items, ["assignee", "resolution", "escalated_at", "version"])
        record_many(records)
    return items


def next_in_line(parties: Parties, desk: Desk, *, not_again: frozenset[UUID]) -> Resolution:
    """Who is asked when the first person stays silent. not_again: who was asked already, or has attested."""
    trace: list[Step] = []
    managers: list[tuple[str, UUID | None]] = [(ReviewerRule.MANAGER.value, each) for each in parties.managers]
    for rule, person in (*(managers or [(ReviewerRule.MANAGER.value, None)]), ("campaign_manager", desk.manager)):
        why = _obstacle(person, parties, desk, not_again)
        outcome = "skipped" if why else "asked"
        trace.append({"rule": rule, "person": str(person) if person else None, "outcome": outcome, "why": why})
        if person is not None and not why:
            return Resolution(assignee=person, trace=trace)
    trace.append(
        {"rule": "nobody", "person": str(desk.manager), "outcome": "skipped", "why": "They can hand it on, not decide."}
    )
    return Resolution(assignee=desk.manager, trace=trace)


def _obstacle(person: UUID | None, parties: Parties, desk: Desk, not_again: frozenset[UUID]) -> str:
    if person is None:
        return "There is none."
    if person not in desk.active:
        return "Has left or cannot sign in."
    if person in not_again:
        return "Was asked already."
    conflict = conflict_of(person, parties)
    return f"Not independent: {conflict.sentence}." if conflict else ""


def _send_on(item: ReviewItem, resolution: Resolution, now: datetime) -> None:
    """The one who was asked stays in the trace, as the step that the others follow from."""
    silent: Step = {
        "rule": "escalated",
        "person": str(item.assignee_id),
        "outcome": "skipped",
        "why": f"No answer by {now:%-d %B %Y}.",
    }
    item.assignee_id = resolution.assignee
    item.resolution = [*item.resolution, silent, *resolution.trace]
    item.escalated_at = now
    item.version += 1


def _escalated(item: ReviewItem, old: UUID, now: datetime) -> Record:
    context: dict[str, Any] = item_context(item) | {"why": "silent"}
    return Record(
        verb=Verb.ITEM_ESCALATED,
        actor=ESCALATOR,
        subject=item_subject(item),
        now=now,
        old={"assignee": str(old)},
        new={"assignee": str(item.assignee_id)},
        context=context,
    )
