"""How long is too long: the policy's thresholds, which are named by what they limit and by their unit."""

from datetime import timedelta

from identities.posture.rules.judged import Policy

_SECONDS = {"days": 86_400, "hours": 3_600, "minutes": 60}


def number(policy: Policy, name: str) -> int:
    return policy.thresholds[name]


def limit(policy: Policy, name: str) -> timedelta:
    """A threshold as a duration: `dormant_days`, `leak_public_hours`, `session_minutes` …"""
    return timedelta(seconds=number(policy, name) * _SECONDS[name.rpartition("_")[2]])
