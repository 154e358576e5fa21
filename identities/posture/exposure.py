"""What an identity could do if it were taken over: 0 to 100, from seven weighed factors, each as a range.

Our own scale, not a standard (docs/posture.md). Scored is the union of what it holds itself and what it could do one
trust hop further; each factor takes the worst grant. What is unknown widens the range to everything that is possible,
and where too much is unknown the score cannot be said: `worst_case` still can. More that is unknown never lowers
`worst_case` and never narrows the range; one more grant never lowers anything.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from identities.models import PostureBox
from identities.posture.assurance import Assurance
from identities.posture.factors import JUDGES, Judged, Reach, admin_hops, place_of, places_of
from identities.posture.facts import GrantFacts, IdentityFacts
from identities.posture.policy import FACTORS, Policy

NOTHING = "nothing that it holds has effect"


@dataclass(frozen=True, slots=True)
class Factor:
    """One of the seven. low, high: points of the score. input: what it was judged by; why: what would change it.

    is_unknown: nothing at all could be found out about it, so it counts with its whole weight as unmeasured.
    """

    name: str
    weight: float
    low: float
    high: float
    input: str
    why: str
    is_unknown: bool = False

    @property
    def unknown_weight(self) -> float:
        return self.weight if self.is_unknown else self.high - self.low

    def as_json(self) -> dict[str, Any]:
        """As it is stored (`IdentityPosture.factors`)."""
        shown = ("name", "weight", "low", "high", "input", "why")
        return {name: getattr(self, name) for name in shown}


@dataclass(frozen=True, slots=True)
class Exposure:
    """low, high: 0 to 100, floors applied, one decimal. worst_case: the same as high, said also where is_assessable
    is false because factors that nobody could find out weigh more than the policy allows. band: that of the worst case;
    best_band: that of the lowest score that is possible. floors: the names of those that raised it.
    """

    low: float
    high: float
    worst_case: float
    is_assessable: bool
    factors: tuple[Factor, ...]
    band: str
    best_band: str
    floors: tuple[str, ...] = ()
    unknown_weight: float = 0.0


def assess_exposure(facts: IdentityFacts, policy: Policy) -> Exposure:
    """Pure. Denies and boundaries are part of what the facts call a grant's classes; an ended grant has no effect."""
    grants = effective_grants(facts)
    if not grants:
        factors = tuple(Factor(name, policy.weights[name], 0.0, 0.0, "none", NOTHING) for name in FACTORS)
        return Exposure(0.0, 0.0, 0.0, True, factors, policy.band_of(0), policy.band_of(0))
    reach = Reach(facts, policy, grants)
    factors = tuple(_factor(name, judge(reach), policy) for name, judge in JUDGES.items())
    unknown = sum(factor.unknown_weight for factor in factors)
    low, high, floors = _floored(reach, sum(each.low for each in factors), sum(each.high for each in factors))
    low, high = round(low, 1), round(high, 1)
    return Exposure(
        low,
        high,
        high,
        round(unknown, 3) <= policy.most_unknown,
        factors,
        policy.band_of(high),
        policy.band_of(low),
        floors,
        unknown,
    )


def box_of(assurance: Assurance, exposure: Exposure, policy: Policy) -> PostureBox:
    """Where both axes put it. The lower bound proves, and the worst case is how broad it is: unknown never flatters."""
    if not exposure.is_assessable:
        return PostureBox.UNMEASURED
    if policy.is_broad(exposure.high):
        return PostureBox.PROVEN_BROAD if policy.is_strong(assurance.lower) else PostureBox.UNPROVEN_BROAD
    return PostureBox.PROVEN_CONTAINED if policy.is_strong(assurance.lower) else PostureBox.UNPROVEN_CONTAINED


def required_assurance(exposure: Exposure, policy: Policy) -> int:
    """The level that the policy asks for at this exposure."""
    return policy.required_assurance[exposure.band]


def effective_grants(facts: IdentityFacts) -> list[GrantFacts]:
    """Everything that counts: its own grants and those one hop further that let something through and have not ended.

    Nothing has effect while the identity is disabled. What could not be understood may let anything through.
    """
    if not facts.is_enabled:
        return []
    further = (grant for hop in facts.hops for grant in facts.grants_by_hop.get(hop.identity_id, ()))
    return [grant for grant in (*facts.grants, *further) if _has_effect(grant, facts.now)]


def _has_effect(grant: GrantFacts, now: datetime) -> bool:
    if isinstance(grant.ends_at, datetime) and grant.ends_at <= now:
        return False
    return not grant.is_parsed or bool(grant.classes)


def _factor(name: str, judged: Judged, policy: Policy) -> Factor:
    weight = policy.weights[name]
    low, high = (round(weight * share, 3) for share in judged.span)
    return Factor(name, weight, low, high, judged.input, judged.why, judged.is_unknown)


# --- floors -----------------------------------------------------------------------------------------------------------


def _floored(reach: Reach, low: float, high: float) -> tuple[float, float, tuple[str, ...]]:
    """The sums, but no less than the floors; one that only may apply raises the upper end alone."""
    names = []
    for name, (is_certain, is_possible) in {
        "direct_escalation": _has_direct(reach),
        "admin_in_production": _is_admin_in_production(reach),
    }.items():
        floor = reach.policy.floors[name]
        if is_certain and low < floor:
            names.append(name)
        low = max(low, floor) if is_certain else low
        high = max(high, floor) if is_possible else high
    return low, high, tuple(names)


def _has_direct(reach: Reach) -> tuple[bool, bool]:
    is_certain = any(grant.direct_primitives for grant in reach.grants) or any(
        not is_conditional for _, is_conditional in admin_hops(reach)
    )
    return is_certain, is_certain or any(not grant.is_parsed for grant in reach.grants)


def _is_admin_in_production(reach: Reach) -> tuple[bool, bool]:
    own = place_of(reach.facts.environment)
    is_certain = is_possible = False
    for grant in reach.grants:
        places = places_of(grant) | ({own} if own else set())
        if grant.is_admin_equivalent and "production" in places:
            is_certain = True
        may_be_there = "production" in places or own is None or not places_of(grant)
        if may_be_there and (grant.is_admin_equivalent or not grant.is_parsed):
            is_possible = True
    return is_certain, is_certain or is_possible
