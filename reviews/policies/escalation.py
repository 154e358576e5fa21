"""When a question that nobody answers goes to the next person while its review is open. Pure Python."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from reviews.policies.contract import InvalidPolicy

LONGEST_DAYS = 366


@dataclass(frozen=True, slots=True)
class Escalation:
    """By risk: after so many percent of the time to answer, or so many days, whichever comes first. 0 means never."""

    privileged_percent: int = 75
    privileged_days: int = 0
    standard_percent: int = 0
    standard_days: int = 0

    def due_at(self, *, is_privileged: bool, opened_at: datetime, deadline_at: datetime) -> datetime | None:
        """From when a silent question goes on, or None for never; always before the deadline."""
        percent, days = (
            (self.privileged_percent, self.privileged_days)
            if is_privileged
            else (self.standard_percent, self.standard_days)
        )
        moments = []
        if percent:
            moments.append(opened_at + (deadline_at - opened_at) * percent / 100)
        if days:
            moments.append(opened_at + timedelta(days=days))
        return min((moment for moment in moments if moment < deadline_at), default=None)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Escalation":
        names = [each.name for each in fields(cls)]
        problems = {name: f"“{name}” is not a member of these rules." for name in sorted(set(value) - set(names))}
        chosen = {name: value.get(name, getattr(cls(), name)) for name in names}
        for name, number in chosen.items():
            most = 99 if name.endswith("percent") else LONGEST_DAYS
            if type(number) is not int or not 0 <= number <= most:
                problems[name] = f"Give a whole number from 0 (never) to {most}."
        if problems:
            raise InvalidPolicy(problems)
        return cls(**chosen)

    def to_json(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}
