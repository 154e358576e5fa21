"""Several outcomes of one rule on one identity, as the one result that lists and counts show."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from identities.posture.results import Outcome, Result

# One failing credential is a failing identity; what could not be judged outweighs what passed.
_HEAVIEST_FIRST = (Result.FAIL, Result.NOT_ASSESSABLE, Result.PASS, Result.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Folded:
    """reasons: of the outcomes that have this result."""

    result: Result
    reasons: tuple[str, ...] = ()


def folded(outcomes: Iterable[Outcome]) -> Mapping[str, Folded]:
    """One result per rule: the heaviest among its outcomes."""
    by_rule: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_rule.setdefault(outcome.rule, []).append(outcome)
    return {rule: _fold(found) for rule, found in by_rule.items()}


def _fold(outcomes: list[Outcome]) -> Folded:
    if len(outcomes) == 1:
        return _folded(outcomes[0].result, outcomes[0].reasons)
    results = {outcome.result for outcome in outcomes}
    heaviest = next(result for result in _HEAVIEST_FIRST if result in results)
    return _folded(
        heaviest, tuple(code for outcome in outcomes if outcome.result is heaviest for code in outcome.reasons)
    )


@lru_cache(maxsize=4_096)
def _folded(result: Result, reasons: tuple[str, ...]) -> Folded:
    """Most of fifty rules say the same of most identities, so it is made once."""
    return Folded(result, tuple(dict.fromkeys(reasons)))
