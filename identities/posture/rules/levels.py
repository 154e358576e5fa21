"""Which assurance an exposure demands, by the policy."""

from identities.posture.rules.judged import ExposureRange, Policy


def required_levels(exposure: ExposureRange, policy: Policy, *, is_just_in_time: bool | None) -> tuple[int, int]:
    """What is demanded at least and at most: the exposure may be a range over several bands, and it may be unknown
    (None) whether access is given just in time."""
    least = _required(policy.band_of(exposure.low), policy, is_just_in_time is not False)
    return least, _required(policy.band_of(exposure.high), policy, is_just_in_time is True)


def _required(band: str, policy: Policy, is_just_in_time: bool) -> int:
    return policy.required_assurance["critical_just_in_time" if band == "critical" and is_just_in_time else band]
