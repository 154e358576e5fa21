"""The table of a deadline, as pages print it beside other facts: only what does not simply keep."""

from reviews.forms.deadline import PLACES, RISKS, USE_NAMES
from reviews.models import Campaign, DeadlinePolicy, ReviewSchedule
from reviews.policies.deadline import Act, table_of


def deadline_rows(of: Campaign | ReviewSchedule) -> list[tuple[str, str]]:
    """(which access, what happens to it), or nothing where the policy's name says it all."""
    if of.deadline_policy not in {DeadlinePolicy.GRADED, DeadlinePolicy.TABLE}:
        return []
    return [
        (f"{RISKS[risk]}, {PLACES[place]}, {USE_NAMES[use].lower()}", consequence.words)
        for (risk, use, place), consequence in table_of(of.deadline_policy, of.policy).cells.items()
        if consequence.act is not Act.KEEP
    ]
