"""Every rule, in the order in which people read them."""

from collections.abc import Mapping

from identities.posture.results import Outcome
from identities.posture.rules import (
    boundaries,
    nhi01,
    nhi02,
    nhi03,
    nhi04,
    nhi05,
    nhi06,
    nhi07,
    nhi08,
    nhi09,
    nhi10,
    population,
)  # fmt: skip
from identities.posture.rules.judged import Judged, Policy, SourceJudged
from identities.posture.rules.rule import Rule, SourceRule

ALL: tuple[Rule, ...] = tuple(
    rule
    for module in (nhi01, nhi02, nhi03, nhi04, nhi05, nhi06, nhi07, nhi08, nhi09, nhi10, boundaries)
    for rule in module.RULES
)
"""The rules about one identity."""

OF_SOURCES: tuple[SourceRule, ...] = population.RULES
"""The rules about a whole source."""

_EACH: tuple[Rule | SourceRule, ...] = (*ALL, *OF_SOURCES)
BY_ID: Mapping[str, Rule | SourceRule] = {rule.id: rule for rule in _EACH}

CATEGORIES: Mapping[str, str] = {
    "NHI1:2025": "Improper Offboarding",
    "NHI2:2025": "Secret Leakage",
    "NHI3:2025": "Vulnerable Third-Party NHI",
    "NHI4:2025": "Insecure Authentication",
    "NHI5:2025": "Overprivileged NHI",
    "NHI6:2025": "Insecure Cloud Deployment Configurations",
    "NHI7:2025": "Long-Lived Secrets",
    "NHI8:2025": "Environment Isolation",
    "NHI9:2025": "NHI Reuse",
    "NHI10:2025": "Human Use of NHI",
}
"""Ids and names of the OWASP list (2025)."""


def assess(judged: Judged, policy: Policy) -> list[Outcome]:
    """What every rule says of one identity: at least one outcome per rule."""
    return [outcome for rule in ALL for outcome in rule.assess(judged, policy)]


def assess_source(judged: SourceJudged, policy: Policy) -> list[Outcome]:
    return [outcome for rule in OF_SOURCES for outcome in rule.assess(judged, policy)]
