"""NHI7:2025 Long-Lived Secrets: no end, a far one, or never changed."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from identities.posture.facts import CredentialFacts, Missing
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules.judged import Judged, Policy
from identities.posture.rules.parts import each_credential
from identities.posture.rules.reading import MADE_ONCE, is_keyless
from identities.posture.rules.rule import Rule
from identities.posture.rules.thresholds import limit
from identities.posture.rules.verdicts import Verdict, failed, lacking, not_applicable, not_known, passed, unknown

OWASP = "NHI7:2025"
_ISSUED = frozenset({"platform_issued", "jwt_svid", "federated_trust", "token"})


def _no_end(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    return each_credential(judged.facts, _no_end_one)


def _no_end_one(credential: CredentialFacts) -> Verdict:
    if is_keyless(credential):
        return not_applicable("keyless", of=credential.id)
    ends = credential.expires_at
    if isinstance(ends, Missing):
        return not_known(lacking(expiry=ends), of=credential.id)
    if ends is not None:
        return passed(of=credential.id, expires_at=ends)
    return failed(of=credential.id, kind=credential.kind)


def _too_long(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    return each_credential(judged.facts, lambda credential: _too_long_one(credential, policy))


def _too_long_one(credential: CredentialFacts, policy: Policy) -> Verdict:
    if is_keyless(credential):
        return not_applicable("keyless", of=credential.id)
    made, ends = credential.created_at, credential.expires_at
    if ends is None:
        return not_applicable("no_expiry", of=credential.id)
    if missing := lacking(expiry=ends, creation=made if made is not None else Missing("not_reported")):
        return not_known(missing, of=credential.id)
    assert isinstance(made, datetime) and isinstance(ends, datetime)  # noqa: S101
    allowed = limit(policy, _life_of(credential))
    evidence: dict[str, Any] = {"days": (ends - made).days, "days_allowed": allowed.days, "expires_at": ends}
    if ends - made <= allowed:
        return passed(of=credential.id, **evidence)
    if ends - made > limit(policy, "secret_overdue_days"):
        return failed(of=credential.id, base=Severity.HIGH, why="lives beyond a year", **evidence)
    return failed(of=credential.id, **evidence)


def _life_of(credential: CredentialFacts) -> str:
    if credential.kind != "x509":
        return "secret_life_days"
    return "attested_certificate_life_hours" if credential.attested is True else "certificate_life_days"


def _not_rotated(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    return each_credential(facts, lambda credential: _not_rotated_one(credential, facts.now, policy))


def _not_rotated_one(credential: CredentialFacts, now: datetime, policy: Policy) -> Verdict:
    if is_keyless(credential):
        return not_applicable("keyless", of=credential.id)
    made, changed = credential.created_at, credential.last_rotated_at
    times = [each for each in (made, changed) if isinstance(each, datetime)]
    if not times:
        return unknown("age_unknown", of=credential.id)
    age, allowed = now - max(times), limit(policy, "secret_rotation_days")
    evidence: dict[str, Any] = {"days": age.days, "days_allowed": allowed.days}
    if age <= allowed:
        return passed(of=credential.id, **evidence)
    if isinstance(changed, Missing) and credential.kind not in MADE_ONCE:
        # Made long ago, and nobody tells whether it was changed since.
        return not_known(lacking(rotation=changed), of=credential.id)
    if age > limit(policy, "secret_overdue_days"):
        return failed(of=credential.id, base=Severity.HIGH, why="not changed for more than a year", **evidence)
    return failed(of=credential.id, **evidence)


def _unfinished(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    by_kind: dict[str, list[CredentialFacts]] = defaultdict(list)
    for credential in facts.credentials:
        if credential.is_active and not is_keyless(credential):
            by_kind[credential.kind].append(credential)
    several = {kind: held for kind, held in by_kind.items() if len(held) > 1}
    doubtful = False
    for kind, held in sorted(several.items()):
        made = [each.created_at for each in held]
        known = [each for each in made if isinstance(each, datetime)]
        # The younger of two is when both began to work at once.
        if len(known) == len(held):
            both_since = sorted(known)[1]
            if facts.now - both_since > limit(policy, "rotation_overlap_days"):
                return [failed(kind=kind, at_once=len(held), both_since=both_since)]
        else:
            doubtful = True
    return [unknown("creation_unknown", kinds=sorted(several))] if doubtful else [passed()]


def _session(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    return each_credential(judged.facts, lambda credential: _session_one(credential, policy))


def _session_one(credential: CredentialFacts, policy: Policy) -> Verdict:
    life = credential.ttl_seconds
    if isinstance(life, Missing):
        if credential.kind in _ISSUED:
            return not_known(lacking(session_life=life), of=credential.id)
        return not_applicable("no_session", of=credential.id)
    if life is None:
        return not_applicable("no_session", of=credential.id)
    allowed = limit(policy, "session_minutes")
    evidence: dict[str, Any] = {"minutes": life // 60, "minutes_allowed": int(allowed.total_seconds()) // 60}
    return (failed if life > allowed.total_seconds() else passed)(of=credential.id, **evidence)


RULES = (
    Rule(
        id="NHI7-A",
        title="A secret without end",
        condition="The credential never ends, and its source says so.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=("credentials.expires_at",),
        coverage=("credentials",),
        blind_spots="Ends that a gateway enforces and the source does not know.",
        cautions="Only where the source reports ends: no date from a source that knows none is not assessable.",
        fix="rotate",
        judge=_no_end,
    ),
    Rule(
        id="NHI7-B",
        title="A secret with a far end",
        condition="From its making to its end a credential lives longer than the policy allows for its kind.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=("credentials.expires_at", "credentials.created_at"),
        coverage=("credentials",),
        thresholds=(
            "secret_life_days",
            "certificate_life_days",
            "attested_certificate_life_hours",
            "secret_overdue_days",
        ),
        blind_spots="Renewal of the same key under a new certificate.",
        cautions="Roots and intermediates are another kind, and not recorded as credentials of identities.",
        fix="rotate",
        judge=_too_long,
    ),
    Rule(
        id="NHI7-C",
        title="Not rotated",
        condition="It was made or last changed longer ago than the policy allows.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=("credentials.created_at", "credentials.last_rotated_at"),
        coverage=("credentials",),
        thresholds=("secret_rotation_days", "secret_overdue_days"),
        blind_spots="Whether the old value still works somewhere.",
        cautions="What is made anew with each change is as old as itself; for passwords the change must be told.",
        fix="rotate",
        judge=_not_rotated,
    ),
    Rule(
        id="NHI7-D",
        title="A rotation that nobody finished",
        condition="Two working credentials of one kind exist side by side for longer than a rotation takes.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("credentials.created_at",),
        coverage=("credentials",),
        thresholds=("rotation_overlap_days",),
        blind_spots="Credentials that the source does not list.",
        cautions="Two at once by design: accept the finding with that reason.",
        fix="deactivate",
        judge=_unfinished,
    ),
    Rule(
        id="NHI7-E",
        title="Sessions that live too long",
        condition="What is issued for a session lives longer than the policy allows.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=("credentials.ttl_seconds",),
        coverage=("credentials",),
        thresholds=("session_minutes",),
        blind_spots="Lives that whoever asks may choose.",
        cautions="Refresh tokens are credentials of their own.",
        fix="change_application",
        judge=_session,
    ),
)
