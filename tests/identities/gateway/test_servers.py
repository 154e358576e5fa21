"""Servers behind the gateway: what may be started, how secrets are given, and which definitions of tools count."""

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from governance.kernel.actors import Actor, Role, system_actor
from governance.kernel.errors import DomainError, Forbidden
from identities.models import GatewayServer, Identity
from identities.pdp.deciding import decide
from identities.pdp.requests import Request
from identities.services.agent_tokens import LinkedAlready, NoAgentToken, link_agent_token
from identities.services.gateway_servers import (
    InvalidServer,
    ServerChanged,
    ServerNameTaken,
    Told,
    accept_tools,
    change_server,
    note_tools,
    register_server,
)

NOW = timezone.now()
GATEWAY = system_actor("gateway")
URL = "https://git.example.org/mcp"


@pytest.fixture
def commands(tmp_path: Path, settings: Any) -> Path:
    file = tmp_path / "commands"
    file.write_text("# comment\n/usr/bin/git-server --repository '/srv/my app'\n")
    settings.MCP_GATEWAY_COMMANDS_FILE = str(file)
    return file


@pytest.fixture
def git(admin_actor: Actor) -> GatewayServer:
    return register_server(name="git", url=URL, actor=admin_actor, now=NOW)


def tell(server: GatewayServer, **hashes: str) -> None:
    server.refresh_from_db()
    told = [Told(name, hash * 64, {"description": hash}) for name, hash in hashes.items()]
    note_tools(server=server, told=told, actor=GATEWAY, now=NOW)


def states(server: GatewayServer) -> dict[str, bool]:
    return {tool.name: tool.is_accepted for tool in server.tools.all()}


def test_only_a_command_that_the_operator_lists_word_for_word_is_taken(commands: Path, admin_actor: Actor) -> None:
    allowed = ["/usr/bin/git-server", "--repository", "/srv/my app"]

    assert register_server(name="git", command=allowed, actor=admin_actor, now=NOW).command == allowed
    for command in (allowed[:1], [*allowed, "--verbose"], ["/usr/bin/git-server", "--repository", "/etc"], ["sh"]):
        with pytest.raises(InvalidServer, match="does not allow"):
            register_server(name="other", command=command, actor=admin_actor, now=NOW)


def test_without_a_list_nothing_is_started_and_an_unreadable_list_is_said(
    settings: Any, tmp_path: Path, admin_actor: Actor
) -> None:
    with pytest.raises(InvalidServer, match="does not allow"):
        register_server(name="git", command=["/bin/true"], actor=admin_actor, now=NOW)
    settings.MCP_GATEWAY_COMMANDS_FILE = str(tmp_path / "gone")
    with pytest.raises(InvalidServer, match="can't be read"):
        register_server(name="git", command=["/bin/true"], actor=admin_actor, now=NOW)


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"url": URL, "command": ["x"]},
        {"url": "ftp://git.example.org"},
        {"url": "https://user:word@git.example.org/mcp"},
        {"url": "https://git.example.org/mcp#x"},
        {"url": URL, "token": "ghp_abcdefghijklmnopqrstuvwxyz0123456789"},
        {"url": URL, "token": "env:SECRET_KEY"},
        {"url": URL, "environment": {"TOKEN": "env:X"}},
        {"name": "Git Server", "url": URL},
        {"name": "../x", "url": URL},
    ],
)
def test_what_no_server_can_be_like_is_refused(wish: dict[str, Any], admin_actor: Actor) -> None:
    with pytest.raises(DomainError):
        register_server(**{"name": "git", **wish}, actor=admin_actor, now=NOW)

    assert not GatewayServer.objects.exists()


