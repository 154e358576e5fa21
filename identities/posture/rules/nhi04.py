"""NHI4:2025 Insecure Authentication: weak, replayable or needless ways to prove oneself."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from identities.posture.facts import CredentialFacts, GrantFacts, IdentityFacts, Missing
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules.application import implies_everything
from identities.posture.rules.judged import Judged, Policy
from identities.posture.rules.levels import required_levels
from identities.posture.rules.parts import each_credential, known_environment, privileged
from identities.posture.rules.reading import SIGNING, flag, is_keyless, members, text, words
from identities.posture.rules.rule import Rule
from identities.posture.rules.severity import reaches_production
from identities.posture.rules.thresholds import limit, number
from identities.posture.rules.verdicts import Verdict, failed, lacking, not_applicable, not_known, passed, unknown

OWASP = "NHI4:2025"
WEAK_SIGNATURES = frozenset({"sha1", "md5"})
WEAK_TRANSPORT = frozenset({"none", "ssl2", "ssl3", "tls1.0", "tls1.1"})
# Where a workload runs → what would prove it without a secret.
KEYLESS_AT = {
    "ec2": "instance profile", "ecs": "task role", "lambda": "execution role", "eks": "pod identity",
    "gce": "attached service account", "cloud_run": "attached service account", "gke": "workload identity",
    "azure_vm": "managed identity", "azure_functions": "managed identity", "aks": "workload identity",
    "kubernetes": "projected token or SPIFFE", "github_actions": "OIDC federation", "gitlab_ci": "OIDC federation",
    "bitbucket_pipelines": "OIDC federation", "terraform_cloud": "OIDC federation", "spiffe": "SPIFFE",
}  # fmt: skip
KEYS_ONLY = frozenset({"saas", "on_premises", "appliance", "desktop"})


def _deprecated(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    return each_credential(judged.facts, lambda credential: _deprecated_one(credential, policy))


def _deprecated_one(credential: CredentialFacts, policy: Policy) -> Verdict:
    found = _weaknesses(credential, policy)
    if found:
        return failed(of=credential.id, weak=found, last_used_at=_known(credential.last_used_at))
    needed: dict[str, object] = {"method": credential.method}
    if credential.kind in {"ssh_key", "x509"}:
        needed["key_algorithm"] = credential.key_algorithm
        if str(credential.key_algorithm).lower().startswith("rsa"):
            needed["key_bits"] = credential.key_bits
    missing = lacking(**needed)
    return not_known(missing, of=credential.id) if missing else passed(of=credential.id, method=credential.method)


def _weaknesses(credential: CredentialFacts, policy: Policy) -> list[str]:
    method = credential.method
    found = [f"method {method}"] if method in policy.lists.deprecated_methods else []
    bits, algorithm = credential.key_bits, credential.key_algorithm
    is_rsa = isinstance(algorithm, str) and algorithm.lower().startswith(("rsa", "dsa"))
    if is_rsa and isinstance(bits, int) and bits < number(policy, "rsa_bits"):
        found.append(f"{algorithm} with {bits} bits")
    signature, transport = text(credential.attributes, "signature"), text(credential.attributes, "transport")
    if isinstance(signature, str) and signature.lower() in WEAK_SIGNATURES:
        found.append(f"signed with {signature}")
    if isinstance(transport, str) and transport.lower() in WEAK_TRANSPORT:
        found.append(f"sent over {transport}")
    return found


def _known(value: object) -> object:
    return None if isinstance(value, Missing) else value


def _static_needlessly(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if not facts.is_enabled:
        return [not_applicable("disabled")]
    static = [each for each in facts.credentials if each.is_active and not is_keyless(each)]
    if not static:
        return [passed()]
    runtime = text(facts.attributes, "runtime")
    if isinstance(runtime, Missing):
        return [not_known(lacking(runtime=runtime))]
    if runtime in KEYLESS_AT:
        return [failed(runtime=runtime, instead=KEYLESS_AT[runtime], kinds=sorted({each.kind for each in static}))]
    if runtime in KEYS_ONLY:
        return [not_applicable("keys_only", runtime=runtime)]
    return [unknown("runtime_unknown", runtime=runtime)]


def _below_need(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    assurance, exposure = judged.assurance, judged.exposure
    if assurance is None or exposure is None:
        return [unknown("not_scored")]
    if not exposure.is_assessable:
        return [unknown("exposure_unknown")]
    in_time = _is_just_in_time(judged.facts, policy)
    least, most = required_levels(exposure, policy, is_just_in_time=in_time)
    evidence: dict[str, Any] = {
        "assurance": f"A{assurance.lower} to A{assurance.upper}",
        "exposure": f"{exposure.low:g} to {exposure.high:g}",
        "required": f"A{least}" if least == most else f"A{least} to A{most}",
        "given_just_in_time": in_time or None,
        "to_raise": assurance.to_raise,
    }
    if assurance.lower >= most:
        return [passed(**evidence)]
    if assurance.upper < least:
        return [failed(**evidence)]
    if assurance.lower < assurance.upper and assurance.upper >= most:
        return [unknown("assurance_range", **evidence)]
    return [unknown("limits_unknown" if in_time is None else "exposure_range", **evidence)]


def _is_just_in_time(facts: IdentityFacts, policy: Policy) -> bool | None:
    """Whether every privileged grant ends within hours of having been given, or each request is checked."""
    states = [_is_given_for_hours(grant, policy) for grant in privileged(facts)]
    if not states or False in states:
        return False
    return None if None in states else True


def _is_given_for_hours(grant: GrantFacts, policy: Policy) -> bool | None:
    if not isinstance(grant.condition_sorts, Missing) and "per_request" in grant.condition_sorts:
        return True
    if isinstance(grant.ends_at, Missing):
        return None
    return grant.ends_at is not None and grant.ends_at - grant.first_seen_at <= limit(policy, "just_in_time_hours")


def _redirects(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if facts.kind not in {"oauth_app", "api_client"}:
        return [not_applicable("no_oauth_app")]
    client = members(facts.attributes, "oauth")
    if isinstance(client, Missing):
        return [not_known(lacking(registration=client))]
    flows = words(client, "flows")
    if isinstance(flows, Missing):
        return [not_known(lacking(flows=flows))]
    if "authorization_code" not in flows:
        return [not_applicable("no_code_flow", flows=flows)]
    pkce, uris = flag(client, "pkce_required"), words(client, "redirect_uris")
    loose = [] if isinstance(uris, Missing) else [uri for uri in uris if _is_loose_uri(uri)]
    if loose or pkce is False:
        return [failed(redirects=loose, pkce="not required" if pkce is False else "")]
    missing = lacking(pkce=pkce, redirects=uris)
    return [not_known(missing)] if missing else [passed()]


def _is_loose_uri(uri: str) -> bool:
    if "*" in uri:
        return True
    parts = urlsplit(uri)
    # What never leaves the machine needs no TLS (RFC 8252, loopback redirects of native apps).
    return parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}


def _replayable(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if not facts.is_privileged:
        return [not_applicable("not_privileged")]
    if not reaches_production(facts):
        environment = known_environment(facts)
        return [
            not_known(lacking(environment=environment))
            if isinstance(environment, Missing)
            else not_applicable("not_production")
        ]
    return each_credential(facts, _replayable_one)


def _replayable_one(credential: CredentialFacts) -> Verdict:
    if credential.kind in SIGNING:
        return not_applicable("proof_of_possession", of=credential.id)
    bound = credential.sender_constrained
    if isinstance(bound, Missing):
        return not_known(lacking(binding=bound), of=credential.id)
    return passed(of=credential.id) if bound else failed(of=credential.id, kind=credential.kind)


def _login_is_all(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    everything = implies_everything(facts)
    if isinstance(everything, Missing):
        return [not_known(lacking(authz_model=everything))]
    if not everything:
        return [passed(authz_model=facts.authz_model)]
    matters = _matters(facts)
    if isinstance(matters, Missing):
        return [not_known(lacking(environment=matters))]
    can = frozenset(name for grant in facts.grants for name in grant.classes)
    evidence: dict[str, Any] = {"authz_model": facts.authz_model, "application_can": can}
    return [failed(**evidence)] if matters else [passed(**evidence)]


def _matters(facts: IdentityFacts) -> bool | Missing:
    """Whether what it opens is production's or restricted."""
    sensitive = [grant.touches_restricted_data for grant in facts.grants]
    if reaches_production(facts) or True in sensitive:
        return True
    environment = known_environment(facts)
    if isinstance(environment, Missing):
        return environment
    return next((each for each in sensitive if isinstance(each, Missing)), False)


