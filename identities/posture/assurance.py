"""How well an identity proves itself: A0 to A4, as a lower and an upper bound, with what holds it down.

Our own scale, not a standard (docs/posture.md). Each level is a list of gates; a way of signing in reaches the highest
level whose gates, and those below, all hold. What is unknown fails for the lower bound and holds for the upper one. An
identity is as well proven as the weakest way that leads in, because that is the one an attacker takes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from identities.posture.facts import CredentialFacts, IdentityFacts
from identities.posture.gates import GATES, Gate, Sort, Way, is_for_anybody, life_of
from identities.posture.policy import Policy

HIGHEST = 4
MOST_SAID = 12
NO_WAY = "no credential and no trust relation is known"
FIND_THE_WAY = "report how it signs in: its credentials, or who is trusted to vouch for it"

_SORT_OF = {
    **dict.fromkeys(("password", "api_key", "access_key", "client_secret", "token"), Sort.SECRET),
    **dict.fromkeys(("ssh_key", "x509"), Sort.KEY),
    **dict.fromkeys(("jwt_svid", "federated_trust", "platform_issued"), Sort.ISSUED),
}


@dataclass(frozen=True, slots=True)
class Assurance:
    """lower, upper: 0 to 4. capped_by: why it is not more, as phrases; to_raise: what would make it more.

    is_known: whether any way to sign in is known at all.
    """

    lower: int
    upper: int
    capped_by: tuple[str, ...] = ()
    to_raise: tuple[str, ...] = ()
    is_known: bool = True


def assess_assurance(facts: IdentityFacts, policy: Policy) -> Assurance:
    """Pure. The weakest of its usable ways decides, for both bounds."""
    ways = list(ways_of(facts, policy))
    if not ways:
        return Assurance(0, HIGHEST, (NO_WAY,), (FIND_THE_WAY,), is_known=False)
    weighed = [(way, *_bounds(way)) for way in ways]
    lower = min(low for _, low, _ in weighed)
    upper = min(high for _, _, high in weighed)
    weakest = [(way, low, high) for way, low, high in weighed if low == lower or high == upper]
    capped: dict[str, None] = {}
    raising: dict[str, None] = {}
    for way, low, high in weakest:
        before = f"{way.label}: " if len(ways) > 1 else ""
        for gate, is_unknown in _holding_down(way, low, high):
            capped[before + (gate.unknown if is_unknown else gate.fails(way))] = None
            raising[gate.raises] = None
    return Assurance(lower, upper, tuple(capped)[:MOST_SAID], tuple(raising)[:MOST_SAID])


def ways_of(facts: IdentityFacts, policy: Policy) -> Iterator[Way]:
    """Its usable credentials; without any, whoever is trusted to vouch for it; without that, the platform it is part of.

    A credential that ended, or is switched off, leads nowhere.
    """
    usable = [each for each in facts.credentials if each.is_active and not _has_ended(each, facts.now)]
    sorts = [_sort_of(credential, policy) for credential in usable]
    for credential, sort in zip(usable, sorts, strict=True):
        trusts = facts.trusts if sort is Sort.ISSUED else ()
        yield Way(credential.kind.replace("_", " "), sort, credential, trusts, facts, policy)
    if Sort.ISSUED in sorts:
        return
    for trust in facts.trusts:
        yield Way(f"trust in {trust.issuer}", Sort.ISSUED, None, (trust,), facts, policy)
    if usable or facts.trusts:
        return
    if is_for_anybody(facts):
        yield Way("no credential", Sort.SECRET, None, (), facts, policy)
    # The client of an agent is no platform that would vouch for it.
    elif facts.custody == "platform_managed" and facts.kind != "ai_agent":
        yield Way("the platform", Sort.ISSUED, None, (), facts, policy)
    elif facts.custody == "assumable":
        yield Way("whoever may assume it", Sort.ISSUED, None, (), facts, policy)


def _sort_of(credential: CredentialFacts, policy: Policy) -> Sort:
    sort = _SORT_OF.get(credential.kind, Sort.SECRET)
    life = life_of(credential)
    short = timedelta(hours=policy.thresholds["attested_certificate_life_hours"])
    # A certificate that lives for hours is issued anew all the time, whatever else it looks like.
    return Sort.ISSUED if credential.kind == "x509" and life is not None and life <= short else sort


def _bounds(way: Way) -> tuple[int, int]:
    lower = upper = HIGHEST
    for gate in GATES:
        if way.sort not in gate.sorts or gate.level > upper:
            continue
        holds = gate.holds(way)
        if holds is None:
            lower = min(lower, gate.level - 1)
        elif not holds:
            lower, upper = min(lower, gate.level - 1), gate.level - 1
    return min(lower, upper), upper


def _holding_down(way: Way, lower: int, upper: int) -> Iterator[tuple[Gate, bool]]:
    """The gates of the next level above each bound that do not hold, and whether that is only unknown."""
    for gate in GATES:
        if way.sort in gate.sorts and gate.level in (lower + 1, upper + 1):
            holds = gate.holds(way)
            if not holds:
                yield gate, holds is None


def _has_ended(credential: CredentialFacts, now: datetime) -> bool:
    return isinstance(credential.expires_at, datetime) and credential.expires_at <= now
