"""The whole loop on a real broker: read, decide, carry out, a real call refused, verified, restored, works again."""

import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from identities.models import Credential, Source
from reviews.models import Order
from reviews.states import OrderState
from tests.plugins.queues import Queues
from tests.plugins.workers import finish, restored, start_worker

LAG = 6


@pytest.fixture
def shop(own_trail: None, committed_db: Any, queues: Queues, make_story: Callable[..., Any]) -> Any:
    """A broker that was not read yet."""
    return make_story(kind="rabbitmq", name="Shop", settings=queues.settings | {"list_lag": LAG})


def grant_of(shop: Any, queues: Queues) -> Any:
    return shop.grant(queues.app, "Virtual host")


def test_from_a_reading_to_a_narrowed_verified_and_restored_permission(
    shop: Any, queues: Queues, verbs_of: Callable[[Order], list[str]]
) -> None:
    shop.read()
    assert queues.consumes("orders") and queues.consumes("refunds") and queues.publishes("refunds")
    target = queues.target(write=[r"^amq\.default$"], read=["^orders$"])

    order = shop.decide(grant_of(shop, queues), "scope_down", target)
    assert queues.consumes("refunds"), "a decision alone changes nothing"
    order = shop.carry_out(order)

    assert order.state == OrderState.APPLIED, order.outcome
    assert not queues.consumes("refunds"), "what used to work is refused"
    assert queues.consumes("orders") and queues.publishes("orders"), "what must still work works"
    run = shop.read()
    order = shop.again(order)
    assert (order.state, order.verified_by_run_id) == (OrderState.VERIFIED, run.pk), order.outcome
    assert verbs_of(order) == ["order.planned", "order.sent", "order.applied", "order.verified"]

    assert restored(shop, order).state == OrderState.APPLIED
    assert queues.consumes("refunds"), "it works again"
    shop.read()
    assert shop.again(order).state == OrderState.RESTORED


def test_a_deactivated_password_signs_nobody_in_until_it_is_restored(shop: Any, queues: Queues) -> None:
    shop.read()
    credential = Credential.objects.get(source=shop.source, identity__external_id=queues.app)

    order = shop.carry_out(shop.decide(credential, "deactivate"))

    assert order.state == OrderState.APPLIED, order.outcome
    assert not queues.consumes("orders")
    shop.read()
    assert shop.again(order).state == OrderState.VERIFIED
    restored(shop, order)
    assert queues.consumes("orders")


# --- killed workers ---------------------------------------------------------------------------------------------


class Gate:
    """Stands before the management API and stops one request: before it is passed on, or before its answer is."""

    def __init__(self, behind: str) -> None:
        self.behind, self.stops = behind, ("", "", "")
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.passed: list[tuple[str, str]] = []
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                gate.pass_on(self)

            do_GET = do_PUT = do_DELETE = handle_any  # noqa: N815 - the names of http.server

            def log_message(self, *arguments: Any) -> None:
                """Nothing on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def pass_on(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self._stops("before", request):
            return  # whoever asked is dead, and what it asked for never got here
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "connection")}
        with httpx.Client(trust_env=False, timeout=20) as client:
            answer = client.request(request.command, self.behind + request.path, headers=headers, content=body)
        if request.command != "GET":
            self.passed.append((request.command, request.path.split("/")[2]))
        self._stops("after", request)
        try:
            request.send_response(answer.status_code)
            request.send_header("Content-Length", str(len(answer.content)))
            request.send_header("Content-Type", answer.headers.get("content-type", "application/json"))
            request.end_headers()
            request.wfile.write(answer.content)
        except OSError:
            pass  # whoever asked was killed

    def _stops(self, when: str, request: BaseHTTPRequestHandler) -> bool:
        place, method, part = self.stops
        if (place, method) != (when, request.command) or f"/api/{part}" not in request.path:
            return False
        self.reached.set()
        self.opened.wait(30)
        request.close_connection = True
        return True


@pytest.fixture
def gate(queues: Queues) -> Iterator[Gate]:
    made = Gate(queues.node.management)
    yield made
    made.opened.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stops", "is_changed"),
    [
        (("before", "PUT", "permissions"), False),
        (("after", "PUT", "permissions"), True),
        (("after", "GET", "connections"), True),
    ],
    ids=["before-the-change", "before-its-answer", "while-connections-are-ended"],
)
def test_a_killed_worker_leaves_nothing_lost_or_doubled(
    shop: Any,
    queues: Queues,
    gate: Gate,
    committed_db: Any,
    make: SimpleNamespace,
    verbs_of: Callable[[Order], list[str]],
    stops: tuple[str, str, str],
    is_changed: bool,
) -> None:
    Source.objects.filter(pk=shop.source.pk).update(settings=queues.settings | {"address": gate.address})
    shop.source.refresh_from_db()
    shop.read()
    connection = queues.connect()
    queues.wait_until_listed(connection)
    order = shop.decide(grant_of(shop, queues), "scope_down", queues.target(read=["^orders$"]))
    gate.stops = stops
    worker = start_worker(order, committed_db.url)
    assert gate.reached.wait(60), "the worker did not get there in time"
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    gate.stops = ("", "", "")
    gate.opened.set()
    assert (queues.allowed()["write"] == "") is is_changed

    order = finish(shop, order)

    assert order.state == OrderState.APPLIED, order.outcome
    assert gate.passed.count(("PUT", "permissions")) == 1, "the change was made exactly once"
    assert not queues.consumes("refunds")
    assert queues.consumes("orders")
    assert verbs_of(order) == ["order.planned", "order.sent", "order.applied"]
    assert queues.is_cut(connection)
    shop.read()
    assert shop.again(order).state == OrderState.VERIFIED
