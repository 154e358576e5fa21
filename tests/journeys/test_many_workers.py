"""Two beats and three workers as real processes, on each broker; one worker is killed in the middle of an order."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from governance.people.access import actor_for_user
from governance.people.models import RoleAssignment, User
from identities.models import Source
from identities.sync.read import read_source
from reviews.campaigns.opening import open_campaign
from reviews.decisions import decide_many
from reviews.models import Campaign, Order, ReviewSchedule
from reviews.states import CampaignState, OrderState
from tests.database import CommittedDatabase
from tests.plugins.governed import Governed

pytestmark = pytest.mark.slow

TABLES = [f"t{number:02}" for number in range(24)]
CELERY = [sys.executable, "-m", "celery", "--app", "governance.celery"]
WORKER = [*CELERY, "worker", "--pool", "solo", "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
BEAT = [*CELERY, "beat", "--scheduler", "celery.beat:Scheduler", "--pidfile=", "--loglevel", "WARNING"]
LIFE = ["order.planned", "order.sent", "order.applied", "order.verified"]


@pytest.fixture(params=["pgmq", "redis", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """The default queue inside PostgreSQL, or a broker of its own."""
    if request.param == "pgmq":
        return "pgmq://localhost"
    return str(request.getfixturevalue(f"{request.param}_broker_url"))


@pytest.fixture
def start(
    broker_url: str, committed_db: CommittedDatabase, tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`start(WORKER)`: a process of the product on the test's database and broker, ended with the test."""
    started: list[subprocess.Popen[bytes]] = []
    environment = os.environ | {
        "DATABASE_URL": committed_db.url,
        "CELERY_BROKER_URL": broker_url,
        "DATA_DIR": str(tmp_path / "product"),
        "ORDER_LEASE_SECONDS": "5",
    }

    def go(command: list[str]) -> subprocess.Popen[bytes]:
        with (tmp_path / f"process-{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        started.append(process)
        return process

    yield go
    for process in started:
        process.terminate()
    for process in started:
        try:
            process.wait(8)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for log in sorted(tmp_path.glob("process-*.log")):
        print(f"--- {log.name}\n{log.read_text()[-2000:]}")


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, (
            f"{what} took more than {seconds} s; "
            f"orders {Counter(Order.objects.values_list('state', 'outcome'))}, "
            f"campaigns {Counter(Campaign.objects.values_list('name', 'state'))}"
        )
        time.sleep(0.2)


def make_person(*roles: Role) -> User:
    user = User.objects.create_user(f"{roles[0]}@example.org", None, name=f"The {roles[0]}")
    RoleAssignment.objects.bulk_create(RoleAssignment(user=user, role=role) for role in roles)
    return user


def make_source(governed: Governed) -> Source:
    """A read source in which the application's role holds SELECT on each of the tables."""
    for table in TABLES:
        governed.give(f"CREATE TABLE {table} (id int)", f"GRANT SELECT ON {table} TO {governed.app}")
    source = Source.objects.create(
        slug="ledger",
        name="Ledger",
        kind="postgresql",
        settings=governed.settings | {"lock_timeout": 120, "statement_timeout": 120},
        max_retire_percent=100,
        read_every_seconds=5,
    )
    assert read_source(source_id=source.pk, actor=system_actor("sync"), now=timezone.now()).state == "applied"
    return source


def place_orders(reviewer: User, governed: Governed) -> None:
    """A reviewer revokes all of it at once."""
    now = timezone.now()
    campaign = Campaign.objects.create(
        name="Everything must go",
        scope=f"q={governed.app}",
        item_kinds=["grant"],
        reviewer_rules=[],
        fallback_reviewer=reviewer,
        independent_reviewer=reviewer,
        deadline_policy="keep_and_escalate",
        manager=reviewer,
        deadline_at=now + timedelta(days=14),
    )
    open_campaign(campaign_id=campaign.pk, actor=system_actor("scheduler"), now=now)
    items = list(campaign.items.values_list("pk", flat=True))
    answers = decide_many(
        item_ids=items,
        answer="revoke",
        actor=actor_for_user(reviewer, auth_method="password"),
        now=now,
        reason="Unused.",
    )
    assert all(answer.ok for answer in answers), answers
    assert Order.objects.filter(state=OrderState.PLANNED).count() == len(TABLES)


def make_schedule(name: str, manager: User, reviewer: User) -> ReviewSchedule:
    """Due now, and then tomorrow."""
    first = timezone.now().replace(microsecond=0)
    return ReviewSchedule.objects.create(
        name=name,
        item_kinds=["credential"],
        rrule="FREQ=DAILY",
        starts_at=first,
        next_due_at=first,
        reviewer_rules=[],
        fallback_reviewer=reviewer,
        created_by=manager,
        interval_reason="It is a test.",
    )


def test_one_campaign_per_date_and_every_order_once_though_a_worker_is_killed(
    governed: Governed, start: Callable[..., subprocess.Popen[bytes]], settings: Any, tmp_path: Path
) -> None:
    settings.ORDER_RECALL_SECONDS = 0
    settings.AUDIT_CHECKPOINT_DIR = tmp_path / "product" / "checkpoints"
    settings.AUDIT_KEY_FILE = tmp_path / "product" / "keys" / "audit-ed25519.pem"
    reviewer = make_person(Role.REVIEWER)
    make_source(governed)
    place_orders(reviewer, governed)
    manager = make_person(Role.CAMPAIGN_MANAGER)
    schedules = [make_schedule(name, manager, reviewer) for name in ("Passwords", "Passwords again")]

    with governed.hold(*TABLES) as holder:
        workers = [start(WORKER) for _ in range(3)]
        for _ in range(2):
            start(BEAT)
        until(lambda: governed.waiting() == 3, 90, "until each worker is in the middle of an order")
        workers[0].kill()
        workers[0].wait()
        holder.close()

    def is_done() -> bool:
        opened = Campaign.objects.filter(schedule__in=schedules, state=CampaignState.OPEN)
        verified = Order.objects.filter(state=OrderState.VERIFIED)
        return (opened.count(), verified.count()) == (len(schedules), len(TABLES))

    until(is_done, 120, "until everything is done")
    assert all(process.poll() is None for process in workers[1:])
    assert not any(governed.can(f"SELECT * FROM {table}") for table in TABLES)
    lives = Counter(AuditEvent.objects.filter(subject_kind="order").values_list("subject_id", "verb"))
    assert lives == {(str(pk), verb): 1 for pk in Order.objects.values_list("pk", flat=True) for verb in LIFE}
    assert sorted(Order.objects.values_list("attempts", flat=True))[-1] == 2, "one had to be taken twice"
    for schedule in schedules:
        campaign = schedule.campaigns.get()
        assert campaign.scheduled_for == schedule.starts_at
        assert campaign.items.count() == campaign.frozen["expected"]["credential"]
    opened = Counter(AuditEvent.objects.filter(verb="campaign.opened").values_list("subject_id", flat=True))
    assert set(opened.values()) == {1}
