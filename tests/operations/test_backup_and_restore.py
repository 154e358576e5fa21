"""A backup is complete or not there; a restore puts it into an empty place, and the past does not act on the present."""

import json
import shutil
import zipfile
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from governance.audit.checkpoint import write_checkpoint
from governance.audit.lineage import current_epoch
from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from governance.operations import archive
from governance.operations.backup import write_backup
from governance.operations.problems import OperationFailed
from governance.operations.restore import finish_restore, restore
from governance.people.models import ApiToken, MailLink, User
from reviews.models import Order, RestoreHold
from reviews.remediation import drain_orders
from reviews.states import OrderState


def sign_now():
    return write_checkpoint(now=timezone.now(), actor=system_actor("test"))


@pytest.fixture
def installation(folders, committed_db, make):
    """People, a source with one order that is planned and one that a worker holds, a mail link, a session, events."""
    administrator = make.make_person(Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER)
    source = make.make_source(kind="push", next_read_at=make.NOW)
    for state in (OrderState.PLANNED, OrderState.EXECUTING):
        identity = make.make_identity(source)
        Order.objects.create(
            source=source,
            identity=identity,
            grant=make.make_grant(identity),
            action="revoke",
            state=state,
            execute_after=make.NOW,
            leased_until=make.NOW if state == OrderState.EXECUTING else None,
        )
    MailLink.objects.create(
        user=administrator,
        purpose="inbox",
        token_hash="h",
        created_at=make.NOW,
        expires_at=timezone.now() + timedelta(days=1),
        uses_left=5,
    )
    make.write_session(administrator)
    make.write_event()
    sign_now()
    return administrator


def back_up(tmp_path: Path, name: str = "a.backup", **options) -> Path:
    return write_backup(path=tmp_path / name, now=timezone.now(), **options).path


def test_a_restored_installation_is_what_was_backed_up_and_begins_a_new_epoch(
    installation, elsewhere, folders, tmp_path, make
):
    file = back_up(tmp_path)
    make.write_event()  # after the backup, signed outside: this is what a restore loses
    sign_now()
    outside = settings.AUDIT_CHECKPOINT_DIR
    people = set(User.objects.values_list("pk", flat=True))

    with elsewhere():
        place = folders("second")
        shutil.copytree(outside, place.checkpoints)
        shutil.copytree(outside.parent / "keys", place.keys)
        done = restore(path=file, now=timezone.now)

        assert set(User.objects.values_list("pk", flat=True)) == people
        assert done.report.is_intact
        assert current_epoch().origin == "remit.local/audit/2"
        (fit,) = done.epoch.fits
        assert fit.signed_to > fit.fits_to > 0
        assert AuditEvent.objects.filter(verb="installation.restored").count() == 1
        make.write_event()
        assert sign_now().origin == "remit.local/audit/2"


def test_nothing_is_sent_after_a_restore_and_what_was_under_way_is_planned_again(
    installation, elsewhere, folders, tmp_path, make
):
    file = back_up(tmp_path)
    assert drain_orders(now=timezone.now()) == 2

    with elsewhere():
        folders("second")
        done = restore(path=file, now=timezone.now)

        assert (done.held_sources, done.interrupted_orders) == (1, 1)
        assert set(Order.objects.values_list("state", flat=True)) == {"planned"}
        assert drain_orders(now=timezone.now() + timedelta(days=1)) == 0


def test_sessions_links_and_messages_of_the_past_are_ended(installation, elsewhere, folders, tmp_path, make):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pgmq.create('remit'); SELECT pgmq.send('remit', '{}')")
    file = back_up(tmp_path)

    with elsewhere():
        folders("second")
        restore(path=file, now=timezone.now, end_api_tokens=True)

        with connection.cursor() as cursor:
            cursor.execute("SELECT (SELECT count(*) FROM django_session), (SELECT count(*) FROM pgmq.q_remit)")
            assert cursor.fetchone() == (0, 0)
            cursor.execute("SELECT pgmq.send('remit', '{}')")  # the queue itself works
        assert not MailLink.objects.filter(revoked_at=None).exists()
        assert not ApiToken.objects.filter(revoked_at=None).exists()


