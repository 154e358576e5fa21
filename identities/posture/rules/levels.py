"""Which assurance an exposure demands, by the policy."""

from identities.posture.rules.judged import ExposureRange, Policy


def required_levels(exposure: ExposureRange, policy: Policy, *, is_just_in_time: bool) -> tuple[int, int]:
    """What is demanded at least and at most, because the exposure may be a range over several bands."""
    low, high = (_required(policy.band_of(score), policy, is_just_in_time) for score in (exposure.low, exposure.high))
    return low, high


def _required(band: str, policy: Policy, is_just_in_time: bool) -> int:
    return policy.required_assurance["critical_just_in_time" if band == "critical" and is_just_in_time else band]
