"""Let the deadline's policy answer what nobody answered: judged one by one, written for many at once.

A chunk of questions is locked and judged, and what is kept or gone is written with it. What ends is planned at the
sources outside any transaction and then written in one of its own, if each question is still what it was judged as.
Whoever dies in between leaves whole transactions; what is undecided is found by the next worker.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Coalesce

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from governance.kernel.observing import UseState
from identities.models import Identity, Usage
from identities.services.ownership import lock_identities
from reviews.decisions.asks import forget_all_asks
from reviews.decisions.items import (
    UNDECIDED,
    current_versions,
    drift_of,
    item_context,
    item_subject,
    load_compared,
    lock_items,
    read_items,
    write_all,
)
from reviews.decisions.loading import among
from reviews.decisions.policy import ENDING, Fate, consequence_of, fate_of, observed_use
from reviews.decisions.recording import answer_record, before_of
from reviews.decisions.stages import asks_one
from reviews.decisions.together import again_after_deadlock, plan_for_a_while
from reviews.decisions.writing import Writing
from reviews.models import Answer, Campaign, Decision, ItemKind, Order, OrderAction, ReviewItem
from reviews.remediation import Prepared, prepare
from reviews.remediation.preparing import ACTION_OF
from reviews.states import ItemState, OrderState

POLICY = system_actor("deadline policy")
CHUNK = 500
# An order in one of these does not keep the identity locked out.
ENDED = (OrderState.RECALLED, OrderState.RESTORED, OrderState.SETTLED, OrderState.FAILED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the table says about one question, in this version of it. days: after which the access ends, for EXPIRE."""

    fate: Fate
    version: int
    use: str
    days: int = 0


Planned = Sequence[tuple[ReviewItem, Prepared]]


def settle_chunk(*, campaign: Campaign, after: UUID | None, now: datetime) -> UUID | None:
    """Let the policy answer the next undecided items behind `after`; returns the last one seen, or None at the end.

    Plans at the source what ends soon, so it must not be called inside a transaction.
    """
    with transaction.atomic(durable=True):
        items = _next_items(campaign, after)
        verdicts = _judge(items)
        _write_ends(items, verdicts, now)
    ending = [pk for pk, verdict in verdicts.items() if verdict.fate in ENDING]
    if ending:
        _end_all(ending, verdicts, now)
    return items[-1].pk if items else None


def _next_items(campaign: Campaign, after: UUID | None) -> list[ReviewItem]:
    items = ReviewItem.objects.select_for_update(of=("self",), skip_locked=True).filter(
        campaign=campaign, state__in=UNDECIDED
    )
    if after is not None:
        items = items.filter(pk__gt=after)
    return load_compared(items.order_by("pk")[:CHUNK], "seen", "escalated_at")


def _judge(items: Sequence[ReviewItem]) -> dict[UUID, Verdict]:
    current = current_versions(items)
    return {item.pk: _verdict(item, fate_of(item, _drift(item, current))) for item in items}


def _verdict(item: ReviewItem, fate: Fate) -> Verdict:
    days = consequence_of(item).days if fate is Fate.EXPIRE else 0
    return Verdict(fate, item.version, observed_use(item), days)


def _drift(item: ReviewItem, current: Mapping[UUID, Any]) -> Any:
    return drift_of(item, current.get(item.grant_id) if item.grant_id else None)


# --- what is kept or gone -----------------------------------------------------------------------------------------


def _write_ends(items: Sequence[ReviewItem], verdicts: Mapping[UUID, Verdict], now: datetime) -> None:
    """One statement per state for the whole chunk; what was escalated before keeps its time."""
    becomes: list[tuple[Fate, ItemState, dict[str, Any]]] = [
        (Fate.CANCEL, ItemState.CANCELLED, {}),
        (Fate.ESCALATE, ItemState.EXPIRED, {"escalated_at": Coalesce("escalated_at", Value(now))}),
    ]
    records = []
    for fate, state, fields in becomes:
        ended = [item for item in items if verdicts[item.pk].fate is fate]
        if ended:
            records += [_end_record(item, fate, state, before_of(item), now) for item in ended]
            write_all([item.pk for item in ended], state=state, version=F("version") + 1, **fields)
    log.record_many(records)


def _end_record(
    item: ReviewItem, fate: Fate, state: ItemState, old: Mapping[str, str], now: datetime, **more: str
) -> log.Record:
    return log.Record(
        verb=Verb.ITEM_EXPIRED,
        actor=POLICY,
        subject=item_subject(item),
        now=now,
        old=old,
        new={"state": str(state)},
        context=item_context(item) | {"policy": str(item.campaign.deadline_policy), "fate": str(fate)} | more,
    )


# --- what ends, at once or later ----------------------------------------------------------------------------------


def _end_all(item_ids: Sequence[UUID], verdicts: Mapping[UUID, Verdict], now: datetime) -> None:
    waiting = read_items(item_ids)
    while waiting:
        planned = plan_for_a_while(waiting, lambda item: _plan(item, verdicts[item.pk]))
        again_after_deadlock(partial(_write, planned, verdicts, now))
        waiting = waiting[len(planned) :]


