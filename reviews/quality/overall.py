"""The quality of one review in numbers without names."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from reviews.models import Campaign
from reviews.policies.quality import THRESHOLDS, Signal
from reviews.quality.facts import given_in, is_opening_known
from reviews.quality.measuring import Figures, Sheet, sheets_of, signals_of

FORMAT = 1


def campaign_quality(campaign_id: UUID | str, *, until: datetime | None = None) -> dict[str, Any]:
    """How people answered in one review, as plain JSON: whole numbers, times in milliseconds, no names and no texts.

    until: only what was said before this moment; None: everything so far. The same moment gives the same numbers once
    the review takes no more answers. A fixed number of queries. Shapes: docs/reports.md. Raises Campaign.DoesNotExist.
    """
    campaign = Campaign.objects.get(pk=campaign_id)
    moment = until or timezone.now()
    sheets = sheets_of(given_in(campaign, until=moment))
    return quality_figures(sheets.values(), is_known=is_opening_known(campaign))


def quality_figures(sheets: Iterable[Sheet], *, is_known: bool) -> Figures:
    """The same from everybody's sheets."""
    signals: Counter[Signal] = Counter()
    worth_a_look = enough = 0
    everybody = Sheet()
    for sheet in sheets:
        found = signals_of(sheet.figures(is_opening_known=is_known))
        signals.update(found)
        worth_a_look += bool(found)
        enough += sheet.answers >= THRESHOLDS.few
        everybody.add(sheet)
    return {
        "format": FORMAT,
        "policy": THRESHOLDS.to_json(),
        **everybody.figures(is_opening_known=is_known),
        "worth_a_look": {
            "people": worth_a_look,
            "of": enough,
            "signals": {str(signal): signals[signal] for signal in Signal},
        },
    }
