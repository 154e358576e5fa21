"""Whether the inventory can be believed at all: without this the rest means little."""

from collections.abc import Sequence

from identities.posture.facts import Missing
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules.judged import Policy, SourceJudged
from identities.posture.rules.rule import SourceRule
from identities.posture.rules.verdicts import Verdict, failed, lacking, not_applicable, not_known, passed, unknown


def _shadows(judged: SourceJudged, policy: Policy) -> Sequence[Verdict]:
    callers = judged.unknown_callers
    if isinstance(callers, Missing):
        return [not_known(lacking(strangers=callers))]
    return [failed(callers=callers) if callers else passed()]


def _unhealthy(judged: SourceJudged, policy: Policy) -> Sequence[Verdict]:
    source = judged.source
    if not judged.is_enabled:
        return [not_applicable("source_off")]
    if source.last_success_at is None:
        return [failed(error=source.error[:300], never_read=True)]
    if not source.is_fresh or source.error:
        return [failed(error=source.error[:300], last_success_at=source.last_success_at)]
    parts = judged.parts_unread
    if isinstance(parts, Missing):
        return [not_known(lacking(reading=parts))]
    if parts:
        return [failed(base=Severity.MEDIUM, why="read in part", parts=parts)]
    return [passed(last_success_at=source.last_success_at)]


def _unparsed(judged: SourceJudged, policy: Policy) -> Sequence[Verdict]:
    if isinstance(judged.unparsed, Missing):
        return [not_known(lacking(parsing=judged.unparsed))]
    if not judged.grants:
        return [not_applicable("no_grants")]
    if judged.unparsed:
        share = f"{100 * judged.unparsed / judged.grants:.1f} %"
        return [failed(grants=judged.grants, not_understood=judged.unparsed, share=share)]
    return [passed(grants=judged.grants)]


def _duplicates(judged: SourceJudged, policy: Policy) -> Sequence[Verdict]:
    if isinstance(judged.duplicates, Missing):
        return [not_known(lacking(names=judged.duplicates))]
    return [failed(names=judged.duplicates) if judged.duplicates else passed()]


def _vanished(judged: SourceJudged, policy: Policy) -> Sequence[Verdict]:
    if isinstance(judged.vanished, Missing):
        return [not_known(lacking(earlier_readings=judged.vanished))]
    if judged.vanished:
        return [failed(identities=judged.vanished)]
    return [passed()] if judged.source.is_fresh else [unknown("stale")]


RULES = (
    SourceRule(
        id="POP-1",
        title="Somebody is in the logs who is not in the inventory",
        condition="A log of the source names callers that the inventory does not hold.",
        owasp="",
        base=Severity.HIGH,
        object_kind=ObjectKind.SOURCE,
        inputs=("unknown_callers",),
        blind_spots="Logs that were never imported.",
        cautions="People, and services of the platform, that a log names like machines.",
        fix="read_source",
        judge=_shadows,
    ),
    SourceRule(
        id="POP-2",
        title="A source that is stale or failed",
        condition="The source was never read, is stale, failed last time, or was read in part.",
        owasp="",
        base=Severity.HIGH,
        object_kind=ObjectKind.SOURCE,
        inputs=("parts_unread",),
        needs_fresh=False,
        blind_spots="What the source itself does not know.",
        cautions="A planned pause: switch the source off, and it says so.",
        fix="read_source",
        judge=_unhealthy,
    ),
    SourceRule(
        id="POP-3",
        title="Grants that nobody understands",
        condition="Some of its grants could not be understood.",
        owasp="",
        base=Severity.MEDIUM,
        object_kind=ObjectKind.SOURCE,
        inputs=("unparsed",),
        coverage=("grants",),
        blind_spots="Grants that are understood and wrong.",
        cautions="Conditions of a system that few use.",
        fix="read_source",
        judge=_unparsed,
    ),
    SourceRule(
        id="POP-4",
        title="One name, several identities",
        condition="Several live identities of one kind share a name.",
        owasp="",
        base=Severity.LOW,
        object_kind=ObjectKind.SOURCE,
        inputs=("duplicates",),
        coverage=("identities",),
        blind_spots="The same workload under different names, and across sources.",
        cautions="Names that repeat by custom, such as one per namespace.",
        fix="merge",
        judge=_duplicates,
    ),
    SourceRule(
        id="POP-5",
        title="Identities that disappeared",
        condition="A reading no longer showed identities that nobody had locked out or removed.",
        owasp="",
        base=Severity.MEDIUM,
        object_kind=ObjectKind.SOURCE,
        inputs=("vanished",),
        thresholds=("vanished_days",),
        blind_spots="What was never listed.",
        cautions="Whoever deletes at the source without Remit is seen here too: that is the question.",
        fix="read_source",
        judge=_vanished,
    ),
)
