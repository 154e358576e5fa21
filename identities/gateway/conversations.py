"""One conversation with a real MCP server, over a process's pipes or over HTTP, within limits.

Plain JSON-RPC, as the `mcp` connector speaks it, but asynchronous: many calls of one agent are under way at once. A
server that asks something back (sampling, elicitation, roots) is told that there is no such method here.
"""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import httpx

from identities.connectors.contract import ReadIncomplete
from identities.connectors.mcp.servers import CLIENT, LATEST, MOST_PAGES, MOST_TOOLS, UNDERSTOOD, checked_tools
from identities.gateway.messages import NO_SUCH_METHOD, UNREACHABLE, notification, written

MOST_ANSWER = 8 * 1024 * 1024
START_SECONDS = 30.0
LIST_CHANGED = "notifications/tools/list_changed"
_PASSED_ON = ("PATH", "HOME", "LANG", "TZ")


class Unreachable(Exception):
    """The server could not be asked, or broke off; the sentence is for people and holds no secret."""


class SessionLost(Unreachable):
    """The server forgot the session, so it did not do what was asked: ask again in a new one."""


class ServerRefused(Exception):
    """The server answered with an error of its own, which belongs to the agent."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


class Conversation(ABC):
    """Greets, asks and is told. `changed` is called when the server says that its tools changed."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.is_open = False
        self.changed: Callable[[], None] = lambda: None
        self._numbers = itertools.count()

    async def open(self) -> None:
        """Raises Unreachable."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._connect()
                await self._greet()
        except TimeoutError:
            raise Unreachable(f"{self.who} did not answer in time.") from None
        except ServerRefused as refusal:
            raise Unreachable(f"{self.who} refused to begin: {refusal.sentence[:200]}") from refusal
        self.is_open = True

    async def _greet(self) -> None:
        greeting = {"protocolVersion": LATEST, "capabilities": {}, "clientInfo": CLIENT}
        hello = await self.ask("initialize", greeting)
        version = hello.get("protocolVersion") if isinstance(hello, Mapping) else None
        if version not in UNDERSTOOD:
            raise Unreachable(f"{self.who} speaks a version of the protocol that is not understood.")
        self._agreed(version)
        await self.say("notifications/initialized", {})

    async def list_tools(self) -> list[dict[str, Any]]:
        """All tools, as they come. Raises Unreachable, ServerRefused."""
        tools: list[dict[str, Any]] = []
        cursor: Any = None
        for _ in range(MOST_PAGES):
            answer = await self.ask("tools/list", {"cursor": cursor} if cursor else {})
            try:
                tools += checked_tools(answer.get("tools") if isinstance(answer, Mapping) else None, self.who)
            except ReadIncomplete as problem:
                raise Unreachable(problem.message) from problem
            cursor = answer.get("nextCursor")
            if not cursor or len(tools) > MOST_TOOLS:
                break
        if cursor or len({tool["name"] for tool in tools}) != len(tools):
            raise Unreachable(f"{self.who} does not come to the end of its tools, or has two of one name.")
        return tools

    @abstractmethod
    async def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """One request's result. Cancelling it tells the server. Raises Unreachable, SessionLost, ServerRefused."""

    @abstractmethod
    async def say(self, method: str, params: Mapping[str, Any]) -> None:
        """A notification."""

    @abstractmethod
    async def close(self) -> None:
        """End it, whatever state it is in."""

    @abstractmethod
    async def _connect(self) -> None: ...

    @abstractmethod
    def _agreed(self, version: str) -> None:
        """The version of the protocol that the server chose."""

    def _heard(self, message: Any) -> dict[str, Any] | None:
        """What a server says by itself: nothing to answer, or the answer to what it asks."""
        if not isinstance(message, Mapping) or "method" not in message:
            return None
        if message["method"] == LIST_CHANGED:
            self.changed()
        if message.get("id") is None:
            return None
        if message["method"] == "ping":
            return {"jsonrpc": "2.0", "id": message["id"], "result": {}}
        fault = {"code": NO_SUCH_METHOD, "message": "The gateway passes no questions on to agents."}
        return {"jsonrpc": "2.0", "id": message["id"], "error": fault}

    def _result_of(self, message: Mapping[str, Any]) -> Any:
        if "result" in message:
            return message["result"]
        fault = message.get("error")
        fault = fault if isinstance(fault, Mapping) else {}
        code, sentence = fault.get("code"), fault.get("message")
        if not isinstance(code, int) or isinstance(code, bool):
            code = UNREACHABLE
        raise ServerRefused(code, str(sentence or "The server answered with an error.")[:2_000])


