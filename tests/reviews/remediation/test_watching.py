"""Lock out, watch, remove: on a real server, with a second person, a window, protests, and workers that are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from identities.models import Grant, Identity, Source
from reviews import remediation
from reviews.decisions import release
from reviews.models import Freeze, Order, OrderAction
from reviews.remediation import windows
from reviews.remediation.watching import NothingToProtest, may_protest, protest, uses_since_locked
from reviews.states import OrderState
from tests.plugins.governed import Governed
from tests.reviews.remediation.test_killed_workers import WORKER

pytestmark = pytest.mark.slow
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
WATCHED = {"watch_days": 7, "watch_environment": "any", "second_actions": []}


@pytest.fixture
def watched(story: Any, governed: Governed, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Order]:
    """`watched()`: a due order to take the client's only grant away, in a review that locks out first."""

    def go(*, keeps: str = "", **remedies: Any) -> Order:
        governed.give(f"GRANT DELETE ON payments TO {governed.app}", *([keeps] if keeps else []))
        story.read()
        make = story.make.campaign
        monkeypatch.setattr(
            story.make, "campaign", lambda **more: make(policy={"remedies": WATCHED | remedies}, **more)
        )
        order = story.decide(story.grant(governed.app, "payments"), "revoke")
        assert order.watch_days == 7
        return order

    return go


def locked_out(governed: Governed) -> bool:
    with psycopg.connect(governed.admin_url) as admin:
        row = admin.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [governed.app]).fetchone()
    return row == (False,)


def holds(governed: Governed) -> bool:
    with psycopg.connect(governed.admin_url) as admin:
        row = admin.execute("SELECT has_table_privilege(%s, 'payments', 'DELETE')", [governed.app]).fetchone()
    return row == (True,)


def at_its_end(order: Order) -> Any:
    return order.execute_after + SECOND


def test_from_a_decision_over_a_second_person_and_a_freeze_to_a_verified_removal(
    story: Any, governed: Governed, watched: Callable[..., Order], verbs_of: Callable[[Order], list[str]]
) -> None:
    order = watched(second_actions=["revoke"], second_risk="any", second_environment="any")
    assert order.state == OrderState.AWAITING_SECOND
    assert story.carry_out(order).state == OrderState.AWAITING_SECOND

    second = story.make.actor(story.make.person(Role.REVIEWER))
    order = release(order=order, reason="Agreed.", actor=second, now=timezone.now())
    boss = story.make.actor(story.make.person(Role.CAMPAIGN_MANAGER))
    now = timezone.now()
    over = now + timedelta(hours=1)
    windows.create_freeze(reason="year end", starts_at=now, ends_at=over, source=None, actor=boss, now=now)
    assert story.carry_out(order).state == OrderState.PLANNED
    assert not locked_out(governed)

    order = story.carry_out(order, now=over + SECOND)
    assert order.state == OrderState.WATCHING, order.outcome
    assert (locked_out(governed), holds(governed)) == (True, True), "locked, and nothing removed"
    story.read()
    assert story.again(order).state == OrderState.WATCHING
    assert story.identity(governed.app).status == "disabled"
    assert remediation.drain_orders(now=order.execute_after - SECOND) == 0, "not before its day"

    order = story.take_up_again(order, at_its_end(order))
    assert order.state == OrderState.APPLIED, order.outcome
    assert (locked_out(governed), holds(governed)) == (True, False)
    story.read()
    assert story.again(order).state == OrderState.VERIFIED, story.again(order).outcome
    expected = ["planned", "approved", "sent", "watched", "sent", "applied", "verified"]
    assert verbs_of(order) == [f"order.{verb}" for verb in expected]

    restoration = remediation.restore_order(
        order=order, reason="Needed.", days=3, actor=story.actor, now=timezone.now()
    )
    assert Order.objects.filter(restores=order).count() == 2, "the removal and the lock"
    for each in Order.objects.filter(restores=order):
        story.carry_out(each)
    assert (locked_out(governed), holds(governed)) == (False, True)
    story.read()
    assert story.again(restoration).state == OrderState.VERIFIED, story.again(restoration).outcome
    assert story.again(order).state == OrderState.RESTORED


