"""From a decision to a verified source, on a server of its own: `story.read()`, `.decide(…)`, `.carry_out(…)`."""

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Actor, Role, system_actor
from governance.kernel.permissions import Permission
from governance.people.models import User
from identities.models import Grant, Identity, Source, SyncMode, SyncOrigin, SyncRun
from identities.sync.read import read_source
from identities.sync.receive import receive
from reviews import remediation
from reviews.campaigns.opening import open_campaign
from reviews.decisions import decide
from reviews.models import Order, ReviewItem
from reviews.states import OrderState
from tests.plugins.governed import Governed

SECOND = timedelta(seconds=1)
_numbers = itertools.count(1)


class Story:
    """One source, one reviewer, and the steps of an order, called as the workers call them."""

    def __init__(self, make: SimpleNamespace, source: Source) -> None:
        self.make, self.source = make, source
        self.reviewer: User = make.person(Role.REVIEWER)
        self.rules = ["owner"]
        self.actor: Actor = make.actor(self.reviewer)

    def read(self) -> SyncRun:
        """Read the source and let the reading speak about orders."""
        run = read_source(source_id=self.source.pk, actor=system_actor("sync"), now=timezone.now())
        assert run.state == "applied", run.problem
        remediation.verify_orders(source_id=str(self.source.pk), run_id=str(run.pk), now=timezone.now())
        return run

    def grant(self, identity: str, label: str = "") -> Grant:
        """The one current grant of an identity whose label contains `label`, paths through PUBLIC aside."""
        held = Grant.objects.filter(source=self.source, identity__external_id=identity, label__icontains=label)
        return held.exclude(path__contains=[{"kind": "public"}]).get(retired_at=None)

    def identity(self, name: str) -> Identity:
        return Identity.objects.get(source=self.source, external_id=name)

    def ask(self, thing: Any) -> ReviewItem:
        """Open a campaign over everything of the thing's identity and return the question about the thing."""
        is_grant = isinstance(thing, Grant)
        is_public = is_grant and any(step["kind"] == "public" for step in thing.path)
        campaign = self.make.campaign(
            is_open=False,
            name=f"Review {next(_numbers)}",
            scope=f"q={thing.identity.external_id}" + ("&path=public" if is_public else ""),
            item_kinds=["grant" if is_grant else "credential"],
            reviewer_rules=self.rules,
            fallback_reviewer=self.reviewer,
            independent_reviewer=self.reviewer,
            deadline_at=timezone.now() + timedelta(days=400),
        )
        open_campaign(campaign_id=campaign.pk, actor=system_actor("scheduler"), now=timezone.now())
        return self.make.get_item(campaign, thing)

    def decide(self, thing: Any, answer: str, target: Any = None, until: datetime | None = None) -> Order | None:
        """Answer the question about a grant or credential; returns the order, if the answer asks for one."""
        decision = decide(
            item=(item := self.ask(thing)),
            version=item.version,
            answer=answer,
            actor=self.actor,
            now=timezone.now(),
            reason="No longer needed.",
            until=until,
            target=Permission.from_json(target) if target else None,
        )
        return Order.objects.filter(decision=decision).first()

    def carry_out(self, order: Order, now: datetime | None = None) -> Order:
        """What a worker does with the message of a due order."""
        due = max(order.execute_after, timezone.now()) + SECOND
        remediation.execute_order(order_id=str(order.pk), now=now or due)
        return self.again(order)

    def take_up_again(self, order: Order, later: datetime) -> Order:
        """What other workers do once the lease of one that died has run out."""
        for _ in range(remediation.drain_orders(now=later)):
            remediation.execute_order(order_id=str(order.pk), now=later)
        return self.again(order)

    def again(self, order: Order) -> Order:
        return Order.objects.get(pk=order.pk)

    def revoked(self, identity: str, label: str = "") -> Order:
        """Revoke the grant, carry it out, and return the order in state applied."""
        order = self.carry_out(self.decide(self.grant(identity, label), "revoke"))
        assert order.state == OrderState.APPLIED, order.outcome
        return order

    def verified(self, identity: str, label: str = "") -> Order:
        """Revoke the grant and have a reading confirm it."""
        order = self.revoked(identity, label)
        self.read()
        order = self.again(order)
        assert order.state == OrderState.VERIFIED, order.outcome
        return order


@pytest.fixture
def own_trail(settings: Any, tmp_path: Path) -> None:
    """Opening a campaign signs the trail; another test's checkpoints would contradict this one's."""
    settings.AUDIT_CHECKPOINT_DIR = tmp_path / "checkpoints"


@pytest.fixture
def make_story(make: SimpleNamespace) -> Callable[..., Story]:
    def go(**source: Any) -> Story:
        number = next(_numbers)
        values = {"slug": f"ledger-{number}", "name": "Ledger", "kind": "postgresql", "max_retire_percent": 100}
        return Story(make, Source.objects.create(**(values | source)))

    return go


@pytest.fixture
def story(own_trail: None, committed_db: Any, governed: Governed, make_story: Callable[..., Story]) -> Story:
    """A governed server that was not read yet."""
    return make_story(settings=governed.settings)


@pytest.fixture
def verbs_of() -> Callable[[Order], list[str]]:
    """The verbs recorded about one order, in the order of their sealing."""

    def read(order: Order) -> list[str]:
        found = AuditEvent.objects.raw(
            "SELECT e.* FROM audit_auditevent e JOIN audit_auditlink l ON l.event_id = e.id"
            " WHERE e.subject_id = %s ORDER BY l.seq",
            [str(order.pk)],
        )
        return [event.verb for event in found]

    return read


@pytest.fixture
def push(make: SimpleNamespace, make_story: Callable[..., Story]) -> Callable[..., SyncRun]:
    """`push(story, records, complete=True)`: a snapshot that a source sends by itself, then what it says about orders."""

    def go(story: Story, records: list[dict[str, Any]], *, complete: bool = True, **request: Any) -> SyncRun:
        import json

        lines = [json.dumps(record).encode() for record in records]
        lines.append(b'{"type":"end","records":%d}' % len(lines))
        wish = {"mode": SyncMode.SNAPSHOT, "is_complete": complete, "origin": SyncOrigin.API}
        wish |= {"actor": system_actor("test"), "now": timezone.now()} | request
        run = receive(source=story.source, lines=lines, **wish)
        remediation.verify_orders(source_id=str(story.source.pk), run_id=str(run.pk), now=timezone.now())
        return run

    return go
