"""Checkpoints extend each other, stand outside the database, and are refused when the trail does not fit them."""

import base64
import stat
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connections

from governance.audit import checkpoint as checkpoints
from governance.audit import tasks
from governance.audit.checkpoint import CheckpointRefused, write_checkpoint, write_due_checkpoint
from governance.audit.keys import KeyUnusable, load_or_create_key
from governance.audit.models import AuditCheckpoint, AuditEvent, AuditLink
from governance.audit.notes import (
    BadNote,
    open_checkpoint,
    read_verifier_key,
    sign_checkpoint,
    verifier_key,
)
from governance.kernel.actors import system_actor

pytestmark = pytest.mark.usefixtures("committed_db")

MakeEvent = Callable[..., UUID]
SIGNER = system_actor("checkpoint")


def sign(now: datetime) -> Any:
    return write_checkpoint(now=now, actor=SIGNER)


def public_key(settings: Any) -> Any:
    return load_or_create_key(settings.AUDIT_KEY_FILE).public_key()


def test_a_checkpoint_is_written_outside_in_the_c2sp_form(
    make_event: MakeEvent, outside: Path, settings: Any, now: datetime
) -> None:
    for _ in range(3):
        make_event()

    checkpoint = sign(now)

    text = (outside / "3.checkpoint").read_text()
    origin, size, root, empty, signature = text.splitlines()
    assert (origin, size, empty) == ("test.example/audit/1", "3", "")
    assert base64.b64decode(root) == checkpoint.root
    assert signature.startswith("— test.example/audit/1 ")
    assert (outside / "latest").read_text() == text
    assert open_checkpoint(text, public_key(settings)) == checkpoint


def test_the_public_half_of_the_key_lies_beside_the_checkpoints(
    make_event: MakeEvent, outside: Path, settings: Any, now: datetime
) -> None:
    make_event()
    sign(now)

    key = read_verifier_key((outside / "verifier.key").read_text())

    assert open_checkpoint((outside / "latest").read_text(), key).size == 1


def test_the_root_is_that_of_rfc_9162(make_event: MakeEvent, outside: Path, now: datetime) -> None:
    from hashlib import sha256

    for _ in range(3):
        make_event()
    a, b, c = (
        sha256(b"\0" + AuditEvent.objects.get(id=link.event_id).payload.encode()).digest()
        for link in AuditLink.objects.order_by("seq")
    )

    checkpoint = sign(now)

    assert checkpoint.root == sha256(b"\1" + sha256(b"\1" + a + b).digest() + c).digest()


def test_signing_is_recorded_and_alone_is_no_reason_to_sign_again(
    make_event: MakeEvent, outside: Path, now: datetime
) -> None:
    make_event()
    assert sign(now).size == 1

    assert AuditEvent.objects.filter(verb="checkpoint.signed").count() == 1
    assert sign(now) is None
    assert sign(now + timedelta(days=1)) is None
    assert [path.name for path in outside.glob("*.checkpoint")] == ["1.checkpoint"]


def test_an_empty_trail_is_not_signed(outside: Path, now: datetime) -> None:
    assert sign(now) is None
    assert not outside.exists()


