"""quality.json: how the review was done, as far as numbers can say."""

from collections.abc import Iterator
from typing import Any

from reviews.packs.content import Pin, Tally, pretty, when
from reviews.quality import campaign_quality


def quality_json(pin: Pin, tally: Tally) -> Iterator[str]:
    """The figures of docs/reports.md over everything that was answered, and whether it was done in time."""
    tally.quality = campaign_quality(pin.campaign, until=pin.pinned_at)
    yield from pretty({"answers": tally.quality, "in_time": _in_time(pin, tally)})


def _in_time(pin: Pin, tally: Tally) -> dict[str, Any]:
    decided = sum(tally.answers.values())
    return {
        "deadline_at": when(pin.review["deadline_at"]),
        "closed_at": when(pin.review["closed_at"]) or None,
        "questions": tally.asked,
        "decided_by_people_in_time": tally.in_time,
        "decided_by_policy": tally.by_policy,
        "decided": decided,
        "not_certified": tally.asked - decided,
        "mail_sent": pin.frozen["mail"],
        "changes_within_limit": dict(tally.within_limit),
        "limit_days": pin.frozen["limit_days"],
    }
