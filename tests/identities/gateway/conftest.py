"""Agents with grants and tokens, and, for those who want it, the gateway's own process in front of real servers."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from governance.kernel.actors import Actor, ActorKind, Role, system_actor
from governance.people.models import RoleAssignment, User
from governance.people.tokens import create_token
from identities.models import Grant, Identity, Source, SyncMode, SyncOrigin
from identities.services.agent_tokens import SCOPE, link_agent_token
from identities.services.gateway_servers import register_server
from identities.sync.receive import receive
from tests import database
from tests.plugins.agents import GIT_SERVER, TIME_SERVER
from tests.plugins.brokers import free_port

ROOT = Path(__file__).resolve().parents[3]
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def tools(*names: str, server: str = "git", **more: Any) -> dict[str, Any]:
    """A permission to call these tools of a server."""
    statement = {"actions": list(names), "resources": [f"server:{server}"], **more}
    return {"dialect": "tools", "statements": [statement]}


def push_agents(source: Source, grants: dict[str, list[dict[str, Any]]]) -> dict[str, Identity]:
    """A complete snapshot: agents by name, with what each holds."""
    lines: list[dict[str, Any]] = []
    for name, permissions in grants.items():
        lines.append({"type": "identity", "id": name, "name": name, "kind": "ai_agent"})
        for number, permission in enumerate(permissions):
            lines.append({"type": "grant", "id": f"{name}-{number}", "identity": name, "permission": permission})
    lines.append({"type": "end", "records": len(lines)})
    run = receive(
        source=source, lines=[json.dumps(line).encode() for line in lines], mode=SyncMode.SNAPSHOT, is_complete=True,
        origin=SyncOrigin.API, actor=system_actor("test"), now=timezone.now(),
    )  # fmt: skip
    assert run.state == "applied", run.problem
    return {identity.name: identity for identity in Identity.objects.filter(source=source)}


def make_source(slug: str = "agents") -> Source:
    return Source.objects.create(slug=slug, name=slug, kind="push", environment="production", max_retire_percent=100)


def make_admin() -> Actor:
    user = User.objects.create_user(f"admin-{os.urandom(3).hex()}@example.org", None, name="Admin")
    RoleAssignment.objects.create(user=user, role=Role.ADMINISTRATOR)
    return Actor(ActorKind.PERSON, str(user.pk), "person", frozenset({Role.ADMINISTRATOR}), auth_method="password")


def give_token(identity: Identity, admin: Actor, scopes: tuple[str, ...] = (SCOPE,)) -> str:
    """A token that speaks for the agent."""
    now = timezone.now()
    token, plain = create_token(
        name=identity.name, scopes=scopes, expires_at=now + timedelta(days=1), actor=admin, now=now
    )
    link_agent_token(identity=identity, token_id=token.pk, actor=admin, now=now)
    return plain


@pytest.fixture
def agents(db: None) -> dict[str, Identity]:
    """`coder` may look into git, `clock` may tell the time, `idle` may nothing."""
    grants = {
        "coder": [tools("git_log", "git_status")],
        "clock": [tools("get_current_time", server="time")],
        "idle": [],
    }
    return push_agents(make_source(), grants)


def aside(use: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What the coroutine returns, from a thread of its own: a browser's test leaves an event loop in the main one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(use())).result()


class Talk:
    """One session of an agent at one server, in plain JSON-RPC over HTTP."""

    def __init__(self, base: str, token: str, server: str, protocol: str = "2025-06-18") -> None:
        self.address = f"{base}/mcp/{server}"
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
        self.http = httpx.Client(headers=headers, timeout=30)
        self._number = 0
        response = self.post(
            {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO | {"protocolVersion": protocol}}
        )
        self.hello = response.json()
        self.http.headers["Mcp-Session-Id"] = response.headers["mcp-session-id"]
        self.http.headers["MCP-Protocol-Version"] = protocol
        assert self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202

    def post(self, message: Any, **headers: str) -> httpx.Response:
        return self.http.post(self.address, json=message, headers=headers)

    def ask(self, method: str, **params: Any) -> Any:
        """The whole answer: with `result` or with `error`."""
        self._number += 1
        return self.post({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}).json()

    def tools(self) -> set[str]:
        return {tool["name"] for tool in self.ask("tools/list")["result"]["tools"]}

    def call(self, tool: str, **arguments: Any) -> Any:
        return self.ask("tools/call", name=tool, arguments=arguments)

    def why_not(self, tool: str, **arguments: Any) -> tuple[int, str]:
        """Code and reason of a refusal."""
        error = self.call(tool, **arguments)["error"]
        return error["code"], error["data"]["reason"]


@pytest.fixture(scope="module")
def gateway(
    pristine_database: str, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    """The gateway's own process on a database of this module, with `git` and `time` of mcp-server-* behind it.

    One for all tests of a module, so each takes agents of its own: `gateway.agent({...})` gives a token and the agent.
    """
    folder = tmp_path_factory.mktemp("gateway")
    repository = _repository(folder)
    commands = folder / "commands"
    git, clock = [GIT_SERVER, "--repository", str(repository)], [TIME_SERVER, "--local-timezone", "UTC"]
    commands.write_text(f"# what may be started\n{' '.join(git)}\n{' '.join(clock)}\n")
    original = connections["default"].settings_dict["NAME"]
    name = f"{original}_{os.urandom(3).hex()}"[-63:]
    port = free_port()
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.MCP_GATEWAY_COMMANDS_FILE", str(commands))
        database._copy(pristine_database, name)
        database._point_to(name)
        process = None
        try:
            url = database._url(connections["default"].settings_dict)
            call_command("createcachetable", verbosity=0)
            admin = make_admin()
            now = timezone.now()
            for server, command in {"git": git, "time": clock}.items():
                register_server(name=server, command=command, actor=admin, now=now)
            process = _start(port, url, commands, folder)
            yield SimpleNamespace(
                base=f"http://127.0.0.1:{port}", port=port, admin=admin, repository=repository, process=process,
                database=name, agent=_agents(admin), log=folder / "log", commands=commands,
            )  # fmt: skip
        finally:
            if process is not None:
                process.send_signal(signal.SIGTERM)
                process.wait(20)
            connections.close_all()
            database._point_to(original)
            database._drop(name)


def _agents(admin: Actor) -> Callable[..., SimpleNamespace]:
    def make(*permissions: dict[str, Any], acts_for: str = "") -> SimpleNamespace:
        source = make_source(f"agents-{os.urandom(3).hex()}")

        def hold(*held: dict[str, Any]) -> Identity:
            """From now on the agent holds this, as its source says."""
            return push_agents(source, {"agent": list(held)})["agent"]

        identity = hold(*permissions)
        return SimpleNamespace(
            identity=identity, token=give_token(identity, admin), hold=hold,
            grants=lambda: Grant.objects.filter(identity=identity, retired_at=None),
        )  # fmt: skip

    return make


def _start(port: int, url: str, commands: Path, folder: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "DATABASE_URL": url,
        "MCP_GATEWAY_PORT": str(port),
        "MCP_GATEWAY_COMMANDS_FILE": str(commands),
        "MCP_GATEWAY_WATCH_SECONDS": "0.2",
        "DECISION_LOG_SECONDS": "1",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "mcp_gateway", "--port", str(port)],
            cwd=ROOT, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}/healthz"
    for _ in range(1200):
        assert process.poll() is None, (folder / "log").read_text()
        try:
            if httpx.get(address).status_code == 200:
                return process
        except httpx.TransportError:
            pass
        time.sleep(0.05)  # until it listens there is nothing to wait for but time
    raise AssertionError((folder / "log").read_text())


def _repository(folder: Path) -> Path:
    repository = folder / "repository"
    repository.mkdir()

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=repository, check=True, capture_output=True)

    git("init", "-b", "main")
    (repository / "a.txt").write_text("a\n")
    git("add", "a.txt")
    git("commit", "-m", "the first commit")
    return repository
