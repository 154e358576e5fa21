"""Say that something about identities changed which the change feed does not show, so that posture looks again.

What readings add, change and retire stands in the feed. Use, edits by people and what reviews found out do not: whoever
writes those leaves a mark in the same transaction. These are inner steps.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection

from identities.services.arrays import array_of

# Use after a shorter silence is nothing new; what counts as dormant can be no shorter (posture policy).
SILENCE_DAYS = 7


def mark_identities(identity_ids: Iterable[UUID]) -> None:
    """Have these looked at again."""
    mark_in("SELECT unnest(%(ids)s::uuid[])", {"ids": array_of(identity_ids)})


def mark_holders(grant_ids: Iterable[UUID]) -> None:
    """Have the holders of these grants looked at again."""
    ids = list(grant_ids)
    if not ids:
        return
    held = "SELECT DISTINCT identity_id FROM identities_grant WHERE id = ANY(%(ids)s::uuid[])"
    mark_in(held, {"ids": array_of(ids)})


def mark_in(changed: str, parameters: dict[str, Any]) -> None:
    """The same for the identities whose ids the SQL query `changed` gives."""
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO identities_posturemark (identity_id) {changed}", parameters)
