"""A Redis server with an ACL file, and users with access lists on it: what the connector governs."""

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from governance.kernel.permissions import Permission
from identities.connectors.contract import GrantRef
from identities.connectors.redis_acl import Redis
from tests.plugins.brokers import free_port, missing, wait_for_port

PASSWORD = "only-for-tests-4711"
ROOT_PASSWORD = "only-for-tests-root"
CONNECTOR_PASSWORD = "Xq-connector-secret-95"
CONNECTOR_RULES = (
    "-@all", "+acl", "+client|list", "+client|kill", "+config|get", "+config|rewrite", "+info", "+command", "+ping",
)  # fmt: skip


@dataclass(frozen=True)
class RedisServer:
    """A running server whose users are kept in `file`. The user `default` needs a password."""

    port: int
    file: Path


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Skips where redis-server is not installed, fails in CI."""
    program = shutil.which("redis-server") or missing("redis-server")
    folder = tmp_path_factory.mktemp("redis-lists")
    file = folder / "users.acl"
    file.write_text(f"user default on >{ROOT_PASSWORD} ~* &* +@all\n")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    process = subprocess.Popen([*command, "--aclfile", str(file)], stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield RedisServer(port, file)
    finally:
        process.terminate()
        process.wait(10)


class Lists:
    """The user `app`, fresh for a test, and the connector's own user with the rights that docs/connectors.md names."""

    def __init__(self, server: RedisServer, secret: Path) -> None:
        self.server, self.secret = server, secret
        prefix = f"l{uuid.uuid4().hex[:8]}"
        self.app, self.remit = f"{prefix}-app", f"{prefix}-remit"
        self.root = redis.Redis(port=server.port, password=ROOT_PASSWORD, decode_responses=True)
        self.clients: list[redis.Redis] = []

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a source row."""
        place = f"file:{self.secret}"
        return {"host": "127.0.0.1", "port": self.server.port, "user": self.remit, "password": place}

    def create(self) -> None:
        self.root.execute_command(
            "ACL", "SETUSER", self.remit, "reset", "on", f">{CONNECTOR_PASSWORD}", *CONNECTOR_RULES
        )
        self.allow("~orders:*", "~refunds:*", "+@read", "+@write", "+ping", "-@dangerous")
        self.root.mset({"orders:1": "a", "refunds:1": "b"})

    def drop(self) -> None:
        for client in self.clients:
            client.close()
        self.root.execute_command("ACL", "DELUSER", self.app, self.remit)
        self.root.execute_command("ACL", "SAVE")
        self.root.close()

    def allow(self, *rules: str) -> None:
        """Give the user just these rules, as an administrator would."""
        self.root.execute_command("ACL", "SETUSER", self.app, "reset", "on", f">{PASSWORD}", *rules)

    def listed(self) -> str:
        """The user's line as the server writes it."""
        (line,) = [line for line in self.root.execute_command("ACL", "LIST") if line.split()[1] == self.app]
        return str(line)

    def words(self) -> list[str]:
        """The line in an order of our own: what a server names twice over it writes in any order."""
        return sorted(self.listed().split())

    def connect(self) -> redis.Redis:
        client = redis.Redis(
            port=self.server.port, username=self.app, password=PASSWORD, decode_responses=True, socket_timeout=5,
            single_connection_client=True,
        )  # fmt: skip
        self.clients.append(client)
        return client

    def can(self, *words: str) -> bool:
        """Whether a real client that signs in now may call this."""
        try:
            with redis.Redis(
                port=self.server.port, username=self.app, password=PASSWORD, decode_responses=True, socket_timeout=5
            ) as client:
                client.execute_command(*words)
        except (redis.exceptions.NoPermissionError, redis.exceptions.AuthenticationError):
            return False
        return True

    def connector(self, **changes: Any) -> Redis:
        return Redis(self.settings | changes, {"password": CONNECTOR_PASSWORD})

    def records(self, kind: str, user: str = "") -> list[dict[str, Any]]:
        key = "id" if kind == "identity" else "identity"
        return [
            record for record in self.connector().read() if record["type"] == kind and record[key] == (user or self.app)
        ]

    def grant(self, user: str = "") -> GrantRef:
        (record,) = self.records("grant", user)
        return GrantRef(
            record["identity"],
            record["id"],
            Permission.from_json(record["permission"]),
            record["path"],
            record["native_ref"],
        )


def target(*statements: tuple[list[str], list[str]]) -> dict[str, Any]:
    """A permission as a reviewer would submit it: `target((["get"], ["read:orders:*"]))`."""
    return {
        "dialect": "redis",
        "statements": [{"actions": actions, "resources": resources} for actions, resources in statements],
    }


@pytest.fixture
def lists(redis_server: RedisServer, tmp_path: Path) -> Iterator[Lists]:
    secret = tmp_path / "redis-password"
    secret.write_text(CONNECTOR_PASSWORD)
    made = Lists(redis_server, secret)
    made.create()
    try:
        yield made
    finally:
        made.drop()
