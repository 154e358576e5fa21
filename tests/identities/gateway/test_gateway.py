"""The gateway in front of servers that none of us wrote: mcp-server-git and mcp-server-time, driven over HTTP.

One process serves all tests here; each takes an agent of its own.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from django.db import connections
from django.utils import timezone
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from psycopg import sql

from governance.people.tokens import create_token
from identities.models import GatewayCall, GatewayServer, GatewaySession, GatewayTool, Usage
from identities.pdp.usage import fold_decisions
from identities.services.cut_offs import Target, cut_off
from tests import database
from tests.identities.gateway.conftest import HELLO, Talk, aside, tools

INSIDE = {"operator": "StringLike", "key": "action.arguments.repo_path"}


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("did not happen in time")


def with_sdk(gateway: Any, token: str, server: str, use: Callable[[Client], Awaitable[Any]], **options: Any) -> Any:
    """What `use` returns, with a session of the official SDK's client."""

    async def go() -> Any:
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
            transport = streamable_http_client(f"{gateway.base}/mcp/{server}", http_client=http)
            async with Client(transport, **options) as client:
                return await use(client)

    return aside(go)


def test_the_official_client_finds_the_granted_tools_calls_one_and_is_denied_another(gateway: Any) -> None:
    agent = gateway.agent(tools("git_log", "git_status"))

    async def use(client: Client) -> Any:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        log = await client.call_tool("git_log", {"repo_path": str(gateway.repository)})
        try:
            await client.call_tool("git_commit", {"repo_path": str(gateway.repository), "message": "no"})
        except Exception as refusal:
            return listed, log.content[0].text, str(refusal)
        return listed, log.content[0].text, "it was done"

    listed, log, refusal = with_sdk(gateway, agent.token, "git", use)

    assert listed == {"git_log", "git_status"}
    assert "the first commit" in log
    assert "No current grant permits this" in refusal


def test_limits_on_arguments_hold_whatever_way_a_path_is_written(gateway: Any) -> None:
    root = str(gateway.repository)
    limit = {**INSIDE, "values": [root, f"{root}/*"]}
    talk = Talk(gateway.base, gateway.agent(tools("git_log", "git_status", conditions=[limit])).token, "git")

    assert talk.tools() == {"git_log", "git_status"}
    assert "result" in talk.call("git_log", repo_path=root)
    for elsewhere in ("/etc", f"{root}/../../etc", f"{root}/..", f"{root}\x00/../../etc", "file:///etc"):
        assert talk.why_not("git_log", repo_path=elsewhere) == (-32001, "condition_not_met"), elsewhere
    assert talk.why_not("git_log")[1] == "missing_input"
    assert talk.why_not("git_log", repo_path=root, Repo_Path="/etc") == (-32602, "not_comparable")
    assert talk.why_not("git_log", repo_path=[root, "/etc"]) == (-32001, "condition_not_met")


def test_a_narrowing_holds_in_an_open_session_and_whoever_listens_is_told(gateway: Any) -> None:
    agent = gateway.agent(tools("git_log", "git_status", "git_diff_unstaged"))
    root = str(gateway.repository)
    told = threading.Event()

    async def use(client: Client) -> Any:
        before = {tool.name for tool in (await client.list_tools()).tools}
        await client.call_tool("git_status", {"repo_path": root})
        await asyncio.to_thread(agent.hold, tools("git_log"))
        after_narrowing = {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}
        try:
            await client.call_tool("git_status", {"repo_path": root})
            refused = False
        except Exception:
            refused = True
        await asyncio.to_thread(agent.hold)
        heard = await asyncio.to_thread(told.wait, 60)
        return before, after_narrowing, refused, heard, (await client.list_tools(cache_mode="bypass")).tools

    async def hear(message: Any) -> None:
        if "list_changed" in str(getattr(message, "method", message)):
            told.set()

    before, narrowed, refused, heard, nothing = with_sdk(
        gateway, agent.token, "git", use, message_handler=hear, mode="legacy"
    )

    assert before == {"git_log", "git_status", "git_diff_unstaged"}
    assert (narrowed, refused, heard, nothing) == ({"git_log"}, True, True, [])


