"""The reason for a schedule's interval is approved by somebody who did not write it, and again when it gets longer.

A schedule runs without the approval too: a review that waits for a signature reviews nothing. The page says that it is
missing, and the trail says who gave it.
"""

from datetime import datetime

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.errors import Conflict, Forbidden, NotFound
from reviews.campaigns.schedules import StaleSchedule, person_behind, require_planner
from reviews.models import IntervalReasoning, ReviewSchedule
from reviews.selectors import reasoning_of


class OwnReasoning(Forbidden):
    """Whoever wrote the reason cannot approve it."""

    code = "own-reasoning"
    title = "Somebody else approves the reason"


class ApprovedAlready(Conflict):
    """The reason for this interval is approved."""

    code = "approved-already"


def approve_interval(*, schedule: ReviewSchedule, version: int, actor: Actor, now: datetime) -> IntervalReasoning:
    """Approve why the interval is short enough. version: of the schedule whose reason was read.

    A program approves in the name of whoever issued its token. Raises Forbidden, OwnReasoning, StaleSchedule and
    ApprovedAlready.
    """
    require_planner(actor)
    person = person_behind(actor)
    with transaction.atomic(durable=True):
        locked = ReviewSchedule.objects.select_for_update().filter(pk=schedule.pk).first()
        if locked is None:
            raise NotFound("There is no such schedule.")
        if locked.version != version:
            raise StaleSchedule("Somebody changed this schedule meanwhile. Read it again.", version=locked.version)
        reasoning = reasoning_of(locked)
        if reasoning.approved_by_id is not None:
            raise ApprovedAlready("The reason for this interval is approved already.")
        if reasoning.written_by_id == person.pk:
            raise OwnReasoning("You wrote this reason; somebody else has to approve it.")
        reasoning.approved_by, reasoning.approved_at = person, now
        reasoning.save()
        log.record(
            verb=Verb.SCHEDULE_INTERVAL_APPROVED,
            actor=actor,
            subject=log.Subject("schedule", str(locked.pk), "review schedule"),
            now=now,
            new={"approved_by": str(person.pk)},
            context={"written_by": str(reasoning.written_by_id), "rrule": reasoning.rrule},
        )
    return reasoning