def test_a_protest_takes_the_lock_off_at_once_and_the_removal_does_not_follow(
    story: Any, governed: Governed, watched: Callable[..., Order], verbs_of: Callable[[Order], list[str]]
) -> None:
    order = story.carry_out(watched())
    owner = story.make.person(Role.OWNER)
    stranger = story.make.actor(story.make.person(Role.OWNER))
    Identity.objects.filter(pk=order.identity_id).update(owner=owner)
    now = timezone.now()
    Freeze.objects.create(reason="year end", starts_at=now - DAY, ends_at=now + DAY)
    order = story.again(order)
    assert may_protest(order, story.make.actor(owner)) and not may_protest(order, stranger)
    with pytest.raises(Forbidden):
        protest(order=order, reason="I want it.", actor=stranger, now=now)

    restoration = protest(order=order, reason="The nightly job fails.", actor=story.make.actor(owner), now=now)

    assert story.carry_out(restoration).state == OrderState.APPLIED, "a freeze does not hold it"
    assert (locked_out(governed), holds(governed)) == (False, True)
    later = story.again(order).execute_after + SECOND
    story.take_up_again(order, later)
    assert holds(governed), "protested against, it does not go on"
    story.read()
    order = story.again(order)
    assert (order.state, order.protest_reason) == (OrderState.RESTORED, "The nightly job fails.")
    again = Order.objects.get(action=OrderAction.REVOKE, restores=None, decision=None)
    assert again.execute_after == now + timedelta(days=14)
    assert verbs_of(order)[-2:] == ["order.protested", "order.restored"]
    with pytest.raises(NothingToProtest):
        protest(order=order, reason="Again.", actor=story.make.actor(owner), now=now)


def test_an_identity_that_keeps_other_access_is_not_locked_out(
    story: Any, governed: Governed, watched: Callable[..., Order]
) -> None:
    order = watched(keeps=f"GRANT SELECT ON refunds TO {governed.app}")
    assert Grant.objects.filter(identity=order.identity, retired_at=None).count() > 1
    order = story.carry_out(order)
    assert order.state == OrderState.APPLIED, order.outcome
    assert not locked_out(governed)
    assert "keeps other access" in order.evidence["watch"]["skipped"]


def test_somebody_who_unlocks_or_removes_by_hand_is_noticed(
    story: Any, governed: Governed, watched: Callable[..., Order]
) -> None:
    order = story.carry_out(watched())
    with psycopg.connect(governed.admin_url) as admin:
        admin.execute(f"ALTER ROLE {governed.app} LOGIN CONNECTION LIMIT -1")
    story.read()
    order = story.again(order)
    assert order.state == OrderState.DRIFTED
    assert "unlocked" in order.outcome
    order = remediation.retry_order(order=order, actor=story.actor, now=timezone.now())
    order = story.carry_out(order)
    assert order.state == OrderState.WATCHING, order.outcome
    governed.give(f"REVOKE DELETE ON payments FROM {governed.app}")
    story.read()
    assert story.again(order).state == OrderState.VERIFIED


def test_use_while_locked_out_is_counted_only_where_a_log_was_read(
    story: Any, governed: Governed, watched: Callable[..., Order]
) -> None:
    order = story.carry_out(watched())
    assert uses_since_locked(order) is None
    story.make.window(story.source)
    story.source.usage_windows.update(observed_until=timezone.now() + DAY)
    assert uses_since_locked(order) == 0
    story.make.use(order.identity, "DELETE", "table:x/public/payments")
    order.identity.usages.update(last_seen_at=timezone.now())
    assert uses_since_locked(order) == 1


