"""The methods of MCP as an agent finds them at the gateway: tools are listed as far as they are granted, and called.

Every call is decided on right before it is passed on. Resources, prompts and everything else of a server stay behind
the gateway: nothing that is not a tool can be granted, so it is refused.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from django.utils import timezone

from governance.kernel.errors import DomainError
from identities.gateway import asking
from identities.gateway.arguments import readings
from identities.gateway.asking import Admission
from identities.gateway.conversations import LIST_CHANGED, ServerRefused
from identities.gateway.messages import (
    CANCELLED,
    DENIED,
    INVALID_PARAMS,
    INVALID_REQUEST,
    NO_SUCH_METHOD,
    UNREACHABLE,
    Id,
    Message,
    Refused,
    answer,
    error,
    notification,
)
from identities.gateway.sessions import MOST_RUNNING, Session, Sessions
from identities.gateway.threads import Unavailable, ask, unavailable
from identities.gateway.upstreams import Line, Upstreams
from identities.pdp.reasons import Reason
from identities.services.gateway_calls import ABANDONED, BUSY, Asked, Gathered

LATEST = "2025-06-18"
SPOKEN = ("2025-03-26", LATEST)
LONGEST_TOOL = 256
NOT_PASSED_ON = ("resources/", "prompts/", "completion/", "logging/", "tasks/", "roots/", "sampling/", "elicitation/")

logger = structlog.get_logger(__name__)


class Gateway:
    """One process's gateway: its sessions, and its conversations with servers."""

    def __init__(self, call_seconds: float) -> None:
        self.sessions = Sessions()
        self.upstreams = Upstreams(call_seconds)
        self.asked = Gathered()

    async def begin(self, admission: Admission, message: Message) -> tuple[Session, dict[str, Any]]:
        """`initialize`: a new session and the answer. Raises Refused."""
        wanted = message.params.get("protocolVersion")
        if not isinstance(wanted, str):
            raise Refused(INVALID_PARAMS, "initialize names the protocolVersion that the client speaks.")
        client = _client_of(message.params.get("clientInfo"))
        protocol = wanted if wanted in SPOKEN else LATEST
        session = self.sessions.begin(admission.agent, admission.server, protocol=protocol, client=client)
        try:
            await ask(asking.note_session, session.number, admission.agent, admission.server, client, protocol)
        except BaseException:
            self.sessions.end(session)
            raise
        result = {
            "protocolVersion": protocol,
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": f"remit-gateway/{admission.server.name}", "version": "1"},
        }
        return session, answer(message.id, result)

    async def reply(self, session: Session, admission: Admission, message: Message) -> dict[str, Any] | None:
        """The answer to one message of a session; None where nothing is to be answered."""
        if message.id is None:
            self._take_notice(session, message)
            return None
        if not message.method:
            return None  # an answer, and nothing was asked
        try:
            return answer(message.id, await self._run(session, admission, message, message.id))
        except ServerRefused as said:
            return error(message.id, said.code, said.sentence)
        except Refused as said:
            refusal = said
        except Unavailable:
            refusal = unavailable()
        return error(message.id, refusal.code, refusal.sentence, refusal.data)

    async def _run(self, session: Session, admission: Admission, message: Message, id: Id) -> Any:
        """The result of a request, which may be cancelled by its id while it is under way. Raises Refused."""
        if id in session.running:
            raise Refused(INVALID_REQUEST, "A request with this id is under way.")
        if len(session.running) >= MOST_RUNNING:
            raise Refused(UNREACHABLE, f"At most {MOST_RUNNING} calls are made at once.", reason=BUSY)
        task = asyncio.ensure_future(self._result(session, admission, message))
        session.running[id] = task
        try:
            return await task
        except asyncio.CancelledError:
            if not task.cancelled():
                task.cancel()
                raise  # the process ends, not the request
            raise Refused(CANCELLED, "The request was cancelled.") from None
        finally:
            session.running.pop(id, None)

    async def tell_changes(self) -> None:
        """Tell agents that listen when what they may call is other than what they were told; stop what is cut off."""
        for session in self.sessions.all():
            if session.stream is None or session.told is None:
                continue
            try:
                now = await self._callable_now(session)
            except DomainError:
                self.sessions.end(session)  # its token, its link or its server is gone
                continue
            except Refused:
                continue  # it cannot be said now; the agent's next call is decided anyway
            if now != session.told:
                session.told = now
                session.push(notification(LIST_CHANGED))

    async def _callable_now(self, session: Session) -> frozenset[str]:
        admission = await ask(asking.admit_again, session.agent, session.server.name)
        if admission.is_cut:
            await self._stop(admission)
            return frozenset()
        line = await self.upstreams.tools(admission.agent, admission.server)
        granted = await ask(asking.granted_tools, admission.agent, admission.server, line.hashes, session.client)
        return frozenset(granted)

    def _take_notice(self, session: Session, message: Message) -> None:
        if message.method == "notifications/cancelled":
            asked = message.params.get("requestId")
            task = session.running.get(asked) if isinstance(asked, str | int) and not isinstance(asked, bool) else None
            if task is not None:
                task.cancel()

    async def _result(self, session: Session, admission: Admission, message: Message) -> Any:
        match message.method:
            case "ping":
                return {}
            case "tools/list":
                return await self._list(session, admission, message.params)
            case "tools/call":
                return await self._call(session, admission, message.params)
            case "initialize":
                raise Refused(INVALID_REQUEST, "The session has begun already.")
            case method if method.startswith(NOT_PASSED_ON):
                raise Refused(
                    DENIED, f"Not allowed: the gateway passes on tools, not {method[:60]}.", reason="no_grant"
                )
        raise Refused(NO_SUCH_METHOD, f"There is no method {message.method[:60]} here.")

    async def _list(self, session: Session, admission: Admission, params: Mapping[str, Any]) -> dict[str, Any]:
        if params.get("cursor") is not None:
            raise Refused(INVALID_PARAMS, "The list has one page; there is no such cursor.")
        if admission.is_cut:
            await self._stop(admission)
            session.told = frozenset()
            return {"tools": []}
        line = await self.upstreams.tools(admission.agent, admission.server)
        granted = await ask(asking.granted_tools, admission.agent, admission.server, line.hashes, session.client)
        session.told = frozenset(granted)
        return {"tools": [tool for tool in line.tools if tool["name"] in granted]}

    async def _call(self, session: Session, admission: Admission, params: Mapping[str, Any]) -> Any:
        tool, arguments = params.get("name"), params.get("arguments", {})
        if not isinstance(tool, str) or not 0 < len(tool) <= LONGEST_TOOL or not tool.isprintable():
            raise Refused(INVALID_PARAMS, "The name is no name of a tool.")
        if not isinstance(arguments, dict):
            raise Refused(INVALID_PARAMS, "The arguments are no object.")
        reason = str(Reason.UNAVAILABLE)
        try:
            await self._let_through(session, admission, tool, arguments)
            reason = str(Reason.GRANTED)
        except Refused as refusal:
            reason = str(refusal.data.get("reason", reason))
            raise
        except asyncio.CancelledError:
            reason = ABANDONED
            raise
        finally:
            self.asked.add(Asked(admission.agent.id, admission.server.id, tool, reason), timezone.now())
        return await self.upstreams.call(admission.agent, admission.server, tool, arguments)

    async def _let_through(
        self, session: Session, admission: Admission, tool: str, arguments: Mapping[str, Any]
    ) -> None:
        """Returns where the call may be made. Raises Refused, Unavailable."""
        if admission.is_cut:
            await self._stop(admission)
            await self._decide(session, admission, tool, "", readings(arguments))
            raise asking.denied(Reason.KILLED)
        line = await self.upstreams.tools(admission.agent, admission.server)
        read = readings(arguments, _known_arguments(line, tool))
        await self._decide(session, admission, tool, line.hashes.get(tool, ""), read)
        if tool not in line.hashes:
            raise asking.denied(Reason.NO_GRANT)  # granted by a pattern, and the server has no such tool

    async def _decide(
        self, session: Session, admission: Admission, tool: str, hash: str, read: list[dict[str, str]]
    ) -> None:
        """Ask the decision point, which also keeps what it decided. Raises Refused."""
        await ask(asking.decide_call, admission.agent, admission.server, tool, hash, read, session.client)

    async def _stop(self, admission: Admission) -> None:
        """A kill switch stands: what the agent has open at this server ends."""
        await self.upstreams.close(agent_id=admission.agent.id, server_id=admission.server.id)

    async def close(self) -> list[UUID]:
        """End everything; returns the sessions whose rows are to be closed."""
        for session in self.sessions.all():
            self.sessions.end(session)
        await self.upstreams.close()
        return self.sessions.ended


def _client_of(info: Any) -> str:
    """What the client calls itself: a claim, shown and never believed."""
    if not isinstance(info, Mapping):
        return ""
    parts = [str(info.get(key) or "") for key in ("name", "version")]
    return "".join(char for char in " ".join(parts).strip() if char.isprintable())[:120]


def _known_arguments(line: Line, tool: str) -> list[str]:
    for each in line.tools:
        schema = each.get("inputSchema")
        if each["name"] == tool and isinstance(schema, Mapping) and isinstance(schema.get("properties"), Mapping):
            return [str(name) for name in schema["properties"]]
    return []
