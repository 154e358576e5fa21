"""An order is carried out once, whoever dies, hurries or comes late."""

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from identities.models import Credential, Source
from reviews import remediation
from reviews.models import Order, OrderAction
from reviews.remediation.retrying import NothingToRetry
from reviews.states import OrderState
from tests.plugins.governed import CONNECTOR_PASSWORD, PASSWORD, PASSWORD_FILE, Governed

ONCE = ["order.planned", "order.sent", "order.applied"]
HOUR = timedelta(hours=1)
MAX_ATTEMPTS = 8


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def in_thread(order: Order, **at: Any) -> None:
    """What another worker does at the same time."""
    try:
        remediation.execute_order(order_id=str(order.pk), **at)
    finally:
        connection.close()


@pytest.fixture
def order(story: Any, governed: Governed) -> Order:
    """A planned revocation of SELECT on payments."""
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    return story.decide(story.grant(governed.app), "revoke")


def test_carrying_out_twice_changes_once(
    story: Any, governed: Governed, order: Order, verbs_of: Callable[[Order], list[str]]
) -> None:
    first = story.carry_out(order)
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")

    second = story.carry_out(order)

    assert (second.version, second.evidence) == (first.version, first.evidence)
    assert governed.can("SELECT * FROM payments"), "the second message did nothing"
    assert verbs_of(order) == ONCE


def test_many_workers_at_once_change_once(
    story: Any, governed: Governed, order: Order, verbs_of: Callable[[Order], list[str]]
) -> None:
    with ThreadPoolExecutor(6) as workers:
        for done in [workers.submit(in_thread, order, now=order.execute_after) for _ in range(6)]:
            done.result()

    assert story.again(order).state == OrderState.APPLIED
    assert story.again(order).attempts == 1
    assert verbs_of(order) == ONCE


def test_a_worker_that_comes_back_late_says_nothing(
    story: Any, governed: Governed, verbs_of: Callable[[Order], list[str]]
) -> None:
    Source.objects.filter(pk=story.source.pk).update(settings=governed.settings | {"lock_timeout": 30})
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    order = story.decide(story.grant(governed.app), "revoke")
    with ThreadPoolExecutor(2) as workers, governed.hold("payments") as holder:
        slow = workers.submit(in_thread, order, now=order.execute_after)
        until(lambda: governed.waiting() == 1)
        remediation.execute_order(order_id=str(order.pk), now=order.execute_after)
        assert story.again(order).attempts == 1, "nobody takes it while the lease lasts"
        second = workers.submit(in_thread, order, now=order.execute_after + HOUR)
        until(lambda: governed.waiting() == 2)
        holder.close()
        slow.result(30)
        second.result(30)

    assert story.again(order).state == OrderState.APPLIED
    assert not governed.can("SELECT * FROM payments")
    assert verbs_of(order) == ONCE


def test_two_orders_of_one_grant_take_turns(
    story: Any, governed: Governed, order: Order, verbs_of: Callable[[Order], list[str]]
) -> None:
    other = Order.objects.get(pk=order.pk)
    other.pk, other.decision = None, None
    other._state.adding = True
    other.save(force_insert=True)
    Order.objects.filter(pk=other.pk).update(state=OrderState.EXECUTING, leased_until=order.execute_after + HOUR)

    assert story.carry_out(order, now=order.execute_after).state == OrderState.PLANNED
    assert governed.can("SELECT * FROM payments")
    Order.objects.filter(pk=other.pk).update(state=OrderState.APPLIED)

    assert story.carry_out(order).state == OrderState.APPLIED
    assert verbs_of(order) == ONCE


def test_an_order_whose_every_worker_is_lost_is_given_up(
    story: Any, order: Order, verbs_of: Callable[[Order], list[str]]
) -> None:
    lost = {"state": OrderState.EXECUTING, "attempts": MAX_ATTEMPTS, "leased_until": order.execute_after}
    Order.objects.filter(pk=order.pk).update(**lost)

    given_up = story.carry_out(order)

    assert given_up.state == OrderState.FAILED
    assert "Given up after 8 attempts" in given_up.outcome
    assert verbs_of(order)[-1] == "order.failed"


def test_a_source_that_does_not_answer_is_tried_again_and_again_but_not_for_ever(
    story: Any, governed: Governed, order: Order, verbs_of: Callable[[Order], list[str]]
) -> None:
    away = governed.settings | {"host": "/nowhere"}
    Source.objects.filter(pk=story.source.pk).update(settings=away)
    waits = []

    waiting = order
    for attempt in range(1, MAX_ATTEMPTS):
        waiting = story.carry_out(waiting)
        assert waiting.state == OrderState.PLANNED
        assert waiting.outcome.startswith(f"Attempt {attempt} of 8 failed and is repeated. Could not connect")
        waits.append((waiting.execute_after - timezone.now()).total_seconds())
    failed = story.carry_out(waiting)

    assert waits == sorted(waits) and 5 < waits[0] <= 10 and waits[-1] > 450
    assert failed.state == OrderState.FAILED
    assert verbs_of(order).count("order.failed") == MAX_ATTEMPTS
    assert remediation.drain_orders(now=timezone.now() + 1000 * HOUR) == 0, "until somebody tries again"

    Source.objects.filter(pk=story.source.pk).update(settings=governed.settings)
    remediation.retry_order(order=failed, actor=story.actor, now=timezone.now())
    assert story.carry_out(story.again(order)).state == OrderState.APPLIED
    assert not governed.can("SELECT * FROM payments")


