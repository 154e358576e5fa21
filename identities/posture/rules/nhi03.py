"""NHI3:2025 Vulnerable Third-Party NHI: what others hold in our systems."""

from collections.abc import Callable, Sequence

from governance.kernel.federation import IssuerSort, Looseness, subject_looseness
from identities.posture.facts import CredentialFacts, IdentityFacts, Missing, TrustFacts
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules.judged import Judged, Policy
from identities.posture.rules.parts import WRITING, each_trust, named, privileged, unread
from identities.posture.rules.reading import is_keyless, members, moment, text, words
from identities.posture.rules.rule import Rule
from identities.posture.rules.thresholds import limit
from identities.posture.rules.verdicts import Verdict, failed, lacking, not_applicable, not_known, passed, unknown

OWASP = "NHI3:2025"
# Reading or changing everybody's mail, files or directory. Names of scopes as the providers print them.
HIGH_RISK_SCOPES = frozenset({
    "Mail.Read", "Mail.ReadWrite", "Mail.Send", "Files.Read.All", "Files.ReadWrite.All", "Sites.FullControl.All",
    "Directory.ReadWrite.All", "Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All",
    "RoleManagement.ReadWrite.Directory", "Group.ReadWrite.All", "User.ReadWrite.All", "full_access_as_app",
    "https://mail.google.com/", "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/drive", "https://www.googleapis.com/auth/admin.directory.user",
    "https://www.googleapis.com/auth/cloud-platform", "admin:org", "organization_administration:write",
})  # fmt: skip


def _of_vendors(
    judge: Callable[[IdentityFacts, Policy], Sequence[Verdict]],
) -> Callable[[Judged, Policy], Sequence[Verdict]]:
    """The rule for third parties alone; where nobody says whose it is, it can't be judged."""

    def judged_by(judged: Judged, policy: Policy) -> Sequence[Verdict]:
        facts = judged.facts
        if not facts.is_enabled:
            return [not_applicable("disabled")]
        if isinstance(facts.is_third_party, Missing):
            return [not_known(lacking(vendor=facts.is_third_party))]
        return judge(facts, policy) if facts.is_third_party else [not_applicable("first_party")]

    return judged_by


def _unassessed(facts: IdentityFacts, policy: Policy) -> Sequence[Verdict]:
    power = privileged(facts) or [grant for grant in facts.grants if grant.classes & WRITING]
    if not power:
        return [unknown("unparsed")] if unread(facts) else [passed(vendor=facts.vendor)]
    if not privileged(facts):
        reach = _reach(facts)
        if isinstance(reach, Missing):
            return [not_known(lacking(reach=reach))]
        if not reach:
            return [passed(vendor=facts.vendor)]
    assessed = moment(facts.attributes, "vendor_assessed_at")
    if isinstance(assessed, Missing):
        return [not_known(lacking(assessment=assessed), vendor=facts.vendor)]
    if assessed is None or facts.now - assessed > limit(policy, "vendor_assessment_days"):
        return [failed(vendor=facts.vendor, assessed_at=assessed, holds=named(power))]
    return [passed(vendor=facts.vendor, assessed_at=assessed)]


def _reach(facts: IdentityFacts) -> bool | Missing:
    """Whether what it writes is production's or restricted."""
    doubt: Missing | None = None
    if facts.is_production:
        return True
    for grant in facts.grants:
        if not grant.classes & WRITING:
            continue
        for value in (grant.resource_environments, grant.touches_restricted_data):
            if isinstance(value, Missing):
                doubt = doubt or value
            elif value is True or (isinstance(value, frozenset) and "production" in value):
                return True
    return doubt or False


def _unused(facts: IdentityFacts, policy: Policy) -> Sequence[Verdict]:
    ends = moment(facts.attributes, "vendor_contract_ends_at")
    if ends is not None and not isinstance(ends, Missing) and ends < facts.now:
        return [failed(base=Severity.HIGH, why="the contract has ended", vendor=facts.vendor, contract_ended_at=ends)]
    used, allowed = facts.use.last_used_at, limit(policy, "dormant_vendor_days")
    if isinstance(used, Missing):
        return [not_known(lacking(use=used))]
    if used is None or facts.now - used >= allowed:
        watched = facts.use.watched_from
        is_seen = facts.source.can_report("last_used") or (watched is not None and facts.now - watched >= allowed)
        if not is_seen:
            return [unknown("lookback_too_short" if watched else "no_log")]
        born = facts.created_at if not isinstance(facts.created_at, Missing) else None
        if facts.now - (born or facts.first_seen_at) >= allowed:
            return [failed(vendor=facts.vendor, last_used_at=used)]
    if isinstance(ends, Missing):
        return [not_known(lacking(contract=ends))]
    return [passed(vendor=facts.vendor, last_used_at=used)]


