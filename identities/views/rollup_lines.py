"""Rules added up: how many were assessed, how many of these pass, and what could not be assessed and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from governance.kernel.actors import Actor
from governance.web.charts import Segment
from governance.web.templatetags.remit import number
from identities.posture.report import RuleLine, tell_rules
from identities.posture.rules import catalogue


@dataclass(frozen=True, slots=True)
class RollupLine:
    """One rule over everything that it judged. reasons: the most frequent for not assessable, in words."""

    rule: str
    failed: int
    passed: int
    not_assessable: int
    not_applicable: int
    reasons: str

    @property
    def title(self) -> str:
        return catalogue.BY_ID[self.rule].title

    @property
    def url(self) -> str:
        """The page that explains it."""
        return reverse("identities:posture_rule", args=[self.rule])

    @property
    def findings_url(self) -> str:
        """What fails it."""
        return findings_url(self.rule)

    @property
    def assessed(self) -> int:
        return self.failed + self.passed

    @property
    def is_put(self) -> bool:
        """Whether anything was put to it at all."""
        return bool(self.assessed or self.not_assessable or self.not_applicable)

    @property
    def parts(self) -> Sequence[Segment]:
        shown = (
            (self.failed, "fail", "danger"),
            (self.passed, "pass", "success"),
            (self.not_assessable, "not assessable", "unknown"),
        )
        return [Segment(value, label, tone) for value, label, tone in shown if value]

    @property
    def spoken(self) -> str:
        counts = (self.failed, "fail"), (self.passed, "pass"), (self.not_assessable, "not assessable")
        return ", ".join(f"{number(count)} {word}" for count, word in counts)


def rollup_lines(*, actor: Actor, now: datetime) -> list[RollupLine]:
    """The most failing first, then what could not be assessed, then what passes; rules without objects come last."""
    return _sorted(_line(line) for line in tell_rules(actor=actor, now=now).lines)


def findings_url(rule_id: str) -> str:
    """The list of what fails a rule; its own page where this installation keeps no findings."""
    try:
        return f"{reverse('identities:finding_list')}?{urlencode({'finding': rule_id})}"
    except NoReverseMatch:
        return reverse("identities:posture_rule", args=[rule_id])


def _sorted(lines: Iterable[RollupLine]) -> list[RollupLine]:
    order = {rule: place for place, rule in enumerate(catalogue.BY_ID)}
    return sorted(
        lines, key=lambda line: (not line.is_put, -line.failed, -line.not_assessable, order.get(line.rule, len(order)))
    )


def _line(line: RuleLine) -> RollupLine:
    counts = line.counts
    return RollupLine(
        rule=line.rule.id,
        failed=counts.failed,
        passed=counts.passed,
        not_assessable=counts.not_assessable,
        not_applicable=counts.not_applicable,
        reasons="; ".join(f"{_phrase(each.sentence)} ({number(each.count)})" for each in line.reasons),
    )


def _phrase(sentence: str) -> str:
    """A sentence inside another one: without its full stop, and small unless it begins with a name."""
    text = sentence.rstrip(".")
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
