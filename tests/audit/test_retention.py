"""Old events leave to an archive whose verification passed, never otherwise, and the proof stays."""

import io
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.utils import Error

from governance.audit import retention
from governance.audit.archive import ArchiveBroken
from governance.audit.checkpoint import write_checkpoint
from governance.audit.holds import UnderHold, lift_hold, place_hold
from governance.audit.log import Subject
from governance.audit.models import AuditArchive, AuditCheckpoint, AuditEvent, AuditLink
from governance.audit.retention import RetentionRefused, archive_due_events, find_due, retire_archived_events
from governance.audit.standalone import remit_verify
from governance.audit.verify import verify
from governance.kernel.actors import Actor, ActorKind, Role, system_actor
from governance.kernel.errors import Conflict, Forbidden

pytestmark = pytest.mark.usefixtures("committed_db", "outside")

MakeEvent = Callable[..., UUID]
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
OLD, OLDER = datetime(2024, 2, 27, tzinfo=UTC), datetime(2024, 1, 5, tzinfo=UTC)
KEPT = datetime(2025, 3, 1, tzinfo=UTC)
HELD_SUBJECT = str(uuid4())


@pytest.fixture
def archives(settings: Any, tmp_path: Path) -> Path:
    settings.AUDIT_RETENTION_MONTHS = 12
    settings.AUDIT_ARCHIVE_DIR = tmp_path / "archives"
    return settings.AUDIT_ARCHIVE_DIR


@pytest.fixture
def old_trail(make_event: MakeEvent, archives: Path) -> None:
    """Four old events (the second with a detail), two that stay, and a checkpoint over all."""
    make_event(now=OLDER)
    make_event(now=OLDER, reason="Nobody calls it.")
    make_event(now=OLD, subject=Subject("identity", HELD_SUBJECT))
    make_event(now=OLD)
    make_event(now=KEPT)
    make_event(now=NOW)
    write_checkpoint(now=NOW, actor=system_actor("checkpoint"))


def archive(actor: Actor) -> AuditArchive:
    return archive_due_events(actor=actor, now=NOW)


def retire(made: AuditArchive, actor: Actor) -> None:
    retire_archived_events(archive_id=made.pk, actor=actor, now=NOW, reason="Rule 7 of the retention plan.")


def check_alone(path: Path, command: str, key: str, *more: str) -> dict[str, Any]:
    report = remit_verify.check(remit_verify.parser().parse_args([command, str(path), "--key", key, *more]))
    return report.as_dict()


@pytest.fixture
def key(outside: Path) -> str:
    return str(outside / "verifier.key")


def test_by_default_everything_stays_for_ever(old_trail: None, actor: Actor, settings: Any) -> None:
    settings.AUDIT_RETENTION_MONTHS = 0

    assert find_due(now=NOW).events == 0
    with pytest.raises(RetentionRefused, match="for ever"):
        archive(actor)


@pytest.mark.parametrize("months", [1, 11, -3])
def test_a_policy_below_twelve_months_is_refused(months: int, old_trail: None, settings: Any) -> None:
    settings.AUDIT_RETENTION_MONTHS = months

    with pytest.raises(RetentionRefused, match="at least 12"):
        find_due(now=NOW)


@pytest.mark.parametrize(("months", "last"), [(12, 4), (13, 4), (24, 4), (25, 2), (26, 0)])
def test_whole_months_older_than_the_policy_are_due(months: int, last: int, old_trail: None, settings: Any) -> None:
    settings.AUDIT_RETENTION_MONTHS = months

    due = find_due(now=NOW)

    assert (due.first, due.last, due.events) == (1, last, last)


def test_what_no_checkpoint_covers_is_not_due(make_event: MakeEvent, archives: Path) -> None:
    make_event(now=OLD)

    assert find_due(now=NOW).events == 0


def test_archived_events_are_proved_by_the_file_alone(old_trail: None, actor: Actor, archives: Path, key: str) -> None:
    made = archive(actor)

    report = check_alone(archives / made.file, "verify-pack", key)
    assert (report["result"], report["events"], report["proved"]) == ("intact", 4, 4)
    assert (made.first_seq, made.last_seq, AuditEvent.objects.count()) == (1, 4, 8)
    assert AuditEvent.objects.filter(verb="archive.verified").count() == 1


def test_after_retiring_contents_are_gone_and_chain_tree_and_checkpoints_hold(
    old_trail: None, actor: Actor, make_event: MakeEvent
) -> None:
    made = archive(actor)
    retire(made, actor)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM audit_auditdetail d JOIN audit_auditlink l USING (event_id) WHERE l.seq < 5"
        )
        assert cursor.fetchone() == (0,)
    assert AuditLink.objects.count() == AuditEvent.objects.count() + 4
    report = verify()
    assert report.is_intact, report.problems
    assert report.events_retired == 4
    assert any(f"4 events, 1 to 4, were retired to archive {made.file}" in notice for notice in report.notices)
    make_event()
    assert write_checkpoint(now=NOW, actor=actor) is not None
    assert verify().is_intact
    (said,) = AuditEvent.objects.filter(verb="events.retired").values_list("payload", flat=True)
    assert json.loads(said)["new"] == {"first_seq": 1, "last_seq": 4, "events": 4}


