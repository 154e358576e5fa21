"""Whom a review names itself: who stands behind the rules “person” and “group”, and how far managers are tried."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from reviews.policies.contract import InvalidPolicy

HIGHEST = 10


@dataclass(frozen=True, slots=True)
class Reviewers:
    """person, team: ids as texts, or None. levels: how many managers are tried, one above the other (1 to 10)."""

    person: str | None = None
    team: str | None = None
    levels: int = 3

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Reviewers":
        """Read what was kept or sent; absent members are defaults. Raises InvalidPolicy."""
        problems = {str(name): "There is no such choice." for name in sorted(set(value) - {"person", "team", "levels"})}
        for name in ("person", "team"):
            if not _is_id(value.get(name)):
                problems[name] = f"{name} is the id (UUID) of one, or nothing."
        levels = value.get("levels", 3)
        if isinstance(levels, bool) or not isinstance(levels, int) or not 1 <= levels <= HIGHEST:
            problems["levels"] = f"levels is a number from 1 to {HIGHEST}."
        if problems:
            raise InvalidPolicy(problems)
        return cls(person=value.get("person") or None, team=value.get("team") or None, levels=levels)

    def to_json(self) -> dict[str, Any]:
        """The whole topic as plain JSON."""
        return asdict(self)


def _is_id(value: Any) -> bool:
    if value in (None, ""):
        return True
    try:
        return isinstance(value, str) and str(UUID(value)) == value.lower()
    except ValueError:
        return False
