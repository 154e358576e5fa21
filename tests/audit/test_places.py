"""Checkpoints get to further places, each by itself; a place that fails is said, tried again, and blocks nobody."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import boto3
import pytest
from moto.server import ThreadedMotoServer

from governance.audit import carriers, tasks
from governance.audit.carriers import BadAddress, Undelivered, read_address
from governance.audit.checkpoint import write_checkpoint
from governance.audit.models import AuditEvent, AuditPlace
from governance.audit.notes import Checkpoint
from governance.audit.places import list_places, send_checkpoints
from governance.kernel.actors import system_actor

MakeEvent = Callable[..., UUID]
SIGNER = system_actor("checkpoint")
CHECKPOINT = Checkpoint("host/audit/1", 7, bytes(32), "host/audit/1\n7\nAAAA\n\n— host/audit/1 BBBB\n")


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """An S3 server; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(store: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    made = boto3.resource("s3", endpoint_url=store, region_name="eu-west-1").Bucket("evidence")
    made.create(CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}, ObjectLockEnabledForBucket=True)
    yield made
    made.object_versions.delete(BypassGovernanceRetention=True)
    made.delete()


@pytest.fixture
def receiver() -> Iterator[Any]:
    """An HTTP server that keeps what it was sent in `taken` and answers `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.server.taken.append((self.headers["content-type"], json.loads(body)))
            self.send_response(self.server.status)
            self.send_header("location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.taken, server.status = [], 204
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def address_of(receiver: Any) -> str:
    return f"http://127.0.0.1:{receiver.server_port}/checkpoints?token=secret"


def test_the_object_store_keeps_each_checkpoint_once_and_locked(store: str, bucket: Any, now: datetime) -> None:
    place = read_address(f"s3://evidence/trail?endpoint={store}&region=eu-west-1&lock_days=400&lock_mode=governance")

    place.send(CHECKPOINT, datetime.now().astimezone())
    place.send(CHECKPOINT, datetime.now().astimezone())  # the same again is no failure

    (kept,) = bucket.objects.all()
    assert kept.key == "trail/host/audit/1/7.checkpoint"
    assert kept.get()["Body"].read().decode() == CHECKPOINT.note
    assert kept.get()["ObjectLockMode"] == "GOVERNANCE"
    assert len(list(bucket.object_versions.all())) == 1


def test_the_object_store_is_never_told_a_second_history(store: str, bucket: Any, now: datetime) -> None:
    place = read_address(f"s3://evidence?endpoint={store}&region=eu-west-1")
    place.send(CHECKPOINT, now)

    with pytest.raises(Undelivered, match="is there already and says something else"):
        place.send(Checkpoint(CHECKPOINT.origin, 7, bytes(32), "another note"), now)
    (kept,) = bucket.objects.all()
    assert kept.get()["Body"].read().decode() == CHECKPOINT.note


def test_an_object_store_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(Undelivered, match="Could not connect"):
        read_address("s3://evidence?endpoint=http://127.0.0.1:1&region=eu-west-1").send(CHECKPOINT, now)


def test_a_log_server_gets_one_datagram(now: datetime) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        read_address(f"syslog://127.0.0.1:{server.getsockname()[1]}").send(CHECKPOINT, now)
        message = server.recv(4000).decode()

    head, _, body = message.partition(" - checkpoint - ")
    assert head.startswith("<109>1 2026-03-02T09:30:00.000Z ")
    assert head.endswith(" remit")
    assert json.loads(body)["note"] == CHECKPOINT.note


def test_a_log_server_gets_one_counted_frame(now: datetime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        read_address(f"syslog+tcp://127.0.0.1:{server.getsockname()[1]}").send(CHECKPOINT, now)
        taken, _ = server.accept()
        with taken, taken.makefile("rb") as stream:
            frame = stream.read()

    length, _, message = frame.partition(b" ")
    assert int(length) == len(message)
    assert message.startswith(b"<109>1 ")


def test_a_log_server_without_a_certificate_to_trust_gets_nothing(now: datetime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())  # noqa: PLW0108 - accept is to wait there
        thread.start()
        with pytest.raises(Undelivered):
            read_address(f"syslog+tls://127.0.0.1:{server.getsockname()[1]}").send(CHECKPOINT, now)
        thread.join()


def test_auditors_get_a_mail_that_says_what_it_is_for(mailoutbox: Any, now: datetime) -> None:
    read_address("mailto:one@example.org,two@example.org").send(CHECKPOINT, now)

    (mail,) = mailoutbox
    assert mail.to == ["one@example.org", "two@example.org"]
    assert "Keep this message. It proves the first 7 events" in mail.body
    assert CHECKPOINT.note in mail.body


def test_another_system_gets_a_cloudevent(receiver: Any, now: datetime) -> None:
    read_address(address_of(receiver)).send(CHECKPOINT, now)

    ((kind, event),) = receiver.taken
    assert kind == "application/cloudevents+json"
    assert (event["type"], event["source"], event["data"]["note"]) == (
        "checkpoint.signed",
        "host/audit/1",
        CHECKPOINT.note,
    )


def test_a_redirect_is_not_followed(receiver: Any, now: datetime) -> None:
    receiver.status = 307
    with pytest.raises(Undelivered, match="answered 307"):
        read_address(address_of(receiver)).send(CHECKPOINT, now)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nonsense",
        "ftp://host/x",
        "s3://",
        "s3://bucket?lock_days=many",
        "s3://b?lock_mode=never",
        "syslog://",
        "mailto:nobody",
        "https://",
        "https://host:99999/",
    ],
)
def test_an_address_that_means_nothing_is_refused(address: str) -> None:
    with pytest.raises(BadAddress):
        read_address(address)


# --- what is sent when ------------------------------------------------------------------------------------------------


def send(now: datetime) -> None:
    send_checkpoints(now=now, actor=SIGNER)


@pytest.mark.usefixtures("committed_db")
def test_a_place_that_fails_blocks_nobody_is_recorded_once_and_catches_up(
    make_event: MakeEvent, outside: Path, settings: Any, receiver: Any, now: datetime
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        settings.AUDIT_CHECKPOINT_PLACES = [
            "nonsense",
            address_of(receiver),
            f"syslog://127.0.0.1:{server.getsockname()[1]}",
        ]
        receiver.status = 503
        make_event()
        write_checkpoint(now=now, actor=SIGNER)
        send(now)

        assert json.loads(server.recv(4000).decode().partition(" - checkpoint - ")[2])["size"] == 1
    folder, misspelt, failing, syslog = list_places()
    assert (folder.label, folder.size, syslog.size, syslog.kept_at) == ("folder", 1, 1, now)
    assert "is not a place" in misspelt.failure
    assert (failing.label, failing.failure, failing.failed_at) == ("webhook 127.0.0.1", "answered 503", now)
    assert [event.verb for event in AuditEvent.objects.filter(verb__startswith="checkpoint.place")] == [
        "checkpoint.place_failed"
    ]

    send(now)  # too early to try again
    send(now + timedelta(seconds=31))
    assert AuditPlace.objects.get(failure__gt="").attempts == 2
    assert AuditEvent.objects.filter(verb="checkpoint.place_failed").count() == 1

    receiver.status = 200
    write_checkpoint(now=now, actor=SIGNER)
    send(now + timedelta(hours=2))
    assert [event["data"]["size"] for _, event in receiver.taken] == [1, 1, 3]
    assert list_places()[2].failure == ""
    assert AuditEvent.objects.filter(verb="checkpoint.place_recovered").count() == 1

    send(now + timedelta(hours=3))
    assert len(receiver.taken) == 3
    assert "secret" not in "".join(AuditEvent.objects.values_list("payload", flat=True))


@pytest.mark.usefixtures("committed_db")
def test_a_store_gets_every_checkpoint_and_mail_one_a_day(
    make_event: MakeEvent, outside: Path, settings: Any, store: str, bucket: Any, mailoutbox: Any, now: datetime
) -> None:
    settings.AUDIT_CHECKPOINT_PLACES = [
        f"s3://evidence?endpoint={store}&region=eu-west-1",
        "mailto:auditor@example.org",
    ]
    for hour in range(3):
        make_event()
        write_checkpoint(now=now, actor=SIGNER)
        if hour:
            send(now + timedelta(hours=hour))

    assert sorted(kept.key.rpartition("/")[2] for kept in bucket.objects.all()) == [
        "1.checkpoint",
        "3.checkpoint",
        "5.checkpoint",
    ]
    assert len(mailoutbox) == 1
    send(now + timedelta(hours=26))
    assert len(mailoutbox) == 2


@pytest.mark.usefixtures("committed_db")
def test_a_sender_that_died_leaves_its_place_to_the_next(
    make_event: MakeEvent, outside: Path, settings: Any, receiver: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AUDIT_CHECKPOINT_PLACES = [address_of(receiver)]
    make_event()
    write_checkpoint(now=now, actor=SIGNER)

    def die(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(carriers.Webhook, "send", die)
        send(now)
    send(now + timedelta(minutes=1))
    assert receiver.taken == []
    send(now + timedelta(minutes=6))
    assert len(receiver.taken) == 1
    tasks.send_checkpoints(a_field_of_a_later_version=1)