def test_the_exported_trail_names_retired_events_and_verifies_alone(
    old_trail: None, actor: Actor, tmp_path: Path, outside: Path, key: str
) -> None:
    retire(archive(actor), actor)
    root = verify().root  # the export leaves a record of its own
    call_command("export_audit", str(tmp_path / "trail.jsonl"), stderr=io.StringIO())

    report = check_alone(tmp_path / "trail.jsonl", "verify-trail", key, "--checkpoints", str(outside))

    assert (report["result"], report["retired"], report["checkpoints_matched"]) == ("intact", [[1, 4]], 1)
    assert report["root"] == root


def test_signing_goes_on_when_the_tree_must_be_read_from_its_beginning(
    old_trail: None, actor: Actor, make_event: MakeEvent, tamper: Callable[..., None]
) -> None:
    retire(archive(actor), actor)
    tamper("DELETE FROM audit_auditcheckpoint")
    make_event()

    assert write_checkpoint(now=NOW, actor=actor) is not None
    assert AuditCheckpoint.objects.count() == 2


def test_retiring_a_second_time_takes_what_became_due_since(old_trail: None, actor: Actor) -> None:
    retire(archive(actor), actor)
    later = NOW + timedelta(days=400)
    made = archive_due_events(actor=actor, now=later - timedelta(days=350))

    assert (made.first_seq, made.last_seq) == (5, 5)


def test_an_archive_that_waits_is_used_again(old_trail: None, actor: Actor) -> None:
    assert archive(actor) == archive(actor)


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_without_the_verified_file_nothing_is_retired(
    damage: str, old_trail: None, actor: Actor, archives: Path
) -> None:
    made = archive(actor)
    if damage == "gone":
        shutil.rmtree(archives)
    else:
        (archives / made.file).write_bytes(b"PK")

    with pytest.raises(RetentionRefused, match="not the file that was verified"):
        retire(made, actor)

    assert verify().is_intact


def test_an_archive_whose_verification_fails_is_no_archive(
    old_trail: None, actor: Actor, archives: Path, tamper: Callable[..., None]
) -> None:
    tamper("UPDATE audit_auditevent SET payload = replace(payload, 'revoke', 'keep') WHERE occurred_at = %s", [OLDER])

    with pytest.raises(ArchiveBroken, match="did not pass"):
        archive(actor)

    assert not AuditArchive.objects.exists()
    assert list(archives.iterdir()) == []


def test_a_hold_stops_before_its_first_event_and_is_named(old_trail: None, actor: Actor) -> None:
    hold = place_hold(kind="identity", subject_id=HELD_SUBJECT, reason="Case 9", actor=actor, now=NOW)

    due = find_due(now=NOW)
    assert (due.first, due.last) == (1, 2)
    assert "Case 9" in due.stopped_by
    lift_hold(hold_id=hold.pk, reason="Closed.", actor=actor, now=NOW)
    assert find_due(now=NOW).last == 4


def test_a_hold_placed_after_archiving_still_refuses(old_trail: None, actor: Actor) -> None:
    made = archive(actor)
    place_hold(kind="period", since=OLD - timedelta(days=1), until=OLD + timedelta(days=1), reason="Case 9", actor=actor, now=NOW)  # fmt: skip

    with pytest.raises(UnderHold, match="Case 9"):
        retire(made, actor)

    with pytest.raises(Error, match="under legal hold"), transaction.atomic():
        insert_retirement(made.pk, 4)
    assert verify().events_retired == 0


