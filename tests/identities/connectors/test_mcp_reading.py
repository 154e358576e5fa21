"""What configuration files of agents say, and what real servers answer."""

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from governance.kernel.permissions import Answer, Permission, matches
from identities.connectors.contract import ReadIncomplete, SourceUnreachable
from identities.connectors.files import FileRefused, Notes
from identities.connectors.mcp import MCP
from identities.connectors.mcp.clients import agent_of
from identities.connectors.mcp.formats import ConfigurationFile, ToolsFile
from identities.connectors.mcp.servers import list_over_http, list_over_stdio
from identities.connectors.settings import BadSettings
from tests.plugins.agents import TIME_SERVER
from tests.recognising import format_of

GIT = {"command": "mcp-server-git", "args": ["--repository", "."]}


@pytest.fixture
def make_source(tmp_path: Path) -> Callable[..., MCP]:
    """`make_source({"app/.mcp.json": {...}}, allowed_commands=[…])`: files on disk and the connector that reads them."""

    def go(files: dict[str, Any], **settings: Any) -> MCP:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return MCP({"files": [str(tmp_path / name) for name in files], **settings}, {})

    return go


def read(source: MCP, kind: str) -> list[dict[str, Any]]:
    return [record for record in source.read() if record["type"] == kind]


def agent_grants(source: MCP) -> dict[str, Permission]:
    return {
        record["label"]: Permission.from_json(record["permission"])
        for record in read(source, "grant")
        if record["native_ref"]["kind"] != "tool"
    }


def may(permissions: dict[str, Permission], tool: str, server: str = "git") -> bool:
    return any(matches(each, tool, f"server:{server}") is Answer.YES for each in permissions.values())


@pytest.mark.parametrize(
    ("path", "agent"),
    [
        ("/srv/app/.mcp.json", "claude-code:/srv/app"),
        ("/srv/app/.claude/settings.local.json", "claude-code:/srv/app"),
        ("/home/ann/.claude.json", "claude-code:/home/ann"),
        ("/etc/claude-code/managed-mcp.json", "claude-code:managed"),
        ("/srv/app/.vscode/mcp.json", "vscode:/srv/app"),
        ("/home/ann/.gemini/settings.json", "gemini-cli:/home/ann"),
        ("/home/ann/.codex/config.toml", "codex:/home/ann"),
        ("/srv/app/.cursor/mcp.json", "cursor:/srv/app"),
        ("/srv/agents/one.json", "mcp-client:/srv/agents/one.json"),
    ],
)
def test_the_place_of_a_file_says_whose_agent_it_configures(path, agent):
    assert agent_of(path) == agent


def test_a_server_without_a_list_gives_every_tool_also_later_ones(make_source):
    held = agent_grants(make_source({"app/.mcp.json": {"mcpServers": {"git": GIT}}}))

    assert may(held, "git_log") and may(held, "added_next_year")
    assert not may(held, "git_log", server="other")


def test_lists_that_the_client_honours_limit_what_is_held(make_source):
    gemini = {"mcpServers": {"git": {**GIT, "includeTools": ["git_log", "git_add(x)"], "excludeTools": ["git_add"]}}}
    codex = '[mcp_servers.git]\ncommand = "g"\nenabled_tools = ["git_log"]\n'

    held = agent_grants(make_source({"h/.gemini/settings.json": gemini}))
    also = agent_grants(make_source({"h/.codex/config.toml": codex}))

    assert may(held, "git_log") and not may(held, "git_add") and not may(held, "git_push")
    assert may(also, "git_log") and not may(also, "git_push")


def test_a_list_that_the_client_does_not_know_is_no_restriction_and_is_said(make_source):
    source = make_source({"app/.mcp.json": {"mcpServers": {"git": {**GIT, "disabledTools": ["git_push"]}}}})

    (server,) = [each for each in read(source, "identity") if each["kind"] == "machine"]
    assert may(agent_grants(source), "git_push")
    assert server["attributes"]["stated_limits"] == ["disabledTools"]


