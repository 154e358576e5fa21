"""NHI9:2025 NHI Reuse: one identity for several."""

from collections.abc import Sequence

from identities.posture.facts import CredentialFacts, Missing
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules.judged import Judged, Policy
from identities.posture.rules.nhi06 import is_default_account
from identities.posture.rules.parts import each_credential
from identities.posture.rules.reading import is_keyless, whole
from identities.posture.rules.rule import Rule
from identities.posture.rules.thresholds import limit
from identities.posture.rules.verdicts import Verdict, failed, lacking, not_applicable, not_known, passed, unknown

OWASP = "NHI9:2025"
SYSTEM_NAMESPACES = ("kube-system/", "kube-public/", "kube-node-lease/")


def _several_workloads(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if isinstance(facts.workloads, Missing):
        return [not_known(lacking(workload=facts.workloads))]
    if not facts.workloads:
        return [unknown("no_workload_link")]
    if len(facts.workloads) > 1:
        return [failed(workloads=facts.workloads)]
    return [passed(workloads=facts.workloads)]


def _same_secret(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    return each_credential(judged.facts, _same_secret_one)


def _same_secret_one(credential: CredentialFacts) -> Verdict:
    if is_keyless(credential):
        return not_applicable("keyless", of=credential.id)
    if isinstance(credential.fingerprint, Missing) or not credential.fingerprint:
        return unknown("fingerprint_unknown", of=credential.id)
    if isinstance(credential.same_elsewhere, Missing):
        return not_known(lacking(fingerprint=credential.same_elsewhere), of=credential.id)
    if credential.same_elsewhere:
        return failed(of=credential.id, other_places=credential.same_elsewhere)
    return passed(of=credential.id)


def _many_callers(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts, use = judged.facts, judged.facts.use
    if isinstance(use.callers, Missing):
        addresses = whole(facts.attributes, "caller_addresses")
        if not isinstance(addresses, Missing):
            # One gateway hides many callers and one caller moves between many: an address is a hint, never a verdict.
            return [unknown("addresses_only", addresses=addresses)]
        return [not_known(lacking(callers=use.callers))]
    if use.callers > 1:
        return [failed(callers=use.callers)]
    if use.watched_from is None or use.watched_until is None:
        return [unknown("no_log")]
    if facts.now - use.watched_until > limit(policy, "log_lag_days"):
        return [unknown("log_ended", watched_until=use.watched_until)]
    if use.watched_until - use.watched_from < limit(policy, "callers_watched_days"):
        return [unknown("lookback_too_short", watched_from=use.watched_from)]
    return [passed(callers=use.callers)]


def _shared_default(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    is_node = bool(facts.attributes.get("instance_profiles"))
    if not is_node and not is_default_account(facts):
        return [not_applicable("no_default_identity")]
    if facts.name.startswith(SYSTEM_NAMESPACES):
        return [not_applicable("system_namespace")]
    if isinstance(facts.workloads, Missing):
        return [not_known(lacking(workload=facts.workloads))]
    if len(facts.workloads) > 1:
        return [failed(workloads=facts.workloads)]
    return [passed(workloads=facts.workloads)]


RULES = (
    Rule(
        id="NHI9-A",
        title="Several workloads share it",
        condition="More than one application uses it.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("workloads",),
        blind_spots="Workloads that nobody linked to it.",
        cautions="Replicas and sidecars of one application count once: workloads go by the application's name.",
        fix="separate",
        judge=_several_workloads,
    ),
    Rule(
        id="NHI9-B",
        title="The same secret in several places",
        condition="The same secret, by its fingerprint, stands in another place or belongs to another identity too.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=("credentials.fingerprint", "credentials.same_elsewhere"),
        coverage=("credentials",),
        blind_spots="Secrets without a fingerprint, and fingerprints made with different keys.",
        cautions="A replica of the same store for disasters.",
        fix="rotate",
        judge=_same_secret,
    ),
    Rule(
        id="NHI9-C",
        title="Several callers use it",
        condition="More than one workload calls through it.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("use.callers", "use.watched_from"),
        thresholds=("callers_watched_days", "log_lag_days"),
        blind_spots="Callers behind one gateway.",
        cautions="Counted are workloads that the log names; a number of addresses is shown and never fails.",
        fix="separate",
        judge=_many_callers,
    ),
    Rule(
        id="NHI9-D",
        title="A default identity that several applications use",
        condition="A namespace's default account, or a node's role, serves more than one application.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("workloads",),
        blind_spots="Pods that nobody linked to it.",
        cautions="Namespaces of the system itself are left out.",
        fix="separate",
        judge=_shared_default,
    ),
)
