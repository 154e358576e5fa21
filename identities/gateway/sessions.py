"""Sessions of agents at the gateway: who opened them, what is under way, and where they are told of changes.

A session belongs to the token and the server that it was opened with; its id alone opens nothing. Sessions live in this
process: after a restart an agent is told 404 and begins anew, as the protocol wants it.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from identities.gateway.asking import Agent, Upstream
from identities.gateway.messages import UNREACHABLE, Id, Refused
from identities.services.gateway_calls import BUSY

IDLE_SECONDS = 1_800.0
MOST_OF_AGENT = 20
MOST_AT_ALL = 1_000
MOST_RUNNING = 16


@dataclass(slots=True)
class Session:
    """One session. told: the tools that the agent was last told; None before it asked."""

    id: str
    number: UUID
    agent: Agent
    server: Upstream
    protocol: str
    client: str
    seen_at: float
    running: dict[Id, asyncio.Task[Any]] = field(default_factory=dict)
    told: frozenset[str] | None = None
    stream: asyncio.Queue[dict[str, Any] | None] | None = None

    def push(self, message: dict[str, Any]) -> None:
        """Send a message on the session's stream, where it has one; a full stream is dropped, the agent asks anew."""
        if self.stream is not None and not self.stream.full():
            self.stream.put_nowait(message)

    def end_stream(self) -> None:
        if self.stream is not None:
            while self.stream.full():
                self.stream.get_nowait()
            self.stream.put_nowait(None)
            self.stream = None


class Sessions:
    """All sessions of this process. `ended` collects those whose rows have to be closed."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}
        self.ended: list[UUID] = []

    def begin(self, agent: Agent, server: Upstream, *, protocol: str, client: str) -> Session:
        """A new session; the agent's oldest one goes where there are too many. Raises Refused."""
        own = sorted((each for each in self._open.values() if each.agent.id == agent.id), key=lambda each: each.seen_at)
        if len(own) >= MOST_OF_AGENT:
            self.end(own[0])
        if len(self._open) >= MOST_AT_ALL:
            raise Refused(UNREACHABLE, "Too many sessions are open; try again later.", reason=BUSY)
        session = Session(
            id=secrets.token_urlsafe(32),
            number=uuid4(),
            agent=agent,
            server=server,
            protocol=protocol,
            client=client,
            seen_at=time.monotonic(),
        )
        self._open[session.id] = session
        return session

    def find(self, id: str, agent: Agent, server: Upstream) -> Session | None:
        """The session with this id, if this token opened it at this server; anything else looks like none."""
        session = self._open.get(id)
        if session is None or session.agent.token_id != agent.token_id or session.server.id != server.id:
            return None
        session.agent, session.server, session.seen_at = agent, server, time.monotonic()
        return session

    def end(self, session: Session) -> None:
        """Forget it: what is under way is cancelled, its stream ends."""
        if self._open.pop(session.id, None) is None:
            return
        for task in list(session.running.values()):
            task.cancel()
        session.end_stream()
        self.ended.append(session.number)

    def end_idle(self) -> None:
        before = time.monotonic() - IDLE_SECONDS
        for session in [each for each in self._open.values() if each.seen_at < before and not each.stream]:
            self.end(session)

    def all(self) -> list[Session]:
        return list(self._open.values())
