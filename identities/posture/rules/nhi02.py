"""NHI2:2025 Secret Leakage: secrets that lie where they should not."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from identities.posture.facts import CredentialFacts, IdentityFacts, Missing
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules.judged import Judged, Policy
from identities.posture.rules.parts import each_credential
from identities.posture.rules.reading import entries, flag, is_keyless, moment, text
from identities.posture.rules.rule import Rule
from identities.posture.rules.thresholds import limit
from identities.posture.rules.verdicts import Verdict, failed, lacking, not_applicable, not_known, passed, unknown

OWASP = "NHI2:2025"


def _exposed(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    return each_credential(facts, lambda credential: _exposed_one(credential, facts.now, policy))


def _exposed_one(credential: CredentialFacts, now: datetime, policy: Policy) -> Verdict:
    if is_keyless(credential):
        return not_applicable("keyless", of=credential.id)
    leaks = _leaks(credential, policy)
    if isinstance(leaks, str):
        return unknown(leaks, of=credential.id)
    if leaks:
        is_public = any(flag(leak, "is_public") is True for leak in leaks)
        return failed(
            of=credential.id,
            base=Severity.HIGH,
            why="seen outside its store",
            is_exposed=is_public,
            places=[str(leak.get("where", "")) for leak in leaks],
        )
    reason = _unscanned(credential.attributes, now, policy)
    return unknown(reason, of=credential.id) if reason else passed(of=credential.id)


def _leaks(credential: CredentialFacts, policy: Policy) -> list[Mapping[str, Any]] | str:
    """Findings of scanners outside sanctioned stores, or why there can be none to see."""
    found = entries(credential.attributes, "leaks")
    if isinstance(found, Missing):
        return "no_scanner" if found.reason == "not_reported" else "leaks_malformed"
    return [leak for leak in found if not policy.lists.is_sanctioned(str(leak.get("where", "")))]


def _unscanned(attributes: Mapping[str, Any], now: datetime, policy: Policy) -> str:
    """Why "no leak found" can't be said, or ""."""
    scanned = moment(attributes, "scanned_at")
    if scanned is None or isinstance(scanned, Missing):
        return "no_scanner"
    return "scan_stale" if now - scanned > limit(policy, "scan_days") else ""


def _not_rotated(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    return each_credential(facts, lambda credential: _not_rotated_one(credential, facts.now, policy))


def _not_rotated_one(credential: CredentialFacts, now: datetime, policy: Policy) -> Verdict:
    if is_keyless(credential):
        return not_applicable("keyless", of=credential.id)
    leaks = _leaks(credential, policy)
    if isinstance(leaks, str):
        return unknown(leaks, of=credential.id)
    if not leaks:
        reason = _unscanned(credential.attributes, now, policy)
        return unknown(reason, of=credential.id) if reason else not_applicable("no_leak", of=credential.id)
    changed = credential.last_rotated_at
    if isinstance(changed, Missing):
        return not_known(lacking(rotation=changed), of=credential.id)
    seen = [moment(leak, "first_seen_at") for leak in leaks]
    times = [each for each in seen if isinstance(each, datetime)]
    if len(times) < len(seen):
        return unknown("leak_time_unknown", of=credential.id)
    late = [
        first
        for first, leak in zip(times, leaks, strict=True)
        if first + _time_to_rotate(leak, policy) < now and (changed is None or changed <= first)
    ]
    if late:
        is_public = any(flag(leak, "is_public") is True for leak in leaks)
        return failed(of=credential.id, seen_at=min(late), last_rotated_at=changed, is_exposed=is_public)
    return passed(of=credential.id, last_rotated_at=changed, seen_at=max(times))


def _time_to_rotate(leak: Mapping[str, Any], policy: Policy) -> Any:
    return limit(policy, "leak_public_hours" if flag(leak, "is_public") is True else "leak_internal_hours")


def _storage(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    return each_credential(judged.facts, lambda credential: _storage_one(credential, policy))


def _storage_one(credential: CredentialFacts, policy: Policy) -> Verdict:
    if is_keyless(credential):
        return not_applicable("keyless", of=credential.id)
    if isinstance(credential.storage, Missing) or not credential.storage:
        missing = credential.storage if isinstance(credential.storage, Missing) else Missing("not_reported")
        return not_known(lacking(storage=missing), of=credential.id)
    if policy.lists.is_unsanctioned(credential.storage):
        return failed(of=credential.id, storage=credential.storage)
    if policy.lists.is_sanctioned(credential.storage):
        return passed(of=credential.id, storage=credential.storage)
    return unknown("storage_unknown", of=credential.id, storage=credential.storage)


def _scanned(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if facts.source.can_report("credentials") and not any(
        credential.is_active and not is_keyless(credential) for credential in facts.credentials
    ):
        return [not_applicable("keyless")]
    if isinstance(facts.workloads, Missing):
        return [not_known(lacking(workload=facts.workloads))]
    if not facts.workloads:
        return [unknown("no_workload_link")]
    reason = _unscanned(facts.attributes, facts.now, policy)
    return [unknown(reason, workloads=facts.workloads)] if reason else [passed(scanner=_scanner(facts))]


def _scanner(facts: IdentityFacts) -> str | None:
    found = text(facts.attributes, "scanned_by")
    return None if isinstance(found, Missing) else found


RULES = (
    Rule(
        id="NHI2-A",
        title="A live secret lies in the open",
        condition="A scanner found a working credential outside the places that are made for secrets.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=("credentials.attributes.leaks", "credentials.attributes.scanned_at"),
        coverage=("credentials",),
        thresholds=("scan_days",),
        blind_spots="Places that no scanner looks at, and secrets that were encoded or cut up.",
        cautions="Dummy and example keys, and keys that are dead already: prefer findings that a provider confirmed.",
        fix="rotate",
        judge=_exposed,
    ),
    Rule(
        id="NHI2-B",
        title="Not rotated after it leaked",
        condition="A leak was seen, the time to react is over, and the secret was not changed since.",
        owasp=OWASP,
        base=Severity.CRITICAL,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=(*("credentials.attributes.leaks", "credentials.attributes.scanned_at", "credentials.last_rotated_at"),),
        coverage=("credentials",),
        thresholds=("leak_public_hours", "leak_internal_hours", "scan_days"),
        blind_spots="Whether the old value is dead: a rotation is not a revocation.",
        cautions="The time runs from the first sighting, which may be later than the leak.",
        fix="rotate",
        judge=_not_rotated,
    ),
    Rule(
        id="NHI2-C",
        title="Kept where secrets do not belong",
        condition="The secret is kept in source code, an image, plain configuration, an unmasked variable, a "
        "wiki or a chat.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=("credentials.storage",),
        coverage=("credentials",),
        blind_spots="Copies: the place that is known need not be the only one.",
        cautions="A word for a place that the rule does not know is not judged.",
        fix="rotate",
        judge=_storage,
    ),
    Rule(
        id="NHI2-D",
        title="Nobody looks for its leaked secrets",
        condition="No scanner looked lately at the places its workloads are made from.",
        owasp=OWASP,
        base=None,
        object_kind=ObjectKind.IDENTITY,
        inputs=("workloads", "attributes.scanned_at"),
        thresholds=("scan_days",),
        blind_spots="How well the scanner looks.",
        cautions="A gap in what is measured, not a weakness: it never fails, it only says what A and B can't.",
        fix="read_source",
        judge=_scanned,
    ),
)
