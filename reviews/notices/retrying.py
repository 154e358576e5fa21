"""When a delivery is tried again. docs/webhooks.md prints this table; a test compares them.

What the receiver *refuses* (a 4xx that is not about load) is about this one event: it is set aside after six
attempts and the next one goes. Everything else is about the receiver: the line waits, and loses nothing.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

PAUSES = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=24),
)
MOST_REFUSALS = 6
LONGEST_PAUSE = timedelta(hours=24)
GONE = 410
# Answers that say "not now" rather than "not this".
NOT_NOW = frozenset({408, 409, 425, 429})


def is_refusal(status: int | None) -> bool:
    """Whether the answer is about this event rather than about the receiver's state."""
    return status is not None and 400 <= status < 500 and status not in NOT_NOW


def next_attempt(*, event_id: UUID, attempts: int, retry_after: int | None, now: datetime) -> datetime:
    """When to try again after `attempts` attempts: the schedule, up to a tenth more, and never before `retry_after`.

    retry_after: seconds that the receiver asked for; more than a day counts as a day.
    """
    pause = PAUSES[min(attempts, len(PAUSES)) - 1]
    # Spreads what failed together, and is the same for everybody who works it out.
    spread = int.from_bytes(sha256(event_id.bytes + attempts.to_bytes(4)).digest()[:4]) / 2**32
    pause += pause * 0.1 * spread
    asked = timedelta(seconds=retry_after or 0)
    return now + min(max(pause, asked), LONGEST_PAUSE * 1.1)
