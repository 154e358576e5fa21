"""What becomes of a question that nobody answered: the campaign's policy, never an approval.

Every policy is a table (`reviews.policies.deadline`): by risk, by use, and by environment as they stood at opening.

| policy | privileged | use was observable and none seen | anything else |
|---|---|---|---|
| keep_and_escalate | keep, escalate | keep, escalate | keep, escalate |
| revoke_unused | keep, escalate | revoke | keep, escalate |
| revoke | revoke | revoke | revoke |
| graded | printed in docs/reviews.md | | |
| table | the schedule's own | | |

Credentials are deactivated where access would be revoked. Access that is gone at the source needs no answer any more
(cancelled); access that changed since the review opened is kept and escalated under every policy, because nobody looked
at what it is now. Access that ends after some days is no approval for those days: its order is dated, and an approval
from an earlier review lapses with it. A quarantine that is not possible, or would hit an identity that is seen at work,
becomes an escalation that says so.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from governance.kernel.observing import UseState
from identities.models import Identity, Usage
from identities.services.review_facts import end_review_by
from reviews.decisions.items import (
    UNDECIDED,
    Drift,
    current_versions,
    drift_of,
    get_item,
    item_context,
    item_subject,
    load_compared,
    lock_item,
    write_all,
)
from reviews.decisions.recording import move_item, record_answer
from reviews.models import Answer, Campaign, Decision, ItemKind, Order, OrderAction, ReviewItem
from reviews.policies.deadline import Act, Consequence, table_of
from reviews.remediation import Prepared, place_order, prepare
from reviews.remediation.preparing import ACTION_OF
from reviews.states import ItemState, OrderState

POLICY = system_actor("deadline policy")
CHUNK = 500
# An order in one of these does not keep the identity locked out.
ENDED = (OrderState.RECALLED, OrderState.RESTORED, OrderState.SETTLED, OrderState.FAILED)


class Fate(StrEnum):
    """What the deadline does to an undecided item."""

    ESCALATE = "escalate"
    EXPIRE = "expire"
    QUARANTINE = "quarantine"
    TAKE_AWAY = "take_away"
    CANCEL = "cancel"


ENDING = frozenset({Fate.EXPIRE, Fate.QUARANTINE, Fate.TAKE_AWAY})
"""By which access ends, at once or later."""

_FATE_OF = {
    Act.KEEP: Fate.ESCALATE,
    Act.EXPIRE: Fate.EXPIRE,
    Act.QUARANTINE: Fate.QUARANTINE,
    Act.REVOKE: Fate.TAKE_AWAY,
}
# What is written for a whole chunk at once, without asking a source.
_ENDS = frozenset({Fate.ESCALATE, Fate.CANCEL})


def fate_of(item: ReviewItem, drift: Drift | None) -> Fate:
    """What the campaign's table says. drift: how the access differs from what the item was opened for."""
    if drift is Drift.GONE:
        return Fate.CANCEL
    if item.kind == ItemKind.OWNERSHIP:
        # That nobody says who answers for it is no reason to take anything away.
        return Fate.ESCALATE
    if drift is Drift.CHANGED:
        return Fate.ESCALATE
    return _FATE_OF[consequence_of(item).act]


def consequence_of(item: ReviewItem) -> Consequence:
    """The cell of the campaign's table that the item falls into."""
    campaign = item.campaign
    return table_of(campaign.deadline_policy, campaign.policy).consequence(
        is_privileged=item.is_privileged,
        use=_use_of(item),
        environment=(item.seen.get("identity") or {}).get("environment", ""),
    )


def settle_chunk(*, campaign: Campaign, after: UUID | None, now: datetime) -> UUID | None:
    """Let the policy answer the next undecided items behind `after`; returns the last one seen, or None at the end.

    What is kept or gone is written for the whole chunk at once; everything else one item at a time, planned at the
    source first where it is due soon.
    """
    with transaction.atomic(durable=True):
        items = _next_items(campaign, after)
        fates = _fates(items)
        ends = [item for item in items if fates[item.pk] in _ENDS]
        log.record_many([_end(item, fates[item.pk], now) for item in ends])
        _write_ends(ends, now)
    for item in items:
        if fates[item.pk] not in _ENDS:
            carry_out(item_id=item.pk, fate=fates[item.pk], now=now)
    return items[-1].pk if items else None


def _write_ends(items: Sequence[ReviewItem], now: datetime) -> None:
    """One statement per state for the whole chunk; what was escalated before keeps its time."""
    since: dict[ItemState, dict[str, Any]] = {
        ItemState.CANCELLED: {},
        ItemState.EXPIRED: {"escalated_at": Coalesce("escalated_at", Value(now))},
    }
    for state, fields in since.items():
        ended = [item.pk for item in items if item.state == state]
        if ended:
            write_all(ended, state=state, version=F("version") + 1, **fields)


