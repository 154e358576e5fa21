"""What people last decided about access, and which content that decision let stand."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from governance.kernel.permissions import Permission
from identities.models import GrantVersion
from reviews.models import KEEPING, PASSING_ON, Answer, Decision
from reviews.states import ItemState


@dataclass(frozen=True, slots=True)
class Approval:
    """The content that a decision let stand: what was held (`version`), or what was to remain of it (`target`)."""

    decision: Decision
    version: GrantVersion | None
    target: Permission | None

    @property
    def permission(self) -> Permission:
        if self.target is not None:
            return self.target
        assert self.version is not None  # noqa: S101 - one of the two is there
        return Permission.from_json(self.version.permission)

    def stands_for(self, current: GrantVersion) -> bool:
        """Whether this content was approved. The dates on which it ends by itself count where a version was seen."""
        if self.target is not None:
            return self.target.digest() == bytes(current.digest)
        assert self.version is not None  # noqa: S101
        ends = (self.version.valid_from, self.version.valid_until) == (current.valid_from, current.valid_until)
        return bytes(self.version.digest) == bytes(current.digest) and ends


def latest_ends(grant_ids: Collection[UUID]) -> QuerySet[Decision]:
    """The latest decision about each grant that ended its question and was not taken back."""
    return (
        Decision.objects.filter(
            item__grant__in=grant_ids,
            item__state=ItemState.DECIDED,
            is_attestation=False,
            recalls=None,
            recalled_by=None,
        )
        .exclude(answer__in=PASSING_ON)
        .order_by("item__grant", "-decided_at", "-pk")
        .distinct("item__grant")
    )


def last_decisions(grant_ids: Collection[UUID]) -> dict[UUID, Decision]:
    """The same by grant, with item and version."""
    ended = latest_ends(grant_ids).select_related("item__grant_version")
    return {decision.item.grant_id: decision for decision in ended if decision.item.grant_id}


def approvals_of(grant_ids: Collection[UUID], now: datetime) -> dict[UUID, Approval]:
    """What was approved of each grant and has not ended by its date; grants without an approval are absent."""
    found = {}
    for grant_id, decision in last_decisions(grant_ids).items():
        if decision.until is not None and decision.until <= now:
            continue
        if decision.answer in KEEPING and decision.item.grant_version is not None:
            found[grant_id] = Approval(decision, decision.item.grant_version, None)
        elif decision.answer == Answer.SCOPE_DOWN:
            found[grant_id] = Approval(decision, None, Permission.from_json(decision.target))
    return found
