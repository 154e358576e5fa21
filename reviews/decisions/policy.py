"""What becomes of a question that nobody answered: the campaign's policy, never an approval.

| policy | privileged | use was observable and none seen | anything else |
|---|---|---|---|
| keep_and_escalate | keep, escalate | keep, escalate | keep, escalate |
| revoke_unused | keep, escalate | revoke | keep, escalate |
| revoke | revoke | revoke | revoke |

Credentials are deactivated where access would be revoked. Access that is gone at the source needs no answer any more
(cancelled); access that changed since the review opened is kept and escalated under every policy, because nobody looked
at what it is now.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from identities.models import GrantVersion
from reviews.decisions.deciding import move_item, record_answer
from reviews.decisions.items import (
    UNDECIDED,
    Drift,
    drift_of,
    get_item,
    item_context,
    item_subject,
    lock_item,
)
from reviews.models import Answer, Campaign, DeadlinePolicy, Decision, ItemKind, ReviewItem
from reviews.remediation import place_order, prepare
from reviews.states import ItemState

POLICY = system_actor("deadline policy")
CHUNK = 500


class Fate(StrEnum):
    """What the deadline does to an undecided item."""

    ESCALATE = "escalate"
    TAKE_AWAY = "take_away"
    CANCEL = "cancel"


def fate_of(item: ReviewItem, drift: Drift | None) -> Fate:
    """The policy table above. drift: how the access differs from what the item was opened for."""
    policy = item.campaign.deadline_policy
    if drift is Drift.GONE:
        return Fate.CANCEL
    if item.kind == ItemKind.OWNERSHIP:
        # That nobody says who answers for it is no reason to take anything away.
        return Fate.ESCALATE
    if drift is Drift.CHANGED:
        return Fate.ESCALATE
    if policy == DeadlinePolicy.REVOKE:
        return Fate.TAKE_AWAY
    is_unused = (item.seen.get("use") or {}).get("state") == "unused"
    if policy == DeadlinePolicy.REVOKE_UNUSED and is_unused and not item.is_privileged:
        return Fate.TAKE_AWAY
    return Fate.ESCALATE


def settle_chunk(*, campaign: Campaign, after: UUID | None, now: datetime) -> UUID | None:
    """Let the policy answer the next undecided items behind `after`; returns the last one seen, or None at the end.

    What is kept or gone is written for the whole chunk at once; what is taken away is planned at the source first, one
    item at a time.
    """
    with transaction.atomic(durable=True):
        items = _next_items(campaign, after)
        fates = _fates(items)
        ends = [item for item in items if fates[item.pk] is not Fate.TAKE_AWAY]
        log.record_many([_end(item, fates[item.pk], now) for item in ends])
        ReviewItem.objects.bulk_update(ends, ["state", "escalated_at", "version"])
    for item in items:
        if fates[item.pk] is Fate.TAKE_AWAY:
            take_away(item_id=item.pk, now=now)
    return items[-1].pk if items else None


def take_away(*, item_id: UUID, now: datetime) -> None:
    """Revoke or deactivate one undecided item by policy. Plans at the source, so outside transactions only."""
    item = get_item(item_id)
    answer = Answer.REVOKE if item.kind == ItemKind.GRANT else Answer.DEACTIVATE
    prepared = prepare(item=item, answer=answer)
    with transaction.atomic(durable=True):
        item = lock_item(item_id)
        if item.state not in UNDECIDED or _fates([item])[item.pk] is not Fate.TAKE_AWAY:
            # Answered or changed in this moment; the next round looks at it again.
            return
        decision = Decision.objects.create(
            item=item,
            answer=answer,
            digest=item.grant_version.digest if item.grant_version else None,
            decided_by_policy=item.campaign.deadline_policy,
            decided_at=now,
        )
        recall_until = now + timedelta(seconds=settings.ORDER_RECALL_SECONDS)
        place_order(decision=decision, item=item, prepared=prepared, execute_after=recall_until, actor=POLICY, now=now)
        old = move_item(item, ItemState.DECIDED, decided_at=now)
        record_answer(Verb.ITEM_EXPIRED, item, decision, POLICY, now, old=old)


def _next_items(campaign: Campaign, after: UUID | None) -> list[ReviewItem]:
    items = ReviewItem.objects.select_for_update(of=("self",), skip_locked=True).filter(
        campaign=campaign, state__in=UNDECIDED
    )
    if after is not None:
        items = items.filter(pk__gt=after)
    related = ("campaign", "identity", "grant", "grant_version", "credential")
    return list(items.select_related(*related).order_by("pk")[:CHUNK])


def _fates(items: Sequence[ReviewItem]) -> dict[UUID, Fate]:
    grants = [item.grant_id for item in items if item.grant_id]
    current = {version.grant_id: version for version in GrantVersion.objects.filter(grant__in=grants, seen_until=None)}
    return {
        item.pk: fate_of(item, drift_of(item, current.get(item.grant_id) if item.grant_id else None)) for item in items
    }


def _end(item: ReviewItem, fate: Fate, now: datetime) -> log.Record:
    old = {"state": str(item.state), "assignee": str(item.assignee_id)}
    if fate is Fate.CANCEL:
        item.state = ItemState.CANCELLED
    else:
        item.state = ItemState.EXPIRED
        item.escalated_at = item.escalated_at or now
    item.version += 1
    return log.Record(
        verb=Verb.ITEM_EXPIRED,
        actor=POLICY,
        subject=item_subject(item),
        now=now,
        old=old,
        new={"state": str(item.state)},
        context=item_context(item) | {"policy": str(item.campaign.deadline_policy), "outcome": str(fate)},
    )
