"""Write down steps in the lives of findings, many at a time. Inner steps of whoever changes the findings."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from identities.models import AcceptanceEnd, FindingAcceptance, FindingEvent, FindingStep

_AT_ONCE = 2_000


def note_steps(
    step: FindingStep, facts: Mapping[UUID, Mapping[str, Any]], *, now: datetime, by: UUID | None = None
) -> None:
    """The same step for each of these findings. facts: by finding."""
    FindingEvent.objects.bulk_create(
        (FindingEvent(finding_id=pk, step=step, at=now, by_id=by, facts=dict(each)) for pk, each in facts.items()),
        batch_size=_AT_ONCE,
    )


def end_acceptances(
    finding_ids: Collection[UUID], how: AcceptanceEnd, *, now: datetime, by: UUID | None = None
) -> None:
    """End whatever exception these findings have, or have been asked for, and say so in their lives."""
    open_ones = FindingAcceptance.objects.filter(finding__in=list(finding_ids), ended_at=None)
    ended = list(open_ones.values_list("pk", "finding_id", "accepted_at"))
    FindingAcceptance.objects.filter(pk__in=[pk for pk, *_ in ended]).update(ended_at=now, ended_how=how, ended_by=by)
    told = {finding: {"how": str(how), "was_accepted": accepted is not None} for _, finding, accepted in ended}
    note_steps(FindingStep.ENDED, told, now=now, by=by)
