"""On whose clock a report says its days."""

from zoneinfo import ZoneInfo

from django.conf import settings

from reviews.models import Campaign
from reviews.policies.calendar import InvalidRule, zone_of


def zone_for(asked: str, campaign: Campaign | None = None) -> ZoneInfo:
    """The reader's choice, else the schedule's clock, else the organisation's. Raises InvalidRule (`time_zone`)."""
    if asked:
        return zone_of(asked)
    if campaign is not None and campaign.schedule is not None:
        return zone_of(campaign.schedule.time_zone)
    try:
        return zone_of(settings.REPORT_TIME_ZONE)
    except InvalidRule:
        return ZoneInfo("UTC")
