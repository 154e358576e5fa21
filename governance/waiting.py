"""A limit for how long this process waits for the database, kept by this process.

`statement_timeout` is kept by the server, and the timers of TCP by its kernel. Neither ends the wait for a server that
was stopped, hangs on its disk, or is swapped out: its sockets stay open and nothing comes. Within `within(seconds)` the
driver gives up by itself, and the connection is closed, because what it was doing is unknown.

Making a new connection is limited by `DATABASE_CONNECT_SECONDS` instead, so the two together are the longest wait.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.signals import connection_created

_until: ContextVar[float | None] = ContextVar("until", default=None)
_SHORTEST = 0.001


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What asks the database in here has so many seconds in all, then it raises OperationalError.

    Inside another limit, whichever ends first holds.
    """
    until = time.monotonic() + seconds
    outer = _until.get()
    token = _until.set(until if outer is None else min(until, outer))
    if connection.connection is not None:
        _limit(connection.connection)
    try:
        yield
    finally:
        _until.reset(token)


def is_over() -> bool:
    """Whether the time within which this was to be done has passed, so that nothing is worth another try."""
    until = _until.get()
    return until is not None and time.monotonic() >= until


def _limit(driver: Any) -> None:
    """Have this connection of psycopg look at the limit whenever it waits; elsewhere it waits as ever."""
    if "wait" in vars(driver):
        return
    wait = driver.wait

    def limited(generator: Any, *args: Any, **kwargs: Any) -> Any:
        until = _until.get()
        if until is None:
            return wait(generator, *args, **kwargs)
        try:
            return wait(generator, *args, **kwargs | {"timeout": max(until - time.monotonic(), _SHORTEST)})
        except psycopg.Error:
            if not is_over():
                raise
            driver.pgconn.finish()
            raise psycopg.OperationalError("the database did not answer in time") from None

    driver.wait = limited


def _limit_new(sender: Any, connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "postgresql":
        _limit(connection.connection)


connection_created.connect(_limit_new, dispatch_uid="governance.waiting")