@pytest.mark.parametrize("what", ["agent", "server", "tool"])
def test_a_kill_switch_holds_at_the_next_call(gateway: Any, what: str) -> None:
    agent = gateway.agent(tools("get_current_time", server="time"))
    talk = Talk(gateway.base, agent.token, "time")
    assert "result" in talk.call("get_current_time", timezone="UTC")
    server = GatewayServer.objects.get(name="time")
    target = {
        "agent": Target(identity=agent.identity),
        "server": Target(server=server),
        "tool": Target(server=server, tool="get_current_time"),
    }[what]

    row = cut_off(target=target, reason="It went wild.", actor=gateway.admin, now=timezone.now())
    refused, listed = talk.why_not("get_current_time", timezone="UTC"), talk.tools()
    row.restored_at = timezone.now()
    row.save(update_fields=["restored_at"])

    assert (refused, listed) == ((-32001, "killed"), set())
    assert "result" in talk.call("get_current_time", timezone="UTC")


def test_a_definition_that_is_not_the_accepted_one_is_neither_listed_nor_called(gateway: Any) -> None:
    agent = gateway.agent(tools("convert_time", "get_current_time", server="time"))
    talk = Talk(gateway.base, agent.token, "time")
    assert talk.tools() == {"convert_time", "get_current_time"}
    pinned = GatewayTool.objects.get(server__name="time", name="convert_time")
    kept = pinned.accepted_hash

    GatewayTool.objects.filter(pk=pinned.pk).update(accepted_hash="0" * 64)
    refused = talk.why_not("convert_time", source_timezone="UTC", time="12:00", target_timezone="UTC")
    listed = talk.tools()
    GatewayTool.objects.filter(pk=pinned.pk).update(accepted_hash=kept)

    assert (refused, listed) == ((-32001, "tool_drifted"), {"get_current_time"})
    assert talk.tools() == {"convert_time", "get_current_time"}


def test_without_its_database_the_gateway_lets_nothing_through_and_recovers_by_itself(gateway: Any) -> None:
    agent = gateway.agent(tools("get_current_time", server="time"))
    talk = Talk(gateway.base, agent.token, "time")
    assert "result" in talk.call("get_current_time", timezone="UTC")

    _allow_connections(gateway.database, "false")
    try:
        response = talk.post(
            {"jsonrpc": "2.0", "id": 99, "method": "tools/call", "params": {"name": "get_current_time"}}
        )
    finally:
        _allow_connections(gateway.database, "true")

    assert (response.status_code, response.json()["error"]["code"]) == (503, -32603)
    assert until(lambda: "result" in talk.call("get_current_time", timezone="UTC"))


def test_a_server_that_is_killed_is_an_error_that_says_so_and_is_started_again(gateway: Any) -> None:
    agent = gateway.agent(tools("get_current_time", server="time"))
    talk = Talk(gateway.base, agent.token, "time")
    assert "result" in talk.call("get_current_time", timezone="UTC")
    killed = _kill_servers(gateway.process.pid, "mcp-server-time", hold=True)

    error: dict[str, Any] = {}

    def call() -> None:
        error.update(talk.call("get_current_time", timezone="UTC"))

    # It is stopped first, so that the call is under way when it dies.
    caller = threading.Thread(target=call)
    caller.start()
    until(lambda: _passed_on(agent) == 2)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    caller.join(30)

    assert error["error"]["code"] == -32000
    assert "ended before it answered" in error["error"]["message"]
    assert "result" in until(lambda: talk.call("get_current_time", timezone="UTC"))


