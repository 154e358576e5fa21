"""Which planned review will ask about an identity next, as far as schedules and the inventory say so now."""

from datetime import datetime
from uuid import UUID

from reviews.campaigns.opening import population_of
from reviews.models import Campaign, ItemKind, ReviewSchedule

# Asked one after the other until one of them asks about it; what is due after so many others is not looked for.
MOST_LOOKED_AT = 12
_IDENTITY_OF = {ItemKind.GRANT: "grant__identity", ItemKind.CREDENTIAL: "identity", ItemKind.OWNERSHIP: "pk"}


def next_review_of(*, identity_id: UUID, now: datetime) -> ReviewSchedule | None:
    """The running schedule that is due first and would ask about this identity if it were due now."""
    coming = ReviewSchedule.objects.filter(is_enabled=True, next_due_at__isnull=False).order_by("next_due_at", "pk")
    return next((each for each in coming[:MOST_LOOKED_AT] if _would_ask(each, identity_id, now)), None)


def _would_ask(schedule: ReviewSchedule, identity_id: UUID, now: datetime) -> bool:
    planned = Campaign(scope=schedule.scope, policy=schedule.policy)
    return any(
        population_of(planned, kind, now).filter(**{_IDENTITY_OF[ItemKind(kind)]: identity_id}).exists()
        for kind in schedule.item_kinds
    )
