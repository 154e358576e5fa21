"""Limits for how long this process waits for the database, kept by this process.

`statement_timeout` is kept by the server, and the timers of TCP by its kernel. Neither ends the wait for a server that
was stopped, hangs on its disk, or is swapped out: its sockets stay open and nothing comes. Two limits do:

- `within(seconds)`: all that is asked in here, together. For whoever must answer at once (decisions, the gateway).
- `answered_within(seconds)`: each answer by itself, counted from the last byte that came. What makes progress is never
  cut, however long it takes as a whole. For pages and the API, where one request may stream for an hour.

When a limit is reached the driver gives up, and the connection is closed, because what it was doing is unknown. Without
any limit (workers, commands) the driver waits as ever. Making a new connection is limited by
`DATABASE_CONNECT_SECONDS`; a connection that was kept is tried for as long before it is used again.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.signals import connection_created

# Silence after which a second connection asks whether anybody is there at all, and again after as much more.
ASK_AFTER_SECONDS = 5.0
CANCEL_SECONDS = 1.0
DEFAULT_CONNECT_SECONDS = 3
_SHORTEST = 0.001


class Patience:
    """How long one request waits for one answer. After it has given up once, nothing of it waits again."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_spent = False


_until: ContextVar[float | None] = ContextVar("until", default=None)
_patience: ContextVar[Patience | None] = ContextVar("patience", default=None)


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


@contextmanager
def answered_within(patience: Patience) -> Iterator[None]:
    """No answer of the database is waited for longer in here; then OperationalError is raised.

    Sooner where nobody is there: after `ASK_AFTER_SECONDS` of silence a new connection is tried, and one that is not
    answered either says that the whole server hangs, not only this question.
    """
    token = _patience.set(patience)
    try:
        yield
    finally:
        _patience.reset(token)


def each_within(pieces: Iterable[Any], patience: Patience) -> Iterator[Any]:
    """The pieces of a stream, each fetched under the limit; what happens between them is not counted."""
    fetched = iter(pieces)
    while True:
        with answered_within(patience):
            try:
                piece = next(fetched)
            except StopIteration:
                return
        yield piece


@contextmanager
def long_answers(seconds: float) -> Iterator[None]:
    """Where a limit for each answer holds, it is this one in here: single statements of a large reading take minutes.

    A server that is not there at all is noticed as soon as ever.
    """
    patience = _patience.get()
    if patience is None:
        yield
        return
    before, patience.seconds = patience.seconds, max(seconds, patience.seconds)
    try:
        yield
    finally:
        patience.seconds = before


def _limit(driver: Any) -> None:
    """Have this connection of psycopg look at the limits whenever it waits; elsewhere it waits as ever."""
    if "wait" in vars(driver):
        return
    wait = driver.wait

    def limited(generator: Any, *args: Any, **kwargs: Any) -> Any:
        patience, until = _patience.get(), _until.get()
        if patience is not None:
            generator = _attentive(generator, patience, driver)
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


def _attentive(steps: Any, patience: Patience, driver: Any) -> Generator[Any, Any, Any]:
    """The driver's own steps, given up after too long a silence.

    The driver looks several times a second whether its socket is ready, and sends 0 into these steps when it is not.
    """
    if patience.is_spent:
        driver.pgconn.finish()
        raise psycopg.OperationalError("the database did not answer this request before")
    heard = asked = time.monotonic()
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            now = time.monotonic()
            if ready:
                heard = asked = now
            elif now - heard >= patience.seconds:
                # Alive, but busy with this or waiting for a lock: whoever gives up says so, or it would go on.
                with suppress(psycopg.Error):
                    driver.cancel_safe(timeout=CANCEL_SECONDS)
                _give_up(driver, patience, f"the database did not answer within {patience.seconds:g} s")
            elif now - asked >= ASK_AFTER_SECONDS:
                if not _is_there():
                    _give_up(driver, patience, "the database does not answer, and takes no new connection either")
                asked = time.monotonic()
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value


def _is_there() -> bool:
    """Whether a new connection is answered, be it with a refusal."""
    try:
        psycopg.connect(**connection.get_connection_params()).close()
    except psycopg.errors.ConnectionTimeout:
        return False
    except psycopg.Error:
        return True
    return True


def _give_up(driver: Any, patience: Patience, reason: str) -> None:
    patience.is_spent = True
    driver.pgconn.finish()
    raise psycopg.OperationalError(reason)


def _limit_new(sender: Any, connection: Any, **kwargs: Any) -> None:
    if connection.vendor != "postgresql":
        return
    _limit(connection.connection)
    if "is_usable" not in vars(connection):
        connection.is_usable = _tried_briefly(connection.is_usable, connection.settings_dict["OPTIONS"])
        connection.get_new_connection = _tried_once(connection.get_new_connection)


def _tried_briefly(is_usable: Callable[[], bool], options: dict[str, Any]) -> Callable[[], bool]:
    """Whether a kept connection still works, asked for no longer than making a new one may take."""

    def tried() -> bool:
        with within(float(options.get("connect_timeout", DEFAULT_CONNECT_SECONDS))):
            return is_usable()

    return tried


def _tried_once(connect: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """A new connection, unless this request has waited for one, or for an answer, in vain before."""

    def tried(parameters: dict[str, Any]) -> Any:
        patience = _patience.get()
        if patience is not None and patience.is_spent:
            raise psycopg.OperationalError("the database did not answer this request before")
        try:
            return connect(parameters)
        except psycopg.errors.ConnectionTimeout:
            if patience is not None:
                patience.is_spent = True
            raise

    return tried


connection_created.connect(_limit_new, dispatch_uid="governance.waiting")
