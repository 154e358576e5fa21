"""A new epoch goes on under a new name, says what was lost, and is what signing asks for after a restore."""

import json
from collections.abc import Callable
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from governance.audit.checkpoint import CheckpointRefused, write_checkpoint
from governance.audit.epochs import Begun, EpochRefused, begin_epoch
from governance.audit.lineage import current_epoch
from governance.audit.models import AuditEvent
from governance.audit.verify import Report, verify
from governance.kernel.actors import system_actor

pytestmark = pytest.mark.usefixtures("committed_db")

MakeEvent = Callable[..., UUID]
Tamper = Callable[..., None]
SIGNER = system_actor("checkpoint")
LOSE = """
DELETE FROM audit_auditlink WHERE seq > {0}; DELETE FROM audit_auditevent e WHERE NOT EXISTS
(SELECT FROM audit_auditlink l WHERE l.event_id = e.id); DELETE FROM audit_auditcheckpoint WHERE size > {0};
DELETE FROM audit_auditdetail d WHERE NOT EXISTS (SELECT FROM audit_auditevent e WHERE e.id = d.event_id);
UPDATE audit_audithead h SET seq = {0}, entry_hash = (SELECT entry_hash FROM audit_auditlink WHERE seq = {0})
"""


def sign(now: datetime) -> Any:
    return write_checkpoint(now=now, actor=SIGNER)


def begin(now: datetime) -> Begun:
    return begin_epoch(actor=SIGNER, now=now, reason="The backup of Monday was restored.")


def codes(report: Report) -> list[str]:
    return sorted({problem.code for problem in report.problems})


@pytest.fixture
def restored(make_event: MakeEvent, outside: Path, tamper: Tamper, now: datetime) -> Any:
    """Signed at 2 and at 5 events, then restored to the state of 4."""
    make_event()
    make_event()
    sign(now)
    make_event()
    make_event()
    last = sign(now)
    tamper(LOSE.format(4))
    return last


def test_an_epoch_begins_with_the_last_checkpoint_of_the_one_before(
    restored: Any, outside: Path, now: datetime
) -> None:
    begun = begin(now)

    assert (begun.epoch.number, begun.epoch.origin) == (2, "test.example/audit/2")
    assert begun.previous == restored
    said = json.loads(AuditEvent.objects.get(verb="epoch.begun").payload)
    assert said["context"]["previous"]["note"] == restored.note
    assert said["context"]["fits"] == [{"fits_to": 2, "origin": "test.example/audit/1", "signed_to": 5}]
    assert said["new"] == {"epoch": 2, "events": 4, "origin": "test.example/audit/2"}
    assert begun.first.size == 5
    assert (outside / "epoch-2" / "5.checkpoint").read_text() == begun.first.note
    assert current_epoch() == begun.epoch


def test_signing_goes_on_in_the_new_epoch_only(
    restored: Any, make_event: MakeEvent, outside: Path, now: datetime
) -> None:
    with pytest.raises(CheckpointRefused, match="5 events was signed, but the database holds 4"):
        sign(now)
    begin(now)
    make_event()

    assert sign(now).origin == "test.example/audit/2"
    assert sorted(path.name for path in outside.glob("*.checkpoint")) == ["2.checkpoint", "5.checkpoint"]


def test_verification_compares_earlier_epochs_as_far_as_they_fit(restored: Any, now: datetime) -> None:
    assert codes(verify()) == ["cut"]
    begin(now)

    report = verify()

    assert report.is_intact, report.problems
    assert report.origin == "test.example/audit/2"
    assert report.checkpoints_matched == 2  # the new one, and the old one of two events
    assert any("test.example/audit/1 was signed to event 5" in notice for notice in report.notices)


def test_beginning_an_epoch_does_not_wash_a_rewritten_beginning_clean(
    restored: Any, tamper: Tamper, now: datetime
) -> None:
    begin(now)
    tamper("UPDATE audit_auditevent SET payload = replace(payload, 'revoke', 'keep')")

    assert {"payload", "root"} <= set(codes(verify()))


def test_a_database_from_before_the_epoch_is_refused_and_found(restored: Any, tamper: Tamper, now: datetime) -> None:
    begin(now)
    tamper(LOSE.format(4))

    with pytest.raises(CheckpointRefused, match="Epoch 2 has begun outside, but the database is in epoch 1"):
        sign(now)
    assert codes(verify()) == ["cut", "epoch"]

    again = begin(now)
    assert again.epoch.number == 3
    assert again.previous.origin == "test.example/audit/2"
    assert verify().is_intact


def test_a_changed_trail_gets_no_new_name(restored: Any, tamper: Tamper, now: datetime) -> None:
    tamper("UPDATE audit_auditevent SET payload = replace(payload, 'revoke', 'keep')")

    with pytest.raises(CheckpointRefused, match="Event 1 of the trail was changed"):
        begin(now)
    assert current_epoch().number == 1


def test_a_lost_folder_stops_signing_until_an_epoch_begins(make_event: MakeEvent, outside: Path, now: datetime) -> None:
    make_event()
    sign(now)
    make_event()
    outside.rename(outside.with_name("elsewhere"))

    with pytest.raises(CheckpointRefused, match=r"holds none: it was moved, emptied, or not mounted"):
        sign(now)
    assert not outside.exists()

    begun = begin(now)
    assert begun.previous.size == 1  # from the database's own copy
    assert (outside / "epoch-2" / "4.checkpoint").exists()


def test_a_key_is_replaced_with_an_epoch(make_event: MakeEvent, outside: Path, settings: Any, now: datetime) -> None:
    make_event()
    sign(now)
    settings.AUDIT_KEY_FILE = settings.AUDIT_KEY_FILE.with_name("second.pem")
    make_event()
    with pytest.raises(CheckpointRefused, match="cannot be trusted"):
        sign(now)

    begun = begin(now)

    assert begun.previous.size == 1
    assert verify().is_intact


def test_an_epoch_needs_a_reason(make_event: MakeEvent, outside: Path, now: datetime) -> None:
    with pytest.raises(EpochRefused, match="Say why"):
        begin_epoch(actor=SIGNER, now=now, reason=" ")


def test_the_epoch_stays_begun_when_its_first_checkpoint_cannot_be_written(
    make_event: MakeEvent, outside: Path, now: datetime
) -> None:
    make_event()
    outside.write_text("a file where the folder should be")

    begun = begin(now)

    assert begun.first is None
    assert "cannot be written" in begun.problem
    outside.unlink()
    assert sign(now).origin == "test.example/audit/2"


@pytest.mark.parametrize(
    ("origin", "following"), [("host/audit/1", "host/audit/2"), ("host/audit/7", "host/audit/8"), ("host", "host/2")]
)
def test_the_name_counts_up(
    make_event: MakeEvent, outside: Path, settings: Any, now: datetime, origin: str, following: str
) -> None:
    settings.AUDIT_ORIGIN = origin

    assert begin(now).epoch.origin == following


def test_the_command_says_what_fits(restored: Any, outside: Path) -> None:
    out = StringIO()
    call_command("begin_audit_epoch", reason="Restored.", stdout=out)

    assert "Epoch 2 of the audit trail has begun: test.example/audit/2" in out.getvalue()
    assert "signed to event 5, fits this database to event 2" in out.getvalue()
    with pytest.raises(CommandError, match="Say why"):
        call_command("begin_audit_epoch", reason="")