def test_a_restore_that_was_interrupted_sends_nothing_and_can_be_finished(
    installation, elsewhere, folders, tmp_path, monkeypatch
):
    file = back_up(tmp_path)

    with elsewhere():
        folders("second")
        monkeypatch.setattr("governance.operations.restore._finish", _killed)
        with pytest.raises(KeyboardInterrupt):
            restore(path=file, now=timezone.now)
        monkeypatch.undo()
        folders("second")

        assert not RestoreHold.objects.exists()
        assert drain_orders(now=timezone.now()) == 0
        with pytest.raises(CommandError, match="was interrupted"):
            call_command("prepare")
        with pytest.raises(OperationFailed, match="--finish"):
            restore(path=file, now=timezone.now)

        done = finish_restore(path=file, now=timezone.now)
        assert done.report.is_intact
        assert RestoreHold.objects.count() == 1


def _killed(*args, **kwargs):
    raise KeyboardInterrupt


def test_a_used_database_is_replaced_only_when_asked_and_after_a_backup_of_it(installation, folders, tmp_path, make):
    file = back_up(tmp_path)
    make.make_person(name="Came later")

    with pytest.raises(OperationFailed, match="not empty"):
        restore(path=file, now=timezone.now)
    done = restore(path=file, now=timezone.now, replace_after_backup=tmp_path / "before.backup")

    assert not User.objects.filter(name="Came later").exists()
    with archive.opened(done.saved.path) as before, archive.opened(file) as first:
        assert before.manifest["counts"]["people_user"] == first.manifest["counts"]["people_user"] + 1


def test_a_restore_waits_for_nobody_who_still_works_in_the_database(installation, committed_db, folders, tmp_path):
    file = back_up(tmp_path)

    with psycopg.connect(committed_db.url), pytest.raises(OperationFailed, match="End web, worker and beat"):
        restore(path=file, now=timezone.now, replace_after_backup=tmp_path / "before.backup")

    assert User.objects.exists()


def _cut(file):
    file.write_bytes(file.read_bytes()[:-2000])


def _flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def _rewrite(file, change):
    with zipfile.ZipFile(file) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    change(entries)
    with zipfile.ZipFile(file, "w") as new:
        for name, content in entries.items():
            new.writestr(name, content)


def _newer(file):
    def change(entries):
        manifest = json.loads(entries["manifest.json"])
        manifest["migrations"].append(["reviews", "9999_from_the_future"])
        entries["manifest.json"] = json.dumps(manifest)

    _rewrite(file, change)


def _edit(file):
    _rewrite(file, lambda entries: entries.update({"verifier.key": b"another key\n"}))


def _smuggle(file):
    _rewrite(file, lambda entries: entries.update({"checkpoints/../../evil": b"x"}))


def _empty(file):
    file.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_cut, "not complete"),
        (_flip, "cannot be used"),
        (_edit, "verifier.key is not what its manifest says"),
        (_smuggle, "exactly what its manifest lists"),
        (_newer, "newer version.*9999_from_the_future"),
        (_empty, "not complete"),
    ],
)
def test_a_spoilt_backup_is_refused_before_anything_is_touched(spoil, says, installation, elsewhere, folders, tmp_path):
    file = back_up(tmp_path)
    spoil(file)

    with elsewhere():
        folders("second")
        with pytest.raises(OperationFailed, match=says):
            restore(path=file, now=timezone.now)
        assert connection.introspection.table_names() == []


def test_keys_are_left_out_unless_sealed_with_a_passphrase(installation, elsewhere, folders, tmp_path):
    pem = settings.AUDIT_KEY_FILE.read_bytes()
    plain = back_up(tmp_path)
    sealed = back_up(tmp_path, "sealed.backup", passphrase="a sentence nobody guesses")

    for file in (plain, sealed):
        assert pem[30:60] not in file.read_bytes()
    with elsewhere():
        folders("second")
        with pytest.raises(OperationFailed, match="does not open"):
            restore(path=sealed, now=timezone.now, passphrase="another sentence altogether")
        restore(path=sealed, now=timezone.now, passphrase="a sentence nobody guesses")
        assert settings.AUDIT_KEY_FILE.read_bytes() == pem


def test_a_backup_never_overwrites_and_leaves_nothing_when_it_fails(installation, folders, tmp_path, monkeypatch):
    there = tmp_path / "there.backup"
    there.write_text("mine")
    with pytest.raises(OperationFailed, match="exists already"):
        back_up(tmp_path, "there.backup")
    assert there.read_text() == "mine"

    with pytest.raises(OperationFailed, match="There is no folder"):
        back_up(tmp_path / "nowhere")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("governance.operations.archive.Writer.finish", full)
    with pytest.raises(OperationFailed, match="No space left on device"):
        back_up(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == ["there.backup"]
