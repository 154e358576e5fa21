"""One run of a source at a time, held by the database connection: whoever dies lets go."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import Error, connection

from governance.kernel.errors import Conflict

_KEY = "hashtextextended('identities.sync:' || %s, 0)"
_POLL_SECONDS = 0.1


class SyncInProgress(Conflict):
    """Another run of this source has not ended. `retry_after` (seconds) is a good time to ask again."""

    code = "sync-in-progress"
    title = "Another run of this source is in progress"


@contextmanager
def source_lock(source_id: UUID, *, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the source's lock. Raises `SyncInProgress` when another connection keeps it longer than `wait_seconds`.

    The lock belongs to the connection and spans several transactions, so it must not be used through a pooler that
    changes connections between transactions (docs/sync.md).
    """
    deadline = time.monotonic() + wait_seconds
    while not _call("pg_try_advisory_lock", source_id):
        if time.monotonic() >= deadline:
            raise SyncInProgress("Another run of this source is in progress; send yours again later.", retry_after=5)
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        _release(source_id)


def is_free(source_id: UUID) -> bool:
    """Whether nobody holds the lock at this moment."""
    if not _call("pg_try_advisory_lock", source_id):
        return False
    _release(source_id)
    return True


def _release(source_id: UUID) -> None:
    try:
        _call("pg_advisory_unlock", source_id)
    except Error:
        # The connection is broken, and the lock went with it; a new one must not be stuck with half a session.
        connection.close()


def _call(function: str, source_id: UUID) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}({_KEY})", [str(source_id)])
        return bool(cursor.fetchone()[0])
