"""What a run says of itself while it works, and whether somebody wants it to stop.

The run's own transaction shows nothing before it ends, so progress is written through a connection of its own, at most
once a second; a run that ends sooner never opens one.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.utils import timezone

from governance.kernel.errors import DomainError
from identities.sync.lines import Body

EVERY_SECONDS = 1.0
EVERY_LINES = 2_000
_WRITE = """
UPDATE identities_syncrun SET progress = %s WHERE id = %s AND finished_at IS NULL
RETURNING cancel_requested_at IS NOT NULL
"""


class Cancelled(DomainError):
    """Somebody asked for the run to stop, and it did."""

    code = "cancelled"
    status = 409
    title = "The run was cancelled"


class Progress:
    """Tells how far one run is. `watch` and `phase` raise `Cancelled` when somebody asked for that.

    tell: somebody who waits for the run and is told the same. Written as
    `{"phase": …, "records": lines so far, "bytes": read so far, "of_bytes": in all, "at": RFC 3339}`.
    """

    def __init__(
        self, run_id: UUID, tell: Callable[[dict[str, Any]], None] | None = None, *, phase: str = "reading"
    ) -> None:
        self._run_id = run_id
        self._listener = tell
        self._said_at = time.monotonic()
        self._said: dict[str, Any] = {"phase": phase, "records": 0, "bytes": 0, "of_bytes": 0}
        self._connection: Any = None

    def watch(self, numbered: Iterator[tuple[int, bytes]], body: Body) -> Iterator[tuple[int, bytes]]:
        """Pass the numbered lines on and tell, every so often, how many went by."""
        for number, line in numbered:
            yield number, line
            if number % EVERY_LINES == 0 and self._is_time():
                self._tell(records=number, bytes=body.position, of_bytes=body.size)

    def passed(self, number: int, *, position: int = 0, size: int = 0) -> None:
        """So many records came so far, from so many bytes where somebody knows. Every single one may be told."""
        # A source that answers slowly gives few records, so the clock decides and not their number.
        if self._is_time():
            self._tell(records=number, bytes=position, of_bytes=size)

    def phase(self, name: str) -> None:
        """A new part of the work begins."""
        self._said["phase"] = name
        if self._is_time():
            self._tell()

    def close(self) -> None:
        """Let go of the connection. The run is about to be ended, which it alone may then do."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _is_time(self) -> bool:
        return time.monotonic() - self._said_at >= EVERY_SECONDS

    def _tell(self, **facts: int) -> None:
        self._said |= facts
        self._said_at = time.monotonic()
        if self._connection is None:
            self._connection = connection.copy()
        if self._listener is not None:
            self._listener(self._said)
        written = orjson.dumps({**self._said, "at": timezone.now().isoformat()}).decode()
        with self._connection.cursor() as cursor:
            cursor.execute(_WRITE, [written, self._run_id])
            found = cursor.fetchone()
        if found and found[0]:
            raise Cancelled("Somebody cancelled this run. Nothing of it was applied.")
