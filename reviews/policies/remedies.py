"""How the orders of a review are carried out: which wait for a second person, and which lock out before they remove.

Both questions are asked by risk, environment and action. An environment that nobody knows is not production here: it
is a gap to be closed in the inventory, and holding up every order of a young inventory would teach people to release
without looking.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reviews.policies.contract import InvalidPolicy

RISKS = ("privileged", "any")
ENVIRONMENTS = ("production", "any")
# What takes something away. A rotation only ever ends what has a successor in use.
ACTIONS = ("revoke", "narrow", "deactivate", "quarantine")
LONGEST_WATCH = 90


@dataclass(frozen=True, slots=True)
class Remedies:
    """second_actions: the actions that wait for a second person, for this risk and environment; empty means none.

    watch_days: for how long an identity stays locked out before its access is removed; 0 means that it is removed at
    once. Only where the connector can lock out, and never wider than what was decided.
    """

    second_actions: tuple[str, ...] = ("revoke", "deactivate", "quarantine")
    second_risk: str = "privileged"
    second_environment: str = "production"
    watch_days: int = 0
    watch_risk: str = "any"
    watch_environment: str = "production"

    def needs_second(self, *, action: str, is_privileged: bool, environment: str) -> bool:
        """Whether a second person releases such an order before anything is sent."""
        if action not in self.second_actions:
            return False
        return _fits(self.second_risk, self.second_environment, is_privileged, environment)

    def days_to_watch(self, *, action: str, is_privileged: bool, environment: str) -> int:
        """For how many days such an order locks out before it removes; 0: not at all."""
        if action != "revoke" or not _fits(self.watch_risk, self.watch_environment, is_privileged, environment):
            return 0
        return self.watch_days

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Remedies":
        """Read what was kept or sent; absent members are defaults. Raises InvalidPolicy."""
        plain = cls().to_json()
        problems = {name: f"There is no rule called “{name}”." for name in sorted(set(value) - set(plain))}
        chosen = plain | {name: value[name] for name in plain if name in value}
        for name, allowed in _CHOICES.items():
            if chosen[name] not in allowed:
                problems[name] = f"Choose one of {', '.join(allowed)}."
        actions = chosen["second_actions"]
        if not isinstance(actions, list | tuple) or any(each not in ACTIONS for each in actions):
            problems["second_actions"] = f"A list out of {', '.join(ACTIONS)}."
        days = chosen["watch_days"]
        if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= LONGEST_WATCH:
            problems["watch_days"] = f"A whole number of days from 0 to {LONGEST_WATCH}."
        if problems:
            raise InvalidPolicy(problems)
        chosen["second_actions"] = tuple(action for action in ACTIONS if action in actions)
        return cls(**chosen)

    def to_json(self) -> dict[str, Any]:
        """The whole topic as plain JSON, defaults included."""
        return {
            "second_actions": list(self.second_actions),
            "second_risk": self.second_risk,
            "second_environment": self.second_environment,
            "watch_days": self.watch_days,
            "watch_risk": self.watch_risk,
            "watch_environment": self.watch_environment,
        }


_CHOICES = {
    "second_risk": RISKS,
    "second_environment": ENVIRONMENTS,
    "watch_risk": RISKS,
    "watch_environment": ENVIRONMENTS,
}


def _fits(risk: str, wanted: str, is_privileged: bool, environment: str) -> bool:
    return (risk == "any" or is_privileged) and (wanted == "any" or environment == "production")
