"""Cut a run anywhere: the inventory is as before or as after, and the run can be repeated."""

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from governance.audit.models import AuditEvent
from governance.kernel.actors import system_actor
from identities.models import Grant, Identity, Source, SyncMode, SyncOrigin, SyncRun, SyncState
from identities.sync import locks, statistics, versions
from identities.sync.receive import receive
from identities.sync.runs import fail_abandoned_runs

ROOT = Path(__file__).resolve().parents[3]
LATER = datetime(2030, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.slow


@pytest.fixture
def source(committed_db: Any, make_source: Any) -> Source:
    return make_source()


def identities(number: int, prefix: str = "i") -> list[bytes]:
    lines = [b'{"type":"identity","id":"%s%d","kind":"bot"}' % (prefix.encode(), n) for n in range(number)]
    return [*lines, b'{"type":"end","records":%d}' % number]


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run `work` on a connection of its own; its result, or what it raised, is put into the list."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


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


class Pausing:
    """Lines that stop in the middle until they are let go."""

    def __init__(self, lines: list[bytes]) -> None:
        self.lines = lines
        self.is_reached, self.may_go_on = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        middle = len(self.lines) // 2
        yield from self.lines[:middle]
        self.is_reached.set()
        assert self.may_go_on.wait(30)
        yield from self.lines[middle:]


def test_two_runs_of_one_source_never_interleave(source: Source, settings: Any) -> None:
    settings.SYNC_WAIT_SECONDS = 20
    slow = Pausing(identities(10))
    first, first_outcome = in_thread(lambda: take_in(source, slow))
    assert slow.is_reached.wait(20)

    second, second_outcome = in_thread(lambda: take_in(source, identities(3)))
    time.sleep(0.5)
    assert SyncRun.objects.count() == 1, "the second waits before it begins"
    slow.may_go_on.set()
    first.join(30)
    second.join(30)

    assert [run.state for run in first_outcome + second_outcome] == [SyncState.APPLIED, SyncState.APPLIED]
    assert Identity.objects.filter(retired_at=None).count() == 3, "the later run has the last word"


def test_a_run_that_waited_long_enough_is_sent_away(source: Source, settings: Any) -> None:
    settings.SYNC_WAIT_SECONDS = 0.3
    slow = Pausing(identities(10))
    first, _ = in_thread(lambda: take_in(source, slow))
    assert slow.is_reached.wait(20)

    with pytest.raises(locks.SyncInProgress):
        take_in(source, identities(3))
    slow.may_go_on.set()
    first.join(30)

    assert Identity.objects.count() == 10


def test_two_sources_do_not_wait_for_each_other(source: Source, make_source: Any, settings: Any) -> None:
    settings.SYNC_WAIT_SECONDS = 0
    slow = Pausing(identities(10))
    first, _ = in_thread(lambda: take_in(source, slow))
    assert slow.is_reached.wait(20)

    other = take_in(make_source("other"), identities(3))
    slow.may_go_on.set()
    first.join(30)

    assert other.state == SyncState.APPLIED


def test_the_same_key_sent_twice_at_once_applies_once(source: Source, settings: Any) -> None:
    settings.SYNC_WAIT_SECONDS = 20
    key = {"idempotency_key": "k", "request_hash": "h"}
    started = [in_thread(lambda: take_in(source, identities(50), **key)) for _ in range(4)]
    for thread, _ in started:
        thread.join(30)

    assert len({outcome[0].pk for _, outcome in started}) == 1
    assert SyncRun.objects.count() == AuditEvent.objects.filter(verb="sync.applied").count() == 1


def backends_of_run() -> list[int]:
    with connection.cursor() as cursor:
        # The view shows the whole server, and other workers' tests run on it too.
        cursor.execute(
            "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in cursor.fetchall()]


def test_killing_the_database_connection_leaves_the_old_state_whole(source: Source, checksums: Any) -> None:
    take_in(source, identities(5))
    before = checksums() | {"audit_auditevent": ""}
    slow = Pausing(identities(10, "other"))
    thread, outcome = in_thread(lambda: take_in(source, slow, idempotency_key="k", request_hash="h"))
    assert slow.is_reached.wait(20)

    with connection.cursor() as cursor:
        for pid in backends_of_run():
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    slow.may_go_on.set()
    thread.join(30)

    assert outcome[0].state == SyncState.FAILED and outcome[0].problem["status"] == 503
    assert checksums() | {"audit_auditevent": ""} == before
    again = take_in(source, identities(10, "other"), idempotency_key="k", request_hash="h")
    assert again.state == SyncState.APPLIED and again.pk != outcome[0].pk
    assert Identity.objects.filter(retired_at=None).count() == 10


def start_import(database_url: str, file: str, **popen: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "manage.py", "import", "aws-production", file, "--complete"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url, "LOG_LEVEL": "ERROR"},
        **popen,
    )


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    pytest.fail("it never came to pass")


def test_kill_9_of_an_import_leaves_the_old_state_and_it_can_be_repeated(
    source: Source, committed_db: Any, checksums: Any, tmp_path: Path
) -> None:
    take_in(source, identities(5))
    before = checksums()
    lines = identities(40_000, "new")
    file = tmp_path / "new.ndjson.gz"
    file.write_bytes(gzip.compress(b"\n".join(lines)))
    process = start_import(committed_db.url, str(file), stdout=subprocess.DEVNULL)
    wait_for(lambda: SyncRun.objects.filter(state=SyncState.RUNNING).exists() and backends_of_run())

    process.send_signal(signal.SIGKILL)
    process.wait(20)

    assert checksums() == before
    wait_for(lambda: not backends_of_run())
    assert fail_abandoned_runs(now=LATER) == 1
    assert SyncRun.objects.filter(state=SyncState.FAILED, problem__code="interrupted").count() == 1
    assert start_import(committed_db.url, str(file), stdout=subprocess.DEVNULL).wait(120) == 0
    assert Identity.objects.filter(retired_at=None).count() == 40_000


@pytest.mark.parametrize(
    "statement",
    ["identities.sync.merge.write", "identities.sync.versions.write_versions", "identities.sync.usage.write_usage"],
)
def test_a_fault_after_any_step_of_writing_undoes_all_of_them(
    statement: str, source: Source, checksums: Any, monkeypatch: Any, records: Any, as_lines: Any
) -> None:
    from django.utils.module_loading import import_string

    take_in(source, as_lines([records.identity("etl"), records.grant("g", "etl")]))
    before = checksums() | {"audit_auditevent": ""}
    real = import_string(statement)

    def failing(**arguments: Any) -> None:
        real(**arguments)
        raise OperationalError("the disk is full")

    monkeypatch.setattr(statement, failing)

    run = take_in(source, as_lines([records.identity("bot"), records.grant("h", "bot"), records.usage("bot")]))

    assert run.state == SyncState.FAILED
    assert checksums() | {"audit_auditevent": ""} == before
    assert Grant.objects.get().external_id == "g"


def test_a_living_run_is_not_taken_for_abandoned(source: Source) -> None:
    slow = Pausing(identities(10))
    thread, outcome = in_thread(lambda: take_in(source, slow))
    assert slow.is_reached.wait(20)

    assert fail_abandoned_runs(now=LATER) == 0
    slow.may_go_on.set()
    thread.join(30)

    assert outcome[0].state == SyncState.APPLIED


def test_what_a_dead_process_left_is_ended_by_the_next_run(source: Source) -> None:
    dead = SyncRun.objects.create(
        source=source,
        mode="snapshot",
        origin="api",
        actor_id="x",
        started_at=LATER,
        observed_at=LATER,
        idempotency_key="k",
    )

    run = take_in(source, identities(1), idempotency_key="k", request_hash="h")

    dead.refresh_from_db()
    assert (dead.state, dead.problem["code"], dead.idempotency_key) == (SyncState.FAILED, "interrupted", "")
    assert run.state == SyncState.APPLIED


def test_a_mistake_in_the_middle_ends_the_run_as_failed(source: Source, monkeypatch: Any) -> None:
    monkeypatch.setattr("identities.sync.merge.write", lambda **arguments: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        take_in(source, identities(1))

    assert SyncRun.objects.get().state == SyncState.FAILED
    assert not Identity.objects.exists()


def test_what_follows_a_large_load_is_planned_for_the_rows_that_are_there(
    source: Source, records: Any, as_lines: Any, monkeypatch: Any
) -> None:
    number = statistics.MANY
    lines = as_lines([records.identity(f"i{n}") for n in range(number)])
    with monkeypatch.context() as patch:
        patch.setattr("identities.sync.versions.write_versions", cut_off)
        assert take_in(source, lines).state == SyncState.FAILED
    with connection.cursor() as cursor:
        # What was cut off left pages without a living row: a tiny table, say the statistics.
        cursor.execute("ANALYZE identities_identity")
    seen: list[float] = []
    real = versions.write_versions

    def looking(**arguments: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT reltuples FROM pg_class WHERE oid = 'identities_identity'::regclass")
            seen.extend(cursor.fetchone())
        real(**arguments)

    monkeypatch.setattr("identities.sync.versions.write_versions", looking)
    assert take_in(source, lines).state == SyncState.APPLIED

    assert seen == [number]


def cut_off(**arguments: Any) -> None:
    raise OperationalError("the connection is gone")
