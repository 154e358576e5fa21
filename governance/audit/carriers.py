"""How a signed checkpoint gets to a further place: an object store, a log server, people's mail, another system.

Addresses stand in the setting `AUDIT_CHECKPOINT_PLACES`, so they are the operator's, like the database's. What is sent
is signed in itself; whoever reads it on the way learns a number of events and a hash.
"""

import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from django.conf import settings
from django.core.mail import EmailMessage

from governance.audit.notes import Checkpoint

SECONDS = 10
LOG_AUDIT_NOTICE = 13 * 8 + 5  # facility "log audit" and severity "notice" of RFC 5424
PORTS = {"syslog": 514, "syslog+tcp": 601, "syslog+tls": 6514}


class BadAddress(ValueError):
    """The setting names a place that nothing can be sent to; the message says why."""


class Undelivered(Exception):
    """The place did not take the checkpoint; the message says what it said, without secrets."""


class Carrier(Protocol):
    """One further place. wants_all: it gets every checkpoint, not the newest alone; pause: one at most so often."""

    @property
    def label(self) -> str: ...
    @property
    def wants_all(self) -> bool: ...
    @property
    def pause(self) -> timedelta: ...

    def send(self, checkpoint: Checkpoint, now: datetime) -> None:
        """Hand the checkpoint over. Raises Undelivered."""


def read_address(address: str) -> Carrier:
    """The place that an address of the settings means. Raises BadAddress."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise BadAddress(f"an address cannot be read: {error}") from None
    options = dict(parse_qsl(parts.query))
    match parts.scheme:
        case "s3" if parts.hostname:
            return ObjectStore.read(parts.netloc, parts.path.strip("/"), options)
        case "syslog" | "syslog+tcp" | "syslog+tls" if parts.hostname:
            return LogServer(parts.scheme, parts.hostname, port or PORTS[parts.scheme])
        case "mailto" if "@" in parts.path:
            people = tuple(unquote(person) for person in parts.path.split(",") if person)
            return Mail(people, timedelta(hours=_number(options, "hours", 24)))
        case "http" | "https" if parts.hostname:
            return Webhook(address, parts.hostname)
    raise BadAddress(
        f"{parts.scheme or 'an address without a scheme'} is not a place: use s3://bucket/prefix, syslog://host, "
        "syslog+tcp://host, syslog+tls://host, mailto:people@example.org or https://host/path"
    )


def _number(options: Mapping[str, str], name: str, default: int) -> int:
    value = options.get(name, str(default))
    if not value.isascii() or not value.isdigit() or len(value) > 6:
        raise BadAddress(f"{name} must be a whole number")
    return int(value)


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A bucket that speaks S3. An object that is there is never written again, and locked where the address says so."""

    bucket: str
    prefix: str
    endpoint: str
    region: str
    lock_days: int
    lock_mode: str
    wants_all: bool = True
    pause: timedelta = timedelta(0)

    @classmethod
    def read(cls, bucket: str, prefix: str, options: Mapping[str, str]) -> "ObjectStore":
        mode = options.get("lock_mode", "COMPLIANCE").upper()
        if mode not in {"COMPLIANCE", "GOVERNANCE"}:
            raise BadAddress("lock_mode must be compliance or governance")
        days = _number(options, "lock_days", 0)
        return cls(bucket, prefix, options.get("endpoint", ""), options.get("region", ""), days, mode)

    @property
    def label(self) -> str:
        return f"S3 bucket {self.bucket}"

    def send(self, checkpoint: Checkpoint, now: datetime) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        key = "/".join(filter(None, [self.prefix, checkpoint.origin, f"{checkpoint.size}.checkpoint"]))
        note = checkpoint.note.encode()
        lock = {"ObjectLockMode": self.lock_mode, "ObjectLockRetainUntilDate": now + timedelta(days=self.lock_days)}
        try:
            store = self._client()
            try:
                store.put_object(
                    Bucket=self.bucket, Key=key, Body=note, IfNoneMatch="*", ContentType="text/plain; charset=utf-8",
                    **(lock if self.lock_days else {}),
                )  # fmt: skip
            except ClientError as error:
                if error.response["Error"]["Code"] != "PreconditionFailed":
                    raise
                if store.get_object(Bucket=self.bucket, Key=key)["Body"].read(len(note) + 1) != note:
                    raise Undelivered(
                        f"{key} is there already and says something else: another history was signed"
                    ) from None
        except ClientError as error:
            said = error.response["Error"]
            raise Undelivered(f"{said.get('Code')}: {said.get('Message')}") from None
        except (BotoCoreError, ValueError) as error:
            raise Undelivered(str(error)) from None

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint or None,
            region_name=self.region or None,
            config=Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 1}),
        )


