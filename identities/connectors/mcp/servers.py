"""Ask real MCP servers for their tools: plain JSON-RPC over a process's pipes or over HTTP, within limits.

Starting a server executes it, so only commands and addresses of an exact list get here. A process is started in an
empty folder with PATH and HOME and nothing else, not even what its configuration would give it: whoever may edit that
could otherwise make an allowed command run something else.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from identities.connectors.contract import ReadIncomplete, SourceUnreachable
from identities.connectors.http import open_client, send
from identities.connectors.mcp.records import Listing

LATEST = "2025-06-18"
UNDERSTOOD = ("2024-11-05", "2025-03-26", LATEST)
TIMEOUT = 30.0
MOST_OUTPUT = 16 * 1024 * 1024
MOST_TOOLS = 2_000
MOST_PAGES = 100
CLIENT = {"name": "remit", "version": "1"}

# Sends one request (method, parameters, id or None for a notification) and returns its result.
Ask = Callable[[str, Mapping[str, Any], int | None], Any]


def list_over_stdio(command: Sequence[str], *, timeout: float = TIMEOUT) -> Listing:
    """The tools of a server that is started for this. Raises SourceUnreachable, ReadIncomplete."""
    with _process(command, timeout) as ask:
        return _listing(ask, command[0].rpartition("/")[2])


def list_over_http(address: str, token: str = "", *, timeout: float = TIMEOUT) -> Listing:
    """The tools of a server at an address. Raises SourceUnreachable, ReadIncomplete."""
    headers = {"Accept": "application/json, text/event-stream"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with open_client(address, headers=headers, timeout=timeout) as client:
        session: dict[str, str] = {}

        def ask(method: str, parameters: Mapping[str, Any], number: int | None) -> Any:
            response = send(client, "POST", address, json=_request(method, parameters, number), headers=session)
            if number is None:
                return None
            if response.status_code != 200:
                raise ReadIncomplete(f"{client.base_url.host} answered {response.status_code} to {method}.")
            if "mcp-session-id" in response.headers:
                session["Mcp-Session-Id"] = response.headers["mcp-session-id"]
            result = _result_among(_messages(response.headers.get("content-type", ""), response.text), number, method)
            if method == "initialize" and isinstance(result, Mapping):
                session["MCP-Protocol-Version"] = str(result.get("protocolVersion", ""))[:40]
            return result

        try:
            return _listing(ask, client.base_url.host)
        finally:
            if "Mcp-Session-Id" in session:
                with contextlib.suppress(SourceUnreachable):
                    send(client, "DELETE", address, headers=session)


def checked_tools(tools: Any, who: str) -> list[dict[str, Any]]:
    """The tools as objects with a usable name each. Raises ReadIncomplete."""
    if not isinstance(tools, list):
        raise ReadIncomplete(f"{who} answered tools/list without a list of tools.")
    for tool in tools:
        name = tool.get("name") if isinstance(tool, Mapping) else None
        if not isinstance(name, str) or not name.strip() or len(name) > 256 or not name.isprintable():
            raise ReadIncomplete(f"{who} has a tool whose name is empty, too long or not printable.")
    return tools


def _listing(ask: Ask, who: str) -> Listing:
    greeting = {"protocolVersion": LATEST, "capabilities": {}, "clientInfo": CLIENT}
    hello = _mapping(ask("initialize", greeting, 0), who, "initialize")
    version = hello.get("protocolVersion")
    if version not in UNDERSTOOD:
        raise ReadIncomplete(f"{who} speaks a version of the protocol that is not understood.")
    ask("notifications/initialized", {}, None)
    tools: list[dict[str, Any]] = []
    cursor: Any = None
    for page in range(1, MOST_PAGES + 1):
        answer = _mapping(ask("tools/list", {"cursor": cursor} if cursor else {}, page), who, "tools/list")
        tools += checked_tools(answer.get("tools"), who)
        if len(tools) > MOST_TOOLS:
            raise ReadIncomplete(f"{who} has more than {MOST_TOOLS} tools.")
        cursor = answer.get("nextCursor")
        if not cursor:
            break
    else:
        raise ReadIncomplete(f"{who} does not come to the end of its tools.")
    if len({tool["name"] for tool in tools}) != len(tools):
        raise ReadIncomplete(f"{who} offers two tools of one name.")
    facts = hello.get("serverInfo")
    facts = facts if isinstance(facts, Mapping) else {}
    return Listing(_fact(facts, "name"), _fact(facts, "version"), str(version), tools)


def _fact(facts: Mapping[str, Any], key: str) -> str:
    value = facts.get(key)
    return "".join(char for char in value if char.isprintable())[:120] if isinstance(value, str) else ""


def _mapping(value: Any, who: str, method: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ReadIncomplete(f"{who} answered {method} with something that is no object.")
    return value


def _request(method: str, parameters: Mapping[str, Any], number: int | None) -> dict[str, Any]:
    request: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": dict(parameters)}
    return request if number is None else {**request, "id": number}


def _result_among(messages: Iterator[Any], number: int, method: str) -> Any:
    """The result with this id; what a server says besides is passed over."""
    for message in messages:
        if isinstance(message, Mapping) and message.get("id") == number and "method" not in message:
            if "result" not in message:
                raise ReadIncomplete(f"An MCP server answered {method} with an error.")
            return message["result"]
    raise ReadIncomplete(f"An MCP server gave no answer to {method}.")


def _messages(content_type: str, text: str) -> Iterator[Any]:
    if "text/event-stream" not in content_type:
        yield _decoded(text)
        return
    data: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield _decoded("\n".join(data))
            data = []


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ReadIncomplete("An MCP server answered with something that is no JSON.") from None


@contextmanager
def _process(command: Sequence[str], timeout: float) -> Iterator[Ask]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="remit-mcp-") as folder:
        try:
            process = subprocess.Popen(  # noqa: S603 - the command stands, word for word, on the operator's list
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise SourceUnreachable(f"{command[0]} could not be started ({type(error).__name__}).") from error
        try:
            yield _Pipes(process, time.monotonic() + timeout, command[0].rpartition("/")[2]).ask
        finally:
            # The whole group: a server may have started others (npx, uv).
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.wait()


class _Pipes:
    """One conversation over a process's pipes: one JSON text a line, until the time is up."""

    def __init__(self, process: subprocess.Popen[bytes], deadline: float, who: str) -> None:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101 - both are pipes
        self.process, self.deadline, self.who = process, deadline, who
        self.stdin, self.stdout = process.stdin, process.stdout
        self.buffer, self.read = b"", 0
        os.set_blocking(self.stdout.fileno(), False)
        os.set_blocking(self.stdin.fileno(), False)

    def ask(self, method: str, parameters: Mapping[str, Any], number: int | None) -> Any:
        self._write(json.dumps(_request(method, parameters, number)).encode() + b"\n")
        return None if number is None else _result_among(self._lines(), number, method)

    def _write(self, data: bytes) -> None:
        while data:
            self._wait(self.stdin, selectors.EVENT_WRITE)
            try:
                data = data[os.write(self.stdin.fileno(), data) :]
            except OSError as error:
                raise SourceUnreachable(f"{self.who} ended before it answered.") from error

    def _lines(self) -> Iterator[Any]:
        while True:
            line, found, rest = self.buffer.partition(b"\n")
            if found:
                self.buffer = rest
                if line.strip():
                    yield _decoded(line.decode(errors="replace"))
                continue
            self._wait(self.stdout, selectors.EVENT_READ)
            chunk = os.read(self.stdout.fileno(), 65_536)
            if not chunk:
                raise SourceUnreachable(f"{self.who} ended before it answered.")
            self.buffer += chunk
            self.read += len(chunk)
            if self.read > MOST_OUTPUT:
                raise ReadIncomplete(f"{self.who} answers with more than {MOST_OUTPUT // 1024**2} MB.")

    def _wait(self, pipe: Any, event: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            if not selector.select(max(0.0, self.deadline - time.monotonic())):
                raise SourceUnreachable(f"{self.who} did not answer in time.")
