"""How what is asked about differs from what was decided on last: frozen into the question when it opens."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from identities.models import Credential, GrantVersion
from reviews.models import PASSING_ON, Change, Decision

Seen = dict[str, Any]


def last_decisions(name: str, ids: Iterable[UUID]) -> dict[UUID, Decision]:
    """The newest answer that still stands about each grant or credential (name: `grant` or `credential`); one query.

    Attestations, what was taken back and what only passed a question on are no answers.
    """
    given: QuerySet[Decision] = (
        Decision.objects.filter(
            **{f"item__{name}__in": list(ids)}, is_attestation=False, recalls=None, recalled_by=None
        )
        .exclude(answer__in=PASSING_ON)
        .order_by(f"item__{name}", "-decided_at", "-pk")
        .distinct(f"item__{name}")
        .select_related("item", "decided_by")
        .defer("item__seen", "item__resolution")
    )
    return {getattr(decision.item, f"{name}_id"): decision for decision in given}


def changes_of_grants(versions: Iterable[GrantVersion]) -> dict[UUID, Seen]:
    """By grant: `{"state": new|changed|same, "at": …, "answer": …}`; the last two where somebody decided before."""
    digests = {version.grant_id: bytes(version.digest) for version in versions}
    last = last_decisions("grant", digests)
    return {
        pk: _told(last.get(pk), is_same=pk in last and bytes(last[pk].digest or b"") == digest)
        for pk, digest in digests.items()
    }


def changes_of_credentials(credentials: Iterable[Credential]) -> dict[UUID, Seen]:
    """By credential; one that was rotated since is another secret, so it counts as changed."""
    rotated = {each.pk: each.last_rotated_at for each in credentials}
    last = last_decisions("credential", rotated)
    return {
        pk: _told(last.get(pk), is_same=pk in last and (at is None or at <= last[pk].decided_at))
        for pk, at in rotated.items()
    }


def _told(decision: Decision | None, *, is_same: bool) -> Seen:
    if decision is None:
        return {"change": {"state": Change.NEW.value}}
    state = Change.SAME if is_same else Change.CHANGED
    return {"change": {"state": state.value, "at": decision.decided_at.isoformat(), "answer": str(decision.answer)}}
