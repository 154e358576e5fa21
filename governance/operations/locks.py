"""One at a time: backups may run beside each other, but only one restore, upgrade or preparation of a database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from governance.operations.problems import OperationFailed
from governance.operations.programs import open_session

# Any number that nothing else in the product uses.
MAINTENANCE = 0x52454D49_4D4E
WAIT_SECONDS = 600


@contextmanager
def maintenance(say: Callable[[str], None], *, wait_seconds: int = WAIT_SECONDS) -> Iterator[psycopg.Connection]:
    """Hold the database's maintenance lock; a second caller says so and waits. Yields the session that holds it.

    The lock ends with its session, so one that was killed holds nothing up. Raises OperationFailed when the other one
    takes longer than `wait_seconds`, and psycopg.Error.
    """
    with open_session() as session:
        if not _try(session):
            say("another restore, upgrade or preparation of this database is under way; waiting for its end")
            session.execute(f"SET lock_timeout = '{wait_seconds}s'")
            try:
                session.execute("SELECT pg_advisory_lock(%s)", [MAINTENANCE])
            except psycopg.errors.LockNotAvailable:
                raise OperationFailed(
                    f"Another restore, upgrade or preparation is still under way after {wait_seconds} s. Try later."
                ) from None
        yield session


def _try(session: psycopg.Connection) -> bool:
    row = session.execute("SELECT pg_try_advisory_lock(%s)", [MAINTENANCE]).fetchone()
    return bool(row and row[0])