class Process(Conversation):
    """A server that is started for one agent, in an empty folder, with nothing but what it needs in its environment."""

    def __init__(self, who: str, command: Sequence[str], variables: Mapping[str, str]) -> None:
        super().__init__(who)
        self._command, self._variables = list(command), dict(variables)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._folder = ""

    async def _connect(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="remit-gateway-")
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=self._folder,
                env=passed | self._variables,
                start_new_session=True,
                limit=MOST_ANSWER,
            )
        except (OSError, ValueError) as error:
            raise Unreachable(f"{self.who} could not be started ({type(error).__name__}).") from error
        self._reader = asyncio.create_task(self._read())

    def _agreed(self, version: str) -> None:
        """Over pipes nothing names it again."""

    async def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        number = next(self._numbers)
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        try:
            await self._write({"jsonrpc": "2.0", "id": number, "method": method, "params": dict(params)})
            message = await answered
        except asyncio.CancelledError:
            with contextlib.suppress(Unreachable):
                await self._write(notification("notifications/cancelled", {"requestId": number}))
            raise
        finally:
            self._waiting.pop(number, None)
        return self._result_of(message)

    async def say(self, method: str, params: Mapping[str, Any]) -> None:
        await self._write(notification(method, params))

    async def close(self) -> None:
        self.is_open = False
        if self._process is not None:
            # The whole group: a server may have started others (npx, uv).
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()
        self._fail()
        if self._folder:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _write(self, message: Mapping[str, Any]) -> None:
        if self._process is None or self._process.stdin is None or self._process.returncode is not None:
            raise Unreachable(f"{self.who} has ended.")
        try:
            self._process.stdin.write(written(message) + b"\n")
            await self._process.stdin.drain()
        except (OSError, RuntimeError) as error:
            raise Unreachable(f"{self.who} ended before it answered.") from error

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101 - a pipe
        try:
            while line := await self._process.stdout.readline():
                message = _decoded(line)
                number = message.get("id") if isinstance(message, Mapping) else None
                if isinstance(number, int) and number in self._waiting and "method" not in message:
                    if not self._waiting[number].done():
                        self._waiting[number].set_result(message)
                elif reply := self._heard(message):
                    await self._write(reply)
        except (ValueError, OSError, Unreachable):
            pass  # a line beyond the limit, or a broken pipe: it is over either way
        finally:
            self.is_open = False
            self._fail()

    def _fail(self) -> None:
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(Unreachable(f"{self.who} ended before it answered."))


class Address(Conversation):
    """A server at an address (streamable HTTP), with a token of the gateway's own and never the agent's."""

    def __init__(self, who: str, url: str, token: str) -> None:
        super().__init__(who)
        self._url = url
        headers = {"Accept": "application/json, text/event-stream"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        # No redirects: a server must not send the token on to somebody else. The caller limits the time.
        self._client = httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(None, connect=5.0), trust_env=False)
        self._session: dict[str, str] = {}

    async def _connect(self) -> None:
        self._session = {}

    def _agreed(self, version: str) -> None:
        self._session["MCP-Protocol-Version"] = version

    async def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        number = next(self._numbers)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": dict(params)}
        try:
            # Closed at once when the answer is there: a stream that stays open keeps its connection.
            async with contextlib.aclosing(self._post(request)) as messages:
                async for message in messages:
                    if isinstance(message, Mapping) and message.get("id") == number and "method" not in message:
                        return self._result_of(message)
                    if reply := self._heard(message):
                        await self._tell(reply)
        except asyncio.CancelledError:
            with contextlib.suppress(Unreachable):
                await asyncio.shield(self.say("notifications/cancelled", {"requestId": number}))
            raise
        raise Unreachable(f"{self.who} gave no answer.")

    async def say(self, method: str, params: Mapping[str, Any]) -> None:
        await self._tell(notification(method, params))

    async def close(self) -> None:
        self.is_open = False
        if "Mcp-Session-Id" in self._session:
            with contextlib.suppress(httpx.HTTPError):
                await self._client.delete(self._url, headers=self._session, timeout=2.0)
        await self._client.aclose()

    async def _tell(self, message: Mapping[str, Any]) -> None:
        async for _ in self._post(message):
            pass

    async def _post(self, message: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        try:
            async with self._client.stream("POST", self._url, json=message, headers=self._session) as response:
                self._check(response)
                if "mcp-session-id" in response.headers:
                    self._session["Mcp-Session-Id"] = response.headers["mcp-session-id"]
                if response.status_code == 202:
                    return
                is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
                texts = _events(response) if is_stream else _whole(response)
                async for text in texts:
                    yield _decoded(text)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.who} can't be reached ({type(error).__name__}).") from error
        except ValueError as error:
            raise Unreachable(f"{self.who} answered with something that is no JSON, or too much of it.") from error

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 404 and "Mcp-Session-Id" in self._session:
            self.is_open = False
            raise SessionLost(f"{self.who} no longer knows the session.")
        if status in (401, 403):
            raise Unreachable(f"{self.who} refuses the gateway ({status}): its token is missing or wrong.")
        if not 200 <= status < 300:
            raise Unreachable(f"{self.who} answered with {status}.")


async def _whole(response: httpx.Response) -> AsyncIterator[bytes]:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MOST_ANSWER:
            raise ValueError("too large")
    if body.strip():
        yield body


async def _events(response: httpx.Response) -> AsyncIterator[bytes]:
    """The data of server-sent events, one after the other."""
    data: list[str] = []
    total = 0
    async for line in response.aiter_lines():
        total += len(line)
        if total > MOST_ANSWER:
            raise ValueError("too large")
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield "\n".join(data).encode()
            data = []
    if data:
        yield "\n".join(data).encode()


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
