"""The whole loop on a real Redis: read, decide, carry out, a real call refused, verified, restored, works again."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from identities.models import Credential, Source
from reviews.models import Order
from reviews.states import OrderState
from tests.plugins.redis_lists import Lists, target
from tests.plugins.workers import finish, restored, start_worker

READING = target((["get"], ["read:orders:*"]))


@pytest.fixture
def cache(own_trail: None, committed_db: Any, lists: Lists, make_story: Callable[..., Any]) -> Any:
    """A server that was not read yet."""
    return make_story(kind="redis", name="Cache", settings=lists.settings)


def test_from_a_reading_to_a_narrowed_verified_and_restored_list(
    cache: Any, lists: Lists, verbs_of: Callable[[Order], list[str]]
) -> None:
    cache.read()
    assert lists.can("GET", "orders:1") and lists.can("SET", "refunds:1", "x")

    order = cache.decide(cache.grant(lists.app), "scope_down", READING)
    assert lists.can("SET", "refunds:1", "x"), "a decision alone changes nothing"
    order = cache.carry_out(order)

    assert order.state == OrderState.APPLIED, order.outcome
    assert not lists.can("SET", "refunds:1", "x"), "what used to work is refused"
    assert lists.can("GET", "orders:1"), "what must still work works"
    run = cache.read()
    order = cache.again(order)
    assert (order.state, order.verified_by_run_id) == (OrderState.VERIFIED, run.pk), order.outcome
    assert verbs_of(order) == ["order.planned", "order.sent", "order.applied", "order.verified"]

    assert restored(cache, order).state == OrderState.APPLIED
    assert lists.can("SET", "refunds:1", "x"), "it works again"
    cache.read()
    assert cache.again(order).state == OrderState.RESTORED


def test_a_revoked_list_and_a_deactivated_password_are_verified_and_restored(cache: Any, lists: Lists) -> None:
    cache.read()
    revoked = cache.verified(lists.app)
    assert not lists.can("GET", "orders:1")
    restored(cache, revoked)
    cache.read()
    assert lists.can("GET", "orders:1")

    credential = Credential.objects.get(source=cache.source, identity__external_id=lists.app)
    order = cache.carry_out(cache.decide(credential, "deactivate"))
    assert order.state == OrderState.APPLIED, order.outcome
    assert not lists.can("GET", "orders:1")
    cache.read()
    assert cache.again(order).state == OrderState.VERIFIED
    restored(cache, order)
    assert lists.can("GET", "orders:1")


# --- killed workers ---------------------------------------------------------------------------------------------


class Gate:
    """Stands before the server and stops one command: before it is passed on, or before its answer is."""

    def __init__(self, port: int) -> None:
        self.behind, self.command, self.when = port, b"", ""
        self.reached, self.opened = threading.Event(), threading.Event()
        self.passed = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """The connector sends one command at a time and waits for its answer, so chunks alternate."""
        with client, socket.create_connection(("127.0.0.1", self.behind)) as server:
            answering = threading.Thread(target=self._answers, args=(server, client), daemon=True)
            answering.start()
            while chunk := self._receive(client):
                is_change = b"SETUSER" in chunk
                is_stop = bool(self.command) and self.command in chunk
                if is_stop and self.when == "before":
                    self.reached.set()
                    return
                self.passed += is_change
                if is_stop:
                    self.command = b""
                    self.holding = True
                    server.sendall(chunk)
                    self.reached.set()
                    self.opened.wait(30)
                    return
                server.sendall(chunk)

    holding = False

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        while chunk := self._receive(server):
            if self.holding:
                return
            try:
                client.sendall(chunk)
            except OSError:
                return

    def _receive(self, end: socket.socket) -> bytes:
        try:
            return end.recv(1 << 20)
        except OSError:
            return b""


@pytest.fixture
def gate(lists: Lists) -> Iterator[Gate]:
    made = Gate(lists.server.port)
    yield made
    made.opened.set()
    made.listener.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "command", "is_changed"),
    [("before", b"SETUSER", False), ("after", b"SETUSER", True), ("after", b"SAVE", True)],
    ids=["before-the-change", "before-its-answer", "while-it-is-saved"],
)
def test_a_killed_worker_leaves_nothing_lost_or_doubled(
    cache: Any,
    lists: Lists,
    gate: Gate,
    committed_db: Any,
    verbs_of: Callable[[Order], list[str]],
    when: str,
    command: bytes,
    is_changed: bool,
) -> None:
    Source.objects.filter(pk=cache.source.pk).update(settings=lists.settings | {"port": gate.port})
    cache.source.refresh_from_db()
    cache.read()
    order = cache.decide(cache.grant(lists.app), "scope_down", READING)
    gate.when, gate.command = when, command
    worker = start_worker(order, committed_db.url)
    assert gate.reached.wait(60), "the worker did not get there in time"
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    gate.command, gate.holding = b"", False
    gate.opened.set()
    assert lists.can("SET", "refunds:1", "x") is not is_changed

    order = finish(cache, order)

    assert order.state == OrderState.APPLIED, order.outcome
    assert gate.passed == 1, "the change was sent to the server exactly once"
    assert not lists.can("SET", "refunds:1", "x") and lists.can("GET", "orders:1")
    assert verbs_of(order) == ["order.planned", "order.sent", "order.applied"]
    cache.read()
    assert cache.again(order).state == OrderState.VERIFIED
