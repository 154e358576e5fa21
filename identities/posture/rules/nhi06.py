"""NHI6:2025 Insecure Cloud Deployment Configurations: pipelines and the trust in them."""

from collections.abc import Sequence
from typing import Any

from governance.kernel.federation import IssuerSort, Looseness, subject_looseness
from identities.posture.facts import CredentialFacts, IdentityFacts, Missing, TrustFacts
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules.claims import claims_of, immutable_claims
from identities.posture.rules.judged import Judged, Policy
from identities.posture.rules.parts import each_credential, each_trust, named
from identities.posture.rules.reading import flag, members, text
from identities.posture.rules.rule import Rule
from identities.posture.rules.verdicts import Verdict, failed, lacking, not_applicable, not_known, passed, unknown

OWASP = "NHI6:2025"
CLOUDS = frozenset({"aws", "azure", "gcp"})
# How sources begin what they say about a place in a pipeline, whose runner could federate instead.
CI_STORES = ("masked_ci_var", "unmasked_ci_var", "ci_var", "ci variable", "ci secret")
# Trust that no token of an issuer proves: NHI3-C and TB-2 judge whom it lets in.
NO_TOKENS = frozenset({IssuerSort.ANYBODY, IssuerSort.ACCOUNT, IssuerSort.PLATFORM})
_CLOUD_KEYS = frozenset({"access_key", "client_secret", "api_key"})


