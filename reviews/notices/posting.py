"""One HTTP request to a machine of somebody else: no redirects, no proxies, limited patience, limited bytes."""

import ssl
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpcore
import httpx
from django.conf import settings
from django.db import transaction

from reviews.notices.addresses import PATIENCE, AddressRefused, GuardedBackend, check_url
from reviews.notices.events import CONTENT_TYPE

# What is read of an answer; it matters only to ticket systems.
LARGEST_ANSWER = 1024
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt. status: None where nobody answered. retry_after: seconds that were asked for.

    problem: a sentence for people, empty when it was taken. It never holds words of the other side.
    """

    status: int | None = None
    milliseconds: int | None = None
    problem: str = ""
    retry_after: int | None = None
    body: bytes = b""

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Poster:
    """Connections for one run towards one endpoint; used in a `with` block."""

    def __init__(self) -> None:
        self._backend = GuardedBackend()
        self._pool = httpcore.ConnectionPool(
            ssl_context=_trust(), max_connections=1, retries=0, keepalive_expiry=5, network_backend=self._backend
        )

    def __enter__(self) -> Self:
        # A durable block refuses to be nested: nobody waits for strangers while database locks are held.
        with transaction.atomic(durable=True):
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    def post(self, url: str, *, headers: dict[str, str], body: bytes) -> Answer:
        """Send once. Never raises for what the other side does."""
        started = time.monotonic()
        self._backend.begin()
        sent = [
            ("content-type", CONTENT_TYPE),
            ("user-agent", "Remit"),
            ("accept", "application/json"),
            *headers.items(),
        ]
        try:
            check_url(url)
            with self._pool.stream("POST", url, headers=sent, content=body) as response:
                said = _beginning_of(response)
                wait = _retry_after(response)
        except AddressRefused as refusal:
            return Answer(problem=refusal.message, milliseconds=_since(started))
        except httpcore.TimeoutException:
            return Answer(problem=f"No answer within {PATIENCE} seconds.", milliseconds=_since(started))
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.ProxyError,
            httpcore.UnsupportedProtocol,
        ) as error:
            return Answer(problem=_in_words(url, error), milliseconds=_since(started))
        return Answer(response.status, _since(started), _judged(response.status), wait, said)


def _trust() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    if settings.WEBHOOK_CA_FILE:
        context.load_verify_locations(cafile=settings.WEBHOOK_CA_FILE)
    return context


def _beginning_of(response: httpcore.Response) -> bytes:
    """The first kilobyte; whoever sends more is hung up on."""
    body = b""
    for chunk in response.iter_stream():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            break
    return body[:LARGEST_ANSWER]


def _retry_after(response: httpcore.Response) -> int | None:
    """Seconds; the other form of the header (a date) is not heeded."""
    for name, value in response.headers:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) < 10:
            return min(int(value), DAY)
    return None


def _judged(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"It answered {status}, a redirect. Redirects are not followed; change the address."
    return f"It answered {status}."


def _in_words(url: str, error: Exception) -> str:
    host = urlsplit(url).hostname
    if isinstance(error.__cause__, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"The certificate of {host} is not trusted."
    if isinstance(error, httpcore.ConnectError):
        return f"{host} can't be reached."
    return f"{host} broke the connection off ({type(error).__name__})."


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
