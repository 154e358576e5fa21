"""What agents asked lately, kept for people to look at: written beside the calls, never in their way, and not for long.

A process gathers what it answered and writes it every few seconds; equal calls of that time are one row with their
number, so that an agent that asks without end fills nothing. What cannot be written now is kept for the next time, as
far as there is room; what then has none is counted and given up. The decision log is the record, this is a window.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

# Kinds of calls (agent, server, tool, answer) that wait to be written, and rows that stay at most.
MOST_WAITING = 2_000
MOST_KEPT = 200_000
KEPT = timedelta(days=30)
MOST_AT_ONCE = 20_000

# Why the decision point was not asked; other reasons are its own (`identities.pdp.reasons`).
NOT_COMPARABLE = "not_comparable"
SERVER_UNREACHABLE = "server_unreachable"
BUSY = "busy"
ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Asked:
    """One kind of call and how it was answered."""

    identity_id: UUID
    server_id: UUID
    tool: str
    reason: str


@dataclass(slots=True)
class Times:
    """How often, and from when to when."""

    count: int
    first: datetime
    last: datetime


class Gathered:
    """What one process answered since it last wrote. Not for several threads at once."""

    def __init__(self) -> None:
        self._waiting: dict[Asked, Times] = {}
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, asked: Asked, now: datetime) -> None:
        """Costs no more than a look into memory."""
        self._merge(asked, Times(1, now, now))

    def take(self) -> dict[Asked, Times]:
        """Everything that waits, which then waits no more."""
        taken, self._waiting = self._waiting, {}
        return taken

    def take_back(self, taken: Mapping[Asked, Times]) -> None:
        """What could not be written waits again."""
        for asked, times in taken.items():
            self._merge(asked, times)

    def _merge(self, asked: Asked, times: Times) -> None:
        known = self._waiting.get(asked)
        if known is not None:
            known.count += times.count
            known.first, known.last = min(known.first, times.first), max(known.last, times.last)
        elif len(self._waiting) < MOST_WAITING:
            self._waiting[asked] = times
        else:
            self.given_up += times.count


# A name that the server does not know is one that only the caller has said, so it is not kept.
_WRITE = """
INSERT INTO identities_gatewaycall (identity_id, server_id, tool, reason, count, first_at, last_at)
SELECT g.identity, g.server, coalesce(t.name, ''), g.reason, sum(g.count), min(g.first_at), max(g.last_at)
FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::int[], %s::timestamptz[], %s::timestamptz[])
     AS g(identity, server, tool, reason, count, first_at, last_at)
JOIN identities_identity i ON i.id = g.identity
JOIN identities_gatewayserver s ON s.id = g.server
LEFT JOIN identities_gatewaytool t ON t.server_id = g.server AND t.name = g.tool
GROUP BY g.identity, g.server, coalesce(t.name, ''), g.reason
ORDER BY max(g.last_at)
"""
_FORGET = """
DELETE FROM identities_gatewaycall WHERE id IN (
    SELECT id FROM identities_gatewaycall
    WHERE last_at < %s OR id <= (SELECT max(id) FROM identities_gatewaycall) - %s
    ORDER BY id LIMIT %s
)
"""


def write_calls(calls: Mapping[Asked, Times]) -> None:
    """Write what was gathered, in one statement."""
    if not calls:
        return
    rows = [
        (asked.identity_id, asked.server_id, asked.tool, asked.reason, times.count, times.first, times.last)
        for asked, times in calls.items()
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_WRITE, [list(column) for column in zip(*rows, strict=True)])


def forget_calls(*, now: datetime) -> int:
    """Remove what is older than it is kept, and the oldest where there are very many; returns how many."""
    before = now - KEPT
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_FORGET, [before, MOST_KEPT, MOST_AT_ONCE])
        return int(cursor.rowcount)