def test_permissions_of_claude_code_allow_deny_and_ask_across_its_files(make_source):
    settings = {"permissions": {"allow": ["mcp__git__*", "Bash(ls)", "mcp__jira__get_issue", "mcp__git__git_log"],
                                "deny": ["mcp__git__git_push"], "ask": ["mcp__git__git_reset"]}}  # fmt: skip
    local = {"disabledMcpjsonServers": ["old"], "enableAllProjectMcpServers": True}
    source = make_source(
        {
            "app/.mcp.json": {"mcpServers": {"git": GIT, "old": GIT}},
            "app/.claude/settings.json": settings,
            "app/.claude/settings.local.json": local,
        }
    )

    held = agent_grants(source)
    assert set(held) == {"git: every tool but 1", "mcp__git__* without asking", "mcp__jira__get_issue without asking",
                         "mcp__git__git_log without asking"}  # fmt: skip
    assert not may(held, "git_push"), "denied in one file, whatever another allows"
    entry = {"": held["mcp__git__* without asking"]}
    assert may(entry, "git_log") and not may(entry, "git_reset"), "ask is stronger than allow"
    assert may(held, "git_reset"), "the agent may call it when a person confirms"
    (old,) = [each for each in read(source, "identity") if each["name"].startswith("old")]
    assert old["status"] == "disabled"
    (agent,) = [each for each in read(source, "identity") if each["kind"] == "ai_agent"]
    assert agent["attributes"]["switched_off"] == ["old"]
    assert agent["attributes"]["approved_project_servers"] == ["*"]


def test_servers_of_a_user_and_of_each_project_are_told_apart(make_source):
    held = {"mcpServers": {"a": GIT}, "numStartups": 9,
            "projects": {"/srv/app": {"mcpServers": {"b": GIT}}, "/srv/none": {"history": []}}}  # fmt: skip
    source = make_source({"ann/.claude.json": held})

    agents = {each["id"].rpartition("/")[2] for each in read(source, "identity") if each["kind"] == "ai_agent"}
    assert agents == {"ann", "app"}
    assert len({each["id"] for each in read(source, "grant")}) == 2


def test_a_policy_of_the_organisation_switches_servers_off(make_source):
    source = make_source(
        {
            "app/.mcp.json": {"mcpServers": {"git": GIT, "mail": {"url": "https://mail.example.org/mcp"}}},
            "etc/managed-settings.json": {"deniedMcpServers": [{"serverUrl": "https://mail.example.org/*"}]},
        }
    )

    assert set(agent_grants(source)) == {"git: every tool"}


def test_comments_are_read_where_the_editor_allows_them_and_refused_elsewhere(make_source):
    text = '{\n // mine\n "servers": {"git": {"command": "x"},},\n}'

    assert set(agent_grants(make_source({"app/.vscode/mcp.json": text}))) == {"git: every tool"}
    with pytest.raises(ReadIncomplete, match=r"\.mcp\.json .*line 2"):
        list(make_source({"app/.mcp.json": text}).read())


SECRETS = {
    "env": {"GITHUB_TOKEN": "ghp_0123456789abcdefghijABCDEFGHIJ012345", "API_KEY": "${API_KEY}", "LOG_LEVEL": "debug"},
    "headers": {"Authorization": "Bearer plain-words-7781"},
    "args": ["--api-key", "inline-5512", "--token=${T}", "serve"],
    "command": "server",
}


def test_names_of_upstream_credentials_are_kept_and_their_values_nowhere(make_source):
    source = make_source({"app/.mcp.json": {"mcpServers": {"git": SECRETS}}})

    found = {each["attributes"]["name"]: each["attributes"]["stands_in_file"] for each in read(source, "credential")}

    assert found == {"GITHUB_TOKEN": True, "API_KEY": False, "Authorization": True, "api-key": True, "token": False}
    said = [check.detail for check in source.check() if check.state == "warning"]
    assert any("GITHUB_TOKEN" in sentence and "plain text" in sentence for sentence in said)
    everything = json.dumps([list(source.read()), said])
    assert not any(secret in everything for secret in ("ghp_", "plain-words", "inline-5512", "debug"))