def test_a_call_is_cancelled_and_the_server_serves_on(gateway: Any) -> None:
    agent = gateway.agent(tools("get_current_time", server="time"))
    talk = Talk(gateway.base, agent.token, "time")
    assert talk.tools() == {"get_current_time"}
    stopped = _kill_servers(gateway.process.pid, "mcp-server-time", hold=True)
    answers: list[Any] = []
    message = {
        "jsonrpc": "2.0",
        "id": "slow",
        "method": "tools/call",
        "params": {"name": "get_current_time", "arguments": {"timezone": "UTC"}},
    }
    caller = threading.Thread(target=lambda: answers.append(talk.post(message).json()))
    caller.start()
    until(lambda: _passed_on(agent) == 1)
    other = httpx.Client(headers=dict(talk.http.headers))
    other.post(
        talk.address, json={"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "slow"}}
    )
    caller.join(30)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)

    assert answers[0]["error"]["code"] == -32800
    assert "result" in talk.call("get_current_time", timezone="UTC")


def test_what_was_called_becomes_use_and_the_session_is_seen(gateway: Any) -> None:
    agent = gateway.agent(tools("git_log", "git_status"))
    talk = Talk(gateway.base, agent.token, "git")
    talk.tools()
    for _ in range(2):
        talk.call("git_log", repo_path=str(gateway.repository))
    talk.call("git_commit", repo_path=str(gateway.repository), message="no")

    def used() -> Any:
        fold_decisions(now=timezone.now())
        return list(Usage.objects.filter(identity=agent.identity).values_list("action", "resource", "count"))

    assert until(used) == [("git_log", "server:git", 2)]
    session = GatewaySession.objects.get(identity=agent.identity)
    assert (session.client, session.protocol, session.ended_at) == ("test 1", "2025-06-18", None)


def test_what_was_asked_is_seen_some_seconds_later_and_no_argument_of_it(gateway: Any) -> None:
    agent = gateway.agent(tools("git_log"))
    talk = Talk(gateway.base, agent.token, "git")
    for _ in range(2):
        talk.call("git_log", repo_path=str(gateway.repository))
    talk.call("git_commit", repo_path=str(gateway.repository), message="very secret")
    talk.call("read_diary", of="somebody")

    def seen() -> Any:
        kept = GatewayCall.objects.filter(identity=agent.identity)
        rows = {(call["tool"], call["reason"], call["count"]) for call in kept.values()}
        return rows if sum(count for _, _, count in rows) == 4 else None

    assert sum(count for tool, reason, count in until(seen) if (tool, reason) == ("git_log", "granted")) == 2
    assert {(tool, reason) for tool, reason, _ in seen()} == {
        ("git_log", "granted"),
        ("git_commit", "no_grant"),
        ("", "no_grant"),
    }


def test_nothing_but_tools_is_passed_on(gateway: Any) -> None:
    talk = Talk(gateway.base, gateway.agent(tools("*")).token, "git")

    assert talk.hello["result"]["capabilities"] == {"tools": {"listChanged": True}}
    for method in ("resources/list", "resources/read", "prompts/get", "completion/complete", "logging/setLevel"):
        assert talk.ask(method)["error"]["code"] == -32001, method
    assert talk.ask("no/such")["error"]["code"] == -32601
    assert talk.ask("tools/list", cursor="x")["error"]["code"] == -32602
    assert talk.why_not("no_such_tool") == (-32001, "no_grant")
    assert talk.ask("ping")["result"] == {}


def test_only_an_agents_own_token_opens_the_gateway(gateway: Any) -> None:
    now = timezone.now()
    agent, other = gateway.agent(tools("git_log")), gateway.agent(tools("git_log"))
    ends = {"expires_at": now + timedelta(days=1), "actor": gateway.admin, "now": now}
    _, api = create_token(name="api", scopes=["inventory:read"], **ends)
    _, unlinked = create_token(name="unlinked", scopes=["mcp:call"], **ends)
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}

    def status(token: str, path: str = "/mcp/git", **headers: str) -> int:
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.post(gateway.base + path, json=body, headers=bearer | headers).status_code

    assert [status(token) for token in ("", "remit_x", api, unlinked, agent.token)] == [401, 401, 403, 403, 200]
    challenge = httpx.post(f"{gateway.base}/mcp/git", json=body).headers["www-authenticate"]
    metadata = httpx.get(challenge.partition('resource_metadata="')[2].partition('"')[0]).json()
    assert metadata["resource"] == f"{gateway.base}/mcp/git"
    assert status(agent.token, "/mcp/nowhere") == 404
    for path in ("/mcp/git/", "/mcp/%67it", "/mcp/git%2F..%2Ftime", "/mcp//git", "/mcp/git?server=time", "/mcp/GIT"):
        assert status(agent.token, path) == 404, path
    assert status(agent.token, Host="evil.example.org") == 421
    assert status(agent.token, Origin="https://evil.example.org") == 403
    # The id of a session is no key: neither another agent nor another server gets into it.
    talk = Talk(gateway.base, agent.token, "git")
    talk.http.headers["Authorization"] = f"Bearer {other.token}"
    assert talk.post({"jsonrpc": "2.0", "id": 5, "method": "ping"}).status_code == 404
    talk.http.headers["Authorization"] = f"Bearer {agent.token}"
    talk.address = f"{gateway.base}/mcp/time"
    assert talk.post({"jsonrpc": "2.0", "id": 5, "method": "ping"}).status_code == 404


