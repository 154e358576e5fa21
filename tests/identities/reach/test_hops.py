"""Whom an identity can become in one step, and when it cannot."""

from typing import Any

import pytest

from governance.kernel.permissions import Permission
from identities.models import Grant
from identities.selectors.reach import MOST_LISTED, hops_of
from tests.identities.reach.conftest import grant, identity, let_in, role_arn, root_of, trust

OTHER = "999999999999"
CI, DEPLOY = role_arn("ci"), role_arn("deploy")
MFA = {"conditions": [{"operator": "Bool", "key": "aws:MultiFactorAuthPresent", "values": ["true"]}]}


def steps(named: Any, name: str) -> dict[str, bool]:
    """Names of those it could become, and whether that hangs on something else."""
    found = hops_of([named(name).pk]).get(named(name).pk, ())
    return {hop.name: hop.is_conditional for hop in found}


def test_a_trust_in_the_account_needs_a_grant_and_a_grant_needs_a_trust(fill: Any, named: Any) -> None:
    fill(
        "aws", "aws",
        identity(CI), identity(DEPLOY), identity(role_arn("idle")), identity(role_arn("closed")),
        let_in(DEPLOY, root_of()), let_in(role_arn("closed"), root_of(OTHER)),
        grant(CI, "aws", ("sts:AssumeRole", f"{DEPLOY} {role_arn('closed')} {role_arn('idle')}")),
        grant(role_arn("idle"), "aws", ("s3:*", "*")),
    )  # fmt: skip

    assert steps(named, "ci") == {"deploy": False}
    assert steps(named, "idle") == {}


def test_a_trust_that_names_a_role_is_enough_within_one_account_and_not_between_two(fill: Any, named: Any) -> None:
    far = role_arn("far", OTHER)
    fill("aws", "aws", identity(CI), identity(DEPLOY), identity(far), let_in(DEPLOY, CI), let_in(far, CI))

    assert steps(named, "ci") == {"deploy": False}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([("sts:AssumeRole", "*", MFA)], {"deploy": True}),
        ([("*", "*"), ("sts:*", "*", {"effect": "deny"})], {}),
        ([("*", "*"), ("sts:*", role_arn("other"), {"effect": "deny"})], {"deploy": False}),
        ([("sts:AssumeRole", role_arn("dep*"))], {"deploy": False}),
    ],
    ids=["condition", "denied", "denied elsewhere", "pattern"],
)
def test_conditions_and_denies_count(fill: Any, named: Any, statements: Any, expected: Any) -> None:
    fill("aws", "aws", identity(CI), identity(DEPLOY), let_in(DEPLOY, root_of()), grant(CI, "aws", *statements))

    assert steps(named, "ci") == expected


def test_a_deny_in_another_grant_takes_the_step_away_also_where_the_trust_names_the_role(fill: Any, named: Any) -> None:
    fill(
        "aws", "aws", identity(CI), identity(DEPLOY), let_in(DEPLOY, CI),
        grant(CI, "aws", ("sts:AssumeRole", "*")),
        grant(CI, "aws", ("sts:AssumeRole", "*", {"effect": "deny"}), number=2),
    )  # fmt: skip

    assert steps(named, "ci") == {}


def test_what_the_trust_asks_for_besides_makes_the_step_hang_on_it(fill: Any, named: Any) -> None:
    fill(
        "aws", "aws", identity(CI), identity(DEPLOY), let_in(DEPLOY, root_of(), conditions={"sts:externalid": "(not copied)"}),
        grant(CI, "aws", ("sts:AssumeRole", "*")),
    )  # fmt: skip

    assert steps(named, "ci") == {"deploy": True}


def test_a_disabled_or_vanished_role_is_no_step(fill: Any, named: Any) -> None:
    records = [identity(CI), identity(DEPLOY), let_in(DEPLOY, root_of()), grant(CI, "aws", ("sts:AssumeRole", "*"))]
    fill("aws", "aws", records[0], identity(DEPLOY, status="disabled"), *records[2:])
    assert steps(named, "ci") == {}

    fill("aws", "aws", *records)
    assert steps(named, "ci") == {"deploy": False}


def test_a_wildcard_lists_so_many_the_most_powerful_first_and_knows_how_many_there_are(fill: Any, named: Any) -> None:
    roles = [role_arn(f"role-{number:03}") for number in range(MOST_LISTED + 10)]
    fill(
        "aws", "aws", identity(CI), *map(identity, roles), *(let_in(role, root_of()) for role in roles),
        grant(CI, "aws", ("sts:*", "*")),
    )  # fmt: skip

    found = hops_of([named("ci").pk])[named("ci").pk]

    assert len(found) == MOST_LISTED
    assert {hop.whole for hop in found} == {len(roles)}


