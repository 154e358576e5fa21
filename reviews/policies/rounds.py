"""How often silent questions are asked again by themselves. Pure Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reviews.policies.contract import InvalidPolicy

MOST_ROUNDS = 5
LONGEST_DAYS = 366


@dataclass(frozen=True, slots=True)
class Rounds:
    """automatic: how many further rounds follow by themselves; days: how long each of them takes answers."""

    automatic: int = 0
    days: int = 7

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Rounds":
        problems = {
            name: f"“{name}” is not a member of these rules." for name in sorted(set(value) - {"automatic", "days"})
        }
        chosen = cls().to_json() | {name: value[name] for name in ("automatic", "days") if name in value}
        if type(chosen["automatic"]) is not int or not 0 <= chosen["automatic"] <= MOST_ROUNDS:
            problems["automatic"] = f"Give a number of further rounds from 0 to {MOST_ROUNDS}."
        if type(chosen["days"]) is not int or not 1 <= chosen["days"] <= LONGEST_DAYS:
            problems["days"] = f"Give people 1 to {LONGEST_DAYS} days to answer."
        if problems:
            raise InvalidPolicy(problems)
        return cls(**chosen)

    def to_json(self) -> dict[str, Any]:
        return {"automatic": self.automatic, "days": self.days}
