"""The rules with what they say: roll-ups of identities and of sources, with titles and sentences, for page and API."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from governance.kernel.actors import Actor
from identities.models import Source
from identities.posture.policy import policy_in_force
from identities.posture.populations import judge_sources
from identities.posture.results import Result
from identities.posture.rules import ALL, OF_SOURCES, Rule, SourceRule
from identities.posture.rules.reasons import sentence_of
from identities.selectors.inventory import list_sources
from identities.selectors.posture import RuleRollup, rule_rollups


@dataclass(frozen=True, slots=True)
class Because:
    """Why so many could not be judged."""

    code: str
    sentence: str
    count: int


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule and its counts; those of population rules are of sources, the others of identities."""

    rule: Rule | SourceRule
    counts: RuleRollup

    @property
    def reasons(self) -> tuple[Because, ...]:
        return tuple(Because(code, sentence_of(code), count) for code, count in self.counts.reasons)


def report_rules(*, actor: Actor, now: datetime, source: Source | None = None) -> Sequence[RuleLine]:
    """A line per rule, in the order in which people read them, also for those that nothing was put to."""
    found = {rollup.rule: rollup for rollup in rule_rollups(actor=actor, source=source)}
    visible = [source.pk] if source else list(list_sources(actor=actor).values_list("pk", flat=True))
    of_sources = _of_sources(visible, now)
    return [
        *(RuleLine(rule, found.get(rule.id, RuleRollup(rule.id))) for rule in ALL),
        *(RuleLine(rule, of_sources.get(rule.id, RuleRollup(rule.id))) for rule in OF_SOURCES),
    ]


def _of_sources(source_ids: Sequence[object], now: datetime) -> dict[str, RuleRollup]:
    """Sources are few, so they are judged when somebody looks."""
    results: dict[str, Counter[str]] = {}
    reasons: dict[str, Counter[str]] = {}
    for outcome in judge_sources(now, policy_in_force(), source_ids):  # type: ignore[arg-type]
        results.setdefault(outcome.rule, Counter())[outcome.result] += 1
        if outcome.result is Result.NOT_ASSESSABLE:
            reasons.setdefault(outcome.rule, Counter()).update(outcome.reasons)
    return {
        rule: RuleRollup(
            rule,
            passed=counted[Result.PASS],
            failed=counted[Result.FAIL],
            not_assessable=counted[Result.NOT_ASSESSABLE],
            not_applicable=counted[Result.NOT_APPLICABLE],
            reasons=tuple(reasons.get(rule, Counter()).most_common(3)),
        )
        for rule, counted in results.items()
    }
