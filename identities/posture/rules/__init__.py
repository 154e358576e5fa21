"""The rules of posture: OWASP NHI Top 10 (2025), trust boundaries and population, as pure functions over facts.

`catalogue` holds them all. Each answers fail, pass, not assessable or not applicable; docs/rules.md describes them.
"""

from identities.posture.rules.catalogue import ALL, BY_ID, CATEGORIES, OF_SOURCES, assess, assess_source
from identities.posture.rules.folding import Folded, folded
from identities.posture.rules.judged import Judged, SourceJudged
from identities.posture.rules.rule import Rule, SourceRule

__all__ = [
    "ALL", "BY_ID", "CATEGORIES", "OF_SOURCES", "Folded", "Judged", "Rule", "SourceJudged", "SourceRule", "assess",
    "assess_source", "folded",
]  # fmt: skip
