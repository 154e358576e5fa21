"""Which gates hold which way of signing in down, and what is said about it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from identities.posture.assurance import NO_WAY, assess_assurance
from identities.posture.facts import IdentityFacts, Missing, TrustFacts
from identities.posture.policy import first_policy
from tests.identities.posture import worked
from tests.identities.posture.rules.making import NOW, SOURCE, ago, identifier

POLICY = first_policy()
GITHUB = "https://token.actions.githubusercontent.com"


def bounds(facts: IdentityFacts) -> tuple[int, int]:
    found = assess_assurance(facts, POLICY)
    return found.lower, found.upper


def holding(kind: str, **told: Any) -> IdentityFacts:
    return worked.identity(worked.credential(kind, **told), grants=(), unused=0.0)


def trusting(issuer: str, subject: str, audience: str = "sts", **conditions: str) -> IdentityFacts:
    trust = TrustFacts(
        id=identifier(1),
        issuer=issuer,
        subject=subject,
        audience=audience,
        is_public_issuer=True,
        conditions=conditions,
    )
    return worked.identity(grants=(), unused=0.0, trusts=(trust,))


def test_a_vaulted_secret_that_is_renewed_and_restricted_is_managed() -> None:
    told = {"storage": "vault:kv/a", "audience": "crm", "created_at": ago(10), "method": "client_credentials"}

    assert bounds(holding("client_secret", **told)) == (2, 2)
    assert bounds(holding("client_secret", **{**told, "storage": Missing("not_reported")})) == (1, 2)
    assert bounds(holding("client_secret", **{**told, "storage": "wiki"})) == (1, 1)
    assert bounds(holding("client_secret", **{**told, "method": "ropc"})) == (0, 0)


def test_a_method_that_nobody_told_may_be_a_deprecated_one() -> None:
    assert bounds(holding("client_secret", storage="vault", audience="crm", created_at=ago(10))) == (0, 2)


def test_a_secret_that_ends_soon_needs_no_rotation() -> None:
    told = {"storage": "vault", "audience": "crm", "last_rotated_at": None, "created_at": ago(200)}

    assert bounds(holding("api_key", **told, expires_at=NOW + timedelta(days=400))) == (1, 1)
    assert bounds(holding("api_key", **told, expires_at=None)) == (1, 1)
    assert bounds(holding("password", **{**told, "same_elsewhere": 0, "last_rotated_at": Missing("x")})) == (1, 2)


def test_a_shared_or_leaked_secret_proves_nothing() -> None:
    leaked = {"leaks": [{"first_seen_at": ago(5).isoformat(), "where": "github"}]}

    assert bounds(holding("password", same_elsewhere=1)) == (0, 0)
    assert bounds(holding("access_key", created_at=ago(30), attributes=leaked)) == (0, 0)
    assert bounds(holding("access_key", created_at=ago(1), attributes=leaked))[1] == 2


def test_a_credential_that_is_off_or_over_leads_nowhere() -> None:
    strong = worked.LEDGER_READER.credentials[0]
    weak = worked.credential("password", same_elsewhere=2)
    facts = replace(worked.LEDGER_READER, credentials=(strong, weak))

    assert bounds(facts) == (0, 0)
    assert bounds(replace(facts, credentials=(strong, replace(weak, is_active=False)))) == (4, 4)
    assert bounds(replace(facts, credentials=(strong, replace(weak, expires_at=ago(1))))) == (4, 4)


@pytest.mark.parametrize(
    ("issuer", "subject", "audience", "expected"),
    [
        (GITHUB, "repo:acme/shop:ref:refs/heads/main", "sts", (2, 4)),
        (GITHUB, "repo:acme/*", "sts", (2, 2)),
        (GITHUB, "*", "sts", (0, 0)),
        (GITHUB, "", "sts", (0, 0)),
        (GITHUB, "repo:acme/shop:ref:refs/heads/main", "", (2, 2)),
        ("any AWS account", "", "", (0, 0)),
        ("AWS account 123456789012", "arn:aws:iam::123456789012:root", "", (2, 2)),
        ("AWS account 123456789012", "arn:aws:iam::123456789012:role/ci", "", (2, 4)),
        ("ec2.amazonaws.com", "", "", (2, 4)),
    ],
)
def test_trust_is_as_good_as_what_it_pins(issuer: str, subject: str, audience: str, expected: tuple[int, int]) -> None:
    assert bounds(trusting(issuer, subject, audience)) == expected


def test_a_condition_on_another_claim_pins_a_subject() -> None:
    assert bounds(trusting(GITHUB, "*", repository_id="4711")) == (2, 4)


def test_what_is_issued_for_longer_than_an_hour_is_not_short() -> None:
    assert bounds(worked.EKS_NODE) == (3, 4)
    long = replace(worked.EKS_NODE.credentials[0], ttl_seconds=43_200)
    assert bounds(replace(worked.EKS_NODE, credentials=(long,))) == (2, 2)


def test_a_certificate_for_hours_is_issued_and_one_for_months_is_a_key() -> None:
    trusts = worked.LEDGER_READER.trusts
    short = holding("x509", created_at=ago(0.1), expires_at=NOW + timedelta(hours=12))
    assert bounds(replace(short, trusts=trusts)) == (3, 4)
    assert bounds(holding("x509", created_at=ago(10), expires_at=NOW + timedelta(days=60), same_elsewhere=0)) == (1, 2)


def test_with_no_way_known_nothing_is_proven_and_anything_is_possible() -> None:
    found = assess_assurance(worked.identity(grants=(), unused=0.0), POLICY)

    assert (found.lower, found.upper, found.is_known) == (0, 4, False)
    assert found.capped_by == (NO_WAY,)


def test_custody_counts_as_a_way_where_no_credential_is_listed() -> None:
    nothing: dict[str, Any] = {"grants": (), "unused": 0.0}

    assert bounds(worked.identity(**nothing, custody="platform_managed")) == (2, 4)
    assert bounds(worked.identity(**nothing, custody="assumable", source=replace(SOURCE, covers={}))) == (0, 4)
    assert bounds(worked.identity(**nothing, custody="assumable")) == (0, 2)  # its source says that nobody is trusted
    assert bounds(worked.identity(**nothing, custody="platform_managed", kind="ai_agent")) == (0, 4)


def test_who_needs_no_credential_is_unproven_for_certain() -> None:
    assert bounds(worked.identity(grants=(), unused=0.0, attributes={"open_to_anybody": True})) == (0, 0)
    assert bounds(worked.identity(grants=(), unused=0.0, name="system:anonymous")) == (0, 0)
