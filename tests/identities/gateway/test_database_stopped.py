"""PostgreSQL really gone and really hanging, with the decision endpoint and the gateway before it as their own processes.

A server of its own is killed, and is stopped (SIGSTOP): then its sockets stay open and nothing comes, which no timeout of
the server's ends. Both processes have to refuse within the limit that docs/decisions.md states, and to go on by themselves.
"""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.utils import timezone

from governance.people.tokens import create_token
from identities.api.authzen import WAIT_SECONDS
from identities.services.gateway_servers import register_server
from tests.identities.gateway.conftest import (
    TIME_SERVER,
    Talk,
    _start,
    give_token,
    make_admin,
    make_source,
    push_agents,
    tools,
)
from tests.plugins.brokers import free_port
from tests.plugins.stoppable import Cluster, dump_of, start_web, wait_until

CONNECT = 2
# What docs/decisions.md promises, and two seconds for everything else.
REST = 2.0
LIMIT = {"endpoint": WAIT_SECONDS + CONNECT + REST, "gateway": 5.0 + REST}


@pytest.fixture(scope="module")
def place(
    pristine_database: str, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    """`cluster`, and what to ask: `endpoint()` and `gateway()` each give a status and whether it is a yes."""
    folder = tmp_path_factory.mktemp("stopped")
    commands = folder / "commands"
    commands.write_text(f"{TIME_SERVER} --local-timezone UTC\n")
    cluster = Cluster(folder / "cluster")
    web = gateway = None
    try:
        made = dump_of(pristine_database, django_db_blocker, folder / "dump", lambda: _fill(commands))
        cluster.load(folder / "dump")
        more = f"{cluster.server.admin_url()}&connect_timeout={CONNECT}"
        gateway_port, web_port = free_port(), free_port()
        web = start_web(web_port, more, folder / "web.log")
        gateway = _start(gateway_port, more, commands, folder)
        asked = _endpoint(web_port, made)
        wait_until(lambda: asked() == (200, True))
        talk = Talk(f"http://127.0.0.1:{gateway_port}", made.agent_token, "time")
        yield SimpleNamespace(cluster=cluster, endpoint=asked, gateway=_gateway(talk))
    finally:
        cluster.send(signal.SIGCONT)
        for process in (web, gateway):
            if process is not None:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
        cluster.end()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_both_refuse_within_their_limits_and_go_on_by_themselves(place: Any, how: str) -> None:
    doors = {"endpoint": place.endpoint, "gateway": place.gateway}
    assert {name: ask() for name, ask in doors.items()} == {"endpoint": (200, True), "gateway": (200, True)}

    if how == "stopped":
        place.cluster.send(signal.SIGSTOP)
    else:
        place.cluster.kill()
    try:
        # Twice: with the connection that was open before, and without one that can be used.
        with ThreadPoolExecutor(2) as both:
            rounds = [dict(zip(doors, both.map(_timed, doors.values()), strict=True)) for _ in range(2)]
    finally:
        if how == "stopped":
            place.cluster.send(signal.SIGCONT)
        else:
            place.cluster.start()

    for answers in rounds:
        for name, (answer, seconds) in answers.items():
            assert answer == (503, False), name
            assert seconds < LIMIT[name], name
    for name, ask in doors.items():
        assert wait_until(lambda ask=ask: ask() == (200, True)), name


def _timed(ask: Callable[[], tuple[int, bool]]) -> tuple[tuple[int, bool], float]:
    begun = time.monotonic()
    return ask(), time.monotonic() - begun


def _fill(commands: Path) -> SimpleNamespace:
    """An agent that may tell the time, a server behind the gateway and two tokens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.MCP_GATEWAY_COMMANDS_FILE", str(commands))
        admin, now = make_admin(), timezone.now()
        command = [TIME_SERVER, "--local-timezone", "UTC"]
        register_server(name="time", command=command, actor=admin, now=now)
        agent = push_agents(make_source(), {"clock": [tools("get_current_time", server="time")]})["clock"]
        _, pep = create_token(
            name="pep", scopes=["pdp:decide"], expires_at=now + timedelta(days=1), actor=admin, now=now
        )
        return SimpleNamespace(identity=agent.pk, agent_token=give_token(agent, admin), pep=pep)


def _endpoint(port: int, made: SimpleNamespace) -> Callable[[], tuple[int, bool]]:
    http = httpx.Client(headers={"Authorization": f"Bearer {made.pep}"}, timeout=30)
    question = {
        "subject": {"type": "identity", "id": str(made.identity)},
        "action": {"name": "get_current_time"},
        "resource": {"type": "server", "id": "time"},
    }

    def ask() -> tuple[int, bool]:
        try:
            answer = http.post(f"http://127.0.0.1:{port}/access/v1/evaluation", json=question)
        except httpx.TransportError:
            return 0, False  # it has not begun to listen
        said = answer.json()
        return answer.status_code, isinstance(said, dict) and said.get("decision") is True

    return ask


def _gateway(talk: Talk) -> Callable[[], tuple[int, bool]]:
    call = {"name": "get_current_time", "arguments": {"timezone": "UTC"}}

    def ask() -> tuple[int, bool]:
        answer = talk.post({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call})
        return answer.status_code, "result" in answer.json()

    return ask
