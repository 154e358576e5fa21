"""Writers of the trail stay at READ COMMITTED whatever the server says, and what was broken off is repeated once."""

from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from governance.audit.retry import once_more


class Interrupted:
    """A use case that the database breaks off so many times."""

    def __init__(self, times: int, error: type[psycopg.Error]) -> None:
        self.calls, self._times, self._error = 0, times, error

    def run(self) -> str:
        self.calls += 1
        if self.calls <= self._times:
            raise OperationalError("broken off") from self._error("broken off")
        return "done"


@pytest.mark.parametrize("error", [psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure])
def test_what_was_broken_off_is_repeated_once(error: type[psycopg.Error], db: None) -> None:
    class Sealing(Interrupted):
        pass

    sealing, stubborn = Sealing(1, error), Sealing(2, error)
    connection.in_atomic_block = False  # pytest's own transaction is not the use case's
    try:
        assert once_more(lambda: sealing.run())() == "done"  # noqa: PLW0108 - a function with a name
        with pytest.raises(OperationalError):
            once_more(lambda: stubborn.run())()  # noqa: PLW0108
    finally:
        connection.in_atomic_block = True
    assert (sealing.calls, stubborn.calls) == (2, 2)


def test_other_failures_and_inner_steps_are_not_repeated(db: None) -> None:
    gone, inner = (
        Interrupted(1, psycopg.errors.AdminShutdown),
        Interrupted(1, psycopg.errors.DeadlockDetected),
    )

    with pytest.raises(OperationalError):
        once_more(lambda: gone.run())()  # noqa: PLW0108
    with transaction.atomic(), pytest.raises(OperationalError):
        once_more(lambda: inner.run())()  # noqa: PLW0108
    assert (gone.calls, inner.calls) == (1, 1)


def test_the_level_is_ours_whatever_the_database_s_default_is(committed_db: Any, make_event: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{committed_db.name}" SET default_transaction_isolation = serializable')
    connection.close()

    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("read committed",)
    make_event()