@dataclass(frozen=True, slots=True)
class LogServer:
    """A log server (RFC 5424): one datagram, or one counted frame over TCP or TLS (RFC 6587, RFC 5425).

    Log servers answer nothing, so "kept" means that the message was handed to the network or to the connection.
    """

    scheme: str
    host: str
    port: int
    wants_all: bool = False
    pause: timedelta = timedelta(0)

    @property
    def label(self) -> str:
        return f"syslog {self.host}"

    def send(self, checkpoint: Checkpoint, now: datetime) -> None:
        message = _syslog_line(checkpoint, now)
        try:
            if self.scheme == "syslog":
                self._send_datagram(message)
            else:
                self._send_frame(b"%d %s" % (len(message), message))
        except OSError as error:
            raise Undelivered(str(error)) from None

    def _send_datagram(self, message: bytes) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as sender:
            sender.settimeout(SECONDS)
            sender.sendto(message, address)

    def _send_frame(self, frame: bytes) -> None:
        with socket.create_connection((self.host, self.port), timeout=SECONDS) as plain:
            if self.scheme == "syslog+tcp":
                plain.sendall(frame)
                return
            with ssl.create_default_context().wrap_socket(plain, server_hostname=self.host) as secure:
                secure.sendall(frame)


def _syslog_line(checkpoint: Checkpoint, now: datetime) -> bytes:
    at = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = f"<{LOG_AUDIT_NOTICE}>1 {at} {socket.gethostname()} remit - checkpoint -"
    return f"{head} {json.dumps(_facts(checkpoint))}".encode()


@dataclass(frozen=True, slots=True)
class Mail:
    """A list of auditors, who get the newest checkpoint now and then, by default once a day."""

    people: tuple[str, ...]
    pause: timedelta
    wants_all: bool = False
    label: str = "e-mail to auditors"

    def send(self, checkpoint: Checkpoint, now: datetime) -> None:
        text = (
            f"Keep this message. It proves the first {checkpoint.size} events of the audit trail {checkpoint.origin}:\n"
            "if any of them is ever changed, or goes missing, the trail no longer fits the signed text below.\n\n"
            f"{checkpoint.note}\n"
        )
        subject = f"Checkpoint of the audit trail: {checkpoint.size} events"
        try:
            EmailMessage(subject, text, settings.DEFAULT_FROM_EMAIL, list(self.people)).send()
        except OSError as error:  # smtplib's errors are OSErrors
            raise Undelivered(str(error)) from None


@dataclass(frozen=True, slots=True)
class Webhook:
    """Another system that takes a CloudEvent by POST. The signed text is its own proof, so nothing else is signed."""

    url: str
    host: str
    wants_all: bool = False
    pause: timedelta = timedelta(0)

    @property
    def label(self) -> str:
        return f"webhook {self.host}"

    def send(self, checkpoint: Checkpoint, now: datetime) -> None:
        import httpx

        event = {
            "specversion": "1.0",
            "type": "checkpoint.signed",
            "source": checkpoint.origin,
            "id": str(checkpoint.size),
            "time": now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": _facts(checkpoint),
        }
        try:
            answer = httpx.post(
                self.url,
                content=json.dumps(event),
                headers={"content-type": "application/cloudevents+json"},
                timeout=SECONDS,
                follow_redirects=False,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Undelivered(type(error).__name__) from None  # its text may hold the address with a secret in it
        if not answer.is_success:
            raise Undelivered(f"answered {answer.status_code}")


def _facts(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "note": checkpoint.note,
    }
