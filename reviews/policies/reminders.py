"""When people are reminded of what waits for them. Pure Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from reviews.policies.contract import InvalidPolicy

MOST_REMINDERS = 10
LONGEST_BEFORE = 365
_MEMBERS = {"days_before", "quiet_from", "quiet_until"}


@dataclass(frozen=True, slots=True)
class Reminders:
    """days_before: how many days before the deadline, 0 on its day; empty means never.

    quiet_from, quiet_until: the hours of the clock between which no mail goes out; equal means that none are quiet.
    """

    days_before: tuple[int, ...] = (3, 0)
    quiet_from: int = 20
    quiet_until: int = 8

    def is_due(self, *, opened_at: datetime, deadline_at: datetime, now: datetime, zone: ZoneInfo) -> bool:
        """Whether people are reminded now, on the clock of that zone.

        Never on the day of the opening, when the invitation has only just come, and never past the deadline.
        """
        here = now.astimezone(zone)
        left = (deadline_at.astimezone(zone).date() - here.date()).days
        is_opening_day = opened_at.astimezone(zone).date() >= here.date()
        return left in self.days_before and now < deadline_at and not is_opening_day and not self._is_quiet(here.hour)

    def _is_quiet(self, hour: int) -> bool:
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= hour < self.quiet_until
        return hour >= self.quiet_from or hour < self.quiet_until

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Reminders":
        problems = {name: f"“{name}” is not a member of these rules." for name in sorted(set(value) - _MEMBERS)}
        days = value.get("days_before", cls().days_before)
        if not _are_days(days):
            problems["days_before"] = (
                f"Give up to {MOST_REMINDERS} different numbers of days, each from 0 to {LONGEST_BEFORE}."
            )
        hours = {name: value.get(name, getattr(cls(), name)) for name in ("quiet_from", "quiet_until")}
        for name, hour in hours.items():
            if type(hour) is not int or not 0 <= hour <= 23:
                problems[name] = "Give an hour of the day, 0 to 23."
        if problems:
            raise InvalidPolicy(problems)
        return cls(days_before=tuple(sorted(days, reverse=True)), **hours)

    def to_json(self) -> dict[str, Any]:
        return {
            "days_before": list(self.days_before),
            "quiet_from": self.quiet_from,
            "quiet_until": self.quiet_until,
        }


def _are_days(days: Any) -> bool:
    return (
        isinstance(days, list | tuple)
        and len(days) <= MOST_REMINDERS
        and all(type(day) is int and 0 <= day <= LONGEST_BEFORE for day in days)
        and len(set(days)) == len(days)
    )
