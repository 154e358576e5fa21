"""How long is too long: the thresholds that rules ask the policy for, and what holds where it does not say."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

DEFAULTS: Mapping[str, int] = {
    "dormant_privileged_days": 45,
    "dormant_days": 90,
    "dormant_vendor_days": 60,
    "log_lag_days": 7,
    "secret_rotation_days": 90,
    "secret_overdue_days": 365,
    "secret_life_days": 90,
    "certificate_life_days": 90,
    "attested_certificate_life_hours": 24,
    "session_minutes": 60,
    "rotation_overlap_days": 7,
    "leak_public_hours": 24,
    "leak_internal_hours": 168,
    "scan_days": 7,
    "vendor_assessment_days": 365,
    "unused_percent": 80,
    "unused_watched_days": 90,
    "callers_watched_days": 30,
    "interactive_days": 90,
    "human_hours_percent": 90,
    "just_in_time_hours": 24,
    "revoked_skew_minutes": 5,
    "vanished_days": 30,
}
"""Named by what they limit and their unit. Every one is editable: audits and risk analyses differ."""


class _Thresholds(Protocol):
    @property
    def thresholds(self) -> Mapping[str, int]: ...


_UNITS = {"days": 86_400, "hours": 3_600, "minutes": 60}


def number(policy: _Thresholds, name: str) -> int:
    return policy.thresholds.get(name, DEFAULTS[name])


def limit(policy: _Thresholds, name: str) -> timedelta:
    """A threshold as a duration; its name ends with the unit."""
    return timedelta(seconds=number(policy, name) * _UNITS[name.rpartition("_")[2]])
