"""The tabs over the pages of reviews: only places that the person's roles open."""

from typing import Any

from django.urls import reverse

from governance.kernel.actors import Actor, Role

READERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.AUDITOR)
MANAGERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER)


def review_tabs(actor: Actor, current: str) -> list[dict[str, Any]]:
    """Inbox for everybody; reviews and schedules for those who run or audit them."""
    tabs = [{"label": "Inbox", "url": reverse("reviews:inbox"), "current": current == "inbox"}]
    if actor.has_role(*READERS):
        tabs += [
            {"label": "Reviews", "url": reverse("reviews:campaign_list"), "current": current == "reviews"},
            {"label": "Schedules", "url": reverse("reviews:schedule_list"), "current": current == "schedules"},
            {"label": "Between dates", "url": reverse("reviews:watch_list"), "current": current == "watches"},
        ]
    tabs.append(
        {"label": "On request", "url": reverse("reviews:access_request_list"), "current": current == "requests"}
    )
    return tabs
