"""Users, virtual hosts and real clients on a RabbitMQ node, fresh for every test: what the connector governs."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import amqp
import httpx
import pytest

from governance.kernel.permissions import Permission
from identities.connectors.contract import GrantRef
from identities.connectors.rabbitmq import RabbitMQ
from tests.plugins.brokers import Node

PASSWORD = "only-for-tests-4711"
CONNECTOR_PASSWORD = "Xq-connector-secret-94"


class Queues:
    """One virtual host with queues `orders` and `refunds`, the user `app` that may do everything in it, a connector."""

    def __init__(self, node: Node, secret: Path) -> None:
        self.node, self.secret = node, secret
        prefix = f"q{uuid.uuid4().hex[:8]}"
        self.vhost, self.app, self.remit = f"{prefix}/shop", f"{prefix}-app", f"{prefix}-remit"
        self.api = httpx.Client(base_url=node.management, auth=("guest", "guest"), timeout=20)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a source row. Where no client is connected there is no list to wait for."""
        place = f"file:{self.secret}"
        return {"address": self.node.management, "user": self.remit, "password": place, "list_lag": 0}

    def create(self) -> None:
        self.put("vhosts", self.vhost)
        self.put("users", self.remit, password=CONNECTOR_PASSWORD, tags="administrator")
        self.put("users", self.app, password=PASSWORD, tags="")
        self.allow(configure=".*", write=".*", read=".*")
        with self.client() as channel:
            for name in ("orders", "refunds"):
                channel.queue_declare(name, auto_delete=False)

    def drop(self) -> None:
        for where in (("vhosts", self.vhost), ("users", self.app), ("users", self.remit)):
            self.call("DELETE", *where)
        self.api.close()

    def call(self, method: str, *where: str, **body: Any) -> httpx.Response:
        path = "/api/" + "/".join(quote(part, safe="") for part in where)
        return self.api.request(method, path, json=body if method == "PUT" else None)

    def put(self, *where: str, **body: Any) -> None:
        assert self.call("PUT", *where, **body).status_code in (201, 204)

    def get(self, *where: str) -> Any:
        response = self.call("GET", *where)
        return response.json() if response.status_code == httpx.codes.OK else None

    def allow(self, **expressions: str) -> None:
        self.put("permissions", self.vhost, self.app, **expressions)

    def allowed(self) -> dict[str, str] | None:
        """The three expressions as the broker holds them."""
        found = self.get("permissions", self.vhost, self.app)
        return {action: found[action] for action in ("configure", "write", "read")} if found else None

    def connect(self, password: str = PASSWORD) -> amqp.Connection:
        connection = amqp.Connection(
            f"127.0.0.1:{self.node.port}", userid=self.app, password=password, virtual_host=self.vhost,
            connect_timeout=5, read_timeout=10, write_timeout=10,
        )  # fmt: skip
        try:
            connection.connect()
        except (amqp.AMQPError, OSError):
            connection.collect()
            raise
        return connection

    @contextmanager
    def client(self) -> Iterator[amqp.Channel]:
        connection = self.connect()
        try:
            yield connection.channel()
        finally:
            with suppress(amqp.AMQPError, OSError):
                connection.close()
            connection.collect()

    def can(self, do: Callable[[amqp.Channel], Any]) -> bool:
        """Whether a real client that connects now may do this."""
        try:
            with self.client() as channel:
                do(channel)
        except (amqp.AccessRefused, amqp.NotAllowed):
            return False
        return True

    def publishes(self, queue: str) -> bool:
        """Whether a message sent to the queue arrives there."""
        return self.can(lambda channel: _publish(channel, queue))

    def consumes(self, queue: str) -> bool:
        return self.can(lambda channel: channel.basic_get(queue))

    def connector(self, **changes: Any) -> RabbitMQ:
        return RabbitMQ(self.settings | changes, {"password": CONNECTOR_PASSWORD})

    def records(self, kind: str, user: str = "") -> list[dict[str, Any]]:
        key = "id" if kind == "identity" else "identity"
        return [
            record for record in self.connector().read() if record["type"] == kind and record[key] == (user or self.app)
        ]

    def grant(self, having: str = "Virtual host") -> GrantRef:
        """The one grant of `app` whose label contains this."""
        (record,) = [record for record in self.records("grant") if having in record["label"]]
        return GrantRef(
            record["identity"],
            record["id"],
            Permission.from_json(record["permission"]),
            record["path"],
            record["native_ref"],
        )

    def target(self, **expressions: list[str]) -> dict[str, Any]:
        """A permission in this virtual host, as a reviewer would submit it: `write=["^orders$"]`."""
        start = f"vhost:{self.vhost.replace('/', '%2F')}/"
        statements = [
            {"actions": [action], "resources": [start + expression for expression in listed]}
            for action, listed in expressions.items()
        ]
        return {"dialect": "rabbitmq", "statements": statements}

    def resource(self, name: str) -> str:
        return f"vhost:{self.vhost.replace('/', '%2F')}/{name}"

    def wait_until_listed(self, connection: amqp.Connection) -> None:
        """A client that has just connected appears in the broker's list some seconds later."""
        place = f":{connection.transport.sock.getsockname()[1]} "
        deadline = time.monotonic() + 60
        while not any(place in each["name"] for each in self.get("connections")):
            assert time.monotonic() < deadline, "the broker never listed the connection"
            time.sleep(0.2)

    def is_cut(self, connection: amqp.Connection) -> bool:
        """Whether the broker has ended this connection."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                connection.drain_events(timeout=0.5)
            except TimeoutError:
                continue
            except (amqp.AMQPError, OSError):
                connection.collect()
                return True
        return False


def _publish(channel: amqp.Channel, queue: str) -> None:
    channel.confirm_select()
    channel.basic_publish_confirm(amqp.Message("a test"), routing_key=queue)


@pytest.fixture
def queues(rabbitmq_node: Node, tmp_path: Path) -> Iterator[Queues]:
    secret = tmp_path / "rabbitmq-password"
    secret.write_text(CONNECTOR_PASSWORD)
    made = Queues(rabbitmq_node, secret)
    made.create()
    try:
        yield made
    finally:
        made.drop()
