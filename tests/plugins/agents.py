"""An agent's client in a few lines: it reads its configuration as the client's documentation says, and calls real servers.

That a client honours its file is all that stands between an agent and a tool here, so this one does what Gemini CLI
documents: of the tools that a server offers, those in `includeTools` (all, without that list) that are not in
`excludeTools`. Servers are started anew for every question, as a client that was restarted would do.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

TIME_SERVER = str(Path(sys.executable).with_name("mcp-server-time"))
GIT_SERVER = str(Path(sys.executable).with_name("mcp-server-git"))


class ToolNotOffered(Exception):
    """The client does not let its agent call this tool."""


class Agent:
    """What a model would see: `tools()` and `call(server, tool, …)`."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def tools(self, server: str) -> set[str]:
        definition = self._definition(server)
        if definition is None:
            return set()
        with self._session(definition) as ask:
            return self._offered(definition, ask)

    def call(self, server: str, tool: str, **arguments: Any) -> str:
        """The text that the real server answers. Raises ToolNotOffered."""
        definition = self._definition(server)
        if definition is None:
            raise ToolNotOffered(f"{server} is not configured")
        with self._session(definition) as ask:
            if tool not in self._offered(definition, ask):
                raise ToolNotOffered(f"{tool} of {server} is not offered to the agent")
            answer = ask("tools/call", {"name": tool, "arguments": arguments})
        assert not answer.get("isError"), answer
        return "\n".join(part["text"] for part in answer["content"] if part["type"] == "text")

    def may(self, server: str, tool: str, **arguments: Any) -> bool:
        try:
            self.call(server, tool, **arguments)
        except ToolNotOffered:
            return False
        return True

    def _definition(self, server: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = json.loads(self.file.read_text()).get("mcpServers", {}).get(server)
        return found

    def _offered(self, definition: dict[str, Any], ask: Any) -> set[str]:
        offered = {tool["name"] for tool in ask("tools/list", {})["tools"]}
        include, exclude = definition.get("includeTools"), definition.get("excludeTools", [])
        return {name for name in offered if (include is None or name in include) and name not in exclude}

    @contextmanager
    def _session(self, definition: dict[str, Any]) -> Iterator[Any]:
        command = [definition["command"], *definition.get("args", [])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
            assert process.stdin and process.stdout
            numbers = iter(range(1_000))

            def ask(method: str, parameters: dict[str, Any]) -> dict[str, Any]:
                number = next(numbers)
                request = {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
                process.stdin.write(json.dumps(request) + "\n")  # type: ignore[union-attr]
                for line in process.stdout:  # type: ignore[union-attr]
                    message = json.loads(line)
                    if message.get("id") == number:
                        return message["result"]  # type: ignore[no-any-return]
                raise AssertionError("the server ended")

            hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
            ask("initialize", hello)
            process.stdin.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}) + "\n")
            try:
                yield ask
            finally:
                process.kill()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit and one file that is staged."""
    folder = tmp_path / "repository"
    folder.mkdir()

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)

    git("init", "-b", "main")
    git("config", "user.name", "T")
    git("config", "user.email", "t@example.org")
    (folder / "a.txt").write_text("a\n")
    git("add", "a.txt")
    git("commit", "-m", "the first commit")
    (folder / "b.txt").write_text("b\n")
    git("add", "b.txt")
    return folder


@pytest.fixture
def agent(tmp_path: Path, repository: Path) -> Agent:
    """An agent in Gemini CLI that may call every tool of two real servers, with settings of its owner around them."""
    for server in (TIME_SERVER, GIT_SERVER):
        assert Path(server).exists(), f"{server} is not installed"
    folder = tmp_path / "home" / ".gemini"
    folder.mkdir(parents=True)
    file = folder / "settings.json"
    servers = {
        "git": {"command": GIT_SERVER, "args": ["--repository", str(repository)]},
        "clock": {
            "command": TIME_SERVER,
            "args": ["--local-timezone", "UTC"],
            "env": {"CLOCK_TOKEN": "tick-tock-9931"},
        },
    }
    file.write_text(json.dumps({"theme": "dark", "mcpServers": servers, "telemetry": {"enabled": False}}, indent=2))
    file.chmod(0o640)
    return Agent(file)


@pytest.fixture
def agent_settings(agent: Agent, repository: Path) -> dict[str, Any]:
    """The settings of a source of kind `mcp` that governs the agent's file and may start its servers."""
    return {
        "files": [str(agent.file)],
        "allowed_commands": [f"{GIT_SERVER} --repository {repository}", f"{TIME_SERVER} --local-timezone UTC"],
    }
