"""What a review's owner may settle beside its dates and people, one module per topic. Pure Python over plain JSON.

A schedule keeps its choices under the topic's name, and every campaign gets its own copy when it is drafted, so that
changing a schedule never changes a review that is under way. A topic that nobody has touched stands at its defaults.
"""

from collections.abc import Mapping
from typing import Any

from reviews.policies.carrying import Carrying
from reviews.policies.contract import InvalidPolicy, Topic
from reviews.policies.deadline import DeadlineTable
from reviews.policies.escalation import Escalation
from reviews.policies.freshness import Freshness
from reviews.policies.remedies import Remedies
from reviews.policies.reminders import Reminders
from reviews.policies.reviewers import Reviewers
from reviews.policies.rounds import Rounds
from reviews.policies.signing import Signing
from reviews.policies.stages import Stages

__all__ = ["TOPICS", "InvalidPolicy", "Topic", "checked"]

TOPICS: dict[str, type[Topic]] = {
    "carrying": Carrying,
    "deadline": DeadlineTable,
    "escalation": Escalation,
    "freshness": Freshness,
    "remedies": Remedies,
    "reminders": Reminders,
    "reviewers": Reviewers,
    "rounds": Rounds,
    "signing": Signing,
    "stages": Stages,
}
"""By name; the names are members of a schedule's and a campaign's `policy`."""


def checked(policy: Mapping[str, Any]) -> dict[str, Any]:
    """The policy with every topic read and written out. Raises InvalidPolicy with fields named `topic.field`."""
    if not isinstance(policy, Mapping):
        raise InvalidPolicy({"policy": "The rules are an object of topics."})
    problems = {name: f"There are no rules called “{name}”." for name in sorted(set(policy) - set(TOPICS))}
    found: dict[str, Any] = {}
    for name in sorted(set(policy) & set(TOPICS)):
        try:
            found[name] = _read(name, policy[name]).to_json()
        except InvalidPolicy as problem:
            problems |= {f"{name}.{field}": text for field, text in problem.details["fields"].items()}
    if problems:
        raise InvalidPolicy(problems)
    return found


def _read(name: str, value: Any) -> Topic:
    if not isinstance(value, Mapping):
        raise InvalidPolicy({"value": "These rules are an object."})
    return TOPICS[name].from_json(value)
