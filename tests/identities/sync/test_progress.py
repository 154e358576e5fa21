"""A run says how far it is, and stops when somebody asks."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connections

from governance.audit.models import AuditEvent
from governance.kernel.actors import system_actor
from identities.models import Identity, Source, SyncMode, SyncOrigin, SyncRun, SyncState
from identities.sync import progress
from identities.sync.receive import receive


def identities(number: int) -> list[bytes]:
    lines = [b'{"type":"identity","id":"i%d","kind":"bot"}' % n for n in range(number)]
    return [*lines, b'{"type":"end","records":%d}' % number]


class Slow:
    """Lines that wait in the middle until they are let go."""

    def __init__(self, lines: list[bytes]) -> None:
        self.lines = lines
        self.is_reached, self.may_go_on = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        half = len(self.lines) // 2
        yield from self.lines[:half]
        self.is_reached.set()
        assert self.may_go_on.wait(30)
        yield from self.lines[half:]


def take_in(source: Source, lines: Any, **more: Any) -> SyncRun:
    return receive(
        source=source,
        lines=lines,
        mode=SyncMode.SNAPSHOT,
        is_complete=True,
        origin=SyncOrigin.API,
        actor=system_actor("test"),
        now=datetime.now(UTC),
        **more,
    )


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(progress, "EVERY_LINES", 10)


@pytest.fixture
def running(committed_db: Any, make_source: Any) -> Iterator[tuple[Slow, threading.Thread, list[SyncRun]]]:
    """A run in the middle of its lines, on a connection of its own."""
    source, lines, ended = make_source(), Slow(identities(100)), []

    def work() -> None:
        try:
            ended.append(take_in(source, lines, idempotency_key="once", request_hash="h"))
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    assert lines.is_reached.wait(30)
    yield lines, thread, ended
    lines.may_go_on.set()
    thread.join(30)


def test_others_see_how_far_a_run_is(running: Any) -> None:
    lines, thread, ended = running

    said = SyncRun.objects.get().progress

    assert said["phase"] == "reading"
    assert said["records"] == 50
    assert datetime.fromisoformat(said["at"]).tzinfo is not None
    lines.may_go_on.set()
    thread.join(30)
    assert [run.state for run in ended] == [SyncState.APPLIED]
    assert SyncRun.objects.get().progress is None


def test_a_run_that_is_cancelled_applies_nothing_and_may_be_repeated(running: Any) -> None:
    lines, thread, _ = running
    SyncRun.objects.update(cancel_requested_at=datetime.now(UTC))

    lines.may_go_on.set()
    thread.join(30)

    run = SyncRun.objects.get()
    assert (run.state, run.problem["code"], run.idempotency_key) == (SyncState.CANCELLED, "cancelled", "")
    assert not Identity.objects.exists()
    assert AuditEvent.objects.filter(verb="sync.cancelled").count() == 1
    again = take_in(run.source, identities(100), idempotency_key="once", request_hash="h")
    assert (again.state, Identity.objects.count()) == (SyncState.APPLIED, 100)


def test_a_wish_that_came_too_late_stays_on_the_run(committed_db: Any, make_source: Any, monkeypatch: Any) -> None:
    asked_at = datetime(2026, 11, 23, tzinfo=UTC)
    original = progress.Progress.close

    def close(self: progress.Progress) -> None:
        original(self)
        other = connections["default"].copy()
        with other.cursor() as cursor:
            cursor.execute("UPDATE identities_syncrun SET cancel_requested_at = %s WHERE state = 'running'", [asked_at])
        other.close()

    monkeypatch.setattr(progress.Progress, "close", close)
    take_in(make_source(), identities(5))

    run = SyncRun.objects.get()
    assert (run.state, run.cancel_requested_at) == (SyncState.APPLIED, asked_at)


def test_a_short_run_opens_no_second_connection(db: Any, make_source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_SECONDS", 60.0)
    monkeypatch.setattr(progress.Progress, "_tell", lambda self, **facts: pytest.fail("it told something"))

    assert take_in(make_source(), identities(50)).state == SyncState.APPLIED
