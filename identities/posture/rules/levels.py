"""Which assurance an exposure demands, by the policy."""

from identities.posture.rules.judged import ExposureRange, Policy


def band_of(score: float, policy: Policy) -> str:
    """The band of a score: the highest whose lowest score it reaches."""
    reached = [(lowest, name) for name, lowest in policy.bands.items() if score >= lowest]
    return max(reached)[1]


def required_levels(exposure: ExposureRange, policy: Policy) -> tuple[int, int]:
    """What is demanded at least and at most, because the exposure may be a range over several bands."""
    required = policy.required_assurance
    return required[band_of(exposure.low, policy)], required[band_of(exposure.high, policy)]
