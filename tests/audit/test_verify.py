"""Verification finds what happened behind the trail's back, and names the row."""

import io
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection

from governance.audit.checkpoint import write_checkpoint
from governance.audit.erasure import erase_details
from governance.audit.models import AuditDetail, AuditEvent, AuditHead, AuditLink
from governance.audit.triggers import TRIGGERS
from governance.audit.verify import Report, verify
from governance.kernel.actors import Actor, system_actor

pytestmark = pytest.mark.usefixtures("committed_db", "outside")

MakeEvent = Callable[..., UUID]
Tamper = Callable[..., None]

RECOMPUTE = """
DO $$ DECLARE row record; previous bytea := decode(repeat('00', 32), 'hex'); hash bytea; BEGIN
    FOR row IN SELECT l.seq, e.payload FROM audit_auditlink l JOIN audit_auditevent e ON e.id = l.event_id ORDER BY 1
    LOOP
        hash := sha256(convert_to(row.payload, 'UTF8'));
        UPDATE audit_auditlink SET payload_hash = hash, prev_hash = previous,
            leaf_hash = sha256('\\x00'::bytea || convert_to(row.payload, 'UTF8')),
            entry_hash = audit_chain_step(NULL, previous, row.seq, hash) WHERE seq = row.seq;
        previous := audit_chain_step(NULL, previous, row.seq, hash);
        UPDATE audit_audithead SET seq = row.seq, entry_hash = previous;
    END LOOP;
END $$;
"""


@pytest.fixture
def trail(make_event: MakeEvent, now: datetime, outside: Path) -> list[UUID]:
    """Six events, the second with a detail; a checkpoint after the fourth (its record is the fifth)."""
    events = [make_event(reason="because" if number == 1 else "") for number in range(4)]
    write_checkpoint(now=now, actor=system_actor("checkpoint"))
    return [*events, make_event()]


def codes(report: Report) -> set[str]:
    return {problem.code for problem in report.problems}


def test_an_untouched_trail_is_intact(trail: list[UUID]) -> None:
    report = verify()

    assert report.is_intact, report.problems
    assert (report.size, report.events_read, report.checkpoints_matched) == (6, 6, 1)
    assert report.head == bytes(AuditHead.objects.get().entry_hash).hex()


def test_an_empty_trail_is_intact() -> None:
    assert verify().is_intact


def test_an_edited_event_is_named(trail: list[UUID], tamper: Tamper) -> None:
    tamper("UPDATE audit_auditevent SET payload = replace(payload, 'revoke', 'keep') WHERE id = %s", [trail[2]])

    report = verify()

    problem = next(problem for problem in report.problems if problem.code == "payload")
    assert (problem.seq, problem.event_id) == (3, str(trail[2]))
    assert "root" in codes(report)


@pytest.mark.parametrize(
    "change",
    ["verb = 'item.recalled'", "actor_id = 'x'", "subject_id = 'x'", "occurred_at = now()", "subject_kind = 'y'"],
)
def test_an_edited_column_is_found(trail: list[UUID], tamper: Tamper, change: str) -> None:
    tamper(f"UPDATE audit_auditevent SET {change} WHERE id = %s", [trail[0]])

    (problem,) = verify().problems
    assert (problem.code, problem.seq) == ("columns", 1)


def test_a_deleted_event_is_found(trail: list[UUID], tamper: Tamper) -> None:
    tamper("DELETE FROM audit_auditevent WHERE id = %s", [trail[3]])

    assert codes(verify()) == {"missing"}


def test_a_missing_link_is_found(trail: list[UUID], tamper: Tamper) -> None:
    tamper("DELETE FROM audit_auditlink WHERE seq = 3")

    assert codes(verify()) >= {"gap", "chain", "unsealed", "root"}


def test_an_edited_link_is_found(trail: list[UUID], tamper: Tamper) -> None:
    tamper("UPDATE audit_auditlink SET entry_hash = decode(repeat('07', 32), 'hex') WHERE seq = 6")

    assert codes(verify()) == {"entry", "head"}


