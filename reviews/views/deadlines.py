"""The table of a deadline, as pages print it."""

from reviews.forms.deadline import table_rows
from reviews.models import Campaign, DeadlinePolicy, ReviewSchedule
from reviews.policies.deadline import table_of


def deadline_rows(of: Campaign | ReviewSchedule) -> list[tuple[str, list[tuple[str, str]]]]:
    """The table that it goes by, or nothing where the policy's name says it all."""
    if of.deadline_policy not in {DeadlinePolicy.GRADED, DeadlinePolicy.TABLE}:
        return []
    return table_rows(table_of(of.deadline_policy, of.policy))