def test_dropped_secrets_are_counted_and_said_aloud():
    notes = Notes()

    list(ConfigurationFile().records(io.BytesIO(json.dumps({"mcpServers": {"git": SECRETS}}).encode()), notes))

    assert notes.counts["secrets dropped"] == 3
    assert notes.counts["settings that are no credential"] == 1
    assert any("secret stands in" in each and "API_KEY" not in each for each in notes.sentences)


@pytest.mark.parametrize(
    "content",
    ["", "{", '{"mcpServers": []}', '{"mcpServers": {"a": 1}}', '{"mcpServers": {"": {}}}', '{"other": 1}', "\xff",
     '{"mcpServers": {"a": {}, "a": {}}}', '{"permissions": {"allow": "mcp__git"}, "mcpServers": {}}'],
)  # fmt: skip
def test_a_file_that_is_no_configuration_is_refused_with_a_reason(content):
    with pytest.raises(FileRefused) as caught:
        list(ConfigurationFile().records(io.BytesIO(content.encode("latin-1")), Notes()))
    assert len(caught.value.message) > 10


def test_a_file_that_is_away_is_no_file_without_servers(make_source, tmp_path):
    source = make_source({"app/.mcp.json": {"mcpServers": {"git": GIT}}})
    (tmp_path / "app/.mcp.json").unlink()

    with pytest.raises(ReadIncomplete, match="can't be read"):
        list(source.read())


def test_formats_know_their_own_files_by_their_beginning():
    wrapped = json.dumps({"_repo": "a/b", "_path": ".mcp.json", "config": {"mcpServers": {}}}).encode()

    assert format_of(wrapped).name == "mcp-config"
    assert format_of(b'[mcp_servers.git]\ncommand = "x"').name == "mcp-config"
    assert format_of(b'{"init": {"protocolVersion": "x"}, "tools": [').name == "mcp-tools"
    assert format_of(b'{"tools": ["hammer"]}') is None
    assert format_of(b'{"kind": "List", "items": []}') is None


@pytest.mark.parametrize(
    "content",
    ['{"tools": [{"name": ""}]}', '{"tools": [{"name": "a"}, {"name": "a"}]}', '{"tools": 1}', '{"init": {}}',
     '{"tools": [{"name": "a"}], "nextCursor": "2"}'],
)  # fmt: skip
def test_a_list_of_tools_that_is_not_whole_is_refused(content):
    with pytest.raises(FileRefused):
        list(ToolsFile().records(io.BytesIO(content.encode()), Notes()))


# --- real servers -----------------------------------------------------------------------------------------------


def test_a_server_is_only_started_when_its_whole_command_line_is_listed(make_source, tmp_path):
    mark = tmp_path / "started"
    definition = {"command": sys.executable, "args": ["-c", f"open({str(mark)!r}, 'w')"]}
    files = {"app/.mcp.json": {"mcpServers": {"evil": definition}}}

    list(make_source(files).read())
    list(make_source(files, allowed_commands=[sys.executable, f"{sys.executable} -c pass"]).read())

    assert not mark.exists()


def test_a_real_server_is_listed_with_its_tools_version_and_definitions(make_source):
    files = {"app/.mcp.json": {"mcpServers": {"clock": {"command": TIME_SERVER}}}}
    source = make_source(files, allowed_commands=[TIME_SERVER])

    offered = [each for each in read(source, "grant") if each["native_ref"]["kind"] == "tool"]
    (held,) = [each for each in read(source, "grant") if each["native_ref"]["kind"] == "server"]

    assert {each["label"] for each in offered} == {"get_current_time (offered)", "convert_time (offered)"}
    assert "timezone" in offered[0]["native_ref"]["input_schema"]
    assert {name for name, _ in held["native_ref"]["tools"]} == {"get_current_time", "convert_time"}
    assert [check.state for check in source.check()] == ["ok", "ok"]


