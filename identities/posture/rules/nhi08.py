"""NHI8:2025 Environment Isolation: one identity, or one trust, across environments."""

from collections.abc import Sequence

from identities.posture.facts import CredentialFacts, IdentityFacts, Missing, TrustFacts
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules.claims import claims_of
from identities.posture.rules.judged import Judged, Policy
from identities.posture.rules.parts import WRITING, each_credential, each_trust, known_environment, named, unread
from identities.posture.rules.reading import words
from identities.posture.rules.rule import Rule
from identities.posture.rules.verdicts import Verdict, failed, lacking, not_applicable, not_known, passed, unknown

OWASP = "NHI8:2025"
PRODUCTION = "production"


def _reaches_production(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    environment = known_environment(facts)
    if isinstance(environment, Missing):
        return [not_known(lacking(environment=environment))]
    if environment == PRODUCTION:
        return [not_applicable("in_production")]
    found = [
        grant for grant in facts.grants
        if not isinstance(grant.resource_environments, Missing) and PRODUCTION in grant.resource_environments
    ]  # fmt: skip
    if any(grant.classes & WRITING for grant in found):
        return [failed(base=Severity.CRITICAL, why="writes there", grants=named(found), environment=environment)]
    if found:
        return [failed(grants=named(found), environment=environment)]
    if doubtful := unread(facts):
        return [unknown("unparsed", grants=named(doubtful))]
    places = [grant.resource_environments for grant in facts.grants]
    doubt = next((place for place in places if isinstance(place, Missing)), None)
    return [not_known(lacking(resource_environment=doubt))] if doubt else [passed(environment=environment)]


def _two_environments(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    only = sum(credential.is_active for credential in facts.credentials) == 1
    return each_credential(facts, lambda credential: _two_environments_one(credential, facts, is_only=only))


def _two_environments_one(credential: CredentialFacts, facts: IdentityFacts, *, is_only: bool) -> Verdict:
    told = words(credential.attributes, "environments")
    places = frozenset(told) if not isinstance(told, Missing) else told
    # With one credential, where the identity is used is where the credential is used.
    if isinstance(places, Missing) and is_only:
        places = facts.use.environments
    if isinstance(places, Missing):
        return not_known(lacking(use_environment=places), of=credential.id)
    known = places - {"unknown"}
    if len(known) > 1:
        return failed(of=credential.id, environments=known)
    return (
        passed(of=credential.id, environments=known) if known else unknown("use_environment_unknown", of=credential.id)
    )


def _assumable_from_below(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    facts = judged.facts
    environment = known_environment(facts)
    if isinstance(environment, Missing):
        return [not_known(lacking(environment=environment))]
    if environment == PRODUCTION:
        return [not_applicable("in_production")]
    into = [hop for hop in facts.hops if hop.environment == PRODUCTION]
    if into:
        return [failed(becomes=[f"{hop.name} ({hop.via})" for hop in into], environment=environment)]
    if unread(facts):
        return [unknown("unparsed")]
    unlabelled = [hop for hop in facts.hops if hop.environment == "unknown"]
    return [unknown("hop_environment_unknown", becomes=[hop.name for hop in unlabelled])] if unlabelled else [passed()]


def _shared_root(judged: Judged, policy: Policy) -> Sequence[Verdict]:
    return each_trust(judged.facts, _shared_root_one)


def _shared_root_one(trust: TrustFacts) -> Verdict:
    served = trust.issuer_environments
    if isinstance(served, Missing):
        return not_known(lacking(issuer_environments=served), of=trust.id)
    if PRODUCTION not in served or len(served - {"unknown"}) < 2:
        if "unknown" in served:
            return unknown("issuer_environments_unknown", of=trust.id, issuer=trust.issuer)
        return passed(of=trust.id, issuer=trust.issuer)
    if _names_environment(trust):
        return passed(of=trust.id, issuer=trust.issuer, subject=trust.subject)
    if not trust.are_conditions_known:
        return unknown("conditions_unknown", of=trust.id, issuer=trust.issuer)
    return failed(of=trust.id, issuer=trust.issuer, subject=trust.subject, environments=served)


def _names_environment(trust: TrustFacts) -> bool:
    return "environment:" in trust.subject or "environment" in claims_of(trust.conditions)


RULES = (
    Rule(
        id="NHI8-A",
        title="From elsewhere into production",
        condition="It does not belong to production, and something that it holds names production.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("environment", "grants.resource_environments", "grants.is_parsed"),
        coverage=("grants",),
        blind_spots="Resources whose environment nobody named; their share is shown with the rule.",
        cautions="Shared services such as logging or a registry: accept these by name, with an owner.",
        fix="separate",
        judge=_reaches_production,
    ),
    Rule(
        id="NHI8-B",
        title="One credential in two environments",
        condition="One credential is used or stored in two environments.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.CREDENTIAL,
        inputs=("credentials.attributes.environments", "use.environments"),
        coverage=("credentials",),
        blind_spots="Copies that are not used while somebody watches.",
        cautions="Runners that serve every environment.",
        fix="separate",
        judge=_two_environments,
    ),
    Rule(
        id="NHI8-C",
        title="Can become a production identity",
        condition="It does not belong to production, and can become an identity that does, in one step.",
        owasp=OWASP,
        base=Severity.HIGH,
        object_kind=ObjectKind.IDENTITY,
        inputs=("environment", "hops.environment", "grants.is_parsed"),
        coverage=("grants", "trust"),
        blind_spots="More than one step: the blast radius shows the second.",
        cautions="Pipelines that promote a release: ask for a condition and an approval.",
        fix="tighten_trust",
        judge=_assumable_from_below,
    ),
    Rule(
        id="NHI8-D",
        title="Production trusts the same issuer as the rest",
        condition="One issuer vouches for production and for others, and nothing in the trust names the environment.",
        owasp=OWASP,
        base=Severity.LOW,
        object_kind=ObjectKind.TRUST,
        inputs=("trusts.issuer_environments", "trusts.are_conditions_known"),
        coverage=("trust",),
        blind_spots="What the issuer does to tell environments apart.",
        cautions="Acceptable where the path in the subject is strict.",
        fix="tighten_trust",
        judge=_shared_root,
    ),
)