def _loose_trust(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    return each_trust(judged.facts, _loose_one)


def _loose_one(trust: TrustFacts) -> Verdict:
    if not trust.is_public_issuer:
        return not_applicable("private_issuer", of=trust.id)
    judged = subject_looseness(trust.issuer, trust.subject)
    if judged.issuer in NO_TOKENS:
        return not_applicable("no_token_issuer", of=trust.id)
    told: dict[str, Any] = {
        "issuer": trust.issuer,
        "subject": trust.subject,
        "audience": trust.audience,
        "who": judged.words,
    }
    pinned = claims_of(trust.conditions) & set(immutable_claims(trust.issuer))
    if judged.looseness in (Looseness.LOOSE, Looseness.ANY) and not pinned:
        if not trust.are_conditions_known:
            return unknown("conditions_unknown", of=trust.id, **told)
        return failed(of=trust.id, **told)
    if not trust.audience:
        return failed(of=trust.id, base=Severity.HIGH, why="only the audience is open", **told)
    return passed(of=trust.id, **told, pinned_by=pinned)


def _key_in_ci(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if facts.source.kind not in CLOUDS and not any(grant.dialect in CLOUDS for grant in facts.grants):
        return [not_applicable("no_cloud")]
    return each_credential(facts, lambda credential: _key_in_ci_one(credential, policy))


def _key_in_ci_one(credential: CredentialFacts, policy: Policy) -> Verdict:
    if credential.kind not in _CLOUD_KEYS:
        return not_applicable("no_cloud_key", of=credential.id)
    if isinstance(credential.storage, Missing):
        return not_known(lacking(storage=credential.storage), of=credential.id)
    if credential.storage.lower().startswith(CI_STORES):
        return failed(of=credential.id, storage=credential.storage)
    if policy.lists.is_sanctioned(credential.storage) or policy.lists.is_unsanctioned(credential.storage):
        return passed(of=credential.id, storage=credential.storage)
    return unknown("storage_unknown", of=credential.id, storage=credential.storage)


def _untrusted_code(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if facts.kind != "ci_job":
        return [not_applicable("no_pipeline")]
    pipeline = members(facts.attributes, "ci")
    if isinstance(pipeline, Missing):
        return [not_known(lacking(pipeline=pipeline))]
    untrusted, guarded = flag(pipeline, "runs_untrusted_code"), flag(pipeline, "environment_protected")
    if untrusted is True or guarded is False:
        return [failed(runs_untrusted_code=untrusted is True, environment_protected=guarded is not False)]
    missing = lacking(pipeline=untrusted, protection=guarded)
    return [not_known(missing)] if missing else [passed()]


def _default_identity(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    if facts.kind == "ci_job":
        return _default_of_pipeline(facts)
    if is_default_account(facts):
        return [failed(holds=named(facts.grants)) if facts.grants else passed()]
    if not is_cluster_account(facts):
        return [not_applicable("no_default_identity")]
    mounted = flag(facts.attributes, "mounted_by_default")
    if mounted is False:
        return [passed()]
    if isinstance(mounted, Missing):
        return [not_known(lacking(mounting=mounted))]
    used = facts.use.last_used_at
    if isinstance(used, Missing):
        return [not_known(lacking(use=used))]
    if used is None and facts.use.watched_from is None:
        return [unknown("no_log")]
    return [failed(mounted_by_default=True) if used is None else passed(last_used_at=used)]


def _default_of_pipeline(facts: IdentityFacts) -> Sequence[Verdict]:
    pipeline = members(facts.attributes, "ci")
    given: str | Missing = pipeline if isinstance(pipeline, Missing) else text(pipeline, "default_permission")
    if isinstance(given, Missing):
        return [not_known(lacking(pipeline=given))]
    return [failed(default_permission=given) if given in {"write", "admin"} else passed(default_permission=given)]


def is_default_account(facts: IdentityFacts) -> bool:
    """The account that every pod of a namespace gets which names none."""
    return is_cluster_account(facts) and facts.name.endswith("/default")


def is_cluster_account(facts: IdentityFacts) -> bool:
    """A service account of Kubernetes, whoever told of it: the cluster itself or a file."""
    return facts.attributes.get("subject_kind") == "ServiceAccount"


def _mutable_subject(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    return each_trust(judged.facts, _mutable_one)


def _mutable_one(trust: TrustFacts) -> Verdict:
    ids = immutable_claims(trust.issuer)
    if not ids:
        return not_applicable("no_immutable_claim", of=trust.id)
    pinned = claims_of(trust.conditions) & set(ids)
    if pinned:
        return passed(of=trust.id, pinned_by=pinned)
    if not trust.are_conditions_known:
        return unknown("conditions_unknown", of=trust.id, issuer=trust.issuer)
    return failed(of=trust.id, subject=trust.subject, could_ask_for=ids)


RULES = (
    Rule(
        id="NHI6-A",
        title="A public issuer may let strangers in",
        condition="A public issuer is trusted with a subject that several organisations or projects fit, or "
        "without an audience.",
        owasp=OWASP,
        base=Severity.CRITICAL,
        object_kind=ObjectKind.TRUST,
        inputs=("trusts.subject", "trusts.audience", "trusts.are_conditions_known"),
        coverage=("trust",),
        blind_spots="Subjects that the other side composes by a template of its own.",
        cautions="A condition on an id that never changes makes up for a loose subject; private issuers are left out.",
        fix="tighten_trust",
        judge=_loose_trust,
    ),
    Rule(
        id="NHI6-B",
        title="A static cloud key in a pipeline",
        condition="A key of a cloud lies in a variable of a pipeline, which could federate instead.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=("credentials.storage",),
        coverage=("credentials",),
        blind_spots="Keys in pipelines that nobody linked: only the recorded place is known.",
        cautions="Keys for clouds that the pipeline can't federate with.",
        fix="move_to_federation",
        judge=_key_in_ci,
    ),
    Rule(
        id="NHI6-C",
        title="Strangers' code can reach a pipeline's secrets",
        condition="A pipeline runs code of strangers with its secrets, or its environment is not protected.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("attributes.ci",),
        blind_spots="Steps that fetch code while they run.",
        cautions="Jobs that only read; environments in which a person releases each run.",
        fix="change_pipeline",
        judge=_untrusted_code,
    ),
    Rule(
        id="NHI6-D",
        title="The default identity can do more than nothing",
        condition="A namespace's default account holds rights, a pipeline's default permission writes, or a "
        "token is mounted by default and never used.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.IDENTITY,
        inputs=("attributes.mounted_by_default", "use.last_used_at", "attributes.ci"),
        coverage=("grants",),
        blind_spots="Pods that switch mounting on for themselves.",
        cautions="Controllers need the API.",
        fix="narrow",
        judge=_default_identity,
    ),
    Rule(
        id="NHI6-E",
        title="Trust keyed on a name that can change hands",
        condition="A trust hangs on names although the issuer also tells ids that never change hands.",
        owasp=OWASP,
        base=Severity.MEDIUM,
        object_kind=ObjectKind.TRUST,
        inputs=("trusts.are_conditions_known",),
        coverage=("trust",),
        blind_spots="Issuers whose immutable claims the rule does not know.",
        cautions="The risk is a rename or a name taken again, nothing else.",
        fix="tighten_trust",
        judge=_mutable_subject,
    ),
)