def test_the_number_of_queries_does_not_grow_with_the_identities(
    fill: Any, named: Any, django_assert_max_num_queries: Any
) -> None:
    starts = [role_arn(f"start-{number}") for number in range(12)]
    fill(
        "aws", "aws", *map(identity, starts), identity(DEPLOY), let_in(DEPLOY, root_of()),
        *(grant(start, "aws", ("sts:AssumeRole", DEPLOY)) for start in starts),
    )  # fmt: skip
    ids = [named(f"start-{number}").pk for number in range(12)]

    with django_assert_max_num_queries(8):
        found = hops_of(ids)

    assert set(found) == set(ids)


def test_a_service_account_of_a_cluster_is_let_in_by_its_name_perhaps(fill: Any, named: Any) -> None:
    account = "system:serviceaccount:prod:api"
    fill(
        "cluster",
        "kubernetes",
        identity(account, "service_account", name="prod/api"),
        identity("system:serviceaccount:dev:api", name="dev/api"),
    )
    issuer = "https://oidc.eks.eu-west-1.amazonaws.com/id/A"
    fill(
        "aws", "aws", identity(DEPLOY), identity(role_arn("wide")),
        trust(DEPLOY, issuer, account, conditions={}), trust(role_arn("wide"), issuer, "system:serviceaccount:prod:*", conditions={}),
    )  # fmt: skip

    # Which cluster the issuer speaks for, the name does not tell.
    assert steps(named, "prod/api") == {"deploy": True, "wide": True}
    assert steps(named, "dev/api") == {}


@pytest.mark.parametrize(
    ("verbs", "resource", "expected"),
    [
        ("impersonate", "api:*//users//*", {"b/two": False, "c/three": False}),
        ("impersonate", "api:b//serviceaccounts//two", {"b/two": False}),
        ("create", "api:c//serviceaccounts/token/*", {"c/three": False}),
        ("*", "api:*/*/*/*/*", {"b/two": False, "c/three": False}),
        ("create", "api:*//pods//*", {}),
        ("get list", "api:*/*/*/*/*", {}),
    ],
)
def test_acting_as_others_in_a_cluster(fill: Any, named: Any, verbs: str, resource: str, expected: Any) -> None:
    first = "system:serviceaccount:a:one"
    fill(
        "cluster", "kubernetes",
        identity(first, "service_account", name="a/one"),
        identity("system:serviceaccount:b:two", "service_account", name="b/two"),
        identity("system:serviceaccount:c:three", "service_account", name="c/three"),
        grant(first, "kubernetes", (verbs, resource)),
    )  # fmt: skip

    assert steps(named, "a/one") == expected


def test_the_same_secret_elsewhere_is_a_step_and_an_empty_fingerprint_is_none(fill: Any, named: Any) -> None:
    def key(holder: str, fingerprint: str) -> dict[str, Any]:
        return {
            "type": "credential",
            "id": f"key {holder}",
            "identity": holder,
            "kind": "api_key",
            "fingerprint": fingerprint,
        }

    fill("one", "push", identity("a", "bot"), identity("c", "bot"), key("a", "hmac:1"), key("c", ""))
    fill("two", "push", identity("b", "bot"), identity("d", "bot"), key("b", "hmac:1"), key("d", ""))

    assert steps(named, "a") == {"b": False}
    assert steps(named, "c") == {}


def test_an_agent_reaches_a_server_that_has_a_credential_of_its_own(fill: Any, named: Any) -> None:
    def entry(server: str) -> dict[str, Any]:
        return grant("agent", "tools", ("*", f"server:{server}")) | {"id": server}

    fill(
        "agents", "mcp", identity("agent", "ai_agent"), identity("crm", "machine"), identity("clock", "machine"),
        {"type": "credential", "id": "crm key", "identity": "crm", "kind": "api_key"}, entry("crm"), entry("clock"),
    )  # fmt: skip

    assert steps(named, "agent") == {"crm": True}


def test_steps_as_they_would_be_after_a_narrowing(fill: Any, named: Any) -> None:
    fill("aws", "aws", identity(CI), identity(DEPLOY), let_in(DEPLOY, root_of()), grant(CI, "aws", ("sts:*", "*")))
    start, held = named("ci").pk, Grant.objects.get()

    left = Permission.from_json(
        {"dialect": "aws", "statements": [{"actions": ["sts:GetCallerIdentity"], "resources": ["*"]}]}
    )

    assert hops_of([start])
    assert not hops_of([start], instead={held.pk: left})
