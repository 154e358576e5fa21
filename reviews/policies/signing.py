"""Who may acknowledge the result of a review on behalf of management. Pure Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reviews.policies.contract import InvalidPolicy


@dataclass(frozen=True, slots=True)
class Signing:
    """reviewers_may_sign: whether somebody who answered questions of the review may also acknowledge its result."""

    reviewers_may_sign: bool = False

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Signing":
        problems = {
            name: f"“{name}” is not a member of these rules." for name in sorted(set(value) - {"reviewers_may_sign"})
        }
        chosen = value.get("reviewers_may_sign", False)
        if type(chosen) is not bool:
            problems["reviewers_may_sign"] = "Say yes or no (true or false)."
        if problems:
            raise InvalidPolicy(problems)
        return cls(chosen)

    def to_json(self) -> dict[str, Any]:
        return {"reviewers_may_sign": self.reviewers_may_sign}
