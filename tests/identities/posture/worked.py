"""The five worked examples of the method (docs/posture.md), as facts."""

from dataclasses import replace
from datetime import timedelta

from identities.posture.facts import (
    CredentialFacts,
    GrantFacts,
    IdentityFacts,
    Missing,
    PersonFacts,
    TrustFacts,
    UseFacts,
)
from tests.identities.posture.rules.making import NOW, OWNER, SOURCE, ago, identifier

UNKNOWN = Missing("not_reported")


def credential(kind: str, **told: object) -> CredentialFacts:
    """One of which nothing is known but what is told."""
    known = dict.fromkeys(
        (
            *("created_at", "expires_at", "last_rotated_at", "last_used_at", "storage", "audience", "fingerprint"),
            *("same_elsewhere", "ttl_seconds", "sender_constrained", "attested", "key_exportable", "method"),
            *("key_algorithm", "key_bits", "created_by"),
        ),
        UNKNOWN,
    )
    return CredentialFacts(id=identifier(30), kind=kind, is_active=True, **{**known, **told})  # type: ignore[arg-type]


def grant(*classes: str, **told: object) -> GrantFacts:
    """Unconditional, without end, in production, on data that is labelled as nothing special."""
    known: dict[str, object] = {
        "id": identifier(40),
        "digest": b"x" * 32,
        "dialect": "aws",
        "segment": "storage",
        "classes": frozenset(classes),
        "is_privileged": "admin" in classes,
        "breadth": "one",
        "primitives": (),
        "direct_primitives": (),
        "is_admin_equivalent": False,
        "has_wildcard_resource": False,
        "has_wildcard_action": False,
        "condition_sorts": frozenset(),
        "ends_at": None,
        "first_seen_at": ago(300),
        "reviewed_at": None,
        "approved_until": None,
        "is_parsed": True,
        "resource_environments": frozenset({"production"}),
        "touches_restricted_data": False,
    }
    return GrantFacts(**{**known, **told})  # type: ignore[arg-type]


def use(unused: float | Missing) -> UseFacts:
    return UseFacts(
        watched_from=ago(200),
        watched_until=ago(0.1),
        last_used_at=ago(1),
        unused_share=unused,
        interactive_at=Missing("no_log"),
        callers=Missing("no_log"),
        environments=Missing("no_log"),
    )


def identity(
    *credentials: CredentialFacts,
    grants: tuple[GrantFacts, ...],
    unused: float | Missing,
    trusts: tuple[TrustFacts, ...] = (),
    people: tuple[PersonFacts, ...] = (OWNER,),
    **told: object,
) -> IdentityFacts:
    known: dict[str, object] = {
        "id": identifier(50),
        "name": "example",
        "kind": "service_account",
        "now": NOW,
        "source": SOURCE,
        "is_enabled": True,
        "environment": "production",
        "created_at": ago(500),
        "first_seen_at": ago(500),
        "is_platform_managed": False,
        "is_third_party": False,
        "vendor": "",
        "authz_model": UNKNOWN,
        "has_interactive_login": UNKNOWN,
        "acts_for": "",
        "people": people,
        "workloads": UNKNOWN,
        "credentials": credentials,
        "trusts": trusts,
        "grants": grants,
        "use": use(unused),
    }
    return IdentityFacts(**{**known, **told})  # type: ignore[arg-type]


CI_DEPLOY = identity(
    credential("access_key", created_at=ago(420), expires_at=None, last_rotated_at=None),
    grants=(
        grant(
            *("read", "write", "admin"),
            breadth="account",
            primitives=("aws.attach_policy",),
            direct_primitives=("aws.attach_policy",),
            is_admin_equivalent=True,
        ),
    ),
    unused=0.96,
)
LEDGER_READER = identity(
    credential(
        "jwt_svid", ttl_seconds=3600, audience="ledger", attested=True, sender_constrained=True, key_exportable=False
    ),
    grants=(grant("read", touches_restricted_data=True),),
    unused=0.0,
    trusts=(
        TrustFacts(
            id=identifier(60),
            issuer="https://spire.acme.example",
            subject="spiffe://acme.example/ns/ledger/sa/reader",
            audience="ledger",
            is_public_issuer=False,
        ),
    ),
    authz_model="per_request",
)
SUPPORT_AGENT = identity(
    credential(
        *("client_secret",),
        method="client_credentials",
        storage="vault:kv/support",
        created_at=ago(40),
        audience="crm",
        same_elsewhere=0,
    ),
    grants=(grant("read", "external_send", breadth="set", approved_until=NOW + timedelta(days=30)),),
    unused=0.5,
    kind="ai_agent",
)
EKS_NODE = identity(
    credential("federated_trust", ttl_seconds=3600),
    grants=(
        grant(
            "write", breadth="account", primitives=("aws.pass_role",), condition_sorts=frozenset({"network"})
        ),
    ),
    unused=0.7,
    trusts=(
        TrustFacts(
            id=identifier(61),
            issuer="https://oidc.eks.eu-central-1.amazonaws.com/id/4711",
            subject="system:serviceaccount:platform:node",
            audience="sts.amazonaws.com",
            is_public_issuer=False,
        ),
    ),
)
LEGACY_ERP = identity(
    credential("password", same_elsewhere=3, created_at=ago(900), expires_at=None),
    grants=(grant("write", "destructive", breadth="service", dialect="postgresql"),),
    unused=Missing("no_log"),
)


def without(facts: IdentityFacts, number: int, **changes: object) -> IdentityFacts:
    """The same with one grant changed."""
    grants = list(facts.grants)
    grants[number] = replace(grants[number], **changes)  # type: ignore[arg-type]
    return replace(facts, grants=tuple(grants))
