"""Trust boundaries: where one system believes another, said as a record and not by accident."""

from collections.abc import Sequence
from typing import Any

from governance.kernel.federation import IssuerSort, Looseness, subject_looseness
from identities.posture.facts import Missing, TrustFacts
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules.judged import Judged, Policy
from identities.posture.rules.parts import each_trust
from identities.posture.rules.reading import moment
from identities.posture.rules.rule import Rule
from identities.posture.rules.thresholds import limit
from identities.posture.rules.verdicts import Verdict, failed, lacking, not_applicable, not_known, passed, unknown

_FEDERATED = frozenset({"federated_trust", "jwt_svid"})


def _unrecorded(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    federated = [each for each in facts.credentials if each.is_active and each.kind in _FEDERATED]
    if facts.trusts:
        return [passed(issuers=sorted({trust.issuer for trust in facts.trusts}))]
    if federated:
        return [failed(kinds=sorted({each.kind for each in federated}))]
    if not facts.source.can_report("credentials") or not facts.source.can_report("trust"):
        return [unknown("not_covered")]
    return [not_applicable("not_federated")]


def _anybody(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    return each_trust(judged.facts, _anybody_one)


def _anybody_one(trust: TrustFacts) -> Verdict:
    judged = subject_looseness(trust.issuer, trust.subject)
    if judged.issuer is IssuerSort.PLATFORM:
        return not_applicable("platform_service", of=trust.id)
    if judged.issuer is not IssuerSort.ANYBODY and judged.looseness is not Looseness.ANY:
        return passed(of=trust.id, issuer=trust.issuer, subject=trust.subject)
    if trust.conditions:
        return passed(of=trust.id, issuer=trust.issuer, conditions=sorted(trust.conditions))
    if not trust.are_conditions_known:
        return unknown("conditions_unknown", of=trust.id, issuer=trust.issuer, subject=trust.subject)
    return failed(of=trust.id, issuer=trust.issuer, subject=trust.subject)


def _honoured_after_end(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if not facts.trusts:
        return [not_applicable("no_trust") if facts.source.can_report("trust") else unknown("not_covered")]
    ended = moment(facts.attributes, "revoked_at_issuer")
    if ended is None:
        return [passed()]
    lives = [each.ttl_seconds for each in facts.credentials if each.is_active]
    used = facts.use.last_used_at
    if missing := lacking(
        issuer_state=ended, use=used, session_life=next((each for each in lives if isinstance(each, Missing)), 0)
    ):
        return [not_known(missing)]
    longest = max((each for each in lives if isinstance(each, int)), default=0)
    honoured = (
        (used - ended).total_seconds()
        if used and not isinstance(ended, Missing) and not isinstance(used, Missing)
        else 0
    )
    slack = limit(policy, "revoked_skew_minutes").total_seconds()
    evidence: dict[str, Any] = {"revoked_at_issuer": ended, "last_used_at": used, "longest_session_seconds": longest}
    return [failed(**evidence) if honoured > longest + slack else passed(**evidence)]


RULES = (
    Rule(
        id="TB-1",
        title="Federated without a record of the trust",
        condition="It signs in by federation, and no trust relation says who vouches for it.",
        owasp="",
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=(),
        coverage=("credentials", "trust"),
        blind_spots="Trust that the source keeps where the connector does not look.",
        cautions="What a platform issues inside itself needs no record.",
        fix="record_trust",
        judge=_unrecorded,
    ),
    Rule(
        id="TB-2",
        title="Trust in everybody at an issuer",
        condition="A trust takes everybody for whom the issuer vouches, under no condition.",
        owasp="",
        base=Severity.HIGH,
        object_kind=ObjectKind.TRUST,
        inputs=("trusts.subject", "trusts.are_conditions_known"),
        coverage=("trust",),
        blind_spots="What the issuer itself demands before it vouches.",
        cautions="An issuer that vouches for one workload only.",
        fix="tighten_trust",
        judge=_anybody,
    ),
    Rule(
        id="TB-3",
        title="Ended at the issuer, honoured here",
        condition="The issuer ended it, and it was used here after the longest session that could be left.",
        owasp="",
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("attributes.revoked_at_issuer", "use.last_used_at", "credentials.ttl_seconds"),
        coverage=("trust",),
        thresholds=("revoked_skew_minutes",),
        blind_spots="Whatever was not used since.",
        cautions="Clocks that differ: some minutes are allowed.",
        fix="revoke",
        judge=_honoured_after_end,
    ),
)