def _confused_deputy(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    own = words(judged.facts.attributes, "own_accounts")
    return each_trust(judged.facts, lambda trust: _deputy(trust, own))


def _deputy(trust: TrustFacts, own: tuple[str, ...] | Missing) -> Verdict:
    judged = subject_looseness(trust.issuer, trust.subject)
    if judged.issuer is IssuerSort.PLATFORM:
        return not_applicable("platform_service", of=trust.id)
    if trust.conditions or (trust.audience and judged.looseness is not Looseness.ANY):
        return passed(of=trust.id, conditions=sorted(trust.conditions))
    account = trust.issuer.removeprefix("AWS account ")
    if not isinstance(own, Missing) and account in own:
        return not_applicable("own_account", of=trust.id)
    if not trust.are_conditions_known:
        return unknown("conditions_unknown", of=trust.id, issuer=trust.issuer)
    if isinstance(own, Missing) and account != trust.issuer:
        return unknown("own_accounts_unknown", of=trust.id, issuer=trust.issuer)
    return failed(of=trust.id, issuer=trust.issuer, subject=trust.subject)


def _incident(facts: IdentityFacts, policy: Policy) -> Sequence[Verdict]:
    happened = moment(facts.attributes, "vendor_incident_at")
    if isinstance(happened, Missing):
        return [not_known(lacking(incident=happened), vendor=facts.vendor)]
    if happened is None:
        return [passed(vendor=facts.vendor)]
    held = [each for each in facts.credentials if each.is_active and not is_keyless(each)]
    doubtful: list[CredentialFacts] = []
    stale: list[CredentialFacts] = []
    for credential in held:
        times = [credential.created_at, credential.last_rotated_at]
        known = [each for each in times if each is not None and not isinstance(each, Missing)]
        if any(each > happened for each in known):
            continue
        (doubtful if any(isinstance(each, Missing) for each in times) else stale).append(credential)
    if stale:
        return [failed(vendor=facts.vendor, incident_at=happened, not_changed_since=[each.kind for each in stale])]
    if doubtful:
        return [unknown("rotation_unknown", vendor=facts.vendor, incident_at=happened)]
    return [passed(vendor=facts.vendor, incident_at=happened)]


def _consent(facts: IdentityFacts, policy: Policy) -> Sequence[Verdict]:
    if facts.kind != "oauth_app":
        return [not_applicable("no_oauth_app")]
    consent = members(facts.attributes, "consent")
    if isinstance(consent, Missing):
        return [not_known(lacking(consent=consent))]
    kind, scopes = text(consent, "kind"), words(consent, "scopes")
    if missing := lacking(consent=kind, scopes=scopes):
        return [not_known(missing)]
    risky = HIGH_RISK_SCOPES.intersection(scopes)  # type: ignore[arg-type]
    if kind == "tenant" and risky:
        return [failed(vendor=facts.vendor, scopes=risky)]
    return [passed(vendor=facts.vendor, consent=kind)]


RULES = (
    Rule(
        id="NHI3-A",
        title="A vendor with power that nobody has assessed",
        condition="A third party holds something privileged, or writes production or restricted data, and was "
        "not assessed in time.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=(
            *("is_third_party", "attributes.vendor_assessed_at", "grants.is_parsed"),
            *("grants.resource_environments", "grants.touches_restricted_data"),
        ),
        coverage=("grants",),
        thresholds=("vendor_assessment_days",),
        blind_spots="How thorough an assessment was; vendors behind the vendor.",
        cautions="Own applications that are published under a vendor's name.",
        fix="record_vendor",
        judge=_of_vendors(_unassessed),
    ),
    Rule(
        id="NHI3-B",
        title="A vendor's access that nobody uses",
        condition="A third party has not used it for the threshold, or the contract has ended.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("is_third_party", "use.last_used_at", "attributes.vendor_contract_ends_at"),
        thresholds=("dormant_vendor_days",),
        blind_spots="Use that no log shows.",
        cautions="Integrations of a season.",
        fix="revoke",
        judge=_of_vendors(_unused),
    ),
    Rule(
        id="NHI3-C",
        title="Anybody at the other side may borrow it",
        condition="A stranger's account or issuer may take it on, and nothing tells for whom it asks (external "
        "id, source account, audience with subject).",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.TRUST,
        inputs=("trusts.are_conditions_known",),
        coverage=("trust",),
        blind_spots="Whether the other side checks for whom it asks.",
        cautions="Own accounts that `own_accounts` lacks look like strangers.",
        fix="tighten_trust",
        judge=_confused_deputy,
    ),
    Rule(
        id="NHI3-D",
        title="Not changed since the vendor's incident",
        condition="The vendor had an incident, and a credential that it holds is older than that.",
        owasp=OWASP,
        base=Severity.CRITICAL,
        object_kind=ObjectKind.IDENTITY,
        inputs=(
            *("is_third_party", "attributes.vendor_incident_at"),
            *("credentials.created_at", "credentials.last_rotated_at"),
        ),
        coverage=("credentials",),
        blind_spots="Incidents that nobody entered.",
        cautions="An incident may not touch this integration: accept the finding with that reason.",
        fix="rotate",
        judge=_of_vendors(_incident),
    ),
    Rule(
        id="NHI3-E",
        title="A vendor's app with consent for the whole organisation",
        condition="A vendor's app has consent of the whole organisation for everybody's mail, files or directory.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("is_third_party", "attributes.consent"),
        blind_spots="Scopes whose reach their name does not tell.",
        cautions="Security tools that need this: accept the finding, with an end.",
        fix="narrow",
        judge=_of_vendors(_consent),
    ),
)
