"""What reviews found out about grants, written down onto them, so that a request can be decided without asking upward.

These are inner steps: they run in the transaction of the review's use case, whose audit record covers them.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from identities.models import Grant


def note_review(
    *,
    grant_ids: Iterable[UUID],
    digest_by_grant: Mapping[UUID, bytes],
    approved_until: datetime | None,
    now: datetime,
) -> None:
    """These grants were reviewed and may stay, with exactly the content that the digest (sha256) names."""
    grants = [
        Grant(pk=pk, reviewed_at=now, reviewed_digest=digest_by_grant[pk], approved_until=approved_until)
        for pk in grant_ids
    ]
    Grant.objects.bulk_update(grants, ["reviewed_at", "reviewed_digest", "approved_until"], batch_size=1000)


def clear_review(*, grant_ids: Iterable[UUID]) -> None:
    """The approval of these grants no longer stands: it was recalled, it ended, or the access changed."""
    Grant.objects.filter(pk__in=list(grant_ids)).update(reviewed_at=None, reviewed_digest=None, approved_until=None)


def end_review_by(*, grant_ids: Iterable[UUID], until: datetime) -> None:
    """Let an approval that stands lapse by that date at the latest; where there is none, nothing changes."""
    standing = Grant.objects.filter(pk__in=list(grant_ids), reviewed_digest__isnull=False)
    standing.filter(Q(approved_until=None) | Q(approved_until__gt=until)).update(approved_until=until)


def expect_removal(*, grant_ids: Iterable[UUID], now: datetime) -> None:
    """These grants were just taken away at the source on an order of Remit: their absence is no broken export."""
    Grant.objects.filter(pk__in=list(grant_ids)).update(removal_expected_at=now)


def forget_removal(*, grant_ids: Iterable[UUID]) -> None:
    """A later reading has confirmed it, or it was undone; from now on an absence counts again."""
    Grant.objects.filter(pk__in=list(grant_ids)).update(removal_expected_at=None)
