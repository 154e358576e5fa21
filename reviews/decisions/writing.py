"""What answers change: put together question by question, written for all of them with a fixed number of statements.

Inner steps of use cases: the questions are locked by the caller, and whatever stands here is written in the caller's
transaction, all of it or nothing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F

from governance.audit import log
from governance.kernel.actors import Actor
from identities.services.ownership import lock_identities
from identities.services.review_facts import end_review_by, note_review
from reviews.decisions.copying import copy_rows
from reviews.decisions.items import write_all
from reviews.decisions.nudges import handed_on, keep_nudges
from reviews.decisions.ownership import settle_owner
from reviews.decisions.recording import before_of
from reviews.decisions.stages import Final, stages_of
from reviews.models import KEEPING, Answer, Decision, Nudge, Order, ReviewItem
from reviews.remediation import Prepared, make_order, order_record, write_orders
from reviews.states import ITEM_MOVES, ItemState, require_transition


class Writing:
    """Changes by one actor at one time. Add to it, then `write` once."""

    def __init__(self, actor: Actor, now: datetime) -> None:
        self.actor, self.now = actor, now
        self.records: list[log.Record] = []
        self._decisions: list[Decision] = []
        self._changed: dict[tuple[str, ...], list[ReviewItem]] = defaultdict(list)
        self._orders: list[Order] = []
        self._approved: dict[datetime | None, dict[UUID, bytes]] = defaultdict(dict)
        self._ending: dict[datetime, list[UUID]] = defaultdict(list)
        self._owners: list[tuple[ReviewItem, Decision]] = []
        self._nudges: list[Nudge] = []

    def keep(self, decision: Decision) -> Decision:
        """A new answer, or what several amount to."""
        self._decisions.append(decision)
        return decision

    def change(self, item: ReviewItem, **fields: Any) -> dict[str, str]:
        """Set fields of an item and count the change; returns what it was, for the record."""
        old = before_of(item)
        item.version += 1
        for name, value in fields.items():
            setattr(item, name, value)
        self._changed[tuple(fields)].append(item)
        return old

    def hand_on(self, item: ReviewItem, person: UUID) -> None:
        """Somebody passed the question on, and this person learns that it came to them."""
        self._nudges.append(handed_on(item, person, self.now))

    def move(self, item: ReviewItem, state: ItemState, **fields: Any) -> dict[str, str]:
        """The same along the table of states."""
        require_transition(ITEM_MOVES, ItemState(item.state), state)
        return self.change(item, state=state, **fields)

    def conclude(
        self,
        item: ReviewItem,
        decision: Decision,
        prepared: Prepared,
        *,
        steps: Sequence[Mapping[str, Any]] = (),
        ends_at: datetime | None = None,
    ) -> dict[str, str]:
        """Order what the final answer asks for, note approvals where requests are decided, and end the question.

        ends_at: when the access ends that nobody approved; an approval from before lapses with it. Returns what the
        item was; the answer's record is the caller's.
        """
        later = decision.until if decision.answer == Answer.APPROVE_UNTIL else None
        due = ends_at or later or self.now + timedelta(seconds=settings.ORDER_RECALL_SECONDS)
        order = make_order(decision=decision, item=item, prepared=prepared, execute_after=due, now=self.now)
        if order is not None:
            self._orders.append(order)
            self.records.append(order_record(order, actor=self.actor, now=self.now))
        if decision.answer in KEEPING and item.grant_id is not None and item.grant_version is not None:
            self._approved[later][item.grant_id] = bytes(item.grant_version.digest)
        if ends_at is not None and item.grant_id is not None:
            self._ending[ends_at].append(item.grant_id)
        if decision.answer == Answer.MINE:
            self._owners.append((item, decision))
        passed_over = {"resolution": [*item.resolution, *steps]} if steps else {}
        return self.move(item, ItemState.DECIDED, decided_at=self.now, **passed_over)

    def write(self) -> None:
        """Write everything, in the order in which others lock: questions, identities, grants, orders, the trail."""
        copy_rows(self._decisions)
        for names, items in self._changed.items():
            _write_items(items, names)
        if self._owners:
            lock_identities([item.identity_id for item, _ in self._owners])
            for item, decision in self._owners:
                settle_owner(item, decision)
        for until, digests in self._approved.items():
            note_review(grant_ids=digests, digest_by_grant=digests, approved_until=until, now=self.now)
        for until, ending in self._ending.items():
            end_review_by(grant_ids=ending, until=until)
        write_orders(self._orders)
        keep_nudges(self._nudges, self.actor)
        log.record_many(self.records)


def _write_items(items: Sequence[ReviewItem], names: Sequence[str]) -> None:
    """One plain UPDATE where all become the same, as nearly always; their versions were looked at under the lock."""
    values = {name: getattr(items[0], name) for name in names}
    if all(getattr(item, name) == value for item in items for name, value in values.items()):
        write_all([item.pk for item in items], version=F("version") + 1, **values)
    else:
        ReviewItem.objects.bulk_update(items, ["version", *(name.removesuffix("_id") for name in names)])


def outcome_decision(item: ReviewItem, final: Final, *, now: datetime) -> Decision:
    """What several answers amount to, as a decision that names the strategy instead of a person."""
    strategy = stages_of(item.campaign).at(item.stage).strategy
    return Decision(
        item=item,
        answer=final.answer,
        stage=item.stage,
        round=item.round,
        until=final.until,
        target=final.target.to_json() if final.target else None,
        proof=final.proof,
        digest=item.grant_version.digest if item.grant_version else None,
        decided_by_policy=str(strategy),
        decided_at=now,
    )
