"""What was asked and what was answered in one review, counted by the database."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Case, CharField, Count, F, Q, QuerySet, Value, When
from django.db.models.functions import TruncDate

from reviews.models import PASSING_ON, Answer, Campaign, DeadlinePolicy, Decision, ReviewItem
from reviews.selectors import UNDECIDED
from reviews.states import ItemState

Figures = dict[str, Any]
# Who gave the answer that stands: one person, several by a strategy, the deadline's policy, or an earlier decision.
PERSON, SEVERAL, SILENCE, CARRIED = "person", "several", "silence", "carried"
AUTHORS = (PERSON, SEVERAL, SILENCE, CARRIED)

_AUTHOR = Case(
    When(decided_by__isnull=False, then=Value(PERSON)),
    When(carries__isnull=False, then=Value(CARRIED)),
    When(decided_by_policy__in=DeadlinePolicy.values, then=Value(SILENCE)),
    default=Value(SEVERAL),
    output_field=CharField(),
)


def progress_of(campaign: Campaign) -> Figures:
    """Questions by state. `asked` leaves out what was cancelled: those are no questions any more."""
    counts: dict[str, Any] = {state.value: Count("pk", filter=Q(state=state)) for state in ItemState}
    found: Figures = ReviewItem.objects.filter(campaign=campaign).aggregate(
        **counts,
        total=Count("pk"),
        privileged=Count("pk", filter=Q(is_privileged=True)),
        escalated=Count("pk", filter=Q(escalated_at__isnull=False)),
        escalated_decided=Count("pk", filter=Q(escalated_at__isnull=False, state=ItemState.DECIDED)),
        people=Count("assignee", distinct=True),
    )
    return found | {
        "asked": found["total"] - found[ItemState.CANCELLED],
        "undecided": sum(found[state] for state in UNDECIDED),
    }


def decided_on(campaign: Campaign, zone: ZoneInfo) -> dict[date, int]:
    """How many questions were decided on each day of that clock, as they stand now."""
    rows = (
        ReviewItem.objects.filter(campaign=campaign, state=ItemState.DECIDED, decided_at__isnull=False)
        .annotate(day=TruncDate("decided_at", tzinfo=zone))
        .order_by()
        .values_list("day")
        .annotate(n=Count("pk"))
    )
    return dict(rows)


def final_answers(campaign: Campaign, *, until: datetime) -> list[Figures]:
    """The answers that ended questions: `kind`, `answer`, `by` (one of AUTHORS), `count`, and of those `in_time`."""
    rows = (
        _standing(campaign, until)
        .filter(is_attestation=False, item__state=ItemState.DECIDED)
        .exclude(answer__in=PASSING_ON)
        .annotate(by=_AUTHOR, kind=F("item__kind"))
        .order_by()
        .values("kind", "answer", "by")
        .annotate(count=Count("pk"), in_time=Count("pk", filter=Q(decided_at__lte=campaign.deadline_at)))
    )
    order = {str(each): number for number, each in enumerate(Answer)}
    return sorted(
        (dict(row) for row in rows), key=lambda row: (row["kind"], order[row["answer"]], AUTHORS.index(row["by"]))
    )


def answers_by_stage(campaign: Campaign, *, until: datetime) -> list[Figures]:
    """What people said stage by stage: `stage` (None: after it was settled), `said`, of those `passed_on`."""
    rows = (
        _standing(campaign, until)
        .filter(decided_by__isnull=False)
        .order_by()
        .values("stage")
        .annotate(said=Count("pk"), passed_on=Count("pk", filter=Q(answer__in=PASSING_ON)))
    )
    return sorted((dict(row) for row in rows), key=lambda row: (row["stage"] is None, row["stage"] or 0))


def _standing(campaign: Campaign, until: datetime) -> QuerySet[Decision]:
    return Decision.objects.filter(item__campaign=campaign, recalls=None, recalled_by=None, decided_at__lt=until)


def by_author(answers: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Questions that ended, by who ended them."""
    return {by: sum(row["count"] for row in answers if row["by"] == by) for by in AUTHORS}


def on_time(progress: Mapping[str, Any], answers: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Of the questions that people had to answer, how many they answered by the deadline.

    What an earlier decision answered was nobody's to answer, and what silence decided was not answered.
    """
    carried = by_author(answers)[CARRIED]
    by_people = [row for row in answers if row["by"] in {PERSON, SEVERAL}]
    return {"count": sum(row["in_time"] for row in by_people), "of": progress["asked"] - carried}