def _plan(item: ReviewItem, verdict: Verdict) -> Prepared:
    answer = _answer_of(item, verdict.fate)
    # What ends later is planned on its day, against what is there then, if that is still what the review was about.
    return Prepared(action=ACTION_OF[answer]) if verdict.fate is Fate.EXPIRE else prepare(item=item, answer=answer)


def _answer_of(item: ReviewItem, fate: Fate) -> Answer:
    if fate is Fate.QUARANTINE:
        return Answer.QUARANTINE
    return Answer.REVOKE if item.kind == ItemKind.GRANT else Answer.DEACTIVATE


def _write(planned: Planned, verdicts: Mapping[UUID, Verdict], now: datetime) -> None:
    prepared = {item.pk: plan for item, plan in planned}
    with transaction.atomic(durable=True):
        items = _still_as_judged(lock_items(list(prepared)), verdicts)
        out = LockingOut.of([item for item in items if verdicts[item.pk].fate is Fate.QUARANTINE])
        writing = Writing(POLICY, now)
        for item in items:
            _end(writing, item, verdicts[item.pk], prepared[item.pk], out)
        # Whoever was asked beside the assignee is not asked any more.
        forget_all_asks([item for item in items if not asks_one(item.campaign)])
        writing.write()


def _still_as_judged(items: Sequence[ReviewItem], verdicts: Mapping[UUID, Verdict]) -> list[ReviewItem]:
    """Without what was answered or changed in this moment; the next round looks at that again."""
    current = current_versions(items)
    return [
        item
        for item in items
        if item.state in UNDECIDED and item.version == verdicts[item.pk].version and _drift(item, current) is None
    ]


def _end(writing: Writing, item: ReviewItem, verdict: Verdict, prepared: Prepared, out: "LockingOut") -> None:
    if verdict.fate is Fate.QUARANTINE:
        obstacle = out.obstacle(item, verdict, prepared)
        if obstacle:
            _escalate(writing, item, obstacle)
            return
        prepared = prepared if out.is_needed(item) else Prepared()
    until = writing.now + timedelta(days=verdict.days) if verdict.fate is Fate.EXPIRE else None
    decision = writing.keep(
        Decision(
            item=item,
            answer=_answer_of(item, verdict.fate),
            until=until,
            digest=item.grant_version.digest if item.grant_version else None,
            decided_by_policy=item.campaign.deadline_policy,
            decided_at=writing.now,
        )
    )
    old = writing.conclude(item, decision, prepared, ends_at=until)
    writing.records.append(answer_record(Verb.ITEM_EXPIRED, item, decision, POLICY, writing.now, old=old))


def _escalate(writing: Writing, item: ReviewItem, why: str) -> None:
    """Keep it after all, with the reason where its reviewers look."""
    manager = str(item.campaign.manager_id)
    step = {"rule": "deadline", "person": manager, "outcome": "skipped", "why": why}
    since = item.escalated_at or writing.now
    old = writing.move(item, ItemState.EXPIRED, escalated_at=since, resolution=[*item.resolution, step])
    record = _end_record(item, Fate.ESCALATE, ItemState.EXPIRED, old, writing.now, why="no_quarantine")
    writing.records.append(record)


@dataclass(slots=True)
class LockingOut:
    """Identities that questions of one review would lock out. at_work: those that are seen at work; locked: those that
    another question of the review locks out already, as one order for all of them is enough."""

    at_work: set[UUID]
    locked: set[UUID]

    @classmethod
    def of(cls, items: Sequence[ReviewItem]) -> "LockingOut":
        """Of these locked questions. Two workers may be at two questions of one identity, so identities are locked."""
        if not items:
            return cls(set(), set())
        ids = among({item.identity_id for item in items})
        lock_identities({item.identity_id for item in items})
        is_used = Q(last_used_at__isnull=False) | Exists(Usage.objects.filter(identity=OuterRef("pk")))
        orders = Order.objects.filter(
            identity__in=ids, action=OrderAction.QUARANTINE, item__campaign=items[0].campaign_id
        ).exclude(state__in=ENDED)
        return cls(
            set(Identity.objects.filter(is_used, pk__in=ids).values_list("pk", flat=True)),
            set(orders.values_list("identity_id", flat=True)),
        )

    def obstacle(self, item: ReviewItem, verdict: Verdict, prepared: Prepared) -> str:
        """Why the identity is not locked out, or an empty string."""
        if prepared.is_task:
            return f"It could not be quarantined, so it was kept and escalated. {prepared.problem}"
        # Locking out ends everything that the identity does, not only the access in question.
        if verdict.use != UseState.USED and item.identity_id in self.at_work:
            return "The identity is in use elsewhere, so it was not quarantined but kept and escalated."
        return ""

    def is_needed(self, item: ReviewItem) -> bool:
        """Whether this question is the first to lock its identity out; from then on it counts as locked out."""
        is_first = item.identity_id not in self.locked
        self.locked.add(item.identity_id)
        return is_first
