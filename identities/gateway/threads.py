"""The database from the gateway's event loop: a few threads, each call with a limit, so that silence is an answer."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import structlog
from django.db import close_old_connections

from governance.kernel.errors import DomainError
from governance.waiting import within
from identities.gateway.messages import NOT_DECIDABLE, BadMessage, Refused

THREADS = 8
SECONDS = 5.0
Result = TypeVar("Result")

logger = structlog.get_logger(__name__)
_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="gateway")


class Unavailable(Exception):
    """The inventory or the decision point could not be asked: nothing is let through."""


async def ask(function: Callable[..., Result], *args: object, **kwargs: object) -> Result:
    """The function's result, from a thread. Domain errors come through; anything else is `Unavailable`."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(SECONDS):
            return await loop.run_in_executor(_pool, partial(_call, function, *args, **kwargs))
    except (DomainError, Refused, BadMessage):
        raise
    except Exception as problem:
        # A fault in the code and a database that is away end alike: closed. The log tells them apart.
        logger.error("gateway.unavailable", function=function.__name__, kind=type(problem).__name__, exc_info=True)
        raise Unavailable(str(type(problem).__name__)) from problem


def unavailable() -> Refused:
    """The refusal of a call that nobody could decide on."""
    return Refused(
        NOT_DECIDABLE, "Whether this is allowed could not be asked, so it is not done. Try again.", reason="unavailable"
    )


def _call(function: Callable[..., Result], *args: object, **kwargs: object) -> Result:
    # Nobody waits for the answer any longer; the thread must not either, or the next calls find none that is free.
    with within(SECONDS):
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()
