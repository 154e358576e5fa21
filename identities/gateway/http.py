"""Streamable HTTP towards agents, as an ASGI application: one address per server, `/mcp/<server>`.

Checked before anything else, and the same for every method: the address, the host and the origin (so that a page in
somebody's browser reaches nothing here), the token, and that no header is there twice.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from governance.people.tokens import InvalidToken
from identities.gateway import asking
from identities.gateway.asking import Admission, NoSuchServer, NotAnAgent
from identities.gateway.messages import (
    INVALID_REQUEST,
    MOST_BYTES,
    NO_SUCH_METHOD,
    BadMessage,
    Message,
    Refused,
    error,
    read,
    written,
)
from identities.gateway.protocol import LATEST, SPOKEN, Gateway
from identities.gateway.sessions import Session
from identities.gateway.threads import Unavailable, ask, unavailable

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

METADATA = "/.well-known/oauth-protected-resource"
BODY_SECONDS = 15.0
MOST_FORGOTTEN = 16 * MOST_BYTES
KEEP_ALIVE_SECONDS = 15.0
QUEUE = 100
_SERVER = re.compile(r"/mcp/([a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?)")
_ONCE = ("authorization", "host", "origin", "content-type", "content-length", "mcp-session-id", "mcp-protocol-version")


class Answer(Exception):
    """Ends the handling of an HTTP request with this response."""

    def __init__(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, dict(headers or {})


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request with its headers by lower-case name."""

    method: str
    path: str
    headers: Mapping[str, str]
    receive: Receive
    send: Send


class Application:
    """`await application(scope, receive, send)`; see `governance.asgi` for its lifespan."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            call = Call(scope["method"], _path_of(scope), _headers_of(scope), receive, send)
            _check_origin(call)
            if call.path == "/healthz":
                raise Answer(200, {"status": "ok"})
            if call.path.startswith(METADATA):
                raise self._metadata(call)
            await self._serve(call)
        except Answer as response:
            await _respond(send, response)
        except Unavailable:
            refusal = unavailable()
            await _respond(send, Answer(503, error(None, refusal.code, refusal.sentence, refusal.data)))
        except Refused as refusal:
            await _respond(send, Answer(200, error(None, refusal.code, refusal.sentence, refusal.data)))

    def _metadata(self, call: Call) -> Answer:
        """RFC 9728: what is protected here, and how. Remit issues its tokens itself, so no server for them is named."""
        found = _SERVER.fullmatch(call.path.removeprefix(METADATA))
        if found is None or call.method not in ("GET", "HEAD"):
            return Answer(404 if found is None else 405)
        return Answer(
            200,
            {
                "resource": f"{settings.MCP_GATEWAY_URL}{found.group()}",
                "bearer_methods_supported": ["header"],
                "scopes_supported": ["mcp:call"],
                "resource_name": f"{found.group(1)}, behind Remit's gateway",
            },
        )

    async def _serve(self, call: Call) -> None:
        found = _SERVER.fullmatch(call.path)
        if found is None:
            raise Answer(404)
        if call.method not in ("POST", "GET", "DELETE"):
            raise Answer(405, headers={"Allow": "GET, POST, DELETE"})
        admission = await _admit(call, found.group(1))
        if call.method == "POST":
            await self._post(call, admission)
        elif call.method == "GET":
            await self._listen(call, self._session(call, admission))
        else:
            self.gateway.sessions.end(self._session(call, admission))
            raise Answer(204)

    async def _post(self, call: Call, admission: Admission) -> None:
        if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Answer(415, error(None, INVALID_REQUEST, "Send application/json."))
        if not _accepts(call, "application/json"):
            raise Answer(406, error(None, INVALID_REQUEST, "Accept application/json and text/event-stream."))
        try:
            found = read(await _body(call))
        except BadMessage as fault:
            raise Answer(400, error(fault.id, fault.code, fault.sentence)) from None
        if isinstance(found, Message) and found.method == "initialize" and found.id is not None:
            await self._begin(found, admission)
        self._check_version(call, found)
        session = self._session(call, admission)
        if isinstance(found, Message):
            said = await self.gateway.reply(session, admission, found)
            raise Answer(202) if said is None else Answer(200, said)
        if session.protocol != "2025-03-26":
            raise Answer(400, error(None, INVALID_REQUEST, f"Batches are gone since {LATEST}."))
        answers = [said for each in found if (said := await self.gateway.reply(session, admission, each)) is not None]
        raise Answer(200, answers) if answers else Answer(202)

    async def _begin(self, message: Message, admission: Admission) -> None:
        try:
            session, said = await self.gateway.begin(admission, message)
        except Refused as refusal:
            raise Answer(200, error(message.id, refusal.code, refusal.sentence, refusal.data)) from None
        raise Answer(200, said, {"Mcp-Session-Id": session.id})

    def _check_version(self, call: Call, found: list[Message] | Message) -> None:
        """Newer revisions have no sessions: say what is spoken here, so that who can begins with initialize."""
        version = call.headers.get("mcp-protocol-version", SPOKEN[0])
        id = found.id if isinstance(found, Message) else None
        if isinstance(found, Message) and found.method == "server/discover":
            raise Answer(400, error(id, NO_SUCH_METHOD, _SPOKEN_HERE, {"supported": list(SPOKEN)}))
        if version not in SPOKEN:
            raise Answer(400, error(id, INVALID_REQUEST, _SPOKEN_HERE, {"supported": list(SPOKEN)}))

    def _session(self, call: Call, admission: Admission) -> Session:
        id = call.headers.get("mcp-session-id", "")
        if not id:
            raise Answer(400, error(None, INVALID_REQUEST, "Begin with initialize, then send Mcp-Session-Id."))
        session = self.gateway.sessions.find(id, admission.agent, admission.server)
        if session is None:
            raise Answer(404, error(None, INVALID_REQUEST, "There is no such session; begin anew."))
        return session

    async def _listen(self, call: Call, session: Session) -> None:
        """The stream on which the session is told of changes; a new one takes the place of an old one."""
        if not _accepts(call, "text/event-stream"):
            raise Answer(406)
        session.end_stream()
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(QUEUE)
        session.stream = queue
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        await call.send({"type": "http.response.start", "status": 200, "headers": _raw(headers)})
        await call.send({"type": "http.response.body", "body": b": open\n\n", "more_body": True})
        gone = asyncio.ensure_future(_until_gone(call))
        try:
            while not gone.done():
                waiting = asyncio.ensure_future(queue.get())
                await asyncio.wait({waiting, gone}, timeout=KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                message = waiting.result() if waiting.done() else None
                if waiting.done() and message is None:
                    break
                waiting.cancel()
                text = (
                    b": still here\n\n" if message is None else b"event: message\ndata: " + written(message) + b"\n\n"
                )
                await call.send({"type": "http.response.body", "body": text, "more_body": True})
        finally:
            gone.cancel()
            if session.stream is queue:
                session.stream = None
        await call.send({"type": "http.response.body", "body": b"", "more_body": False})


_SPOKEN_HERE = f"This gateway speaks {' and '.join(reversed(SPOKEN))}: begin a session with initialize."


def _path_of(scope: Scope) -> str:
    """The path as it was sent: what is written in two ways could mean two servers."""
    path: str = scope["path"]
    raw = scope.get("raw_path")
    if (raw is not None and raw.partition(b"?")[0] != path.encode()) or scope.get("query_string"):
        raise Answer(404)
    return path


def _headers_of(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in found and key in _ONCE:
            raise Answer(400, error(None, INVALID_REQUEST, f"The header {key} is there twice."))
        found[key] = value.decode("latin-1")
    return found


def _check_origin(call: Call) -> None:
    """Against DNS rebinding: the host is ours, and a browser's page is one that the operator named."""
    host, _ = split_domain_port(call.headers.get("host", ""))
    if not host or not validate_host(host, settings.MCP_GATEWAY_HOSTS):
        raise Answer(421, error(None, INVALID_REQUEST, "This host is not served here."))
    origin = call.headers.get("origin")
    if origin is not None and origin not in settings.MCP_GATEWAY_ORIGINS:
        raise Answer(403, error(None, INVALID_REQUEST, "Pages of this origin are not served here."))