def carry_out(*, item_id: UUID, fate: Fate, now: datetime) -> None:
    """Answer one undecided item by policy. Plans at the source, so outside transactions only."""
    item = get_item(item_id)
    answer = _answer_of(item, fate)
    # What ends later is planned on its day, against what is there then, if that is still what the review was about.
    prepared = Prepared(action=ACTION_OF[answer]) if fate is Fate.EXPIRE else prepare(item=item, answer=answer)
    with transaction.atomic(durable=True):
        item = lock_item(item_id)
        if item.state not in UNDECIDED or _fates([item])[item.pk] is not fate:
            # Answered or changed in this moment; the next round looks at it again.
            return
        obstacle = _obstacle(item, prepared) if fate is Fate.QUARANTINE else ""
        if obstacle:
            _escalate(item, obstacle, now)
            return
        _decide(item, answer, fate, prepared, now)


def _answer_of(item: ReviewItem, fate: Fate) -> Answer:
    if fate is Fate.QUARANTINE:
        return Answer.QUARANTINE
    return Answer.REVOKE if item.kind == ItemKind.GRANT else Answer.DEACTIVATE


def _decide(item: ReviewItem, answer: Answer, fate: Fate, prepared: Prepared, now: datetime) -> None:
    until = now + timedelta(days=consequence_of(item).days) if fate is Fate.EXPIRE else None
    decision = Decision.objects.create(
        item=item,
        answer=answer,
        until=until,
        digest=item.grant_version.digest if item.grant_version else None,
        decided_by_policy=item.campaign.deadline_policy,
        decided_at=now,
    )
    if not (fate is Fate.QUARANTINE and _is_quarantined_already(item)):
        due = until or now + timedelta(seconds=settings.ORDER_RECALL_SECONDS)
        place_order(decision=decision, item=item, prepared=prepared, execute_after=due, actor=POLICY, now=now)
    if until is not None and item.grant_id is not None:
        end_review_by(grant_ids=[item.grant_id], until=until)
    old = move_item(item, ItemState.DECIDED, decided_at=now)
    record_answer(Verb.ITEM_EXPIRED, item, decision, POLICY, now, old=old)


def _obstacle(item: ReviewItem, prepared: Prepared) -> str:
    """Why the identity is not locked out, or an empty string."""
    if prepared.is_task:
        return f"It could not be quarantined, so it was kept and escalated. {prepared.problem}"
    # Locking out ends everything that the identity does, not only the access in question.
    if _use_of(item) != UseState.USED and _is_at_work(item):
        return "The identity is in use elsewhere, so it was not quarantined but kept and escalated."
    return ""


def _is_at_work(item: ReviewItem) -> bool:
    return item.identity.last_used_at is not None or Usage.objects.filter(identity=item.identity_id).exists()


def _is_quarantined_already(item: ReviewItem) -> bool:
    """Whether another question of this review locks the same identity out; one order for all of them is enough."""
    # Two workers may be at two questions of one identity.
    Identity.objects.select_for_update().only("pk").get(pk=item.identity_id)
    orders = Order.objects.filter(identity=item.identity_id, action=OrderAction.QUARANTINE)
    return orders.filter(item__campaign=item.campaign_id).exclude(state__in=ENDED).exists()


def _use_of(item: ReviewItem) -> str:
    return (item.seen.get("use") or {}).get("state") or UseState.NOT_OBSERVABLE


def _next_items(campaign: Campaign, after: UUID | None) -> list[ReviewItem]:
    items = ReviewItem.objects.select_for_update(of=("self",), skip_locked=True).filter(
        campaign=campaign, state__in=UNDECIDED
    )
    if after is not None:
        items = items.filter(pk__gt=after)
    return load_compared(items.order_by("pk")[:CHUNK], "seen", "escalated_at")


def _fates(items: Sequence[ReviewItem]) -> dict[UUID, Fate]:
    current = current_versions(items)
    return {
        item.pk: fate_of(item, drift_of(item, current.get(item.grant_id) if item.grant_id else None)) for item in items
    }


def _escalate(item: ReviewItem, why: str, now: datetime) -> None:
    """Keep one locked item after all, with the reason where its reviewers look."""
    manager = str(item.campaign.manager_id)
    step = {"rule": "deadline", "person": manager, "outcome": "skipped", "why": why}
    item.resolution = [*item.resolution, step]
    log.record_many([_end(item, Fate.ESCALATE, now, {"why": "no_quarantine"})])
    item.save(update_fields=["state", "escalated_at", "version", "resolution"])


def _end(item: ReviewItem, fate: Fate, now: datetime, more: dict[str, str] | None = None) -> log.Record:
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
        context=item_context(item)
        | {"policy": str(item.campaign.deadline_policy), "outcome": str(fate)}
        | (more or {}),
    )
