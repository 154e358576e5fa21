"""A framework with its evidence as it stands now: measures, rules with what they could not judge, pages, records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from governance.audit.actions import Verb
from governance.console.frameworks.measures import Measure, take_measures
from governance.console.frameworks.places import PLACES
from governance.frameworks.loading import Control, Framework
from governance.kernel.actors import system_actor
from governance.web.templatetags.remit import number
from identities.views.rollup_lines import RollupLine, rollup_lines


@dataclass(frozen=True, slots=True)
class Link:
    """A living page."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class RuleLine:
    """How one rule stands, as assessed and passed of assessed, with what it could not judge."""

    rule: str
    title: str
    url: str
    text: str
    missing: str
    is_put: bool


@dataclass(frozen=True, slots=True)
class ControlLine:
    """One control as the page prints it."""

    control: Control
    measures: Sequence[Measure]
    rules: Sequence[RuleLine]
    places: Sequence[Link]
    records: Sequence[Link]

    @property
    def judged(self) -> list[RuleLine]:
        """Rules that had something to judge."""
        return [rule for rule in self.rules if rule.is_put]

    @property
    def idle(self) -> list[RuleLine]:
        return [rule for rule in self.rules if not rule.is_put]


@dataclass(frozen=True, slots=True)
class SectionLine:
    """Controls under one heading."""

    id: str
    title: str
    controls: Sequence[ControlLine]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known at one moment for all frameworks: read once, however many controls ask for it."""

    measures: Mapping[str, Measure]
    rollups: Mapping[str, RollupLine]
    taken_at: datetime


def take_evidence(*, now: datetime) -> Evidence:
    """Over the whole estate, whoever of those that may open it asks. A fixed number of queries."""
    everybody = system_actor("frameworks")
    rollups = {line.rule: line for line in rollup_lines(actor=everybody, now=now)}
    return Evidence(take_measures(actor=everybody, now=now), rollups, now)


def section_lines(framework: Framework, evidence: Evidence) -> list[SectionLine]:
    """The whole framework in its order."""
    return [
        SectionLine(section, title, [control_line(control, evidence) for control in framework.of_section(section)])
        for section, title in framework.sections.items()
    ]


def control_line(control: Control, evidence: Evidence) -> ControlLine:
    """Keys that nothing answers to are errors of the files; a test holds that there are none."""
    return ControlLine(
        control=control,
        measures=[evidence.measures[key] for key in control.measures],
        rules=[_rule_line(rule, evidence.rollups.get(rule)) for rule in control.rules],
        places=[Link(PLACES[key].label, PLACES[key].url) for key in control.places],
        records=[Link(_DESCRIPTIONS[verb], records_url(verb)) for verb in control.verbs],
    )


_DESCRIPTIONS: Mapping[str, str] = {verb.value: verb.description for verb in Verb}
CSV_HEADER = (
    *("framework", "control", "intersects_with", "title", "evidences", "cannot", "measure", "value", "part", "whole"),
    *("missing", "taken_at"),
)


def csv_rows(framework: Framework, evidence: Evidence) -> Iterator[Sequence[Any]]:
    """One line per figure; a control without any has one line."""
    for section in section_lines(framework, evidence):
        for line in section.controls:
            for name, text, part, whole, missing in figures_of(line) or [("", "", None, None, "")]:
                yield (
                    *(framework.short, line.control.id, ", ".join(line.control.former), line.control.title),
                    *(line.control.evidences, line.control.cannot, name, text),
                    *("" if part is None else part, "" if whole is None else whole),
                    *(missing, evidence.taken_at.isoformat()),
                )


def figures_of(line: ControlLine) -> list[tuple[str, str, int | None, int | None, str]]:
    """(name, text, part, whole, missing) of its measures and rules."""
    found = [
        (measure.label, measure.text or "not measured", measure.part, measure.whole, measure.missing)
        for measure in line.measures
    ]
    return found + [(f"{rule.rule} {rule.title}", rule.text, None, None, rule.missing) for rule in line.rules]


def _rule_line(rule: str, rollup: RollupLine | None) -> RuleLine:
    if rollup is None:
        return RuleLine(rule, "", "", "had nothing to judge", "", is_put=False)
    if not rollup.is_put:
        return RuleLine(rule, rollup.title, rollup.url, "had nothing to judge", "", is_put=False)
    text = f"{number(rollup.passed)} of {number(rollup.assessed)} pass" if rollup.assessed else "nothing assessed"
    missing = f"{number(rollup.not_assessable)} not assessable" if rollup.not_assessable else ""
    return RuleLine(rule, rollup.title, rollup.url, text, missing, is_put=True)


def records_url(verb: str) -> str:
    """The trail's records of one kind."""
    return f"{reverse('console:audit_trail')}?{urlencode({'verb': verb})}"