def test_a_tail_that_was_cut_is_found_by_the_checkpoint(trail: list[UUID], tamper: Tamper) -> None:
    tamper(
        "DELETE FROM audit_auditlink WHERE seq > 2; DELETE FROM audit_auditevent e WHERE NOT EXISTS "
        "(SELECT FROM audit_auditlink l WHERE l.event_id = e.id); UPDATE audit_audithead h SET seq = 2, "
        "entry_hash = (SELECT entry_hash FROM audit_auditlink WHERE seq = 2); DELETE FROM audit_auditcheckpoint"
    )

    assert codes(verify()) == {"cut"}


def test_a_tail_that_was_cut_without_care_is_found_without_a_checkpoint(trail: list[UUID], tamper: Tamper) -> None:
    tamper("DELETE FROM audit_auditlink WHERE seq > 5; DELETE FROM audit_auditevent WHERE id = %s", [trail[4]])

    assert codes(verify()) == {"head"}


def test_a_chain_that_was_recomputed_is_found_by_the_checkpoint_alone(trail: list[UUID], tamper: Tamper) -> None:
    tamper("UPDATE audit_auditevent SET payload = replace(payload, 'revoke', 'keep') WHERE id = %s", [trail[2]])
    tamper(RECOMPUTE)

    assert codes(verify()) == {"root"}


def test_events_swapped_with_a_recomputed_chain_are_found(trail: list[UUID], tamper: Tamper) -> None:
    tamper("UPDATE audit_auditlink SET event_id = gen_random_uuid() WHERE seq = 1")
    tamper("UPDATE audit_auditlink SET event_id = %s WHERE seq = 2", [trail[0]])
    tamper("UPDATE audit_auditlink SET event_id = %s WHERE seq = 1", [trail[1]])
    tamper(RECOMPUTE)

    assert codes(verify()) == {"root"}


def test_an_inserted_event_without_seal_is_found(trail: list[UUID], tamper: Tamper) -> None:
    tamper(
        "INSERT INTO audit_auditevent (id, occurred_at, verb, actor_kind, actor_id, subject_kind, subject_id, payload) "
        "VALUES (gen_random_uuid(), now(), 'item.decided', 'system', 'x', 'item', '1', '{}')"
    )

    assert codes(verify()) == {"unsealed"}


