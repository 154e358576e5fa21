"""Whether the one who asks proved itself as the inventory knows it: credential, and who authenticated.

A caller that knows says which credential was presented (`credential`: its external id or fingerprint, no secret) and
which system authenticated (`issuer`, with `audience` and `token_subject`), in the context or as properties of the
subject. What is said must be known; what is not said is asked for only where the policy wants it.
"""

from collections.abc import Mapping
from typing import Any

from governance.kernel.patterns import glob
from identities.pdp.index import Principal, TrustFacts
from identities.pdp.policy import Policy
from identities.pdp.reasons import Reason
from identities.pdp.requests import Request

CREDENTIAL, ISSUER = "credential", "issuer"


def refuse_proof(principal: Principal, request: Request, policy: Policy, seconds: float) -> Reason | None:
    """Why the proof does not do, or None."""
    context, properties = request.context, request.subject_properties
    if not properties and CREDENTIAL not in context and ISSUER not in context:
        return Reason.MISSING_INPUT if policy.issuer == "always" and principal.trust else None
    presented = _said(CREDENTIAL, context, properties)
    if presented is not None:
        reason = _refuse_credential(principal, presented, seconds)
        if reason is not None:
            return reason
    issuer = _said(ISSUER, context, properties)
    if issuer is None:
        return Reason.MISSING_INPUT if policy.issuer == "always" and principal.trust else None
    audience, subject = (_said(name, context, properties) for name in ("audience", "token_subject"))
    trusted = (relation for relation in principal.trust if _covers(relation, issuer, audience, subject))
    return None if next(trusted, None) is not None else Reason.UNTRUSTED


def _said(name: str, context: Mapping[str, Any], properties: Mapping[str, Any]) -> str | None:
    value = context.get(name, properties.get(name))
    return None if value is None else str(value)


def _refuse_credential(principal: Principal, presented: str, seconds: float) -> Reason | None:
    found = next((each for each in principal.credentials if presented in (each.external_id, each.fingerprint)), None)
    if found is None or not presented:
        return Reason.UNKNOWN_CREDENTIAL
    if not found.is_active:
        return Reason.CREDENTIAL_DISABLED
    if found.expires_at is not None and seconds >= found.expires_at:
        return Reason.CREDENTIAL_EXPIRED
    return None


def _covers(relation: TrustFacts, issuer: str, audience: str | None, subject: str | None) -> bool:
    """Whether a relation trusts this. What it narrows (subject, audience) has to be said."""
    if relation.issuer != issuer:
        return False
    if relation.audience and relation.audience != audience:
        return False
    return not relation.subject or (subject is not None and glob(relation.subject).matches(subject))
