"""From what a later look found to one answer: the worst thing found is what the answer says."""

from collections.abc import Sequence
from datetime import datetime

from identities.connectors.contract import Plan, Verification, VerificationState

Sample = tuple[str, str]
MOST_NAMED = 5


def judge(
    plan: Plan,
    observed_at: datetime,
    *,
    differs: str = "",
    still: Sequence[tuple[str, str, str]] = (),
    sessions: int = 0,
    lost: Sequence[Sample] = (),
) -> Verification:
    """differs: what the source holds in place of what was planned, in words. still: (action, resource, via).

    sessions: connections that outlive the change. lost: what should have stayed and is not effective.
    """
    state, reason = VerificationState.GONE, ""
    if differs:
        state, reason = VerificationState.STILL_PRESENT, f"The source does not hold what was planned: {differs}."
    elif still:
        state = VerificationState.STILL_EFFECTIVE
        reason = f"Still effective via {'; '.join(sorted({via for _, _, via in still})[:MOST_NAMED])}."
    elif sessions:
        state = VerificationState.SESSIONS_REMAIN
        plural = "s" if sessions != 1 else ""
        reason = f"{sessions} open connection{plural} of {plan.identity} outlived the change."
    if lost and not reason:
        reason = f"{len(lost)} right(s) that should have stayed are not effective."
    return Verification(state, observed_at, tuple(still), sessions, tuple(lost), reason)
