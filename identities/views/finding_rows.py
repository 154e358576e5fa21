"""A finding as lists print it, as a download holds it, and as its own page tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.dateparse import parse_datetime

from identities.models import (
    AcceptanceEnd,
    Finding,
    FindingEvent,
    FindingObject,
    FindingSeverity,
    FindingStep,
    FixedHow,
)
from identities.posture.findings.meanings import meaning_of
from identities.selectors.findings import object_names
from identities.views.identity_rows import identity_url, label_of_environment, source_url

FACTS = (
    *("id", "rule", "title", "severity", "state", "object_kind", "object", "object_id", "identity", "identity_id"),
    *("source", "environment", "assignee", "found_at", "opened_at", "fixed_at", "fixed_how", "reopened"),
    *("unjudged_since", "policy", "arithmetic"),
)
# A cell that says "since …" needs no more than this.
_STEP_LOOKS = {
    FindingStep.REOPENED: ("danger", "refresh-alert"),
    FindingStep.FIXED: ("success", "shield-check"),
    FindingStep.SEVERITY: ("warn", "arrows-exchange"),
    FindingStep.ASSIGNED: ("info", "user-check"),
    FindingStep.UNASSIGNED: ("neutral", "user-off"),
    FindingStep.REQUESTED: ("neutral", "message"),
    FindingStep.ACCEPTED: ("info", "calendar-check"),
    FindingStep.ENDED: ("warn", "hourglass"),
}


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One line of a list of findings."""

    pk: UUID
    url: str
    rule: str
    title: str
    severity: str
    severity_label: str
    kind: str
    kind_label: str
    object: str
    identity: str
    identity_url: str
    source: str
    source_url: str
    environment: str
    environment_label: str
    state: str
    state_label: str
    assignee: str
    opened_at: datetime
    reopened: int
    unjudged_since: datetime | None


def finding_rows(findings: Sequence[Finding]) -> list[FindingRow]:
    """The rows of one page, whose findings carry identity, source and assignee. At most two queries, for names."""
    names = object_names(findings)
    return [_row(finding, names) for finding in findings]


def finding_facts(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The lines of one chunk of a download, by the names in FACTS."""
    names = object_names(findings)
    return [dict(zip(FACTS, _facts(finding, names), strict=True)) for finding in findings]


def finding_url(pk: UUID) -> str:
    return reverse("identities:finding_detail", args=[pk])


def environment_of(finding: Finding) -> str:
    """Of the identity; of the source where it is about the source itself."""
    identity = finding.identity
    return str(identity.effective_environment if identity is not None else finding.source.environment)


def _row(finding: Finding, names: Mapping[UUID, str]) -> FindingRow:
    environment, severity, identity = environment_of(finding), FindingSeverity(finding.severity), finding.identity
    return FindingRow(
        pk=finding.pk,
        url=finding_url(finding.pk),
        rule=finding.rule,
        title=meaning_of(finding.rule).title,
        severity=severity.word,
        severity_label=str(severity.label),
        kind=finding.object_kind,
        kind_label=str(FindingObject(finding.object_kind).label),
        object=names.get(finding.object_id, ""),
        identity=identity.name if identity else "",
        identity_url=identity_url(identity.pk) if identity else "",
        source=finding.source.name,
        source_url=source_url(finding.source.slug),
        environment=environment,
        environment_label=label_of_environment(environment),
        state=finding.state,
        state_label=finding.get_state_display(),
        assignee=finding.assignee.name if finding.assignee else "",
        opened_at=finding.opened_at,
        reopened=finding.reopened,
        unjudged_since=finding.unjudged_since,
    )


def _facts(finding: Finding, names: Mapping[UUID, str]) -> tuple[Any, ...]:
    identity = finding.identity
    return (
        str(finding.pk),
        finding.rule,
        meaning_of(finding.rule).title,
        FindingSeverity(finding.severity).word,
        finding.state,
        finding.object_kind,
        names.get(finding.object_id, ""),
        str(finding.object_id),
        identity.name if identity else "",
        str(identity.pk) if identity else "",
        finding.source.slug,
        environment_of(finding),
        finding.assignee.email if finding.assignee else "",
        finding.found_at.isoformat(),
        finding.opened_at.isoformat(),
        finding.fixed_at.isoformat() if finding.fixed_at else "",
        finding.fixed_how,
        finding.reopened,
        finding.unjudged_since.isoformat() if finding.unjudged_since else "",
        finding.policy_id,
        "; ".join(finding.arithmetic),
    )


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """One thing that the rule saw. more: how many further values the rule counted without keeping them."""

    label: str
    values: list[str]
    more: int = 0
    at: datetime | None = None


def evidence_lines(evidence: Mapping[str, Any]) -> list[EvidenceLine]:
    """What was seen, in words as far as a rule's own names are words."""
    lines = []
    for name, value in evidence.items():
        if name.endswith("_in_all"):
            continue
        values = value if isinstance(value, list) else [value]
        total = evidence.get(f"{name}_in_all", len(values))
        label = name.replace("_", " ")
        lines.append(
            EvidenceLine(
                label[:1].upper() + label[1:],
                [_plain(each) for each in values],
                max(0, int(total) - len(values)),
                _moment(value),
            )
        )
    return lines


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or len(value) < len("2026-01-31T00:00:00") or value[10:11] != "T":
        return None
    return parse_datetime(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{str(name).replace('_', ' ')}: {_plain(each)}" for name, each in value.items())
    # A range of one value is that value: "A1", never "A1 to A1".
    low, _, high = str(value).partition(" to ")
    return low if low == high else str(value)


def life_of(finding: Finding, events: Sequence[FindingEvent], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """The finding's life as a timeline, latest first. names: of people who were assigned, by id."""
    found = {"at": finding.found_at, "title": "Found", "tone": "danger", "icon": "alert-triangle"}
    return [*(_step(event, names) for event in events), found]


def _step(event: FindingEvent, names: Mapping[str, str]) -> dict[str, Any]:
    tone, icon = _STEP_LOOKS[FindingStep(event.step)]
    return {
        "at": event.at,
        "title": FindingStep(event.step).label,
        "detail": _detail(event, names),
        "who": event.by.name if event.by else "",
        "tone": tone,
        "icon": icon,
    }


def _detail(event: FindingEvent, names: Mapping[str, str]) -> str:
    facts = event.facts
    match event.step:
        case FindingStep.FIXED | FindingStep.ENDED:
            ends = FixedHow if event.step == FindingStep.FIXED else AcceptanceEnd
            return str(ends(facts["how"]).label)
        case FindingStep.SEVERITY:
            return f"{FindingSeverity(facts['from']).label} before, {FindingSeverity(facts['to']).label} since"
        case FindingStep.ASSIGNED:
            return f"To {names.get(facts.get('to', ''), 'somebody who is no longer known')}"
        case FindingStep.UNASSIGNED if facts.get("why") == "left":
            return "Whoever was to see to it has left"
        case FindingStep.REQUESTED | FindingStep.ACCEPTED if facts.get("until"):
            until = parse_datetime(facts["until"])
            return f"Until {until:%-d %B %Y}" if until else ""
    return ""
