"""The rules with what they say: roll-ups of identities and of sources, with titles and sentences, for page and API."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime

from django.core.cache import cache

from governance.kernel.actors import Actor
from identities.models import Source
from identities.posture.policy import policy_in_force
from identities.posture.populations import judge_sources
from identities.posture.results import Result
from identities.posture.rules import ALL, OF_SOURCES, Rule, SourceRule
from identities.posture.rules.reasons import sentence_of
from identities.selectors.inventory import list_sources, sees_everything
from identities.selectors.posture import RuleRollup, rule_rollups

# From so many judged identities on, adding them up takes seconds, and is shared for so long.
MANY = 5_000
KEPT_SECONDS = 60
_KEPT = "posture.rules"


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


@dataclass(frozen=True, slots=True)
class ToldRules:
    """A line per rule, and the moment of which the counts are."""

    lines: Sequence[RuleLine]
    counted_at: datetime


def tell_rules(*, actor: Actor, now: datetime) -> ToldRules:
    """`report_rules` over all that the actor may see.

    A large estate is added up at most once a minute for all who see the whole of it, people and programs alike. What
    somebody sees a part of is theirs alone, and counted at every look.
    """
    if not sees_everything(actor):
        return ToldRules(report_rules(actor=actor, now=now), now)
    kept = cache.get(_KEPT)
    if kept is not None:
        counted_at, rollups = kept
        return ToldRules(_lines({values[0]: RuleRollup(*values) for values in rollups}), counted_at)
    lines = report_rules(actor=actor, now=now)
    if max((line.counts.concerned for line in lines), default=0) >= MANY:
        cache.set(_KEPT, (now, [astuple(line.counts) for line in lines]), KEPT_SECONDS)
    return ToldRules(lines, now)


def report_rules(*, actor: Actor, now: datetime, source: Source | None = None) -> Sequence[RuleLine]:
    """A line per rule, in the order in which people read them, also for those that nothing was put to."""
    found = {rollup.rule: rollup for rollup in rule_rollups(actor=actor, source=source)}
    visible = [source.pk] if source else list(list_sources(actor=actor).values_list("pk", flat=True))
    return _lines(found | _of_sources(visible, now))


def _lines(found: Mapping[str, RuleRollup]) -> list[RuleLine]:
    rules: tuple[Rule | SourceRule, ...] = (*ALL, *OF_SOURCES)
    return [RuleLine(rule, found.get(rule.id, RuleRollup(rule.id))) for rule in rules]


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
