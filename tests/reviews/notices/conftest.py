"""A real receiver on this machine, and endpoints that lead to it."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Role, system_actor
from reviews.models import WebhookEndpoint
from reviews.notices.endpoints import EndpointWish, create_endpoint


@dataclass
class Received:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """`answer` decides what is said: status, headers, body. `received` is what came, oldest first."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], tuple[int, dict[str, str], bytes]] = lambda request: (204, {}, b"")

    @property
    def types(self) -> list[str]:
        return [request.event["type"] for request in self.received]


@pytest.fixture
def receiver(settings: Any, tmp_path: Any) -> Iterator[Receiver]:
    """Listens on 127.0.0.1, which the operator has allowed."""
    settings.WEBHOOK_INTERNAL_HOSTS = ["127.0.0.1"]
    settings.WEBHOOK_KEY_FILE = tmp_path / "keys" / "webhook.key"
    settings.PUBLIC_URL = "https://remit.example.org"
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            found.received.append(request)
            status, headers, said = found.answer(request)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield found
    server.shutdown()
    server.server_close()


def happened(verb: Verb = Verb.ORDER_VERIFIED, subject: Any = None, **facts: Any) -> Any:
    """Something is recorded in the trail and sealed; its id."""
    kind = {"order": "order", "campaign": "campaign"}.get(verb.partition(".")[0], "source")
    about = log.Subject(kind, str(subject.pk)) if subject is not None else log.Subject("order", "x")
    event_id = log.record(verb=verb, actor=system_actor("test"), subject=about, now=timezone.now(), **facts)
    seal()
    return event_id


def seal() -> None:
    """What a commit does."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


@pytest.fixture
def hooks(make: SimpleNamespace, receiver: Receiver) -> SimpleNamespace:
    """`hooks.add(verbs=["order"])`: an endpoint that leads to the receiver; `hooks.secret` is the latest secret."""
    boss = make.actor(make.person(Role.ADMINISTRATOR))
    names = iter(range(1000))
    hooks = SimpleNamespace(actor=boss, secret="", seal=seal, happened=happened)

    def add(**wish: Any) -> WebhookEndpoint:
        seal()
        values = {"name": f"Hook {next(names)}", "url": receiver.url} | wish
        endpoint, hooks.secret = create_endpoint(wish=EndpointWish(**values), actor=boss, now=timezone.now())
        return endpoint

    hooks.add = add
    return hooks
