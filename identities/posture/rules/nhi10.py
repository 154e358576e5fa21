"""NHI10:2025 Human Use of NHI: people at work behind a machine's name."""

from collections.abc import Sequence

from identities.posture.facts import Missing
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules.judged import Judged, Policy
from identities.posture.rules.reading import flag, moment, whole
from identities.posture.rules.rule import Rule
from identities.posture.rules.thresholds import limit, number
from identities.posture.rules.verdicts import Verdict, failed, lacking, not_applicable, not_known, passed, unknown

OWASP = "NHI10:2025"


def _interactive_session(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts, use = judged.facts, judged.facts.use
    seen, within = use.interactive_at, limit(policy, "interactive_days")
    if isinstance(seen, Missing):
        return [not_known(lacking(session_kind=seen))]
    if seen is not None and facts.now - seen <= within:
        return [failed(seen_at=seen)]
    if use.watched_from is None or use.watched_until is None:
        return [unknown("no_log")]
    if facts.now - use.watched_until > limit(policy, "log_lag_days"):
        return [unknown("log_ended", watched_until=use.watched_until)]
    if facts.now - use.watched_from < within:
        return [unknown("lookback_too_short", watched_from=use.watched_from)]
    return [passed(watched_from=use.watched_from)]


def _interactive_login(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if not facts.is_enabled:
        return [not_applicable("disabled")]
    may = facts.has_interactive_login
    if isinstance(may, Missing):
        return [not_known(lacking(interactive_login=may))]
    if not may:
        return [passed()]
    until = moment(facts.attributes, "interactive_allowed_until")
    if until is not None and not isinstance(until, Missing) and until > facts.now:
        return [passed(allowed_until=until)]
    return [failed()]


def _humans_hold_it(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if isinstance(facts.human_holders, Missing):
        return [not_known(lacking(human_holders=facts.human_holders))]
    if not facts.human_holders:
        return [passed()]
    if facts.is_privileged:
        return [failed(base=Severity.HIGH, why="privileged", held_by=len(facts.human_holders))]
    return [failed(held_by=len(facts.human_holders))]


def _human_pattern(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    attributes = judged.facts.attributes
    share, workstation = whole(attributes, "office_hours_percent"), flag(attributes, "from_workstation")
    most = number(policy, "human_hours_percent")
    if workstation is True or (not isinstance(share, Missing) and share >= most):
        return [unknown("human_pattern", office_hours_percent=None if isinstance(share, Missing) else share)]
    missing = lacking(office_hours=share, caller_places=workstation)
    return [not_known(missing)] if missing else [passed(office_hours_percent=share)]


RULES = (
    Rule(
        id="NHI10-A",
        title="Somebody worked through it",
        condition="A log shows an interactive session of it within the threshold.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("use.interactive_at", "use.watched_from"),
        thresholds=("interactive_days", "log_lag_days"),
        blind_spots="Sessions that look like a program's.",
        cautions="Robots that drive a browser, and interfaces that only a console has.",
        fix="review",
        judge=_interactive_session,
    ),
    Rule(
        id="NHI10-B",
        title="People could sign in as it",
        condition="People could sign in as it, and no exception is written down.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("has_interactive_login", "attributes.interactive_allowed_until"),
        blind_spots="Ways in that the source does not list.",
        cautions="A documented exception with an end (`interactive_allowed_until`) passes until then.",
        fix="deactivate",
        judge=_interactive_login,
    ),
    Rule(
        id="NHI10-C",
        title="People can take its place",
        condition="People may assume it, impersonate it, make its tokens or read its secret, without an end.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("human_holders",),
        blind_spots="Whoever may read its secret in a store that is no source here.",
        cautions="Groups for emergencies whose membership is given for hours.",
        fix="revoke",
        judge=_humans_hold_it,
    ),
    Rule(
        id="NHI10-D",
        title="Used like a person would",
        condition="It is used in office hours only, or from a workstation.",
        owasp=OWASP,
        base=None,
        object_kind=ObjectKind.IDENTITY,
        inputs=("attributes.office_hours_percent", "attributes.from_workstation"),
        thresholds=("human_hours_percent",),
        blind_spots="People at night, and jobs by day.",
        cautions="An indicator: it shows what looks odd and never fails.",
        fix="review",
        judge=_human_pattern,
    ),
)