def insert_retirement(archive_id: UUID, last: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO audit_auditretirement VALUES (%s, %s, now())", [archive_id, last])


def test_the_database_retires_nothing_that_was_not_archived(old_trail: None, actor: Actor) -> None:
    made = archive(actor)

    with pytest.raises(Error, match="no such archive"), transaction.atomic():
        insert_retirement(uuid4(), 4)
    with pytest.raises(Error, match="does not follow"), transaction.atomic():
        insert_retirement(made.pk, 6)
    with pytest.raises(Error, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_auditevent WHERE occurred_at = %s", [OLDER])
    with pytest.raises(Error, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_auditdetail")
    assert AuditEvent.objects.filter(occurred_at__lt=KEPT).count() == 4


@pytest.mark.parametrize(
    ("first", "last", "leaves", "message"),
    [(1, 4, b"x" * 32, "other events"), (2, 4, None, "does not follow"), (1, 6, None, "younger than 12 months")],
)
def test_the_database_believes_no_forged_archive(
    first: int, last: int, leaves: bytes | None, message: str, old_trail: None, make_event: MakeEvent
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sha256(string_agg(leaf_hash, ''::bytea ORDER BY seq)) FROM audit_auditlink WHERE seq BETWEEN %s AND %s", [first, last])  # fmt: skip
        right = cursor.fetchone()[0]
    forged = AuditArchive.objects.create(
        first_seq=first, last_seq=last, leaves=leaves or right, origin="x", checkpoint_size=9, file="x", sha256=b"x", size=1, verified_at=NOW,
    )  # fmt: skip

    with pytest.raises(Error, match=message), transaction.atomic():
        insert_retirement(forged.pk, last)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditarchive SET file = 'x'",
        "DELETE FROM audit_auditarchive",
        "TRUNCATE audit_auditarchive",
        "DELETE FROM audit_auditretirement",
        "UPDATE audit_auditretirement SET last_seq = 5",
        "TRUNCATE audit_auditretirement",
        "DELETE FROM audit_auditevent WHERE occurred_at > '2025-01-01'",
        "DELETE FROM audit_auditlink",
    ],
)
def test_after_retiring_the_guards_stand_as_before(statement: str, old_trail: None, actor: Actor) -> None:
    retire(archive(actor), actor)

    with pytest.raises(Error, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_somebody_faster_is_told_apart_from_a_mistake(old_trail: None, actor: Actor) -> None:
    made = archive(actor)
    retire(made, actor)

    with pytest.raises(Conflict, match="faster"):
        retire(made, actor)


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.CAMPAIGN_MANAGER])
def test_only_administrators_and_the_command_retire(role: Role, old_trail: None, actor: Actor) -> None:
    made = archive(actor)
    somebody = Actor(kind=ActorKind.PERSON, id=str(uuid4()), label="x", roles=frozenset({role}))

    with pytest.raises(Forbidden):
        archive(somebody)
    with pytest.raises(Forbidden):
        retire(made, somebody)


def test_an_archive_that_was_exchanged_later_is_found(old_trail: None, actor: Actor, archives: Path) -> None:
    made = archive(actor)
    retire(made, actor)
    (archives / made.file).write_bytes(b"PK")

    assert {problem.code for problem in verify().problems} == {"archive"}


def test_an_archive_kept_elsewhere_is_said_and_no_problem(old_trail: None, actor: Actor, archives: Path) -> None:
    retire(archive(actor), actor)
    shutil.rmtree(archives)

    report = verify()

    assert report.is_intact
    assert any("is not on this machine" in notice for notice in report.notices)


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command("retire_events", *arguments, stdout=output, no_color=True)
    return output.getvalue()


def test_the_command_says_what_is_due_and_removes_only_with_a_reason(
    old_trail: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    assert "Due: 4 events, 1 to 4" in run()
    assert not AuditArchive.objects.exists()
    assert "Archived and verified" in run("--archive-only")
    assert retention.retired_until() == 0

    assert "Retired 4 events, 1 to 4." in run("--reason", "Rule 7")

    assert retention.retired_until() == 4


def test_the_command_ends_with_a_sentence_when_the_policy_is_wrong(old_trail: None, settings: Any) -> None:
    settings.AUDIT_RETENTION_MONTHS = 3

    with pytest.raises(CommandError, match="at least 12"):
        run()


DAMAGES = {
    "payload": "UPDATE audit_auditevent SET payload = replace(payload, 'revoke', 'keep') WHERE occurred_at = '2025-03-01'",
    "link": "DELETE FROM audit_auditlink WHERE seq = 5",
    "entry": "UPDATE audit_auditlink SET entry_hash = sha256('x') WHERE seq = 5",
    "detail": """UPDATE audit_auditdetail SET text = '{"reason":"other"}'""",
    "no detail": "DELETE FROM audit_auditdetail",
    "tail": "DELETE FROM audit_auditlink WHERE seq > 5",
}


@pytest.mark.parametrize("damage", ["", *DAMAGES])
def test_both_verifiers_agree_on_the_same_damage(
    damage: str, old_trail: None, tamper: Callable[..., None], tmp_path: Path, outside: Path, key: str
) -> None:
    if damage:
        tamper(DAMAGES[damage])
    ours = verify()

    call_command("export_audit", str(tmp_path / "trail.jsonl"), stderr=io.StringIO())
    alone = check_alone(tmp_path / "trail.jsonl", "verify-trail", key, "--checkpoints", str(outside), "--jobs", "1")

    assert alone["intact"] is ours.is_intact is (not damage)
    assert alone["root"] == ours.root or damage
    # Without the database nobody can tell a changed event from a changed link of it; the number is the same.
    first = {problem.seq for problem in ours.problems if problem.seq}
    assert {problem["seq"] for problem in alone["problems"]} & (first or {6, 7}) or not damage


def test_an_event_that_somebody_removed_is_not_exported_as_retired(
    old_trail: None, tamper: Callable[..., None], tmp_path: Path
) -> None:
    tamper("DELETE FROM audit_auditevent WHERE occurred_at = '2025-03-01'")

    with pytest.raises(CommandError, match="Event 5 is gone and was never retired"):
        call_command("export_audit", str(tmp_path / "trail.jsonl"), stderr=io.StringIO())
    assert {problem.code for problem in verify().problems} == {"missing"}
