"""What reviews found out about grants, written down onto them, so that a request can be decided without asking upward.

These are inner steps: they run in the transaction of the review's use case, whose audit record covers them.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Q

from identities.models import Grant
from identities.services.posture_marks import mark_holders

_NOTE = """
    WITH given AS (
        SELECT g.id, noted.digest
        FROM unnest(%s::uuid[], %s::bytea[]) AS noted (id, digest) JOIN identities_grant g ON g.id = noted.id
        ORDER BY g.id FOR NO KEY UPDATE OF g
    )
    UPDATE identities_grant SET reviewed_at = %s, reviewed_digest = given.digest, approved_until = %s
    FROM given WHERE identities_grant.id = given.id
"""


def note_review(
    *,
    grant_ids: Iterable[UUID],
    digest_by_grant: Mapping[UUID, bytes],
    approved_until: datetime | None,
    now: datetime,
) -> None:
    """These grants were reviewed and may stay, with exactly the content that the digest (sha256) names.

    Written in the order of their ids, so that two who note many at once wait for each other instead of deadlocking.
    """
    ids = list(grant_ids)
    if not ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, [ids, [digest_by_grant[pk] for pk in ids], now, approved_until])
    mark_holders(ids)


def clear_review(*, grant_ids: Iterable[UUID]) -> None:
    """The approval of these grants no longer stands: it was recalled, it ended, or the access changed."""
    ids = list(grant_ids)
    Grant.objects.filter(pk__in=ids).update(reviewed_at=None, reviewed_digest=None, approved_until=None)
    mark_holders(ids)


def end_review_by(*, grant_ids: Iterable[UUID], until: datetime) -> None:
    """Let an approval that stands lapse by that date at the latest; where there is none, nothing changes."""
    ids = list(grant_ids)
    standing = Grant.objects.filter(pk__in=ids, reviewed_digest__isnull=False)
    standing.filter(Q(approved_until=None) | Q(approved_until__gt=until)).update(approved_until=until)
    mark_holders(ids)


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
