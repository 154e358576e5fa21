"""When an earlier human decision may be carried over to an unchanged question. Pure Python."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from reviews.policies.contract import InvalidPolicy

LIMITS = {
    "max_age_days": (1, 730, "Carry decisions of the last 1 to 730 days."),
    "generations": (1, 5, "Carry a decision 1 to 5 times in a row."),
    "sample_percent": (0, 100, "Ask a share of 0 to 100 percent anyway."),
}
SWITCHES = ("is_on", "privileged")


@dataclass(frozen=True, slots=True)
class Carrying:
    """is_on: whether anything is carried at all. privileged: also about privileged access.

    max_age_days: how old the human decision may be. generations: how many times in a row it may be carried before a
    person is asked again. sample_percent: the share of what could be carried that is asked anyway.
    """

    is_on: bool = False
    max_age_days: int = 180
    generations: int = 1
    sample_percent: int = 10
    privileged: bool = False

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Carrying":
        problems = {name: f"“{name}” is not a member of these rules." for name in sorted(set(value) - _MEMBERS)}
        given = asdict(cls()) | {name: value[name] for name in _MEMBERS & set(value)}
        for name, (least, most, sentence) in LIMITS.items():
            if type(given[name]) is not int or not least <= given[name] <= most:
                problems[name] = sentence
        problems |= {name: "Say true or false." for name in SWITCHES if not isinstance(given[name], bool)}
        if problems:
            raise InvalidPolicy(problems)
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def is_young(self, decided_at: datetime, now: datetime) -> bool:
        """Whether a decision of that moment may still be carried."""
        return now - decided_at <= timedelta(days=self.max_age_days)

    def is_sampled(self, seed: str, key: str) -> bool:
        """Whether this object is asked about anyway: by chance, and the same for whoever knows the seed."""
        drawn = int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:8])
        return drawn % 10_000 < self.sample_percent * 100


_MEMBERS = {*SWITCHES, *LIMITS}
