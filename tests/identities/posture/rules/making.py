"""Facts about an identity of which everything is known and nothing is wrong; tests change one thing at a time."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from identities.posture.facts import (
    CredentialFacts,
    GrantFacts,
    IdentityFacts,
    Missing,
    PersonFacts,
    SourceFacts,
    ToolFacts,
    TrustFacts,
    UseFacts,
)
from identities.posture.rules.judged import Judged, SourceJudged
from identities.selectors.reach.hop import Hop

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
GONE = Missing("not_covered")
GITHUB = "https://token.actions.githubusercontent.com"
FIELDS = (
    "identities", "purpose", "created_at", "credentials", "credential_expiry", "credential_created_at",
    "credential_last_rotated", "credential_last_used", "grants", "memberships", "last_used", "usage", "grant_expiry",
    "conditions", "trust",
)  # fmt: skip


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def identifier(number: int) -> UUID:
    return UUID(int=number)


SOURCE = SourceFacts(
    id=identifier(1),
    slug="payments",
    kind="aws",
    environment="production",
    is_fresh=True,
    last_success_at=ago(0.1),
    covers=dict.fromkeys(FIELDS, True),
)
OWNER = PersonFacts(id=identifier(2), role="owner", is_active=True)
CREDENTIAL = CredentialFacts(
    id=identifier(3),
    kind="api_key",
    is_active=True,
    created_at=ago(20),
    expires_at=ago(-40),
    last_rotated_at=ago(10),
    last_used_at=ago(1),
    storage="vault:kv/ledger",
    audience="ledger",
    fingerprint="keyed:1",
    same_elsewhere=0,
    ttl_seconds=1800,
    sender_constrained=True,
    attested=False,
    key_exportable=False,
    method="private_key_jwt",
    key_algorithm="ed25519",
    key_bits=256,
    created_by=OWNER.id,
    creator_departed_at=None,
    attributes={"leaks": [], "scanned_at": ago(1).isoformat(), "environments": ["production"]},
)
TRUST = TrustFacts(
    id=identifier(4),
    issuer=GITHUB,
    subject="repo:acme/ledger:ref:refs/heads/main",
    audience="sts.amazonaws.com",
    is_public_issuer=True,
    conditions={"token.actions.githubusercontent.com:repository_id": "4711"},
    are_conditions_known=True,
    issuer_environments=frozenset({"production"}),
)
GRANT = GrantFacts(
    id=identifier(5),
    digest=b"d" * 32,
    dialect="aws",
    segment="storage",
    classes=frozenset({"read"}),
    is_privileged=False,
    breadth="one",
    primitives=(),
    direct_primitives=(),
    is_admin_equivalent=False,
    has_wildcard_resource=False,
    has_wildcard_action=False,
    condition_sorts=frozenset({"network"}),
    ends_at=None,
    first_seen_at=ago(300),
    reviewed_at=ago(30),
    approved_until=None,
    is_parsed=True,
    resource_environments=frozenset({"production"}),
    touches_restricted_data=False,
    label="read ledger",
)
USE = UseFacts(
    watched_from=ago(200),
    watched_until=ago(0.1),
    last_used_at=ago(1),
    unused_share=0.1,
    interactive_at=None,
    callers=1,
    environments=frozenset({"production"}),
)
TOOL = ToolFacts(
    grant_id=GRANT.id, server="mail", tool="send", classes=frozenset({"external_send"}), has_condition=False,
    needs_approval=True,
)  # fmt: skip
HOP = Hop(identity_id=identifier(6), name="deployer", via="sts:AssumeRole", is_conditional=False, environment="staging")
FACTS = IdentityFacts(
    id=identifier(7),
    name="ledger",
    kind="service_account",
    now=NOW,
    source=SOURCE,
    is_enabled=True,
    environment="production",
    created_at=ago(400),
    first_seen_at=ago(400),
    is_platform_managed=False,
    is_third_party=False,
    vendor="",
    authz_model="per_request",
    has_interactive_login=False,
    acts_for="",
    people=(OWNER,),
    workloads=("ledger",),
    credentials=(CREDENTIAL,),
    trusts=(TRUST,),
    grants=(GRANT,),
    use=USE,
    attributes={"workload_states": {"ledger": "live"}, "scanned_at": ago(1).isoformat(), "runtime": "on_premises"},
)


def facts(*, attributes: dict[str, Any] | None = None, **changes: Any) -> IdentityFacts:
    """attributes: added to the sound ones; None as a value stays None, as a source would report it."""
    return replace(FACTS, attributes={**FACTS.attributes, **(attributes or {})}, **changes)


def with_source(**changes: Any) -> IdentityFacts:
    """covers: names that the source cannot report, as `lacks=(…)`."""
    lacks = changes.pop("lacks", ())
    covers = {name: name not in lacks for name in FIELDS}
    return facts(source=replace(SOURCE, covers=covers, **changes))


def credential(*, attributes: dict[str, Any] | None = None, **changes: Any) -> CredentialFacts:
    return replace(CREDENTIAL, attributes={**CREDENTIAL.attributes, **(attributes or {})}, **changes)


def with_credential(*, attributes: dict[str, Any] | None = None, **changes: Any) -> IdentityFacts:
    return facts(credentials=(credential(attributes=attributes, **changes),))


def with_trust(**changes: Any) -> IdentityFacts:
    return facts(trusts=(replace(TRUST, **changes),))


def grant(**changes: Any) -> GrantFacts:
    return replace(GRANT, **changes)


def privileged(**changes: Any) -> GrantFacts:
    return replace(GRANT, classes=frozenset({"admin"}), is_privileged=True, label="administer", **changes)


def with_grant(**changes: Any) -> IdentityFacts:
    return facts(grants=(grant(**changes),))


def with_use(**changes: Any) -> IdentityFacts:
    return facts(use=replace(USE, **changes))


@dataclass(frozen=True)
class Assurance:
    lower: int
    upper: int
    to_raise: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exposure:
    low: float
    high: float
    is_assessable: bool = True


def scored(assurance: tuple[int, int], exposure: tuple[float, float], **changes: Any) -> Judged:
    return Judged(facts(**changes), Assurance(*assurance), Exposure(*exposure))


SOURCE_JUDGED = SourceJudged(
    source=SOURCE,
    now=NOW,
    is_enabled=True,
    unknown_callers=(),
    parts_unread=(),
    grants=10,
    unparsed=0,
    duplicates=(),
    vanished=(),
)


def source(**changes: Any) -> SourceJudged:
    return replace(SOURCE_JUDGED, **changes)


def unread_source(**changes: Any) -> SourceJudged:
    return replace(SOURCE_JUDGED, source=replace(SOURCE, **changes))
