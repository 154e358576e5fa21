"""NHI1:2025 Improper Offboarding: what outlives its owner, its work or its removal."""

from collections.abc import Sequence
from typing import Any

from identities.posture.facts import CredentialFacts, IdentityFacts, Missing
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules.judged import Judged, Policy
from identities.posture.rules.parts import each_credential
from identities.posture.rules.reading import is_keyless, members
from identities.posture.rules.rule import Rule
from identities.posture.rules.thresholds import limit
from identities.posture.rules.verdicts import Verdict, failed, lacking, not_applicable, not_known, passed, unknown

OWASP = "NHI1:2025"
# A backup stands in for a day, a sponsor pays: neither answers for it.
ACCOUNTABLE = ("owner", "team")
LIVE, GONE = "live", frozenset({"archived", "deleted", "retired", "gone"})


def _owner_departed(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if not facts.is_enabled:
        return [not_applicable("disabled")]
    owners = [person for person in facts.people if person.role in ACCOUNTABLE]
    if not owners:
        return [not_applicable("no_owner")]
    if any(person.is_active is True for person in owners):
        return [passed()]
    if any(isinstance(person.is_active, Missing) for person in owners):
        return [unknown("owner_status_unknown")]
    departed = [person.departed_at for person in owners if person.departed_at]
    return [
        failed(
            owners=len(owners),
            departed_at=max((each for each in departed if not isinstance(each, Missing)), default=None),
        )
    ]


def _no_owner(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if not facts.is_enabled:
        return [not_applicable("disabled")]
    if facts.is_platform_managed:
        return [not_applicable("platform_managed")]
    roles = {person.role for person in facts.people}
    if roles & set(ACCOUNTABLE):
        return [passed()]
    tried = ["owner named here", "team named here", "owner named by the source"]
    if facts.environment in ("staging", "development"):
        return [failed(base=Severity.MEDIUM, why="outside production", looked_for=tried, others=roles)]
    return [failed(looked_for=tried, others=roles)]


def _dormant(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if not facts.is_enabled:
        return [not_applicable("disabled")]
    allowed = limit(policy, "dormant_privileged_days" if facts.is_privileged else "dormant_days").days
    if facts.expected_cadence_days is not None:
        allowed = max(allowed, facts.expected_cadence_days)
    used = facts.use.last_used_at
    if not isinstance(used, Missing) and used is not None and (facts.now - used).days < allowed:
        return [passed(last_used_at=used, days_allowed=allowed)]
    if isinstance(facts.created_at, Missing):
        return [not_known(lacking(age=facts.created_at))]
    born = facts.created_at or facts.first_seen_at
    if (facts.now - born).days < allowed:
        return [passed(created_at=born, days_allowed=allowed)]
    if isinstance(used, Missing):
        return [not_known(lacking(use=used))]
    if reason := _unwatched(facts, policy, allowed):
        return [unknown(reason, days_needed=allowed, watched_from=facts.use.watched_from)]
    evidence: dict[str, Any] = {"last_used_at": used, "days_allowed": allowed, "created_at": born}
    if facts.is_privileged:
        return [failed(base=Severity.HIGH, why="privileged", never_used=used is None, **evidence)]
    return [failed(never_used=used is None, **evidence)]


def _unwatched(facts: IdentityFacts, policy: Policy, days: int) -> str:
    """Why "not seen in use" says nothing, or "". A source that keeps the last use itself needs no log."""
    if facts.source.can_report("last_used"):
        return "" if facts.source.is_fresh else "stale"
    since, until = facts.use.watched_from, facts.use.watched_until
    if since is None or until is None:
        return "no_log"
    if facts.now - until > limit(policy, "log_lag_days"):
        return "log_ended"
    return "lookback_too_short" if (facts.now - since).days < days else ""


def _workload_gone(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if not facts.is_enabled:
        return [not_applicable("disabled")]
    if facts.attributes.get("exists") is False:
        return [failed(what="the account that rights are bound to does not exist; whoever makes it gets them")]
    if isinstance(facts.workloads, Missing):
        return [not_known(lacking(workload=facts.workloads))]
    if not facts.workloads:
        return [unknown("no_workload_link")]
    states = members(facts.attributes, "workload_states")
    if isinstance(states, Missing):
        return [not_known(lacking(workload_state=states))]
    found = {workload: states.get(workload) for workload in facts.workloads}
    if LIVE in found.values():
        return [passed(live=[name for name, state in found.items() if state == LIVE])]
    if set(found.values()) <= GONE:
        return [failed(workloads=found)]
    return [unknown("workload_state_unknown", workloads=found)]


def _residual(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if facts.removed_but_present:
        return [failed(still_present=facts.removed_but_present)]
    if not facts.removals:
        return [not_applicable("nothing_removed")]
    return [passed(removed=facts.removals)]


def _leaver_knew(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    return each_credential(judged.facts, _knower)


def _knower(credential: CredentialFacts) -> Verdict:
    if is_keyless(credential):
        return not_applicable("keyless", of=credential.id)
    left = credential.creator_departed_at
    if isinstance(credential.created_by, Missing) or credential.created_by is None:
        return unknown("creator_unknown", of=credential.id)
    if isinstance(left, Missing):
        return unknown("departure_unknown", of=credential.id)
    if left is None:
        return passed(of=credential.id)
    changed = credential.last_rotated_at
    if isinstance(changed, Missing):
        return not_known(lacking(rotation=changed), of=credential.id)
    if changed is None or changed < left:
        return failed(of=credential.id, departed_at=left, last_rotated_at=changed)
    return passed(of=credential.id, departed_at=left, last_rotated_at=changed)


RULES = (
    Rule(
        id="NHI1-A",
        title="Its owner has left",
        condition="It is enabled, somebody is named as owner, and none of the named is still here.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("people.is_active",),
        needs_fresh=False,
        blind_spots="People whose leaving nobody told Remit; a team whose members changed their work but not the team.",
        cautions="Merged or renamed accounts and leave of absence; a team passes with one active member.",
        fix="assign_owner",
        judge=_owner_departed,
    ),
    Rule(
        id="NHI1-B",
        title="Nobody answers for it",
        condition="It is enabled, and neither a person nor a team is named as its owner.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=(),
        needs_fresh=False,
        blind_spots="Whether the named person knows of it: a review about ownership asks.",
        cautions="Identities that a platform makes and keeps are not counted; the connector says which these are.",
        fix="assign_owner",
        judge=_no_owner,
    ),
    Rule(
        id="NHI1-C",
        title="Dormant",
        condition="It is enabled, older than the threshold, and was not used for as long, or never.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("use.last_used_at", "created_at", "use.watched_from"),
        thresholds=("dormant_privileged_days", "dormant_days", "log_lag_days"),
        blind_spots="Use that no imported log and no source shows; services that the provider does not track.",
        cautions="Standby for disasters and yearly jobs: declare how often it is used, and it is measured by that.",
        fix="declare_use",
        judge=_dormant,
    ),
    Rule(
        id="NHI1-D",
        title="The work it was made for is gone",
        condition="Every application, repository or cluster that it is linked to is gone, and it is still enabled.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("workloads", "attributes.workload_states"),
        blind_spots="Workloads that nobody linked to it.",
        cautions="Renamed repositories and the idle half of a blue-green pair; one live link is enough to pass.",
        fix="quarantine",
        judge=_workload_gone,
    ),
    Rule(
        id="NHI1-E",
        title="Removed access is still there",
        condition="Remit had access removed, and a reading begun afterwards still shows it.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=(),
        coverage=("grants",),
        blind_spots="Sessions that outlive the change where the source does not list them; removals outside Remit.",
        cautions="A source that needs time to agree with itself, and providers that delete softly.",
        fix="revoke",
        judge=_residual,
    ),
    Rule(
        id="NHI1-F",
        title="Somebody who left could know the secret",
        condition="Whoever made or held the credential left after its secret was last changed.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=("credentials.created_by", "credentials.creator_departed_at", "credentials.last_rotated_at"),
        coverage=("credentials",),
        blind_spots="Everybody who read the secret without having made or held it.",
        cautions="Credentials without a secret are left out.",
        fix="rotate",
        judge=_leaver_knew,
    ),
)
