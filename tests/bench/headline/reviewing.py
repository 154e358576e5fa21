"""The people of the measurement: they follow what is recommended, and every click of theirs is counted.

A click is one submitted answer: a bulk answer is one, however many questions it has. What is privileged is never answered
in bulk: its owner attests, then somebody independent decides. Where nothing is recommended, people keep what is there.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from governance.kernel.actors import Actor
from governance.kernel.permissions import Permission
from governance.people.access import actor_for_user
from governance.people.models import User
from reviews.decisions import decide, decide_many, release
from reviews.decisions.bulk import MOST_ITEMS
from reviews.models import Campaign, Order, ReviewItem
from reviews.states import OrderState

SECOND = "reviewer-1@bench.example.org"
KEEP, REASON = "approve", "As recommended, after looking at what was used."


@dataclass
class Clicks:
    """What people did. refused: answers that were not taken, by code."""

    actions: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


@dataclass
class Panel:
    """Everybody who answers questions or releases orders, and the clock on their wall."""

    clock: Callable[[], datetime]
    clicks: Clicks = field(default_factory=Clicks)
    _actors: dict[UUID, Actor] = field(default_factory=dict)

    def clear(self, campaign: Campaign) -> Clicks:
        """Answer everything, however often a question goes on to somebody else."""
        while waiting := list(_waiting(campaign)):
            before = self.clicks.answers.total()
            self._in_bulk([item for item in waiting if _fits_bulk(item)])
            for item in waiting:
                if not _fits_bulk(item):
                    self._one(item)
            if self.clicks.answers.total() == before:
                break
        return self.clicks

    def release(self) -> None:
        """A second person looks at every order that waits for one, and lets it be sent."""
        actor = self._actor(User.objects.get(email=SECOND).pk)
        for order in Order.objects.filter(state=OrderState.AWAITING_SECOND).order_by("pk"):
            release(order=order, reason=REASON, actor=actor, now=self.clock())
            self.clicks.actions += 1
            self.clicks.answers["release"] += 1

    def _in_bulk(self, items: Iterable[ReviewItem]) -> None:
        groups: dict[tuple[UUID, str], list[ReviewItem]] = defaultdict(list)
        for item in items:
            groups[item.assignee_id, item.recommendation or KEEP].append(item)
        for (person, answer), group in groups.items():
            for start in range(0, len(group), MOST_ITEMS):
                self._submit(person, answer, group[start : start + MOST_ITEMS])

    def _submit(self, person: UUID, answer: str, group: list[ReviewItem]) -> None:
        results = decide_many(
            item_ids=[item.pk for item in group],
            answer=answer,
            actor=self._actor(person),
            now=self.clock(),
            reason=REASON,
            versions={item.pk: item.version for item in group},
        )
        self.clicks.actions += 1
        for result in results:
            if result.ok:
                self.clicks.answers[answer] += 1
            else:
                self.clicks.refused[result.code] += 1

    def _one(self, item: ReviewItem) -> None:
        answer, target = item.recommendation or KEEP, None
        if answer == "scope_down":
            target = Permission.from_json(item.recommended_target)  # type: ignore[arg-type]
        self.clicks.actions += 1
        facts: dict[str, Any] = {"answer": answer, "target": target, "reason": REASON}
        decide(item=item, version=item.version, actor=self._actor(item.assignee_id), now=self.clock(), **facts)
        self.clicks.answers[answer] += 1

    def _actor(self, person: UUID) -> Actor:
        if person not in self._actors:
            self._actors[person] = actor_for_user(User.objects.get(pk=person), auth_method="password")
        return self._actors[person]


def _waiting(campaign: Campaign) -> Iterable[ReviewItem]:
    return ReviewItem.objects.filter(campaign=campaign, state__in=("open", "attested")).order_by("assignee_id", "pk")


def _fits_bulk(item: ReviewItem) -> bool:
    return not item.is_privileged
