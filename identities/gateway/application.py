"""The gateway as one ASGI application: HTTP towards agents, and what happens beside it from start to end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from django.conf import settings

from identities.gateway import asking
from identities.gateway.http import Application, Receive, Scope, Send
from identities.gateway.protocol import Gateway
from identities.gateway.threads import Unavailable, ask
from identities.services.gateway_calls import write_calls

LIFE_SECONDS = 5.0
# How long after a call people see that it was asked for.
WRITE_SECONDS = 2.0
logger = structlog.get_logger(__name__)


def make_application() -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """One gateway. It must be the only one that agents are sent to: sessions live in its process."""
    gateway = Gateway(settings.MCP_GATEWAY_CALL_SECONDS)
    application = Application(gateway)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await application(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(gateway, receive, send)

    return serve


async def _live(gateway: Gateway, receive: Receive, send: Send) -> None:
    """The lifespan of the process: chores run until its end, then everything that was opened is closed."""
    await receive()
    chores = [
        asyncio.create_task(_every(LIFE_SECONDS, gateway, _show_life)),
        asyncio.create_task(_every(WRITE_SECONDS, gateway, _write_asked)),
        asyncio.create_task(_every(settings.MCP_GATEWAY_WATCH_SECONDS, gateway, _watch)),
    ]
    await send({"type": "lifespan.startup.complete"})
    await receive()
    for chore in chores:
        chore.cancel()
    ended = await gateway.close()
    with contextlib.suppress(Unavailable):
        await ask(asking.note_life, [], ended)
        await _write_asked(gateway)
    await send({"type": "lifespan.shutdown.complete"})


async def _every(seconds: float, gateway: Gateway, chore: Callable[[Gateway], Awaitable[Any]]) -> None:
    """A chore again and again. A database that is away is waited for; a fault is logged and never ends the process."""
    while True:
        try:
            await chore(gateway)
        except Unavailable:
            pass
        except Exception:
            logger.exception("gateway.chore_failed", chore=chore.__name__)
        await asyncio.sleep(seconds)


async def _show_life(gateway: Gateway) -> None:
    gateway.sessions.end_idle()
    await gateway.upstreams.close_idle()
    ended, gateway.sessions.ended = gateway.sessions.ended, []
    try:
        await ask(asking.note_life, [session.number for session in gateway.sessions.all()], ended)
    except Unavailable:
        gateway.sessions.ended += ended
        raise


async def _write_asked(gateway: Gateway) -> None:
    if not len(gateway.asked):
        return
    taken = gateway.asked.take()
    try:
        await ask(write_calls, taken)
    except Unavailable:
        gateway.asked.take_back(taken)
        raise


async def _watch(gateway: Gateway) -> None:
    await gateway.tell_changes()
