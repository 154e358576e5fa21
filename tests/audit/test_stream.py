"""The decision log: appended without a lock, chained in batches without gaps, anchored in the trail, verified."""

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError, connection, connections, transaction

from governance.audit import stream_triggers, tasks
from governance.audit.models import AuditEvent
from governance.audit.stream import Batch, Line, append, lag, seal_pending
from governance.audit.verify import verify
from governance.kernel.actors import system_actor
from governance.kernel.merkle import leaf_hash, root

pytestmark = pytest.mark.usefixtures("committed_db", "outside")

SEALER = system_actor("decision-log")


def lines(number: int, now: datetime, start: int = 0) -> list[Line]:
    return [Line(now, "decision", {"n": n, "answer": "deny"}) for n in range(start, start + number)]


def seal(now: datetime) -> Batch | None:
    return seal_pending(now=now, actor=SEALER)


def fetch(statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def other() -> psycopg.Connection[Any]:
    given = connection.get_connection_params()
    return psycopg.connect(
        **{key: given[key] for key in ("dbname", "user", "password", "host", "port") if given.get(key)}
    )


def test_lines_are_chained_and_anchored_by_one_event(now: datetime) -> None:
    ids = append(lines(3, now))
    batch = seal(now)

    payloads = [payload for (payload,) in fetch("SELECT payload FROM audit_stream ORDER BY ordinal")]
    assert [json.loads(payload)["id"] for payload in payloads] == [str(line_id) for line_id in ids]
    entry = sha256(b"stream.v1").digest()
    for seq, payload in enumerate(payloads, 1):
        entry = sha256(b"chain.v1\0" + entry + seq.to_bytes(8, "big") + sha256(payload.encode()).digest()).digest()
    assert batch == Batch(1, 1, 3, root([leaf_hash(payload.encode()) for payload in payloads]), entry)
    (event,) = AuditEvent.objects.filter(verb="decision_log.sealed")
    assert json.loads(event.payload)["new"] == {
        "batch": 1, "count": 3, "first": 1, "last": 3, "root": batch.root.hex(), "entry_hash": entry.hex(),
    }  # fmt: skip


def test_nothing_is_sealed_twice_and_nothing_is_recorded_for_nothing(now: datetime) -> None:
    assert seal(now) is None
    append(lines(2, now))
    assert seal(now).lines == 2
    assert seal(now) is None
    append(lines(1, now))
    assert seal(now).first == 3
    assert AuditEvent.objects.count() == 2


def test_a_line_that_commits_late_is_sealed_after_those_with_greater_numbers(now: datetime) -> None:
    with other() as late:
        late.execute("INSERT INTO audit_stream (payload) VALUES ('{\"late\":1}')")
        for _ in range(3):
            append(lines(1, now))
            assert seal(now).lines == 1
        assert fetch("SELECT floor FROM audit_streambatch ORDER BY number DESC LIMIT 1") == [(0,)]
        late.commit()

    assert seal(now).lines == 1
    ordinals = [ordinal for (ordinal,) in fetch("SELECT ordinal FROM audit_streamlink ORDER BY seq")]
    assert ordinals == [*sorted(ordinals)[1:], min(ordinals)]
    assert len(ordinals) == 4
    assert verify().is_intact


def test_the_floor_follows_once_older_writers_have_ended(now: datetime) -> None:
    # Writers anywhere on the server count, also tests beside this one that stay in one transaction for a minute.
    floor, until = 0, time.monotonic() + 300
    while not floor and time.monotonic() < until:
        append(lines(1, now))
        seal(now)
        ((floor,),) = fetch("SELECT floor FROM audit_streambatch ORDER BY number DESC LIMIT 1")
        time.sleep(0.01)

    assert floor > 0
    assert verify().is_intact


def test_a_rolled_back_line_leaves_no_gap(now: datetime) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        append(lines(2, now))
        raise ZeroDivisionError
    append(lines(2, now))

    assert (seal(now).first, seal(now)) == (1, None)
    assert fetch("SELECT seq FROM audit_streamlink ORDER BY seq") == [(1,), (2,)]


def test_a_full_batch_leaves_the_rest_to_the_next(now: datetime) -> None:
    most = stream_triggers.MOST_PER_BATCH
    append(lines(most + 5, now))

    assert lag().sentence == f"sealed through #0; {most + 5} pending"
    tasks.seal_stream()

    assert fetch("SELECT first, last FROM audit_streambatch ORDER BY number") == [(1, most), (most + 1, most + 5)]
    assert (lag().sealed, lag().pending) == (most + 5, 0)


def test_a_restored_dump_is_sealed_on(now: datetime) -> None:
    """Numbers of transactions of another life of the database lie in the future; lines are found all the same."""
    append(lines(2, now))
    seal(now)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_streambatch DISABLE TRIGGER USER")
        cursor.execute("UPDATE audit_streambatch SET seen_xact = '4611686018427387904'")
        cursor.execute("ALTER TABLE audit_streambatch ENABLE ALWAYS TRIGGER audit_streambatch_seal")
    for _ in range(3):
        append(lines(1, now))
        assert seal(now).lines == 1

    floors = [floor for (floor,) in fetch("SELECT floor FROM audit_streambatch ORDER BY number")]
    assert floors[:2] == [0, 0]
    (now_lives,) = fetch(
        "SELECT max(seen_xact::text::numeric) < 2::numeric ^ 62 FROM audit_streambatch WHERE number > 1"
    )
    assert now_lives == (True,)


def test_writers_and_sealers_at_once_leave_no_gap_and_no_fork(now: datetime) -> None:
    errors: list[Exception] = []
    is_done = threading.Event()

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    def write() -> None:
        for number in range(10):
            append(lines(1 + number % 3, now))

    def go_on_sealing() -> None:
        while not is_done.is_set():
            seal(now)

    sealers = [threading.Thread(target=run, args=[go_on_sealing]) for _ in range(2)]
    writers = [threading.Thread(target=run, args=[write]) for _ in range(6)]
    for thread in [*sealers, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    is_done.set()
    for thread in sealers:
        thread.join()
    seal(now)

    assert errors == []
    assert fetch("SELECT count(*), min(seq), max(seq) FROM audit_streamlink") == [(114, 1, 114)]
    report = verify()
    assert (report.problems, report.lines_sealed, report.lines_pending) == ([], 114, 0)


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_stream SET payload = '{}'",
        "DELETE FROM audit_stream",
        "TRUNCATE audit_stream",
        "INSERT INTO audit_stream (payload, xact) VALUES ('{}', '3')",
        "INSERT INTO audit_streamlink VALUES (9, 9, '')",
        "UPDATE audit_streamlink SET seq = 9",
        "DELETE FROM audit_streamlink",
        "TRUNCATE audit_streamlink",
        "UPDATE audit_streambatch SET last = 9",
        "DELETE FROM audit_streambatch",
        "TRUNCATE audit_streambatch",
    ],
)
def test_the_database_refuses(now: datetime, statement: str, role: str) -> None:
    append(lines(1, now))
    seal(now)

    with pytest.raises(ProgrammingError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL session_replication_role = {role}")
        cursor.execute(statement)

    assert refusal.value.__cause__.sqlstate == "42501"


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (
            "UPDATE audit_stream SET payload = replace(payload, 'deny', 'permit') WHERE ordinal = {second}",
            "stream-line",
        ),
        ("DELETE FROM audit_stream WHERE ordinal = {second}", "stream-line"),
        ("DELETE FROM audit_streamlink WHERE seq > 2", "stream-cut"),
        ("DELETE FROM audit_streamlink WHERE seq = 2", "stream-cut"),
        ("UPDATE audit_streamlink SET entry_hash = sha256('x') WHERE seq = 3", "stream-root"),
        ("INSERT INTO audit_streamlink SELECT 6, 99, entry_hash FROM audit_streamlink WHERE seq = 1", "stream-anchor"),
        (
            "INSERT INTO audit_stream (ordinal, payload) OVERRIDING SYSTEM VALUE VALUES (-1, '{{}}')",
            "stream-unsealed",
        ),
    ],
)
def test_verification_names_what_was_done_to_the_log(now: datetime, damage: str, code: str) -> None:
    for start in (0, 3):
        append(lines(3 - start // 2, now, start))
        seal(now)
    assert verify().is_intact
    with transaction.atomic(), connection.cursor() as cursor:
        tables = stream_triggers.NAMES
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(damage.format(second="(SELECT ordinal FROM audit_streamlink WHERE seq = 2)"))
        for trigger in stream_triggers.TRIGGERS:
            cursor.execute(f"ALTER TABLE {trigger.table} ENABLE ALWAYS TRIGGER {trigger.name}")

    assert code in {problem.code for problem in verify().problems}


def test_a_log_that_was_rewritten_as_a_whole_is_found_by_the_trail(now: datetime, outside: Path) -> None:
    append(lines(3, now))
    seal(now)
    with transaction.atomic(), connection.cursor() as cursor:
        for table in stream_triggers.NAMES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute("UPDATE audit_stream SET payload = replace(payload, 'deny', 'permit')")
        cursor.execute("DELETE FROM audit_streamlink; DELETE FROM audit_streambatch")
        for trigger in stream_triggers.TRIGGERS:
            cursor.execute(f"ALTER TABLE {trigger.table} ENABLE ALWAYS TRIGGER {trigger.name}")
        cursor.execute("INSERT INTO audit_streambatch DEFAULT VALUES")

    assert {problem.code for problem in verify().problems} == {"stream-root"}
