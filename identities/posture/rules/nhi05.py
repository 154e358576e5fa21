"""NHI5:2025 Overprivileged NHI: more than its work needs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from identities.posture.facts import GrantFacts, IdentityFacts, Missing
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules.judged import Judged, Policy
from identities.posture.rules.parts import WRITING, named, privileged, unread
from identities.posture.rules.reading import text
from identities.posture.rules.rule import Rule
from identities.posture.rules.thresholds import limit, number
from identities.posture.rules.verdicts import Verdict, failed, lacking, not_applicable, not_known, passed, unknown

OWASP = "NHI5:2025"
# Systems in which a grant has neither condition nor end.
WITHOUT_LIMITS = frozenset({"kubernetes", "postgresql", "rabbitmq", "redis", "tools"})
# What leaves the house or can't be undone.
_RISKY_TOOLS = frozenset({"destructive", "external_send", "admin", "secret_read"})


def _admin(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    found = [grant for grant in facts.grants if grant.is_admin_equivalent]
    if found:
        boundary = text(facts.attributes, "permissions_boundary")
        return [failed(grants=named(found), limited_by=None if isinstance(boundary, Missing) else boundary)]
    return _unless_unread(facts)


def _unless_unread(facts: IdentityFacts) -> Sequence[Verdict]:
    doubtful = unread(facts)
    return [unknown("unparsed", grants=named(doubtful))] if doubtful else [passed()]


def _unused(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if not any(grant.is_privileged or grant.classes & WRITING for grant in facts.grants):
        return [unknown("unparsed")] if unread(facts) else [not_applicable("nothing_strong")]
    share, since, until = facts.use.unused_share, facts.use.watched_from, facts.use.watched_until
    if since is None or until is None:
        return [unknown("no_log")]
    if isinstance(share, Missing):
        return [not_known(lacking(unused=share))]
    if until - since < limit(policy, "unused_watched_days"):
        return [unknown("lookback_too_short", watched_from=since, watched_until=until)]
    if facts.now - until > limit(policy, "log_lag_days"):
        return [unknown("log_ended", watched_until=until)]
    evidence: dict[str, Any] = {"unused_percent": round(share * 100), "watched_from": since}
    return [failed(**evidence) if share * 100 >= number(policy, "unused_percent") else passed(**evidence)]


def _escalation(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    found = [grant for grant in facts.grants if grant.primitives]
    if not found:
        return _unless_unread(facts)
    direct = sorted({name for grant in found for name in grant.direct_primitives})
    conditional = sorted({name for grant in found for name in grant.primitives} - set(direct))
    evidence: dict[str, Any] = {"direct": direct, "conditional": conditional, "grants": named(found)}
    if direct:
        return [failed(**evidence)]
    return [failed(base=Severity.HIGH, why="needs a second resource", **evidence)]


def _wildcard_on_data(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    wide = [grant for grant in facts.grants if grant.has_wildcard_resource and grant.classes]
    found = [grant for grant in wide if grant.touches_restricted_data is True]
    if found:
        return [failed(grants=named(found))]
    doubts = [grant.touches_restricted_data for grant in wide if isinstance(grant.touches_restricted_data, Missing)]
    if doubts:
        return [not_known(lacking(sensitivity=doubts[0]), grants=named(wide))]
    return _unless_unread(facts)


def _standing(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    held = privileged(facts)
    if not held:
        return [unknown("unparsed")] if unread(facts) else [not_applicable("not_privileged")]
    states = [(grant, _is_standing(grant)) for grant in held if not _knows_no_limits(grant)]
    if not states:
        return [unknown("platform_without_limits", grants=named(held))]
    found = [grant for grant, state in states if state is True]
    if found:
        return [failed(grants=named(found))]
    doubts = [state for _, state in states if isinstance(state, Missing)]
    if doubts:
        if not facts.source.can_report("conditions") and not facts.source.can_report("grant_expiry"):
            return [unknown("platform_without_limits")]
        return [not_known(lacking(limits=doubts[0]))]
    return _unless_unread(facts)


def _knows_no_limits(grant: GrantFacts) -> bool:
    """Whether its system could not have limited it, and no approval does: said of the platform, then."""
    is_limited = bool(grant.condition_sorts) or isinstance(grant.ends_at, datetime) or grant.approved_until is not None
    return grant.dialect in WITHOUT_LIMITS and not is_limited


def _is_standing(grant: GrantFacts) -> bool | Missing:
    """Whether nothing limits it: no condition and no end, neither the source's nor that of an approval."""
    if grant.approved_until is not None or (grant.ends_at is not None and not isinstance(grant.ends_at, Missing)):
        return False
    if isinstance(grant.condition_sorts, Missing):
        return grant.condition_sorts
    if grant.condition_sorts:
        return False
    return grant.ends_at if isinstance(grant.ends_at, Missing) else True