@pytest.mark.parametrize("variable", ["PATH", "LD_PRELOAD", "PYTHONPATH", "NODE_OPTIONS", "GIT_SSH_COMMAND", "a b"])
def test_variables_that_steer_what_runs_are_refused(variable: str, commands: Path, admin_actor: Actor) -> None:
    command = ["/usr/bin/git-server", "--repository", "/srv/my app"]
    with pytest.raises(InvalidServer):
        register_server(name="git", command=command, environment={variable: "env:X"}, actor=admin_actor, now=NOW)


def test_only_administrators_put_servers_there_and_a_name_is_taken_once(
    git: GatewayServer, make_user: Any, actor_of: Any, admin_actor: Actor
) -> None:
    with pytest.raises(Forbidden):
        register_server(name="other", url=URL, actor=actor_of(make_user(Role.CAMPAIGN_MANAGER)), now=NOW)
    with pytest.raises(ServerNameTaken):
        register_server(name="git", url=URL, actor=admin_actor, now=NOW)


def test_the_first_listing_counts_and_what_is_new_or_changed_later_waits_for_a_person(
    git: GatewayServer, admin_actor: Actor
) -> None:
    tell(git, git_log="a", git_status="b")
    first = states(git)
    tell(git, git_log="c", git_push="d")
    later = states(git)
    accept_tools(server=git, hashes={"git_log": "c" * 64}, actor=admin_actor, now=NOW)

    assert first == {"git_log": True, "git_status": True}
    assert later == {"git_log": False, "git_status": False, "git_push": False}
    assert states(git)["git_log"] is True
    with pytest.raises(ServerChanged):
        accept_tools(server=git, hashes={"git_push": "e" * 64}, actor=admin_actor, now=NOW)


def test_a_tool_that_goes_back_to_its_accepted_definition_is_accepted(git: GatewayServer) -> None:
    for hash in ("a", "b", "a"):
        tell(git, git_log=hash)

    assert states(git) == {"git_log": True}


def test_a_drifted_and_a_new_tool_are_denied_for_whoever_asks(agents: dict[str, Identity], git: GatewayServer) -> None:
    def reason(tool: str, **properties: str) -> str:
        request = Request("identity", str(agents["coder"].pk), tool, "server", "git", resource_properties=properties)
        return str(decide(request, now=timezone.now()).reason)

    tell(git, git_log="a")
    fine = reason("git_log"), reason("git_log", definition="a" * 64)
    live = reason("git_log", definition="b" * 64)
    tell(git, git_log="b", git_status="c")

    assert (fine, live) == (("granted", "granted"), "tool_drifted")
    assert (reason("git_log"), reason("git_status")) == ("tool_drifted", "tool_not_pinned")


def test_a_server_that_is_reached_another_way_has_everything_accepted_anew(
    git: GatewayServer, admin_actor: Actor
) -> None:
    tell(git, git_log="a")
    changes = {"url": "https://elsewhere.example.org/mcp"}
    changed = change_server(server=git, version=1, changes=changes, actor=admin_actor, now=NOW)

    assert states(changed) == {"git_log": False}
    with pytest.raises(ServerChanged):
        change_server(server=git, version=1, changes=changes, actor=admin_actor, now=NOW)


def test_a_token_speaks_for_one_agent_and_opens_nothing_else(
    agents: dict[str, Identity], make_token: Any, admin_actor: Actor
) -> None:
    token, _ = make_token(["mcp:call"])
    wide, _ = make_token(["mcp:call", "inventory:read"])
    link = {"actor": admin_actor, "now": NOW}

    link_agent_token(identity=agents["coder"], token_id=token.pk, **link)

    with pytest.raises(LinkedAlready):
        link_agent_token(identity=agents["clock"], token_id=token.pk, **link)
    with pytest.raises(NoAgentToken, match="no other"):
        link_agent_token(identity=agents["coder"], token_id=wide.pk, **link)
    Identity.objects.filter(pk=agents["idle"].pk).update(kind="bot")
    with pytest.raises(NoAgentToken, match="AI agent"):
        link_agent_token(identity=Identity.objects.get(pk=agents["idle"].pk), token_id=token.pk, **link)
