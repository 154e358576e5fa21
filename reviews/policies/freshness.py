"""What an opening does about a source that was not read for too long, or never. Each source has its own limit."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reviews.policies.contract import InvalidPolicy


class Stale(StrEnum):
    WARN = "warn"
    LEAVE_OUT = "leave_out"
    HOLD = "hold"


LABELS: Mapping[Stale, str] = {
    Stale.WARN: "Ask all the same, and say so on the review",
    Stale.LEAVE_OUT: "Leave that source out, and say so on the review",
    Stale.HOLD: "Wait until it was read, or until the manager releases it",
}


@dataclass(frozen=True, slots=True)
class Freshness:
    """stale: what happens to a source that is stale or was never read."""

    stale: Stale = Stale.WARN

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Freshness":
        """Read what was kept or sent. Raises InvalidPolicy."""
        unknown = set(value) - {"stale"}
        if unknown:
            raise InvalidPolicy({str(name)[:40]: "There is no such choice here." for name in sorted(map(str, unknown))})
        chosen = value.get("stale", Stale.WARN)
        if chosen not in list(Stale):
            raise InvalidPolicy({"stale": f"Choose one of {', '.join(Stale)}."})
        return cls(Stale(chosen))

    def to_json(self) -> dict[str, Any]:
        """The whole topic as plain JSON."""
        return {"stale": str(self.stale)}