def test_a_source_that_is_away_while_somebody_decides_is_asked_later(story: Any, governed: Governed) -> None:
    governed.give(f"GRANT SELECT ON payments TO {governed.app}")
    story.read()
    Source.objects.filter(pk=story.source.pk).update(settings=governed.settings | {"host": "/nowhere"})

    order = story.decide(story.grant(governed.app), "revoke")

    assert (order.state, order.plan) == (OrderState.PLANNED, None)
    assert "Could not connect" in order.outcome
    Source.objects.filter(pk=story.source.pk).update(settings=governed.settings)
    assert story.carry_out(order).state == OrderState.APPLIED


def test_only_those_who_decide_try_again_and_only_what_has_stopped(story: Any, order: Order, make: Any) -> None:
    with pytest.raises(NothingToRetry):
        remediation.retry_order(order=order, actor=story.actor, now=timezone.now())
    with pytest.raises(Forbidden):
        remediation.retry_order(order=order, actor=make.actor(make.person(Role.OWNER)), now=timezone.now())


@pytest.mark.parametrize("secret", ["", "wrong-secret-81"], ids=["missing", "wrong"])
def test_no_secret_shows_in_plans_outcomes_logs_or_the_trail(
    story: Any, governed: Governed, order: Order, tmp_path: Path, secret: str, capfd: Any, caplog: Any
) -> None:
    (tmp_path / PASSWORD_FILE).write_text(secret)
    waiting = story.carry_out(order)
    assert waiting.state == OrderState.PLANNED and waiting.outcome.startswith("Attempt 1 of 8 failed")
    (tmp_path / PASSWORD_FILE).write_text(CONNECTOR_PASSWORD)
    assert story.carry_out(waiting).state == OrderState.APPLIED
    story.read()

    kept = [json.dumps(row, default=str) for row in Order.objects.values()]
    kept += AuditEvent.objects.values_list("payload", flat=True)
    kept += [*capfd.readouterr(), caplog.text]
    for text in kept:
        for value in (CONNECTOR_PASSWORD, PASSWORD, "wrong-secret-81"):
            assert value not in text


@pytest.mark.parametrize(
    ("plan", "state", "words"),
    [
        ({"nonsense": True}, OrderState.PLANNED, "The connector stopped unexpectedly (KeyError)."),
        ({"post_hash": "0" * 64}, OrderState.BLOCKED, "The stored plan is not what was planned"),
    ],
)
def test_a_damaged_plan_is_not_carried_out(
    story: Any, governed: Governed, order: Order, plan: dict[str, Any], state: OrderState, words: str
) -> None:
    damaged = plan if "nonsense" in plan else order.plan | plan
    Order.objects.filter(pk=order.pk).update(plan=damaged)

    stopped = story.carry_out(order)

    assert stopped.state == state
    assert words in stopped.outcome and "Traceback" not in stopped.outcome
    assert governed.can("SELECT * FROM payments")


@pytest.fixture
def frozen_session(governed: Governed) -> Any:
    """A session whose server process does not react to anything until `SIGCONT`; yields its process id."""
    session = governed.sign_in()
    pid = session.info.backend_pid
    os.kill(pid, signal.SIGSTOP)
    yield pid
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    session.close()


@pytest.mark.slow
def test_a_session_that_does_not_end_keeps_the_order_open(
    story: Any, governed: Governed, frozen_session: int, verbs_of: Callable[[Order], list[str]]
) -> None:
    story.read()
    credential = Credential.objects.get(source=story.source, identity__external_id=governed.app)

    order = story.carry_out(story.decide(credential, "deactivate"))
    assert order.state == OrderState.PARTIAL
    assert "1 open sessions did not end" in order.outcome
    story.read()
    assert story.again(order).state == OrderState.SESSIONS_REMAIN

    os.kill(frozen_session, signal.SIGCONT)
    until(lambda: not governed.ask("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", frozen_session))
    story.read()
    assert story.again(order).state == OrderState.VERIFIED
    assert verbs_of(order)[2:] == ["order.partial", "order.sessions_remain", "order.verified"]


@pytest.mark.slow
def test_trying_a_partial_order_again_ends_the_sessions(story: Any, governed: Governed, frozen_session: int) -> None:
    story.read()
    credential = Credential.objects.get(source=story.source, identity__external_id=governed.app)
    order = story.carry_out(story.decide(credential, "deactivate"))
    plan = order.plan
    os.kill(frozen_session, signal.SIGCONT)

    remediation.retry_order(order=order, actor=story.actor, now=timezone.now())
    order = story.carry_out(story.again(order))

    assert (order.state, order.plan) == (OrderState.APPLIED, plan)


def test_a_locked_out_identity_can_neither_stay_nor_come_back_in(story: Any, governed: Governed) -> None:
    story.read()
    identity = story.identity(governed.app)
    session = governed.sign_in()
    order = Order.objects.create(
        source=story.source, identity=identity, action=OrderAction.QUARANTINE, execute_after=timezone.now()
    )

    order = story.carry_out(order)

    assert order.state == OrderState.APPLIED, order.outcome
    with pytest.raises(psycopg.OperationalError), session:
        session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        governed.sign_in()
    story.read()
    assert story.again(order).state == OrderState.VERIFIED
    governed.run(f"ALTER ROLE {governed.app} LOGIN CONNECTION LIMIT -1")
    story.read()
    assert story.again(order).state == OrderState.REAPPEARED