def test_a_sealed_row_that_is_no_record_is_found(trail: list[UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_auditevent (id, occurred_at, verb, actor_kind, actor_id, subject_kind, subject_id, payload) "
            "VALUES (gen_random_uuid(), now(), 'item.decided', 'system', 'x', 'item', '1', '[1]')"
        )

    assert codes(verify()) == {"payload"}


def test_a_guard_that_is_switched_off_is_found(trail: list[UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER audit_event_no_change")

    assert codes(verify()) == {"guard"}


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE audit_auditdetail SET text = '{"reason":"other"}'""",
        "UPDATE audit_auditdetail SET salt = sha256('x')",
        "DELETE FROM audit_auditdetail",
        "UPDATE audit_auditdetail SET event_id = gen_random_uuid()",
    ],
)
def test_a_detail_that_was_changed_or_deleted_is_found(trail: list[UUID], tamper: Tamper, statement: str) -> None:
    tamper(statement)

    assert codes(verify()) == {"detail"}


def test_a_detail_given_to_an_event_without_one_is_found(trail: list[UUID]) -> None:
    AuditDetail.objects.create(event_id=trail[0], salt=b"0", text="{}")

    assert codes(verify()) == {"detail"}


def test_an_erased_detail_leaves_the_trail_intact(trail: list[UUID], actor: Actor, now: datetime) -> None:
    erased = erase_details(event_ids=trail, actor=actor, now=now, reason="request 12")

    report = verify()
    detail = AuditDetail.objects.get(event_id=trail[1])
    assert erased == 1
    assert (detail.text, detail.salt, detail.erased_at) == (None, None, now)
    assert report.is_intact, report.problems
    assert report.details_erased == 1
    assert AuditEvent.objects.filter(verb="detail.erased", subject_id=str(trail[1])).count() == 1


def test_erasing_again_does_nothing(trail: list[UUID], actor: Actor, now: datetime) -> None:
    erase_details(event_ids=trail, actor=actor, now=now, reason="request 12")

    assert erase_details(event_ids=trail, actor=actor, now=now, reason="request 12") == 0


def test_a_forged_checkpoint_file_is_found(trail: list[UUID], outside: Path) -> None:
    path = outside / "4.checkpoint"
    path.write_text(path.read_text().replace("\n4\n", "\n5\n"))
    path.rename(outside / "5.checkpoint")

    assert codes(verify()) == {"checkpoint"}


def test_without_checkpoints_the_report_says_what_that_means(make_event: MakeEvent) -> None:
    make_event()

    report = verify()

    assert report.is_intact
    assert any("would not be noticed" in notice for notice in report.notices)


def test_reading_from_the_checkpoint_reads_the_rest_only(trail: list[UUID]) -> None:
    report = verify(from_checkpoint=True)

    assert report.is_intact, report.problems
    assert (report.read_from, report.events_read, report.size) == (5, 2, 6)
    assert report.root == verify().root


def test_reading_from_the_checkpoint_finds_a_new_edit(trail: list[UUID], tamper: Tamper) -> None:
    tamper("UPDATE audit_auditevent SET payload = replace(payload, 'revoke', 'keep') WHERE id = %s", [trail[4]])

    assert "payload" in codes(verify(from_checkpoint=True))


def test_a_changed_frontier_is_not_believed(trail: list[UUID], tamper: Tamper) -> None:
    tamper("UPDATE audit_auditcheckpoint SET frontier = 'x'")

    report = verify(from_checkpoint=True)

    assert report.is_intact
    assert report.read_from == 1


def test_a_long_trail_is_read_in_pieces(make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("governance.audit.verify.ROWS_PER_READ", 3)
    for _ in range(7):
        make_event()

    assert verify().events_read == 7


def test_at_most_a_hundred_problems_are_listed_and_all_are_counted(trail: list[UUID], tamper: Tamper) -> None:
    report = Report(origin="x")
    for number in range(150):
        report.add("gap", "x", number)

    assert (len(report.problems), report.problem_count) == (100, 150)


def run(*arguments: str) -> tuple[int, str]:
    output = io.StringIO()
    try:
        call_command("verify_audit", *arguments, stdout=output, no_color=True)
    except SystemExit as end:
        return int(end.code or 0), output.getvalue()
    return 0, output.getvalue()


def test_the_command_succeeds_on_an_intact_trail(trail: list[UUID]) -> None:
    code, text = run()

    assert code == 0
    assert "The audit trail is intact." in text


def test_the_command_fails_and_names_the_row_that_was_edited(trail: list[UUID], tamper: Tamper) -> None:
    tamper("UPDATE audit_auditevent SET payload = replace(payload, 'revoke', 'keep') WHERE id = %s", [trail[2]])

    code, text = run()

    assert code == 1
    assert re.search(rf"BROKEN +Event 3 was changed after it was sealed. \[event {trail[2]}\]", text)


def test_the_command_speaks_json(trail: list[UUID], tamper: Tamper) -> None:
    tamper("DELETE FROM audit_auditevent WHERE id = %s", [trail[0]])

    code, text = run("--json")

    report = json.loads(text)
    assert code == 1
    assert report["intact"] is False
    assert report["problems"][0] == {
        "code": "missing",
        "message": "Event 1 is gone; its link is still there.",
        "seq": 1,
        "event_id": str(trail[0]),
    }


def test_the_command_takes_a_key_that_was_kept_elsewhere(
    trail: list[UUID], outside: Path, settings: Any, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.key"
    kept.write_text((outside / "verifier.key").read_text())
    settings.AUDIT_KEY_FILE = tmp_path / "absent.pem"

    code, _ = run("--key", str(kept))

    assert code == 0
    assert not settings.AUDIT_KEY_FILE.exists()


def test_the_chain_survives_a_dump_and_restore_of_its_rows(trail: list[UUID], make_event: MakeEvent) -> None:
    # What a restore looks like to the seal: old rows may carry the number of the transaction that runs now.
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER USER")
        cursor.execute("UPDATE audit_auditevent SET xact = (pg_current_xact_id()::text::bigint + 4)::text::xid8")
        cursor.execute("ALTER TABLE audit_auditevent ENABLE TRIGGER USER")
        for trigger in TRIGGERS:
            if trigger.table == "audit_auditevent":
                cursor.execute(f"ALTER TABLE audit_auditevent ENABLE ALWAYS TRIGGER {trigger.name}")
    for _ in range(10):
        make_event()

    assert verify().is_intact
    assert AuditLink.objects.count() == 16
