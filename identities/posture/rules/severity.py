"""How bad a failure is: a base, moved by what the identity can do and where, with every step as a sentence."""

from collections.abc import Iterator
from typing import Protocol

from identities.posture.facts import IdentityFacts, Missing
from identities.posture.results import Severity
from identities.posture.rules.verdicts import Verdict

ORDER = tuple(Severity)


class _Weighed(Protocol):
    @property
    def base(self) -> Severity | None: ...
    @property
    def is_advisory(self) -> bool: ...


def weigh(rule: _Weighed, verdict: Verdict, facts: IdentityFacts) -> tuple[Severity, tuple[str, ...]]:
    """The severity of a failure on an identity, and its arithmetic in the order in which it was reckoned."""
    level, said = plain(rule, verdict)
    if rule.is_advisory:
        return level, (*said, "advice only: never raised")
    steps = tuple(_steps(facts, verdict))
    moved = ORDER.index(level) + sum(step for step, _ in steps)
    bounded = min(max(moved, 0), len(ORDER) - 1)
    sentences = [f"{'+' if step > 0 else '−'}1: {why}" for step, why in steps]
    if moved != bounded:
        sentences.append(f"{ORDER[bounded]} is the {'highest' if moved > bounded else 'lowest'} there is")
    return ORDER[bounded], (*said, *sentences)


def plain(rule: _Weighed, verdict: Verdict) -> tuple[Severity, tuple[str, ...]]:
    """The base alone. Raises ValueError for a rule that must never fail."""
    level = verdict.base or rule.base
    if level is None:
        raise ValueError("a rule without a base severity can't fail")
    return level, (f"base: {level}" + (f", {verdict.why}" if verdict.why else ""),)


def _steps(facts: IdentityFacts, verdict: Verdict) -> Iterator[tuple[int, str]]:
    if facts.is_privileged and reaches_production(facts):
        yield 1, "privileged, and reaches production"
    if verdict.is_exposed:
        yield 1, "the credential lies open to everybody"
    if _is_harmless(facts):
        yield -1, "neither in production nor privileged"


def reaches_production(facts: IdentityFacts) -> bool:
    """Whether it stands in production, or something that it holds names production. Unknown is no yes."""
    if facts.is_production:
        return True
    places = (grant.resource_environments for grant in facts.grants)
    return any(not isinstance(place, Missing) and "production" in place for place in places)


def _is_harmless(facts: IdentityFacts) -> bool:
    # Only what is known lowers: an environment that nobody named, or a grant that nobody could read, does not.
    if isinstance(facts.environment, Missing) or facts.environment == "unknown" or reaches_production(facts):
        return False
    return not facts.is_privileged and all(grant.is_parsed for grant in facts.grants)