def test_hostile_messages_are_refused_quickly_and_the_gateway_serves_on(gateway: Any) -> None:
    talk = Talk(gateway.base, gateway.agent(tools("git_log")).token, "git")

    def send(body: bytes, **headers: str) -> httpx.Response:
        return talk.http.post(talk.address, content=body, headers={"Content-Type": "application/json"} | headers)

    began = time.monotonic()
    bodies = (
        b"",
        b"{",
        b"[" * 500_000,
        b"\xff",
        b"[]",
        b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}',
    )
    assert [send(body).status_code for body in bodies] == [400] * len(bodies)
    assert send(b'{"a":"' + b"x" * (2 * 1024 * 1024) + b'"}').status_code == 413
    assert send(b"{}", **{"Content-Type": "text/plain"}).status_code == 415
    assert send(b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]').status_code == 400
    assert (
        send(b'{"jsonrpc":"2.0","id":1,"method":"ping"}', **{"MCP-Protocol-Version": "1999-01-01"}).status_code == 400
    )
    headers = [
        ("Authorization", talk.http.headers["authorization"]),
        ("Authorization", "Bearer x"),
        ("Content-Type", "application/json"),
    ]
    assert httpx.post(talk.address, content=b"{}", headers=headers).status_code == 400
    discover = send(b'{"jsonrpc":"2.0","id":1,"method":"server/discover"}', **{"MCP-Protocol-Version": "2026-07-28"})
    assert (discover.status_code, discover.json()["error"]["data"]["supported"]) == (400, ["2025-03-26", "2025-06-18"])
    assert time.monotonic() - began < 5
    assert talk.tools() == {"git_log"}


def test_batches_are_for_sessions_of_the_older_revision(gateway: Any) -> None:
    talk = Talk(gateway.base, gateway.agent(tools("git_log")).token, "git", protocol="2025-03-26")

    batch = [{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "method": "notifications/x"}]

    assert talk.post(batch).json() == [{"jsonrpc": "2.0", "id": 1, "result": {}}]
    assert talk.http.delete(talk.address).status_code == 204
    assert talk.post(batch).status_code == 404


def _passed_on(agent: Any) -> int:
    """How many calls the gateway has let through: it writes that down some seconds after it passed them on."""
    let_through = GatewayCall.objects.filter(identity=agent.identity, reason="granted")
    return sum(let_through.values_list("count", flat=True))


def _allow_connections(name: str, value: str) -> None:
    connections.close_all()
    database._execute(f"ALTER DATABASE {{name}} ALLOW_CONNECTIONS {value}", name=sql.Identifier(name))
    if value == "false":
        database._execute(
            # Each is waited for: a session that still ends could answer one more question.
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = {name}",
            name=sql.Literal(name),
        )


def _kill_servers(gateway_pid: int, name: str, *, hold: bool = False) -> list[int]:
    """The servers of this name that the gateway started, stopped (`hold`) or killed."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if name in command and _is_below(parent, gateway_pid):
            os.kill(pid, signal.SIGSTOP if hold else signal.SIGKILL)
            found.append(pid)
    assert found
    return found


def _is_below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False