def test_a_started_server_sees_nothing_of_ours_and_ends_with_its_children(tmp_path, monkeypatch, wait_until):
    monkeypatch.setenv("REMIT_SECRET", "no")
    script = tmp_path / "server.py"
    script.write_text(SPAWNING)

    listing = list_over_stdio([sys.executable, str(script)])

    told = json.loads(listing.tools[0]["description"])
    assert set(told["environment"]) <= {"PATH", "HOME", "LC_CTYPE"}
    wait_until(lambda: not is_running(told["child"]))


def is_running(process: int) -> bool:
    try:
        return b"sleep" in Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


SPAWNING = """
import json, os, subprocess, sys
child = subprocess.Popen(["sleep", "60"])
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked: continue
    told = json.dumps({"environment": list(os.environ), "child": child.pid})
    hello = {"protocolVersion": "2025-06-18", "serverInfo": {}}
    result = hello if asked["method"] == "initialize" else {"tools": [{"name": "t", "description": told}]}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


@pytest.mark.parametrize(
    ("script", "error", "what"),
    [
        ("import time; time.sleep(60)", SourceUnreachable, "in time"),
        ("pass", SourceUnreachable, "ended"),
        ("print('hello', flush=True); input()", ReadIncomplete, "no JSON"),
        ("while True: print('[' + '1,' * 10**6 + '1]')", ReadIncomplete, "MB"),
    ],
)
def test_a_server_that_misbehaves_is_an_error_and_never_an_empty_list(monkeypatch, script, error, what):
    monkeypatch.setattr("identities.connectors.mcp.servers.MOST_OUTPUT", 3_000_000)

    with pytest.raises(error, match=what):
        list_over_stdio([sys.executable, "-c", script], timeout=1.5 if "sleep" in script else 20)


@contextmanager
def http_server(answer: Callable[[dict[str, Any]], Any], *, as_stream: bool = False) -> Iterator[str]:
    """A server over streamable HTTP on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if "id" not in asked:
                self.send_response(202)
                self.send_header("content-length", "0")
                self.end_headers()
                return
            sent = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer(asked)})
            noise = 'data: {"jsonrpc": "2.0", "method": "notifications/progress"}\n\n'
            body = f"event: message\n{noise}data: {sent}\n\n" if as_stream else sent
            self.send_response(200)
            self.send_header("content-type", "text/event-stream" if as_stream else "application/json")
            self.send_header("content-length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/mcp"
    finally:
        server.shutdown()
        server.server_close()


def paged(asked: dict[str, Any]) -> Any:
    if asked["method"] == "initialize":
        return {"protocolVersion": "2025-03-26", "serverInfo": {"name": "paged", "version": "2"}}
    if not asked["params"].get("cursor"):
        return {"tools": [{"name": "one"}], "nextCursor": "2"}
    return {"tools": [{"name": "two"}]}


@pytest.mark.parametrize("as_stream", [False, True])
def test_a_server_over_http_is_read_to_its_last_page(as_stream):
    with http_server(paged, as_stream=as_stream) as address:
        listing = list_over_http(address)

    assert [tool["name"] for tool in listing.tools] == ["one", "two"]
    assert (listing.name, listing.protocol) == ("paged", "2025-03-26")


def test_an_address_is_only_asked_when_it_is_listed_word_for_word(make_source):
    asked = []

    def answer(request: dict[str, Any]) -> Any:
        asked.append(request["method"])
        return paged(request)

    with http_server(answer) as address:
        files = {"app/.mcp.json": {"mcpServers": {"web": {"url": address}}}}
        list(make_source(files, allowed_urls=[address.removesuffix("/mcp")]).read())
        assert asked == []
        listed = read(make_source(files, allowed_urls=[address]), "grant")

    assert len([each for each in listed if each["native_ref"]["kind"] == "tool"]) == 2


@pytest.mark.parametrize(
    "settings",
    [{}, {"files": ["relative.json"]}, {"files": ["/a/../b"]}, {"files": ["/a", "/a"]}, {"files": ["/a"], "x": 1},
     {"files": ["/a"], "allowed_urls": ["ftp://x"]}, {"files": ["/a"], "allowed_commands": ["'open"]},
     {"files": ["/a"], "token": "secret"}],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_refused(settings):
    with pytest.raises(BadSettings):
        MCP(settings, {})
