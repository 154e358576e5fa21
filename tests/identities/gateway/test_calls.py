"""What agents asked lately: gathered without a database, written at once, shown to those whom it concerns, forgotten."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance.kernel.actors import Actor, Role, system_actor
from identities.models import GatewayCall, GatewayServer, Identity
from identities.services import gateway_calls
from identities.services.gateway_calls import Asked, Gathered, Times, forget_calls, write_calls
from identities.services.gateway_servers import Told, note_tools, register_server
from tests.identities.gateway.conftest import make_source, push_agents, tools

NOW = timezone.now()
# Session, person, roles, calls, servers.
LIST_QUERIES = 6


def asked(tool: str = "git_log", reason: str = "granted", agent: UUID | None = None) -> Asked:
    return Asked(agent or UUID(int=1), UUID(int=2), tool, reason)


def test_equal_calls_are_one_with_their_number_and_what_could_not_be_written_joins_what_came_since() -> None:
    gathered = Gathered()
    gathered.add(asked(), NOW)
    gathered.add(asked(reason="no_grant"), NOW)
    taken = gathered.take()
    gathered.add(asked(), NOW + timedelta(seconds=3))

    gathered.take_back(taken)

    kept = gathered.take()
    assert kept[asked()] == Times(2, NOW, NOW + timedelta(seconds=3))
    assert kept[asked(reason="no_grant")] == Times(1, NOW, NOW)
    assert len(gathered) == 0


def test_an_agent_that_asks_for_ever_new_names_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_calls, "MOST_WAITING", 10)
    gathered = Gathered()

    for number in range(25):
        gathered.add(asked(f"tool-{number}"), NOW)
    gathered.add(asked("tool-3"), NOW)

    assert (len(gathered), gathered.given_up) == (10, 15)
    assert gathered.take()[asked("tool-3")].count == 2


@pytest.fixture
def git(admin_actor: Actor) -> GatewayServer:
    server = register_server(name="git", url="https://git.example.org/mcp", actor=admin_actor, now=NOW)
    told = [Told("git_log", "a" * 64, {"description": "It logs.", "input_schema": "{}"})]
    note_tools(server=server, told=told, actor=system_actor("gateway"), now=NOW)
    return server


def call(agent: Identity, server: GatewayServer, tool: str = "git_log", reason: str = "granted", age: int = 0) -> Any:
    at = NOW - timedelta(seconds=age)
    return GatewayCall.objects.create(
        identity=agent, server=server, tool=tool, reason=reason, count=1, first_at=at, last_at=at
    )


def test_a_name_that_only_the_caller_has_said_is_not_kept(agents: dict[str, Identity], git: GatewayServer) -> None:
    agent, later = agents["coder"].pk, NOW + timedelta(seconds=2)
    write_calls(
        {
            Asked(agent, git.pk, "git_log", "granted"): Times(3, NOW, later),
            Asked(agent, git.pk, "password=hunter2", "no_grant"): Times(1, NOW, NOW),
            Asked(agent, git.pk, "password=hunter3", "no_grant"): Times(1, later, later),
            Asked(uuid4(), git.pk, "git_log", "granted"): Times(1, NOW, NOW),
        }
    )

    rows = GatewayCall.objects.order_by("count").values_list("tool", "reason", "count", "first_at", "last_at")
    assert list(rows) == [("", "no_grant", 2, NOW, later), ("git_log", "granted", 3, NOW, later)]


def test_calls_are_forgotten_after_their_days_and_where_there_are_very_many(
    agents: dict[str, Identity], git: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [call(agents["coder"], git) for _ in range(3)]
    old = call(agents["coder"], git, age=31 * 86_400)

    assert forget_calls(now=NOW) == 1
    assert not GatewayCall.objects.filter(pk=old.pk).exists()

    monkeypatch.setattr(gateway_calls, "MOST_KEPT", 2)
    latest = [call(agents["coder"], git) for _ in range(2)]

    assert forget_calls(now=NOW) == 3
    assert set(GatewayCall.objects.values_list("pk", flat=True)) == {row.pk for row in latest}
    assert kept[-1].pk < latest[0].pk


@pytest.fixture
def auditor(make_user: Any, sign_in: Any) -> Client:
    return sign_in(Client(), make_user(Role.AUDITOR))


def text(client: Client, path: str = "/gateway/calls/", **query: Any) -> str:
    response = client.get(path, query or None)
    assert response.status_code == 200, path
    return response.content.decode()


def test_the_list_says_in_words_what_was_answered_and_leads_to_the_same_question(
    agents: dict[str, Identity], git: GatewayServer, auditor: Client
) -> None:
    assert "No agent has asked yet" in text(auditor)
    assert "No agent has asked for a tool yet" in text(auditor, "/gateway/")
    coder = agents["coder"]
    call(coder, git, age=3)
    call(coder, git, reason="tool_drifted", age=2)
    call(agents["clock"], git, tool="", reason="no_grant", age=1)
    call(agents["idle"], git, reason="server_unreachable")

    shown = text(auditor)

    for words in (
        *("Let through", "Denied", "Not decided", "a name that the server does not know"),
        *("The definition of the tool has changed since it was approved.", "No current grant permits this."),
        "The server could not be reached, so nothing was asked of it.",
    ):
        assert words in shown, words
    question = f"/playground/?identity={coder.pk}&action=git_log&resource=server%3Agit&dialect=tools"
    assert question.replace("&", "&amp;") in shown
    assert "The decision point, now" in text(auditor, question)
    assert "The definition of the tool has changed" in text(auditor, "/gateway/")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"shown": "refused"}, {"clock"}),
        ({"shown": "let-through"}, {"coder"}),
        ({"shown": "nonsense"}, {"coder", "clock"}),
        ({"q": "OCK"}, {"clock"}),
        ({"server": "git"}, {"coder", "clock"}),
        ({"server": "no-such"}, set()),
        ({"agent": "coder"}, {"coder"}),
        ({"agent": "00000000-0000-0000-0000-000000000000"}, set()),
        ({"agent": "'; drop"}, set()),
    ],
)
def test_the_list_is_narrowed_by_agent_server_and_answer(
    agents: dict[str, Identity], git: GatewayServer, auditor: Client, query: dict[str, str], names: set[str]
) -> None:
    call(agents["coder"], git)
    call(agents["clock"], git, reason="no_grant")
    if query.get("agent") in agents:
        query = {"agent": str(agents[query["agent"]].pk)}

    shown = text(auditor, **query)

    assert {name for name in agents if f"/identities/{agents[name].pk}/" in shown} == names


def test_owners_see_what_their_own_agents_asked_and_no_more(
    agents: dict[str, Identity], git: GatewayServer, make_user: Any, sign_in: Any
) -> None:
    owner = make_user(Role.OWNER)
    Identity.objects.filter(pk=agents["coder"].pk).update(owner=owner)
    client = sign_in(Client(), owner)
    call(agents["coder"], git)
    call(agents["clock"], git, reason="killed")

    for path in ("/gateway/", "/gateway/calls/"):
        shown = text(client, path)
        assert f"/identities/{agents['coder'].pk}/" in shown
        assert f"/identities/{agents['clock'].pk}/" not in shown
    assert "clock" not in text(client, agent=str(agents["clock"].pk))


def test_pages_of_the_list_cost_the_same_and_lead_on_to_the_end(
    agents: dict[str, Identity], git: GatewayServer, auditor: Client
) -> None:
    more = push_agents(make_source("more"), {f"bot-{number}": [tools("git_log")] for number in range(20)})
    for number in range(60):
        call(more[f"bot-{number % 20}"], git, age=number // 2)
    auditor.get("/gateway/calls/")

    with CaptureQueriesContext(connection) as queries:
        first = auditor.get("/gateway/calls/")
    second = auditor.get("/gateway/calls/", {"cursor": first.context["page"].next_cursor})

    assert len(queries) <= LIST_QUERIES, [query["sql"][:120] for query in queries]
    rows = [*first.context["page"].rows, *second.context["page"].rows]
    assert len({row.pk for row in rows}) == 60
    assert [row.last_at for row in rows] == sorted((row.last_at for row in rows), reverse=True)
    assert auditor.get("/gateway/calls/", {"cursor": "forged"}).status_code == 400
