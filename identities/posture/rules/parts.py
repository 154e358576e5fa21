"""Rules that look at each credential, each trust or each grant: what they share."""

from collections.abc import Callable, Sequence

from identities.posture.facts import CredentialFacts, GrantFacts, IdentityFacts, Missing, TrustFacts
from identities.posture.rules.verdicts import Verdict, not_applicable, unknown

WRITING = frozenset({"write", "destructive", "admin", "external_send"})


def each_credential(facts: IdentityFacts, judge: Callable[[CredentialFacts], Verdict]) -> Sequence[Verdict]:
    """A verdict per credential that works; one about the identity where there is none."""
    found = [judge(credential) for credential in facts.credentials if credential.is_active]
    if found:
        return found
    return [not_applicable("no_credentials") if facts.source.can_report("credentials") else unknown("not_covered")]


def each_trust(facts: IdentityFacts, judge: Callable[[TrustFacts], Verdict]) -> Sequence[Verdict]:
    """A verdict per issuer that lets it in; one about the identity where there is none."""
    found = [judge(trust) for trust in facts.trusts]
    if found:
        return found
    return [not_applicable("no_trust") if facts.source.can_report("trust") else unknown("not_covered")]


def privileged(facts: IdentityFacts) -> list[GrantFacts]:
    return [grant for grant in facts.grants if grant.is_privileged]


def unread(facts: IdentityFacts) -> list[GrantFacts]:
    """Grants that nobody could understand: whatever is said of the rest is not the whole."""
    return [grant for grant in facts.grants if not grant.is_parsed]


def named(grants: Sequence[GrantFacts]) -> list[str]:
    return [grant.label or str(grant.id) for grant in grants]


def known_environment(facts: IdentityFacts) -> str | Missing:
    """Where it stands. "unknown" is what the inventory keeps where nobody said, so it is missing."""
    return Missing("unlabelled") if facts.environment == "unknown" else facts.environment