async def _admit(call: Call, server: str) -> Admission:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    challenge = f'Bearer resource_metadata="{settings.MCP_GATEWAY_URL}{METADATA}/mcp/{server}"'
    if scheme.lower() != "bearer" or not token.strip():
        raise Answer(401, headers={"WWW-Authenticate": challenge})
    try:
        return await ask(asking.admit, token.strip(), server)
    except InvalidToken:
        raise Answer(401, headers={"WWW-Authenticate": f'{challenge}, error="invalid_token"'}) from None
    except NotAnAgent:
        sought = f'{challenge}, error="insufficient_scope", scope="mcp:call"'
        raise Answer(403, headers={"WWW-Authenticate": sought}) from None
    except NoSuchServer:
        raise Answer(404) from None


def _accepts(call: Call, what: str) -> bool:
    accepted = call.headers.get("accept", "*/*").lower()
    return what in accepted or "*/*" in accepted or f"{what.partition('/')[0]}/*" in accepted


async def _body(call: Call) -> bytes:
    """The whole body, within its limits of size and time.

    What is too large is read on for a while and forgotten: whoever still sends while we hang up hears nothing.
    """
    body, total = b"", 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                event = await call.receive()
                if event["type"] != "http.request":
                    raise Answer(400)
                part = event.get("body", b"")
                total += len(part)
                body = body + part if total <= MOST_BYTES else b""
                if event.get("more_body") and total <= MOST_FORGOTTEN:
                    continue
                if total > MOST_BYTES:
                    raise Answer(413, error(None, INVALID_REQUEST, f"A message has at most {MOST_BYTES // 1024} kB."))
                return body
    except TimeoutError:
        raise Answer(408) from None


async def _until_gone(call: Call) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass


async def _respond(send: Send, response: Answer) -> None:
    body = b"" if response.body is None else written(response.body)
    headers = {"Cache-Control": "no-store", **response.headers, "Content-Length": str(len(body))}
    if body:
        headers["Content-Type"] = "application/json"
    await send({"type": "http.response.start", "status": response.status, "headers": _raw(headers)})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
