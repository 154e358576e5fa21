"""What reviews found out about grants, written down onto them, so that a request can be decided without asking upward.

These are inner steps: they run in the transaction of the review's use case, whose audit record covers them.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import Q

from identities.models import Grant, Withholding
from identities.services.arrays import array_of
from identities.services.decision_notes import note_holders, note_identities, own_notes
from identities.services.posture_marks import mark_holders, mark_identities

# PostgreSQL (18) reads the expression of `search_text` anew for each row of an UPDATE that touches none of the columns
# it is made of; with one of these set to itself, once.
_NOTE = """
    WITH given AS (
        SELECT g.id, noted.digest
        FROM unnest(%s::uuid[], %s::bytea[]) AS noted (id, digest) JOIN identities_grant g ON g.id = noted.id
        ORDER BY g.id FOR NO KEY UPDATE OF g
    )
    UPDATE identities_grant SET label = label, reviewed_at = %s, reviewed_digest = given.digest, approved_until = %s,
        withheld_at = NULL, withheld_why = '', narrowed_to = NULL
    FROM given WHERE identities_grant.id = given.id RETURNING identities_grant.identity_id
"""
_WITHHOLD = """
    WITH taken AS (
        SELECT g.id, noted.target
        FROM unnest(%s::uuid[], %s::jsonb[]) AS noted (id, target) JOIN identities_grant g ON g.id = noted.id
        ORDER BY g.id FOR NO KEY UPDATE OF g
    )
    UPDATE identities_grant SET withheld_at = %s, withheld_why = 'withheld', narrowed_to = taken.target
    FROM taken WHERE identities_grant.id = taken.id
"""


def note_review(
    *,
    grant_ids: Iterable[UUID],
    digest_by_grant: Mapping[UUID, bytes],
    approved_until: datetime | None,
    now: datetime,
) -> None:
    """These grants were reviewed and may stay, with exactly the content that the digest (sha256) names.

    Whatever an earlier review had taken away of them is honoured again.

    Written in the order of their ids, so that two who note many at once wait for each other instead of deadlocking.
    """
    ids = list(grant_ids)
    if not ids:
        return
    with own_notes(), connection.cursor() as cursor:
        digests = [f'"\\\\x{bytes(digest_by_grant[pk]).hex()}"' for pk in ids]
        cursor.execute(_NOTE, [array_of(ids), f"{{{','.join(digests)}}}", now, approved_until])
        holders = {identity for (identity,) in cursor}
    note_identities(holders)
    mark_identities(holders)


def clear_review(*, grant_ids: Iterable[UUID]) -> None:
    """The approval of these grants no longer stands: it was recalled, it ended, or the access changed."""
    ids = list(grant_ids)
    with own_notes():
        Grant.objects.filter(pk__in=ids).update(reviewed_at=None, reviewed_digest=None, approved_until=None)
    note_holders(ids)
    mark_holders(ids)


def lapse_review(*, grant_ids: Iterable[UUID], why: Withholding, now: datetime) -> None:
    """The ground of these approvals is gone, so the access is not honoured until somebody approves it again."""
    ids = list(grant_ids)
    with own_notes():
        Grant.objects.filter(pk__in=ids).update(
            reviewed_at=None,
            reviewed_digest=None,
            approved_until=None,
            withheld_at=now,
            withheld_why=why,
            narrowed_to=None,
        )
    note_holders(ids)
    mark_holders(ids)


def end_review_by(*, grant_ids: Iterable[UUID], until: datetime) -> None:
    """Let an approval that stands lapse by that date at the latest; where there is none, nothing changes."""
    ids = list(grant_ids)
    standing = Grant.objects.filter(pk__in=ids, reviewed_digest__isnull=False)
    with own_notes():
        standing.filter(Q(approved_until=None) | Q(approved_until__gt=until)).update(approved_until=until)
    note_holders(ids)
    mark_holders(ids)


def withhold(*, narrowed: Mapping[UUID, Any], now: datetime) -> None:
    """A review took these grants away, or all of them but the permission given (as JSON; None for all of it).

    Requests are decided so from now on, whatever the source still gives until the order is carried out, and again if
    it comes back by itself. Lifted by `honour`, and by an approval that comes later.
    """
    ids = sorted(narrowed)
    if not ids:
        return
    targets = [None if narrowed[pk] is None else orjson.dumps(narrowed[pk]).decode() for pk in ids]
    with own_notes(), connection.cursor() as cursor:
        cursor.execute(_WITHHOLD, [ids, targets, now])
    note_holders(ids)


def honour(*, grant_ids: Iterable[UUID]) -> None:
    """What a review took away of these grants is no longer taken away: recalled, restored, or done at the source."""
    ids = list(grant_ids)
    held_back = Grant.objects.filter(pk__in=ids, withheld_at__isnull=False)
    with own_notes():
        is_moved = held_back.update(withheld_at=None, withheld_why="", narrowed_to=None)
    if is_moved:
        note_holders(ids)


def expect_removal(*, grant_ids: Iterable[UUID], now: datetime) -> None:
    """These grants were just taken away at the source on an order of Remit: their absence is no broken export."""
    ids = list(grant_ids)
    Grant.objects.filter(pk__in=ids).update(removal_expected_at=now)
    mark_holders(ids)


def forget_removal(*, grant_ids: Iterable[UUID]) -> None:
    """A later reading has confirmed it, or it was undone; from now on an absence counts again."""
    ids = list(grant_ids)
    Grant.objects.filter(pk__in=ids).update(removal_expected_at=None)
    mark_holders(ids)