def _outside_the_process(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    held = privileged(facts)
    if not held:
        return [unknown("unparsed")] if unread(facts) else [not_applicable("not_privileged")]
    reviews = [grant.reviewed_at for grant in facts.grants if grant.reviewed_at is not None]
    if not reviews:
        return [unknown("never_reviewed")]
    certified = max(reviews)
    added = [grant for grant in held if grant.reviewed_at is None and grant.first_seen_at > certified]
    if added:
        return [failed(grants=named(added), certified_at=certified)]
    return _unless_unread(facts)


def _tools(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if facts.kind != "ai_agent":
        return [not_applicable("no_agent")]
    if not facts.is_enabled:
        return [not_applicable("disabled")]
    wide = [
        grant for grant in facts.grants
        if grant.segment == "ai_tools" and (grant.has_wildcard_action or grant.has_wildcard_resource)
    ]  # fmt: skip
    risky = [tool for tool in facts.tools if tool.classes & _RISKY_TOOLS and not tool.has_condition]
    free = [tool for tool in risky if tool.needs_approval is False]
    if wide or free:
        return [failed(every_tool_of=named(wide), without_approval=[f"{tool.server}: {tool.tool}" for tool in free])]
    if any(isinstance(tool.needs_approval, Missing) for tool in risky):
        return [unknown("approval_unknown", tools=[f"{tool.server}: {tool.tool}" for tool in risky])]
    if not facts.tools and facts.grants:
        return [unknown("no_tool_list")]
    return _unless_unread(facts)


_GRANTS = ("grants",)
RULES = (
    Rule(
        id="NHI5-A",
        title="As good as an administrator",
        condition="Something that it holds is all actions on all resources, an administrator's role, or the "
        "right to change its own rights.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("grants.is_parsed",),
        coverage=_GRANTS,
        blind_spots="What resources, other accounts and the organisation allow or forbid, where the source can't tell.",
        cautions="A boundary of the platform may take away what is granted: it stands beside the finding.",
        fix="narrow",
        judge=_admin,
    ),
    Rule(
        id="NHI5-B",
        title="Most of its power is never used",
        condition="Of its privileged and writing rights at least the threshold was not used over a watched "
        "time that is long enough.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("use.unused_share", "use.watched_from"),
        coverage=_GRANTS,
        thresholds=("unused_percent", "unused_watched_days", "log_lag_days"),
        blind_spots="Use that no log shows: it is left out of both sides of the share.",
        cautions="Work that is done once a year.",
        fix="narrow",
        judge=_unused,
    ),
    Rule(
        id="NHI5-C",
        title="Can make itself more powerful",
        condition="It holds one of the known ways to make itself more powerful.",
        owasp=OWASP,
        base=Severity.CRITICAL,
        object_kind=ObjectKind.IDENTITY,
        inputs=("grants.is_parsed",),
        coverage=_GRANTS,
        blind_spots="Ways that the catalogue of escalations lacks; its version stands with each score.",
        cautions="A conditional way needs a second resource that may not be there; it counts one step less.",
        fix="narrow",
        judge=_escalation,
    ),
    Rule(
        id="NHI5-D",
        title="A wildcard over restricted data",
        condition="It reads or writes by a wildcard over stores that are labelled restricted.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("grants.touches_restricted_data", "grants.is_parsed"),
        coverage=_GRANTS,
        blind_spots="Data that nobody labelled: then it is not assessable, never passed.",
        cautions="A wildcard may reach labelled and harmless stores alike.",
        fix="narrow",
        judge=_wildcard_on_data,
    ),
    Rule(
        id="NHI5-E",
        title="Power without condition and without end",
        condition="A privileged grant has no condition, no end, and no approval with an end.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("grants.condition_sorts", "grants.ends_at", "grants.is_parsed"),
        coverage=_GRANTS,
        blind_spots="Conditions outside the permission, in a proxy or an organisation's policy.",
        cautions="Platforms that know neither: not assessable, and said so. An approval with an end counts as one.",
        fix="limit_in_time",
        judge=_standing,
    ),
    Rule(
        id="NHI5-F",
        title="Power that came past the reviews",
        condition="A privileged grant is newer than the last review of this identity, and was never reviewed itself.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("grants.reviewed_at", "grants.is_parsed"),
        coverage=_GRANTS,
        blind_spots="Approvals in another system that Remit does not know.",
        cautions="Infrastructure code that another process approved: a review of the new grant settles it.",
        fix="review",
        judge=_outside_the_process,
    ),
    Rule(
        id="NHI5-G",
        title="An agent with too many tools",
        condition="An AI agent may call every tool of a server, or a tool that destroys, administers, reads "
        "secrets or sends data out, without condition and without approval.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("tools.needs_approval", "grants.is_parsed"),
        coverage=_GRANTS,
        blind_spots="What a tool really does: classes come from our catalogue, never from what its server says of it.",
        cautions="Approval that a client asks for by itself is seen only where the source tells it.",
        fix="narrow",
        judge=_tools,
    ),
)
