"""kill -9 at every step of an order: nothing half done, nothing lost, nothing doubled.

The worker is a real process. It is stopped at the wanted place by locks that the test holds, at the governed server or
on the order's own row, so that no line of the product knows about these tests.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from identities.models import Source
from reviews import remediation
from reviews.models import Order
from reviews.states import OrderState
from tests.database import CommittedDatabase
from tests.plugins.governed import Governed

pytestmark = pytest.mark.slow

WORKER = """
import sys
import django
django.setup()
from datetime import datetime
from reviews.remediation import execute_order
execute_order(order_id=sys.argv[1], now=datetime.fromisoformat(sys.argv[2]))
print("done", flush=True)
sys.stdin.read()
"""


class Cut:
    """The scene of the crime: a dated order without a plan, a worker process, and locks to stop it."""

    def __init__(self, story: Any, governed: Governed, database: CommittedDatabase, order: Order) -> None:
        self.story, self.governed, self.database, self.order = story, governed, database, order
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(self.order.pk), self.order.execute_after.isoformat()],
            env=os.environ | {"DATABASE_URL": self.database.url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kill(self) -> None:
        assert self.process is not None and self.process.poll() is None, "it was still at work"
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    @contextmanager
    def planning_stalled(self) -> Iterator[None]:
        """Whoever reads the memberships waits."""
        with psycopg.connect(self.governed.admin_url) as holder:
            holder.execute("LOCK TABLE pg_catalog.pg_auth_members IN ACCESS EXCLUSIVE MODE")
            yield

    @contextmanager
    def second_statement_stalled(self) -> Iterator[None]:
        """The table's own rights can be changed, those of its columns wait: the worker stands in mid-transaction."""
        with psycopg.connect(self.governed.admin_url) as holder:
            holder.execute("SELECT 1 FROM pg_attribute WHERE attrelid = 'payments'::regclass FOR UPDATE")
            yield

    @contextmanager
    def row_locked(self) -> Iterator[None]:
        """Whoever writes to the order waits."""
        with psycopg.connect(self.database.url) as holder:
            holder.execute("SELECT 1 FROM reviews_order WHERE id = %s FOR UPDATE", [self.order.pk])
            yield

    def wait_at_source(self) -> None:
        self._until(lambda: self.governed.waiting() == 1)

    def wait_at_row(self) -> None:
        with psycopg.connect(self.database.url, autocommit=True) as watcher:
            query = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            self._until(lambda: watcher.execute(query).fetchone() == (1,))

    def wait_until_done(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        assert self.process.stdout.readline() == "done\n"

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert self.process is not None and self.process.poll() is None, "the worker ended by itself"
            assert time.monotonic() < deadline, "the worker did not get there in time"
            time.sleep(0.02)


@pytest.fixture
def cut(story: Any, governed: Governed, committed_db: CommittedDatabase) -> Iterator[Cut]:
    Source.objects.filter(pk=story.source.pk).update(settings=governed.settings | {"lock_timeout": 30})
    governed.give(
        f"GRANT SELECT ON payments TO {governed.app}",
        f"GRANT UPDATE (amount) ON payments TO {governed.app}",
    )
    story.read()
    until = timezone.now() + timedelta(days=1)
    scene = Cut(story, governed, committed_db, story.decide(story.grant(governed.app), "approve_until", until=until))
    yield scene
    if scene.process is not None and scene.process.poll() is None:
        scene.process.kill()
        scene.process.communicate()


def rights(governed: Governed) -> tuple[bool, bool]:
    """Whether the client can still (read the table, change the column)."""
    return governed.can("SELECT * FROM payments"), governed.can("UPDATE payments SET amount = 11")


def kill_after_the_lease(cut: Cut) -> None:
    with cut.planning_stalled():
        cut.start()
        cut.wait_at_source()
        order = cut.story.again(cut.order)
        assert (order.state, order.plan) == (OrderState.EXECUTING, None)
        cut.kill()


def kill_before_the_plan_is_stored(cut: Cut) -> None:
    with ExitStack() as locks:
        with cut.planning_stalled():
            cut.start()
            cut.wait_at_source()
            locks.enter_context(cut.row_locked())
        cut.wait_at_row()
        assert cut.story.again(cut.order).plan is None
        cut.kill()


def kill_in_the_middle_of_the_statements(cut: Cut) -> None:
    with cut.second_statement_stalled():
        cut.start()
        cut.wait_at_source()
        assert cut.story.again(cut.order).plan is not None
        cut.kill()
    assert rights(cut.governed) == (True, True), "nothing is half done"


def kill_before_the_outcome_is_written(cut: Cut) -> None:
    with ExitStack() as locks:
        with cut.second_statement_stalled():
            cut.start()
            cut.wait_at_source()
            locks.enter_context(cut.row_locked())
        cut.wait_at_row()
        assert rights(cut.governed) == (False, False), "the source has committed"
        assert cut.story.again(cut.order).state == OrderState.EXECUTING
        cut.kill()


def kill_after_the_outcome(cut: Cut) -> None:
    cut.start()
    cut.wait_until_done()
    cut.kill()
    assert cut.story.again(cut.order).state == OrderState.APPLIED


@pytest.mark.parametrize(
    "kill",
    [
        kill_after_the_lease,
        kill_before_the_plan_is_stored,
        kill_in_the_middle_of_the_statements,
        kill_before_the_outcome_is_written,
        kill_after_the_outcome,
    ],
)
def test_a_killed_worker_leaves_nothing_half_done_lost_or_doubled(
    cut: Cut, kill: Callable[[Cut], None], verbs_of: Callable[[Order], list[str]]
) -> None:
    kill(cut)

    soon = cut.order.execute_after + timedelta(seconds=1)
    assert remediation.drain_orders(now=soon) == 0, "the dead worker's lease still lasts"
    later = cut.order.execute_after + timedelta(hours=1)
    for _ in range(remediation.drain_orders(now=later)):
        remediation.execute_order(order_id=str(cut.order.pk), now=later)

    order = cut.story.again(cut.order)
    assert order.state == OrderState.APPLIED, order.outcome
    assert rights(cut.governed) == (False, False)
    assert verbs_of(order) == ["order.planned", "order.sent", "order.applied"]
    assert remediation.drain_orders(now=later + timedelta(days=1)) == 0
    cut.story.read()
    assert cut.story.again(order).state == OrderState.VERIFIED