def test_a_count_is_use_while_locked_out_only_after_a_first_reading(
    story: Any, governed: Governed, watched: Callable[..., Order]
) -> None:
    order = story.carry_out(watched())
    story.make.window(story.source)
    story.source.usage_windows.update(observed_until=timezone.now() + DAY)
    story.make.use(order.identity, "DELETE", "table:x/public/payments")
    seen = order.identity.usages
    seen.update(last_seen_at=timezone.now(), counted_from=timezone.now() - DAY)
    assert uses_since_locked(order) is None, "nobody has counted since the lock"
    story.read()
    assert uses_since_locked(order) == 0, "the first count holds what came before the lock"
    seen.update(last_seen_at=timezone.now())
    assert uses_since_locked(order) == 1


WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'pg_auth_members'::regclass"


class Killed:
    """A worker process that is stopped by a lock which the test holds at the source, and killed there."""

    def __init__(self, governed: Governed, url: str) -> None:
        self.governed, self.url = governed, url

    def run(self, order: Order, at: Any) -> None:
        # The watcher signs in first: signing in reads memberships too.
        with (
            psycopg.connect(self.governed.admin_url, autocommit=True) as watcher,
            psycopg.connect(self.governed.admin_url) as holder,
        ):
            # Whoever reads or changes roles waits.
            holder.execute("LOCK TABLE pg_catalog.pg_auth_members IN ACCESS EXCLUSIVE MODE")
            process = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(order.pk), at.isoformat()],
                env=os.environ | {"DATABASE_URL": self.url},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            deadline = time.monotonic() + 60
            while watcher.execute(WAITING).fetchone() == (0,):
                assert process.poll() is None and time.monotonic() < deadline, "it did not get there"
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture
def killed(story: Any, governed: Governed, committed_db: Any) -> Iterator[Killed]:
    Source.objects.filter(pk=story.source.pk).update(settings=governed.settings | {"lock_timeout": 30})
    yield Killed(governed, committed_db.url)


def test_a_worker_killed_while_locking_out_and_one_while_removing_lose_nothing(
    story: Any,
    governed: Governed,
    watched: Callable[..., Order],
    killed: Killed,
    verbs_of: Callable[[Order], list[str]],
) -> None:
    order = watched()
    killed.run(order, at_its_end(order))
    order = story.again(order)
    assert (order.state, order.stage) == (OrderState.EXECUTING, "lock")
    assert not locked_out(governed)

    order = story.take_up_again(order, order.leased_until + SECOND)
    assert order.state == OrderState.WATCHING, order.outcome
    assert (locked_out(governed), holds(governed)) == (True, True)

    killed.run(order, at_its_end(order))
    order = story.again(order)
    assert (order.state, order.stage) == (OrderState.EXECUTING, "remove")
    order = story.take_up_again(order, order.leased_until + SECOND)
    assert order.state == OrderState.APPLIED, order.outcome
    assert (locked_out(governed), holds(governed)) == (True, False)
    expected = ["planned", "sent", "watched", "sent", "applied"]
    assert verbs_of(order) == [f"order.{verb}" for verb in expected], "each change once"


def test_a_worker_killed_in_a_repeated_attempt_keeps_the_count_and_the_date(
    story: Any, governed: Governed, watched: Callable[..., Order], killed: Killed
) -> None:
    order = watched()
    ready = Source.objects.get(pk=story.source.pk).settings
    Source.objects.filter(pk=story.source.pk).update(settings=ready | {"host": "/nowhere"})
    order = story.carry_out(order)
    assert (order.state, order.attempts, order.stage) == (OrderState.PLANNED, 1, "lock")
    assert order.execute_after > timezone.now() + 5 * SECOND
    assert remediation.drain_orders(now=order.execute_after - SECOND) == 0

    Source.objects.filter(pk=story.source.pk).update(settings=ready)
    killed.run(order, at_its_end(order))
    order = story.again(order)
    assert (order.state, order.attempts) == (OrderState.EXECUTING, 2)
    order = story.take_up_again(order, order.leased_until + SECOND)
    assert order.state == OrderState.WATCHING, order.outcome