RULES = (
    Rule(
        id="NHI4-A",
        title="A deprecated way to sign in",
        condition="It signs in by a deprecated method, or with a key, signature or transport below the policy.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=("credentials.method", "credentials.key_algorithm", "credentials.key_bits"),
        coverage=("credentials",),
        thresholds=("rsa_bits",),
        blind_spots="Methods that are switched on at the other side without the source telling.",
        cautions="Allowed is not used: the last use stands beside it.",
        fix="move_to_federation",
        judge=_deprecated,
    ),
    Rule(
        id="NHI4-B",
        title="A static secret where none is needed",
        condition="It holds a static secret, and where it runs the platform would prove it without one.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("attributes.runtime",),
        coverage=("credentials",),
        blind_spots="Workloads that run in several places.",
        cautions="Targets that take nothing but keys: say so by the runtime `saas`.",
        fix="move_to_federation",
        judge=_static_needlessly,
    ),
    Rule(
        id="NHI4-C",
        title="Proves itself less well than its power demands",
        condition="Even the upper bound of its assurance is below what the band of its exposure demands.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("assurance", "exposure", "grants.ends_at"),
        coverage=("credentials", "grants"),
        thresholds=("just_in_time_hours",),
        blind_spots="Whatever the two scores could not see.",
        cautions="Fails only where even the upper bound is too low; between the bounds it says what is missing.",
        fix="move_to_federation",
        judge=_below_need,
    ),
    Rule(
        id="NHI4-D",
        title="The sign-in of its app can be intercepted",
        condition="Its client uses the code flow without PKCE, or has a redirect with a wildcard or without TLS.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("attributes.oauth",),
        blind_spots="What the server accepts beyond what is registered.",
        cautions="Redirects to the own machine are allowed without TLS.",
        fix="change_application",
        judge=_redirects,
    ),
    Rule(
        id="NHI4-E",
        title="Whoever copies its token can use it",
        condition="It is privileged in production, and its token is good for whoever holds it.",
        owasp=OWASP,
        base=Severity.LOW,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=("credentials.sender_constrained", "environment"),
        coverage=("credentials", "grants"),
        blind_spots="Binding that is offered but not enforced.",
        cautions="Many providers can't bind tokens: advice, never more than low.",
        fix="change_application",
        is_advisory=True,
        judge=_replayable,
    ),
    Rule(
        id="NHI4-F",
        title="Being signed in is all that is asked",
        condition="Its application lets whoever is signed in do everything (or has a fixed list of who may), "
        "in production or over restricted data.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("authz_model", "environment", "grants.touches_restricted_data"),
        blind_spots="What the application does is what its owner says (`application_classes`).",
        cautions="Small tools outside production pass.",
        fix="change_application",
        judge=_login_is_all,
    ),
)
