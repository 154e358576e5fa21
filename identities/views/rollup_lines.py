"""Rules added up: how many were assessed, how many of these pass, and what could not be assessed and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from governance.kernel.actors import Actor
from governance.web.charts import Segment
from governance.web.templatetags.remit import number
from identities.posture.rules import catalogue
from identities.selectors.posture import rule_rollups

MOST_REASONS = 3
REASON_WORDS = {
    "not_covered": "the source cannot report it",
    "stale": "the reading is too old",
    "never_read": "never read",
    "no_log": "no log shows use",
    "unparsed": "not understood",
    "not_reported": "not reported",
    "too_short": "watched too shortly",
}


@dataclass(frozen=True, slots=True)
class RollupLine:
    """One rule over everything that it judged. findings_url: the list of what fails it."""

    rule: str
    title: str
    url: str
    findings_url: str
    failed: int
    passed: int
    not_assessable: int
    not_applicable: int
    reasons: str

    @property
    def assessed(self) -> int:
        return self.failed + self.passed

    @property
    def parts(self) -> Sequence[Segment]:
        shown = ((self.failed, "fail", "danger"), (self.passed, "pass", "success"))
        return [
            Segment(value, label, tone)
            for value, label, tone in (*shown, (self.not_assessable, "not assessable", "unknown"))
            if value
        ]

    @property
    def spoken(self) -> str:
        return (
            f"{number(self.failed)} fail, {number(self.passed)} pass, "
            f"{number(self.not_assessable)} not assessable"
        )


def rollup_lines(*, actor: Actor, now: datetime) -> list[RollupLine]:
    """The most failing first; then what could not be assessed, then what passes. In the rules' order among equals."""
    lines = [_line(each) for each in rule_rollups(actor=actor)]
    order = {rule: place for place, rule in enumerate(catalogue.BY_ID)}
    return sorted(lines, key=lambda line: (-line.failed, -line.not_assessable, order.get(line.rule, 0)))


def reason_words(code: str) -> str:
    """A reason's code in plain words."""
    return REASON_WORDS.get(code, code.replace("_", " "))


def rule_url(rule_id: str) -> str:
    """The page that explains a rule."""
    return reverse("identities:posture_rule", args=[rule_id])


def findings_url(rule_id: str) -> str:
    """What fails a rule."""
    try:
        address = reverse("identities:finding_list")
    except NoReverseMatch:
        return rule_url(rule_id)
    return f"{address}?{urlencode({'rule': rule_id})}"


def top_reasons(reasons: Mapping[str, int] | Iterable[tuple[str, int]]) -> str:
    """The most frequent in words, with their numbers."""
    pairs = reasons.items() if isinstance(reasons, Mapping) else reasons
    ranked = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:MOST_REASONS]
    return ", ".join(f"{reason_words(code)} ({number(count)})" for code, count in ranked)


def _line(rollup: Any) -> RollupLine:
    rule = catalogue.BY_ID.get(rollup.rule)
    return RollupLine(
        rule=rollup.rule,
        title=rule.title if rule else "",
        url=rule_url(rollup.rule),
        findings_url=findings_url(rollup.rule),
        failed=rollup.failed,
        passed=rollup.passed,
        not_assessable=rollup.not_assessable,
        not_applicable=rollup.not_applicable,
        reasons=top_reasons(rollup.reasons),
    )
