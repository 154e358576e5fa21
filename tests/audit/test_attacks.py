"""The trail as an attacker meets it: what is refused, and what is found and named afterwards.

Five attackers, each with more rights than the one before: a session of the application, the owner of the tables, the
owner with the triggers switched off, a superuser who pretends to replay a replica, and somebody who rewrites the whole
chain by the rules. The last two of all are not attackers at all: a restored backup, and writers that die.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import ProgrammingError, connection, transaction

from governance.audit import drift, retirement_triggers
from governance.audit.checkpoint import CheckpointRefused, write_checkpoint
from governance.audit.epochs import begin_epoch
from governance.audit.erasure import erase_details
from governance.audit.models import AuditEvent, AuditLink
from governance.audit.rights import grants_sql
from governance.audit.stream import Line, append, seal_pending
from governance.audit.triggers import TRIGGERS
from governance.audit.verify import verify
from governance.kernel.actors import Actor, system_actor
from tests.audit.test_verify import RECOMPUTE
from tests.audit.writers import start_writing
from tests.database import _copy, _drop, _point_to

pytestmark = pytest.mark.usefixtures("committed_db", "outside")

MakeEvent = Callable[..., UUID]
Tamper = Callable[..., None]
SIGNER = system_actor("checkpoint")
# By hand: REMIT_WRITERS_SECONDS=30 pytest tests/audit/test_attacks.py -k writers
WRITERS_SECONDS = float(os.environ.get("REMIT_WRITERS_SECONDS", "4"))

TRAIL = ("audit_auditevent", "audit_auditlink", "audit_audithead", "audit_auditcheckpoint", "audit_auditdetail")
LOG = ("audit_stream", "audit_streamlink", "audit_streambatch")
COLUMN = {
    "audit_auditevent": "payload = '{}'",
    "audit_auditlink": "seq = seq + 1",
    "audit_audithead": "seq = 1",
    "audit_auditcheckpoint": "size = 1",
    "audit_auditdetail": "text = '{}'",
    "audit_stream": "payload = '{}'",
    "audit_streamlink": "seq = seq + 1",
    "audit_streambatch": "last = 1",
}
REWRITES = [
    statement
    for table in (*TRAIL, *LOG)
    for statement in (f"UPDATE {table} SET {COLUMN[table]}", f"DELETE FROM {table}", f"TRUNCATE {table}")
]


@pytest.fixture
def trail(make_event: MakeEvent, now: datetime) -> list[UUID]:
    """Four events, the second with a detail, a sealed decision log of two lines, a checkpoint, and one event more."""
    events = [make_event(reason="because" if number == 1 else "") for number in range(4)]
    append([Line(now, "decision", {"n": n}) for n in range(2)])
    seal_pending(now=now, actor=SIGNER)
    write_checkpoint(now=now, actor=SIGNER)
    return [*events, make_event()]


@pytest.fixture
def role(committed_db: Any) -> Iterator[str]:
    """A role without any right yet; what it was given and owns goes back at the end."""
    name = f"{committed_db.name}_role"[-63:]
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE ROLE "{name}" NOSUPERUSER')
    yield name
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute(f'REASSIGN OWNED BY "{name}" TO CURRENT_USER; DROP OWNED BY "{name}"; DROP ROLE "{name}"')


@contextmanager
def acting_as(role: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f'SET ROLE "{role}"')
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")


def own_the_trail(role: str) -> None:
    with connection.cursor() as cursor:
        for table in (*TRAIL, *LOG, "audit_pending"):
            cursor.execute(f'ALTER TABLE {table} OWNER TO "{role}"')
        for function in drift.DEFINERS:
            cursor.execute(f'ALTER FUNCTION {function.name}() OWNER TO "{role}"')


def refused(*statements: str, before: str = "") -> set[str]:
    """Try each statement in a transaction of its own; the SQLSTATEs of the refusals."""
    states = set()
    for statement in statements:
        with pytest.raises(ProgrammingError) as refusal, transaction.atomic(), connection.cursor() as cursor:
            if before:
                cursor.execute(before)
            cursor.execute(statement)
        states.add(refusal.value.__cause__.sqlstate)
    return states


def codes() -> set[str]:
    return {problem.code for problem in verify().problems}


# --- the application's role -------------------------------------------------------------------------------------------


def test_the_application_s_role_writes_signs_and_erases_but_rewrites_nothing(
    trail: list[UUID], role: str, make_event: MakeEvent, actor: Actor, now: datetime
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(grants_sql(role))
    with acting_as(role):
        make_event(reason="because")
        append([Line(now, "decision", {"n": 3})])
        assert seal_pending(now=now, actor=SIGNER).first == 3
        assert write_checkpoint(now=now, actor=SIGNER)
        assert erase_details(event_ids=[trail[1]], actor=actor, now=now, reason="asked") == 1
        assert begin_epoch(actor=actor, now=now, reason="a test").first
        assert refused(*REWRITES) == {"42501"}
        assert refused("ALTER TABLE audit_auditevent DISABLE TRIGGER ALL", "DROP TABLE audit_auditevent") == {"42501"}
        assert refused("SET session_replication_role = replica") == {"42501"}
        assert refused("INSERT INTO audit_auditlink VALUES (99, gen_random_uuid(), '', '', '', '')") == {"42501"}
        assert drift.broken_guards() == []
        assert drift.open_doors() == []
        report = verify()

    assert report.is_intact, report.problems
    assert len(AuditLink.objects.all()) == AuditEvent.objects.count()


# --- the owner of the tables ------------------------------------------------------------------------------------------


def test_the_owner_of_the_tables_is_refused_by_the_triggers(
    trail: list[UUID], role: str, make_event: MakeEvent
) -> None:
    own_the_trail(role)
    with acting_as(role):
        make_event()
        assert refused(*REWRITES) == {"42501"}
        (door,) = drift.open_doors()
        assert "can switch the guards there off" in door


def test_a_superuser_who_replays_a_replica_is_refused_all_the_same(trail: list[UUID]) -> None:
    assert refused(*REWRITES, before="SET LOCAL session_replication_role = replica") == {"42501"}


@pytest.mark.parametrize("way", ["ALL", "USER", "audit_event_no_change"])
def test_switched_off_triggers_are_found_while_they_are_off(trail: list[UUID], way: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE audit_auditevent DISABLE TRIGGER {way}")

    problems = verify().problems
    assert {problem.code for problem in problems} == {"guard"}
    assert any("audit_event_no_change" in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE audit_auditevent SET payload = replace(payload, 'revoke', 'keep') WHERE id = '{first}'", "payload"),
        ("DELETE FROM audit_auditevent WHERE id = '{first}'", "missing"),
        ("DELETE FROM audit_auditlink WHERE seq = 3", "gap"),
        ("TRUNCATE audit_auditevent, audit_auditlink", "cut"),
        ("UPDATE audit_auditdetail SET text = '{{}}'", "detail"),
        ("DELETE FROM audit_auditdetail", "detail"),
        ("UPDATE audit_audithead SET seq = 5", "head"),
        ("UPDATE audit_audithead SET seq = 99", "head"),
        ("DELETE FROM audit_audithead", "head"),
        (
            "INSERT INTO audit_auditevent (id, occurred_at, verb, actor_kind, actor_id, subject_kind, subject_id, "
            "payload) VALUES (gen_random_uuid(), now(), 'item.decided', 'system', 'x', 'item', '1', '{{}}')",
            "unsealed",
        ),
    ],
)
def test_what_was_done_while_the_triggers_were_off_is_named_afterwards(
    trail: list[UUID], tamper: Tamper, statement: str, code: str
) -> None:
    tamper(statement.format(first=trail[0]))

    assert drift.broken_guards() == []
    assert code in codes()


# --- rewriting by the rules -------------------------------------------------------------------------------------------


def test_a_chain_that_was_rewritten_as_a_whole_is_found_by_the_checkpoint_alone(
    trail: list[UUID], tamper: Tamper, now: datetime
) -> None:
    tamper("UPDATE audit_auditevent SET payload = replace(payload, 'revoke', 'keep') WHERE id = %s", [trail[2]])
    tamper(RECOMPUTE)
    tamper("DELETE FROM audit_auditcheckpoint")

    assert codes() == {"root"}
    with pytest.raises(CheckpointRefused, match="not the ones that were signed"):
        write_checkpoint(now=now, actor=SIGNER)


def test_a_cut_tail_is_found_and_not_signed(trail: list[UUID], tamper: Tamper, now: datetime) -> None:
    tamper(
        "DELETE FROM audit_auditlink WHERE seq > 2; DELETE FROM audit_auditevent e WHERE NOT EXISTS "
        "(SELECT FROM audit_auditlink l WHERE l.event_id = e.id); UPDATE audit_audithead h SET seq = 2, "
        "entry_hash = (SELECT entry_hash FROM audit_auditlink WHERE seq = 2); DELETE FROM audit_auditcheckpoint"
    )

    assert "cut" in codes()
    with pytest.raises(CheckpointRefused, match="rows are missing, or an older state was restored"):
        write_checkpoint(now=now, actor=SIGNER)


def test_an_old_backup_is_found_and_goes_on_only_as_a_new_epoch(
    committed_db: Any, make_event: MakeEvent, now: datetime
) -> None:
    make_event()
    write_checkpoint(now=now, actor=SIGNER)
    backup = f"{committed_db.name}_bak"[-63:]
    connection.close()
    _copy(committed_db.name, backup)
    try:
        make_event()
        write_checkpoint(now=now, actor=SIGNER)
        _point_to(backup)

        assert codes() == {"cut"}
        with pytest.raises(CheckpointRefused, match="3 events was signed, but the database holds 2"):
            write_checkpoint(now=now, actor=SIGNER)
        make_event()
        assert codes() == {"root"}
        with pytest.raises(CheckpointRefused, match="first 3 events are not the ones that were signed"):
            write_checkpoint(now=now, actor=SIGNER)
        begun = begin_epoch(actor=SIGNER, now=now, reason="Monday's backup was restored.")

        assert [(fit.fits_to, fit.signed_to) for fit in begun.fits] == [(1, 3)]
        assert verify().is_intact
        assert AuditEvent.objects.count() == 5
    finally:
        _point_to(committed_db.name)
        _drop(backup)


# --- what drifts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("GRANT DELETE ON audit_auditevent TO PUBLIC", "everybody was granted DELETE on audit_auditevent"),
        ('GRANT UPDATE ON audit_auditlink TO "{role}"', "was granted UPDATE on audit_auditlink"),
        ('GRANT UPDATE (payload) ON audit_auditevent TO "{role}"', "was granted UPDATE on audit_auditevent.payload"),
        ('GRANT INSERT ON audit_auditlink TO "{role}"', "was granted INSERT on audit_auditlink"),
        ('GRANT TRIGGER ON audit_auditevent TO "{role}"', "was granted TRIGGER on audit_auditevent"),
        ('ALTER TABLE audit_auditlink OWNER TO "{role}"', "table audit_auditlink belongs to"),
        ('ALTER FUNCTION audit_seal() OWNER TO "{role}"', "function audit_seal belongs to"),
        ("ALTER FUNCTION audit_seal() SECURITY INVOKER", "function audit_seal no longer runs with its owner's rights"),
        ("ALTER FUNCTION audit_seal_stream() SET search_path = evil", "function audit_seal_stream no longer runs"),
        ("CREATE RULE gone AS ON INSERT TO audit_auditevent DO INSTEAD NOTHING", "audit_auditevent has a rewrite rule"),
        ("ALTER TABLE audit_auditevent ENABLE ROW LEVEL SECURITY", "audit_auditevent has row security switched on"),
        ("CREATE TABLE child () INHERITS (audit_auditevent)", "audit_auditevent has a parent or a child"),
        (
            "CREATE TRIGGER sieve BEFORE INSERT ON audit_auditevent FOR EACH ROW EXECUTE FUNCTION "
            "suppress_redundant_updates_trigger()",
            "trigger sieve on audit_auditevent is not one of ours",
        ),
        ("ALTER TABLE audit_stream DISABLE TRIGGER audit_stream_no_change", "switched off"),
    ],
)
def test_what_drifted_is_said(role: str, statement: str, found: str) -> None:
    assert drift.broken_guards() == []
    with connection.cursor() as cursor:
        cursor.execute(statement.format(role=role))

    assert any(found in sentence for sentence in drift.broken_guards())


def test_programs_say_at_their_start_what_drifted_and_start(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    from celery.signals import beat_init, worker_init

    from governance.audit.checks import report_drift
    from governance.console import health

    assert report_drift() == []
    assert health.check_records()["trail"].ok
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER audit_event_seal")

    for signal_ in (worker_init, beat_init):
        caplog.clear()
        signal_.send(sender=None)
        assert "audit_event_seal on audit_auditevent is switched off" in caplog.text
    check = health.check_records()["trail"]
    assert (check.ok, check.detail.split(":")[0]) == (False, "1 guards of the audit trail are not as installed")


def test_a_role_that_should_only_write_and_owns_the_tables_is_said(settings: Any) -> None:
    from governance.audit.checks import report_drift

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        settings.AUDIT_TABLE_OWNER = cursor.fetchone()[0]

    (sentence,) = report_drift()
    assert "can switch" in sentence
    settings.AUDIT_TABLE_OWNER = "somebody_else"
    assert any("not to somebody_else" in sentence for sentence in report_drift())


# --- writers that die -------------------------------------------------------------------------------------------------


def test_eight_writers_of_whom_two_are_killed_leave_one_chain_with_everything_they_were_promised(
    committed_db: Any, now: datetime, tmp_path: Path
) -> None:
    promises = [tmp_path / f"writer-{number}" for number in range(8)]
    # The first two go on until they are killed, however long the second takes to begin.
    seconds = [WRITERS_SECONDS + 600] * 2 + [WRITERS_SECONDS] * 6
    writers = [start_writing(committed_db.url, *each) for each in zip(seconds, promises, strict=True)]
    try:
        latest = time.monotonic() + 120
        while not all(path.exists() and path.stat().st_size for path in promises[:2]):
            assert time.monotonic() < latest, "a writer does not begin"
            seal_pending(now=now, actor=SIGNER)
        for victim in writers[:2]:
            victim.kill()
        latest = time.monotonic() + WRITERS_SECONDS + 120
        while any(writer.poll() is None for writer in writers):
            assert time.monotonic() < latest, "a writer does not end"
            seal_pending(now=now, actor=SIGNER)
            write_checkpoint(now=now, actor=SIGNER)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    while seal_pending(now=now, actor=SIGNER):
        pass

    assert [writer.returncode for writer in writers] == [-signal.SIGKILL] * 2 + [0] * 6
    lines = [line for path in promises for line in path.read_text().splitlines()]
    promised = {UUID(word) for line in lines for word in line.split()}
    sealed = list(AuditLink.objects.order_by("seq").values_list("seq", "event_id"))
    assert [seq for seq, _ in sealed] == list(range(1, len(sealed) + 1))
    assert promised <= {event_id for _, event_id in sealed}
    assert AuditEvent.objects.count() == len(sealed)
    report = verify()
    assert report.is_intact, report.problems
    assert (report.size, report.lines_pending) == (len(sealed), 0)
    assert len(lines) <= report.lines_sealed <= len(lines) + 2  # the killed may have had one that nobody heard of
    print(f"{len(sealed)} events, {report.lines_sealed} lines, {report.checkpoints_matched} checkpoints")


def test_every_table_of_the_trail_has_its_guards() -> None:
    assert {trigger.table for trigger in TRIGGERS} == {*TRAIL, *LOG, *retirement_triggers.NAMES, "audit_pending"}