def test_each_checkpoint_continues_the_one_before(
    make_event: MakeEvent, outside: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_event()
    sign(now)
    make_event()
    read: list[int] = []
    original = checkpoints.read_sealed

    def watch(**bounds: Any) -> Any:
        for row in original(**bounds):
            read.append(row.seq)
            yield row

    monkeypatch.setattr(checkpoints, "read_sealed", watch)

    assert sign(now).size == 3
    assert read == [2, 3]


def test_a_checkpoint_is_due_when_the_interval_has_passed(
    make_event: MakeEvent, outside: Path, settings: Any, now: datetime
) -> None:
    settings.AUDIT_CHECKPOINT_INTERVAL = timedelta(minutes=5)
    make_event()
    assert write_due_checkpoint(now=now, actor=SIGNER)
    make_event()

    assert write_due_checkpoint(now=now + timedelta(minutes=4), actor=SIGNER) is None
    assert write_due_checkpoint(now=now + timedelta(minutes=4, seconds=30), actor=SIGNER)


def test_a_shortened_trail_is_not_signed(
    make_event: MakeEvent, outside: Path, tamper: Callable[..., None], now: datetime
) -> None:
    for _ in range(3):
        make_event()
    sign(now)
    tamper(
        "DELETE FROM audit_auditlink WHERE seq > 1; DELETE FROM audit_auditevent e WHERE NOT EXISTS "
        "(SELECT FROM audit_auditlink l WHERE l.event_id = e.id); UPDATE audit_audithead h SET seq = 1, "
        "entry_hash = (SELECT entry_hash FROM audit_auditlink WHERE seq = 1); DELETE FROM audit_auditcheckpoint"
    )

    with pytest.raises(CheckpointRefused, match="3 events was signed, but the database holds 1"):
        sign(now)


def test_a_restored_backup_that_grew_again_is_not_signed(
    make_event: MakeEvent, outside: Path, tamper: Callable[..., None], now: datetime
) -> None:
    for _ in range(3):
        make_event()
    sign(now)
    tamper("TRUNCATE audit_auditlink, audit_auditevent, audit_auditcheckpoint, audit_auditdetail")
    tamper("UPDATE audit_audithead SET seq = 0, entry_hash = decode(repeat('00', 32), 'hex')")
    for _ in range(8):
        make_event()

    with pytest.raises(CheckpointRefused, match="first 3 events are not the ones that were signed"):
        sign(now)


def test_a_changed_new_event_is_not_signed(
    make_event: MakeEvent, outside: Path, tamper: Callable[..., None], now: datetime
) -> None:
    make_event()
    sign(now)
    event = make_event()
    tamper("UPDATE audit_auditevent SET payload = replace(payload, 'revoke', 'keep') WHERE id = %s", [event])

    with pytest.raises(CheckpointRefused, match="Event 3 of the trail was changed"):
        sign(now)


def test_a_file_without_its_row_is_adopted_when_it_is_true(
    make_event: MakeEvent, outside: Path, tamper: Callable[..., None], now: datetime
) -> None:
    make_event()
    sign(now)
    tamper("DELETE FROM audit_auditcheckpoint")
    make_event()

    assert sign(now).size == 3
    assert sorted(AuditCheckpoint.objects.values_list("size", flat=True)) == [1, 3]


def test_a_folder_of_another_log_is_refused(make_event: MakeEvent, outside: Path, settings: Any, now: datetime) -> None:
    make_event()
    sign(now)
    settings.AUDIT_ORIGIN = "test.example/audit/2"
    make_event()

    with pytest.raises(CheckpointRefused, match=r"holds checkpoints of test.example/audit/1"):
        sign(now)


def test_a_new_epoch_in_a_new_folder_is_signed(
    make_event: MakeEvent, outside: Path, settings: Any, now: datetime, tmp_path: Path
) -> None:
    make_event()
    sign(now)
    settings.AUDIT_ORIGIN = "test.example/audit/2"
    settings.AUDIT_CHECKPOINT_DIR = tmp_path / "second"
    make_event()

    assert sign(now).size == 3


@pytest.mark.parametrize("text", ["", "nonsense", "a\n1\nAAAA\n\n— a AAAA\n", "\x00" * 50])
def test_an_unreadable_newest_checkpoint_stops_signing(
    make_event: MakeEvent, outside: Path, now: datetime, text: str
) -> None:
    make_event()
    sign(now)
    make_event()
    (outside / "99.checkpoint").write_text(text)

    with pytest.raises(CheckpointRefused, match="cannot be trusted"):
        sign(now)


def test_a_checkpoint_of_another_key_stops_signing(
    make_event: MakeEvent, outside: Path, settings: Any, now: datetime
) -> None:
    make_event()
    forged = sign_checkpoint(origin=settings.AUDIT_ORIGIN, size=1, root=bytes(32), key=Ed25519PrivateKey.generate())
    outside.mkdir()
    (outside / "1.checkpoint").write_text(forged.note)

    with pytest.raises(CheckpointRefused, match="expected key has not signed"):
        sign(now)


def test_a_place_that_cannot_be_written_is_said_and_nothing_is_kept(
    make_event: MakeEvent, outside: Path, now: datetime
) -> None:
    make_event()
    outside.write_text("a file where the folder should be")

    with pytest.raises(CheckpointRefused, match="cannot be written to"):
        sign(now)
    assert not AuditCheckpoint.objects.exists()


def test_the_background_task_survives_a_refusal(
    make_event: MakeEvent, outside: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_event()
    outside.write_text("a file where the folder should be")

    tasks.write_due_checkpoint()

    assert "checkpoint_refused" in caplog.text


def test_the_background_tasks_sign(make_event: MakeEvent, outside: Path) -> None:
    make_event()
    tasks.write_due_checkpoint(a_field_of_a_later_version=1)
    make_event()
    tasks.write_checkpoint()

    assert sorted(path.name for path in outside.glob("*.checkpoint")) == ["1.checkpoint", "3.checkpoint"]


def test_signers_at_once_make_one_checkpoint(make_event: MakeEvent, outside: Path, now: datetime) -> None:
    make_event()
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(sign(now))
        except Exception as error:
            results.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results, key=bool)[:3] == [None, None, None]
    assert sorted(results, key=bool)[3].size == 1


def test_the_key_is_made_once_and_for_the_owner_only(outside: Path, settings: Any) -> None:
    first = load_or_create_key(settings.AUDIT_KEY_FILE)
    second = load_or_create_key(settings.AUDIT_KEY_FILE)

    assert first.private_bytes_raw() == second.private_bytes_raw()
    assert stat.S_IMODE(settings.AUDIT_KEY_FILE.stat().st_mode) == 0o600
    assert [path.name for path in settings.AUDIT_KEY_FILE.parent.iterdir()] == ["audit.pem"]


def test_a_broken_key_file_is_named_and_never_replaced(outside: Path, settings: Any) -> None:
    settings.AUDIT_KEY_FILE.parent.mkdir()
    settings.AUDIT_KEY_FILE.write_text("not a key")

    with pytest.raises(KeyUnusable, match=r"audit.pem"):
        load_or_create_key(settings.AUDIT_KEY_FILE)
    assert settings.AUDIT_KEY_FILE.read_text() == "not a key"


def test_a_note_whose_text_was_changed_does_not_open() -> None:
    key = Ed25519PrivateKey.generate()
    note = sign_checkpoint(origin="log.example", size=7, root=bytes(32), key=key).note

    with pytest.raises(BadNote, match="does not fit"):
        open_checkpoint(note.replace("\n7\n", "\n8\n"), key.public_key())


def test_a_note_with_a_witness_signature_still_opens() -> None:
    key, witness = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    note = sign_checkpoint(origin="log.example", size=7, root=bytes(32), key=key).note
    other = sign_checkpoint(origin="witness.example", size=7, root=bytes(32), key=witness).note.splitlines()[-1]

    assert open_checkpoint(f"{note}{other}\n", key.public_key()).size == 7


def test_the_published_example_key_of_c2sp_is_read() -> None:
    line = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

    assert verifier_key("PeterNeumann", read_verifier_key(line)) == line
