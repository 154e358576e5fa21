"""Who is connected to which server: one conversation per agent and server, so that no agent meets another's state.

A conversation is opened when it is first needed, opened anew after it broke, and closed when it was idle for long, when
the server's row changed, or when a kill switch stands.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog

from governance.kernel.errors import DomainError
from identities.connectors.mcp.records import definition_hash
from identities.gateway import asking
from identities.gateway.asking import Agent, Upstream
from identities.gateway.conversations import Address, Conversation, Process, ServerRefused, SessionLost, Unreachable
from identities.gateway.messages import UNREACHABLE, Refused
from identities.gateway.threads import ask
from identities.services.gateway_calls import BUSY, SERVER_UNREACHABLE

# How old a list of tools may be when a call is judged by it.
LIST_SECONDS = 30.0
IDLE_SECONDS = 600.0
MOST_OPEN = 100
MOST_OPEN_OF_SERVER = 40
# A server that breaks again and again is left alone for longer and longer.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0

Key = tuple[UUID, UUID]
logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Line:
    """The place of one agent at one server, whether or not a conversation is open."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    talk: Conversation | None = None
    version: int = 0
    tools: list[dict[str, Any]] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    listed_at: float = float("-inf")
    used_at: float = 0.0
    pause: float = 0.0
    not_before: float = 0.0
    running: int = 0

    def outdate(self) -> None:
        """The list of tools has to be fetched anew before anything is judged by it."""
        self.listed_at = float("-inf")


class Upstreams:
    """All conversations of this process."""

    def __init__(self, call_seconds: float) -> None:
        self._call_seconds = call_seconds
        self._lines: dict[Key, Line] = {}

    async def tools(self, agent: Agent, server: Upstream, *, anew: bool = False) -> Line:
        """The server's tools as this agent's conversation has them, fetched anew where they are old. Raises Refused."""
        line = self._line(agent, server)
        async with line.lock:
            talk = await self._open(line, agent, server)
            if anew or time.monotonic() - line.listed_at > LIST_SECONDS:
                await self._list(line, talk, server)
        return line

    async def call(self, agent: Agent, server: Upstream, tool: str, arguments: Mapping[str, Any]) -> Any:
        """What the server answers. Raises Refused, ServerRefused."""
        line = self._line(agent, server)
        line.running += 1
        try:
            for attempt in range(2):
                async with line.lock:
                    talk = await self._open(line, agent, server)
                try:
                    async with asyncio.timeout(self._call_seconds):
                        return await talk.ask("tools/call", {"name": tool, "arguments": dict(arguments)})
                except SessionLost:
                    # It was not done, because the server did not know the session; once more in a new one.
                    if attempt:
                        raise
            raise AssertionError("unreachable")
        except TimeoutError:
            raise _gone(f"{server.name} did not answer within {self._call_seconds:g} s.") from None
        except Unreachable as problem:
            await self._tell(server, str(problem))
            raise _gone(str(problem)) from problem
        finally:
            line.running -= 1
            line.used_at = time.monotonic()

    async def close(self, *, agent_id: UUID | None = None, server_id: UUID | None = None) -> None:
        """End the conversations of an agent, of a server, or all."""
        meant = [key for key in self._lines if agent_id in (None, key[1]) and server_id in (None, key[0])]
        await asyncio.gather(*(self._close(key) for key in meant))

    async def close_idle(self) -> None:
        """End what nobody used for long."""
        before = time.monotonic() - IDLE_SECONDS
        idle = [key for key, line in self._lines.items() if not line.running and line.used_at < before]
        await asyncio.gather(*(self._close(key) for key in idle))

    def _line(self, agent: Agent, server: Upstream) -> Line:
        line = self._lines.get((server.id, agent.id))
        if line is None:
            of_server = sum(key[0] == server.id for key in self._lines)
            if len(self._lines) >= MOST_OPEN or of_server >= MOST_OPEN_OF_SERVER:
                raise Refused(UNREACHABLE, "Too many agents are connected; try again later.", reason=BUSY)
            line = self._lines[server.id, agent.id] = Line()
        line.used_at = time.monotonic()
        return line

    async def _open(self, line: Line, agent: Agent, server: Upstream) -> Conversation:
        """The line's conversation, opened where there is none that works. The line is locked by the caller."""
        if line.talk is not None and (not line.talk.is_open or line.version != server.version):
            await line.talk.close()
            line.talk = None
        if line.talk is not None:
            return line.talk
        if time.monotonic() < line.not_before:
            raise _gone(f"{server.name} broke off several times; it is tried again in some seconds.")
        try:
            talk = await self._conversation(server)
            line.outdate()
            try:
                await talk.open()
            except BaseException:
                await talk.close()
                raise
        except (Unreachable, DomainError) as problem:
            line.pause = min(max(line.pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
            line.not_before = time.monotonic() + line.pause
            sentence = problem.message if isinstance(problem, DomainError) else str(problem)
            await self._tell(server, sentence)
            raise _gone(_for_agents(server, problem)) from problem
        talk.changed = line.outdate
        line.talk, line.version, line.pause = talk, server.version, 0.0
        return talk

    async def _conversation(self, server: Upstream) -> Conversation:
        variables, token = await ask(asking.secrets_of, server.id)
        if server.url:
            return Address(server.name, server.url, token)
        return Process(server.name, server.command, variables)

    async def _list(self, line: Line, talk: Conversation, server: Upstream) -> None:
        try:
            async with asyncio.timeout(self._call_seconds):
                tools = await talk.list_tools()
        except TimeoutError:
            raise _gone(f"{server.name} did not list its tools in time.") from None
        except (Unreachable, ServerRefused) as problem:
            await self._tell(server, str(problem))
            raise _gone(str(problem)) from problem
        await ask(asking.take_in, server.id, tools)
        line.tools, line.hashes = tools, {tool["name"]: definition_hash(tool) for tool in tools}
        line.listed_at = time.monotonic()

    async def _close(self, key: Key) -> None:
        line = self._lines.pop(key, None)
        if line is not None and line.talk is not None:
            await line.talk.close()

    async def _tell(self, server: Upstream, sentence: str) -> None:
        logger.warning("gateway.server_unreachable", server=server.name, said=sentence)
        await ask(asking.tell_trouble, server.id, sentence)


def _gone(sentence: str) -> Refused:
    return Refused(UNREACHABLE, sentence, reason=SERVER_UNREACHABLE)


def _for_agents(server: Upstream, problem: Exception) -> str:
    """Agents are not told about references to secrets, only that the server can't be reached."""
    return str(problem) if isinstance(problem, Unreachable) else f"{server.name} can't be reached as things stand."
