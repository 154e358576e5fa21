"""The seven factors of exposure, each judged on its own: which share of its weight is certain, and which is possible.

The union of grants counts: each factor takes the worst one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from identities.posture.facts import GrantFacts, IdentityFacts, Missing
from identities.posture.policy import VALUES, Policy

_PRIVILEGES = ("read", "write", "external_send", "destructive", "secret_read", "admin")
# (until how long it goes on at most, the word of the policy), short ones first.
LENGTHS = (
    (timedelta(hours=1), "hour"),
    (timedelta(days=7), "week"),
    (timedelta(days=90), "quarter"),
)

Span = tuple[float, float]
"""From the lowest to the highest share of a factor's weight that is possible, each 0 to 1."""
_ANYTHING: Span = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Reach:
    facts: IdentityFacts
    policy: Policy
    grants: Sequence[GrantFacts]

    def value(self, factor: str, word: str) -> float:
        return self.policy.values[factor][word]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a factor comes to. span: shares of its weight."""

    span: Span
    input: str
    why: str
    is_unknown: bool = False


def _worst(spans: Iterable[Span]) -> Span:
    """The union of grants: the highest of the lowest that each is worth, and the highest of the highest."""
    lows, highs = zip(*spans, strict=True)
    return max(lows), max(highs)


def _range(reach: Reach, factor: str) -> Span:
    """Everything that is possible."""
    values = reach.policy.values[factor].values()
    return min(values), max(values)


def _unknown(reach: Reach, factor: str, what: str) -> Judged:
    return Judged(_range(reach, factor), "unknown", what, is_unknown=True)


# --- the seven --------------------------------------------------------------------------------------------------------


def _privilege(reach: Reach) -> Judged:
    span = _worst(_privilege_of(reach, grant) for grant in reach.grants)
    words = {word for grant in reach.grants for word in grant.classes}
    if not words:
        return _unknown(reach, "privilege", "no grant could be understood")
    listed = ", ".join(word.replace("_", " ") for word in _PRIVILEGES if word in words)
    return Judged(span, listed, "the most harmful class of action among its grants")


def _privilege_of(reach: Reach, grant: GrantFacts) -> Span:
    if not grant.is_parsed:
        return _range(reach, "privilege")
    values = [reach.value("privilege", word) for word in grant.classes]
    if grant.is_admin_equivalent:
        values.append(reach.value("privilege", "admin"))
    low = high = max(values)
    if "read" in grant.classes:
        bulk = max(low, reach.value("privilege", "bulk_read"))
        if isinstance(grant.breadth, Missing):
            high = bulk
        elif grant.breadth in reach.policy.lists.bulk_read_breadths:
            low = high = bulk
    return low, high


def _breadth(reach: Reach) -> Judged:
    everything = _range(reach, "breadth")
    known = {breadth for grant in reach.grants if (breadth := _breadth_of(grant))}
    if not known:
        return _unknown(reach, "breadth", "how much its grants reach could not be told")
    spans = [
        (reach.value("breadth", breadth),) * 2 if (breadth := _breadth_of(grant)) else everything
        for grant in reach.grants
    ]
    widest = [word for word in VALUES["breadth"] if word in known][-1]
    return Judged(_worst(spans), _BREADTHS[widest], "the widest of its grants")


_BREADTHS = {
    "one": "one resource",
    "set": "a set of resources",
    "service": "a whole service",
    "account": "a whole account",
    "organisation": "a whole organisation",
}


def _breadth_of(grant: GrantFacts) -> str | None:
    return None if isinstance(grant.breadth, Missing) or not grant.is_parsed else grant.breadth


def _escalation(reach: Reach) -> Judged:
    span = _worst(_escalation_of(reach, grant) for grant in reach.grants)
    names = sorted({name for grant in reach.grants for name in grant.primitives})
    becomes = admin_hops(reach)
    if becomes:
        word = "direct" if not all(is_conditional for _, is_conditional in becomes) else "conditional"
        span = max(span[0], reach.value("escalation", word)), max(span[1], reach.value("escalation", word))
        names += [f"becoming {name}" for name, _ in becomes]
    if not names and not any(grant.is_parsed for grant in reach.grants):
        return _unknown(reach, "escalation", "no grant could be understood")
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Judged(span, shown or "none", "ways to give itself more")


def _escalation_of(reach: Reach, grant: GrantFacts) -> Span:
    if not grant.is_parsed:
        return _range(reach, "escalation")
    word = "direct" if grant.direct_primitives else "conditional" if grant.primitives else "none"
    return (reach.value("escalation", word),) * 2


def admin_hops(reach: Reach) -> list[tuple[str, bool]]:
    """Who it could become that may do everything, where it may not itself: (name, whether something has to fit)."""
    if any(grant.is_admin_equivalent for grant in reach.facts.grants):
        return []
    return [
        (hop.name, hop.is_conditional)
        for hop in reach.facts.hops
        if any(grant.is_admin_equivalent for grant in reach.facts.grants_by_hop.get(hop.identity_id, ()))
    ]


def _environment(reach: Reach) -> Judged:
    own = place_of(reach.facts.environment)
    spans = [_environment_of(reach, grant) for grant in reach.grants]
    lowest, production = _range(reach, "environment")[0], reach.value("environment", "production")
    spans.append((lowest, production) if own is None else (reach.value("environment", own),) * 2)
    span = _worst(spans)
    places = {place for grant in reach.grants for place in places_of(grant)} | ({own} if own else set())
    if not places:
        return _unknown(reach, "environment", "neither its environment nor that of what it reaches is known")
    worst = [word for word in VALUES["environment"] if word in places][-1]
    is_restricted = any(grant.touches_restricted_data is True for grant in reach.grants)
    unlabelled = any(isinstance(grant.touches_restricted_data, Missing) for grant in reach.grants)
    data = ", data not labelled" if unlabelled and worst == "production" else ""
    return Judged(
        span,
        worst + (", restricted data" if is_restricted else data),
        "the environment of itself and of what it reaches",
    )


def place_of(environment: str | Missing) -> str | None:
    return environment if isinstance(environment, str) and environment in VALUES["environment"] else None


def places_of(grant: GrantFacts) -> set[str]:
    named = grant.resource_environments
    return set() if isinstance(named, Missing) else {place for place in map(place_of, named) if place}


def _environment_of(reach: Reach, grant: GrantFacts) -> Span:
    places = places_of(grant)
    is_restricted = grant.touches_restricted_data
    if not places:
        low, high = _range(reach, "environment")
        return low, high if is_restricted is not False else reach.value("environment", "production")
    low = high = max(reach.value("environment", place) for place in places)
    if "production" in places:
        restricted = reach.value("environment", "restricted_production")
        high = high if is_restricted is False else max(high, restricted)
        low = max(low, restricted) if is_restricted is True else low
    return low, high


def _unused(reach: Reach) -> Judged:
    share = reach.facts.use.unused_share
    if isinstance(share, Missing):
        why = _WHY_UNOBSERVED.get(share.reason, "use was not observable")
        return Judged(_ANYTHING, "unknown", why, is_unknown=True)
    return Judged((share, share), f"{share:.0%} unused", "privileged and writing rights that were watched and not used")


_WHY_UNOBSERVED = {
    "no_log": "no log watches its use",
    "stale": "its source was not read for too long",
    "brief": "its use was not watched for long enough",
    "not_watched": "no log shows the use of what it holds",
}


def _conditions(reach: Reach) -> Judged:
    if reach.facts.authz_model == "per_request":
        best = reach.value("conditions", "per_request")
        return Judged((best, best), "each request is checked", "what has to be so for it to act")
    spans = [_conditions_of(reach, grant) for grant in reach.grants]
    if all(_sorts(grant) is None for grant in reach.grants):
        return _unknown(reach, "conditions", "its source does not tell conditions")
    sorts = {sort for grant in reach.grants for sort in _sorts(grant) or ()}
    is_free = any(_sorts(grant) == frozenset() for grant in reach.grants)
    listed = "none" if is_free else ", ".join(sort.replace("_", " ") for sort in sorted(sorts))
    return Judged(_worst(spans), listed, "what has to be so for the least restricted of its grants")


def _sorts(grant: GrantFacts) -> frozenset[str] | None:
    known = grant.condition_sorts
    return None if isinstance(known, Missing) or not grant.is_parsed else known


def _conditions_of(reach: Reach, grant: GrantFacts) -> Span:
    sorts = _sorts(grant)
    if sorts is None:
        return _range(reach, "conditions")
    values = [reach.value("conditions", "attribute" if sort == "time" else sort) for sort in sorts if sort != "unknown"]
    most = min([reach.value("conditions", "none"), *values])
    # What a condition asks for may be nothing or everything where nobody understands it.
    least = reach.value("conditions", "per_request") if "unknown" in sorts else most
    return min(least, most), most


def _duration(reach: Reach) -> Judged:
    if all(isinstance(_end(grant), Missing) for grant in reach.grants):
        return _unknown(reach, "duration", "its source does not tell when access ends")
    spans = [_duration_of(reach, grant) for grant in reach.grants]
    ends = [_end(grant) for grant in reach.grants]
    known = [end for end in ends if isinstance(end, datetime)]
    listed = "no end" if None in ends or len(known) < len(ends) else f"until {max(known):%Y-%m-%d}"
    return Judged(_worst(spans), listed, "how long the longest of its grants goes on")


def _end(grant: GrantFacts) -> datetime | Missing | None:
    """When it ends at the source, or when its approval does, after which it is taken away."""
    if isinstance(grant.ends_at, datetime) and grant.approved_until is not None:
        return min(grant.ends_at, grant.approved_until)
    return grant.ends_at if grant.approved_until is None else grant.approved_until


def _duration_of(reach: Reach, grant: GrantFacts) -> Span:
    end = _end(grant)
    if isinstance(end, Missing):
        return _range(reach, "duration")
    high = reach.value("duration", _length(end, reach.facts.now))
    # It may end earlier at the source than its approval does.
    low = _range(reach, "duration")[0] if isinstance(grant.ends_at, Missing) else high
    return low, high


def _length(end: datetime | None, now: datetime) -> str:
    if end is None:
        return "endless"
    left = end - now
    return next((word for most, word in LENGTHS if left <= most), "longer")


JUDGES: Mapping[str, Callable[[Reach], Judged]] = {
    "privilege": _privilege,
    "breadth": _breadth,
    "escalation": _escalation,
    "environment": _environment,
    "unused": _unused,
    "conditions": _conditions,
    "duration": _duration,
}
