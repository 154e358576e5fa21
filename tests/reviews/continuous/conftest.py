"""From a reading of a source to a question in somebody's inbox, by the product's own functions."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from governance.kernel.actors import Role, system_actor
from identities.models import Grant, Identity, Source, SyncMode, SyncOrigin, SyncRun
from identities.sync.receive import receive
from reviews import continuous
from reviews.campaigns.opening import open_campaign
from reviews.decisions import decide
from reviews.models import Campaign, Decision, ReviewerRule, ReviewItem, ReviewWatch, Trigger
from reviews.selectors import list_inbox
from tests.reviews import conftest as make

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
READ = make.NARROWER
ADMIN = make.PRIVILEGED


class Estate:
    """One source that pushes deltas, a clock that only goes forward, and the watching."""

    def __init__(self) -> None:
        self.now = START
        self.owner = make.make_person(Role.OWNER, name="Olga")
        self.manager = make.make_person(Role.CAMPAIGN_MANAGER, name="Mira")
        self.fallback = make.make_person(Role.REVIEWER, name="Ravi")
        self.source = make.make_source(slug="ledger", name="Ledger", max_retire_percent=100, last_success_at=None)

    def later(self, **by: float) -> datetime:
        self.now += timedelta(**(by or {"minutes": 11}))
        return self.now

    def sync(self, *records: dict[str, Any], source: Source | None = None) -> SyncRun:
        """One delta, a minute after whatever happened last."""
        self.later(minutes=1)
        lines = [json.dumps(record).encode() for record in records]
        run = receive(
            source=source or self.source,
            lines=[*lines, b'{"type":"end","records":%d}' % len(lines)],
            mode=SyncMode.DELTA,
            is_complete=False,
            origin=SyncOrigin.API,
            actor=system_actor("test"),
            now=self.now,
            observed_at=self.now,
        )
        assert run.state == "applied", run.problem
        return run

    def identity(self, name: str = "etl", **more: Any) -> dict[str, Any]:
        return {"type": "identity", "id": name, "kind": "database_user", "owner": self.owner.email, **more}

    def grant(self, name: str, permission: dict[str, Any] = READ, identity: str = "etl", **more: Any) -> dict[str, Any]:
        return {"type": "grant", "id": name, "identity": identity, "permission": permission, **more}

    def retire(self, name: str) -> dict[str, Any]:
        return {"type": "retire", "of": "grant", "id": name}

    def connect(self, *more: dict[str, Any], **of_identity: Any) -> None:
        """The first reading, and the watching that starts behind it."""
        self.sync(self.identity(**of_identity), self.grant("reads"), *more)
        continuous.watch(now=self.now)

    def watch(self, trigger: Trigger, **fields: Any) -> ReviewWatch:
        values: dict[str, Any] = {
            "trigger": trigger,
            "reviewer_rules": [ReviewerRule.OWNER, ReviewerRule.BACKUP],
            "fallback_reviewer": self.fallback,
            "created_by": self.manager,
        }
        return ReviewWatch.objects.create(**(values | fields))

    def tick(self) -> list[Campaign]:
        """Notice now; when all has settled, open what there is to open, as the workers do."""
        drafts = continuous.watch(now=self.now)
        self.later(minutes=11)
        drafts += continuous.watch(now=self.now)
        return [open_campaign(campaign_id=each.pk, actor=system_actor("scheduler"), now=self.now) for each in drafts]

    def approve(self, name: str, answer: str = "approve", **more: Any) -> Decision:
        """Have it reviewed by a review of everything, and answered by whoever is asked."""
        self.later(minutes=1)
        draft = make.make_campaign(is_open=False, scope="source=ledger", deadline_at=self.now + timedelta(days=30))
        campaign = open_campaign(campaign_id=draft.pk, actor=system_actor("scheduler"), now=self.now)
        item = make.get_item(campaign, self.get(name))
        decision = self.answer(item, answer, **more)
        ReviewItem.objects.filter(campaign=campaign, state="open").update(state="cancelled")
        return decision

    def answer(self, item: ReviewItem, answer: str = "approve", **more: Any) -> Decision:
        """By whoever is asked; where that only attests, by whoever is asked then."""
        item.refresh_from_db()
        actor = make.actor(item.assignee)
        decision = decide(
            item=item, version=item.version, answer=answer, actor=actor, now=self.now, reason="Because.", **more
        )
        return self.answer(item, answer, **more) if decision.is_attestation else decision

    def inbox(self, person: Any = None) -> list[ReviewItem]:
        return list(list_inbox(actor=make.actor(person or self.owner)))

    def get(self, name: str) -> Grant:
        return Grant.objects.get(source=self.source, external_id=name)

    def get_identity(self, name: str = "etl") -> Identity:
        return Identity.objects.get(source=self.source, external_id=name)


@pytest.fixture
def make_estate() -> Callable[[], Estate]:
    return Estate


@pytest.fixture
def estate(db: None) -> Estate:
    return Estate()
