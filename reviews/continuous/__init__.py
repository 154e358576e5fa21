"""Reviews that open themselves: what changes between two reviews is noticed, collected, and asked about.

Three steps, each safe to repeat and to interrupt, each with its own transactions: `pulling` reads the inventory's
changes behind a cursor, `looking` finds what leaves no change behind (people who left, access that came back, use after
silence, findings), `batching` opens one review per rule and source from what has settled.
"""

from datetime import datetime

from reviews.continuous.batching import open_batches
from reviews.continuous.looking import look_around
from reviews.continuous.pulling import pull_changes
from reviews.continuous.rules import (
    InvalidWatch,
    StaleWatch,
    change_watch,
    create_watch,
    require_watch_manager,
)
from reviews.models import Campaign

__all__ = [
    "InvalidWatch",
    "StaleWatch",
    "change_watch",
    "create_watch",
    "look_around",
    "open_batches",
    "pull_changes",
    "require_watch_manager",
    "watch",
]


def watch(*, now: datetime) -> list[Campaign]:
    """Notice what happened, and draft a review of everything that has settled. Returns the drafts."""
    pull_changes(now=now)
    look_around(now=now)
    return open_batches(now=now)
