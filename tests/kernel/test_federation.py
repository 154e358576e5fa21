import pytest

from governance.kernel.federation import audience_is_open, sort_of_issuer, subject_looseness

ACTIONS = "https://token.actions.githubusercontent.com"

ISSUERS = [
    (ACTIONS, "public"),
    ("https://gitlab.com", "public"),
    ("https://accounts.google.com/", "public"),
    ("https://gitlab.example.org", "private"),
    ("https://oidc.circleci.com/org/1c0e0a1b", "tenant"),
    ("https://sts.windows.net/2b1c0a10-0000-4000-8000-000000000000/", "tenant"),
    ("https://sts.windows.net/common", "public"),
    ("https://oidc.eks.eu-west-1.amazonaws.com/id/ABC", "cluster"),
    ("AWS account 123456789012", "account"),
    ("any AWS account", "anybody"),
    ("ec2.amazonaws.com", "platform"),
    ("spiffe://example.org", "private"),
    ("arn:aws:iam::123456789012:saml-provider/okta", "private"),
    ("", "anybody"),
]


@pytest.mark.parametrize(("issuer", "sort"), ISSUERS)
def test_what_kind_of_issuer_it_is(issuer, sort):
    assert sort_of_issuer(issuer) == sort


SUBJECTS = [
    # (issuer, subject, looseness, whether strangers may fit)
    (ACTIONS, "repo:acme/app:ref:refs/heads/main", "exact", False),
    (ACTIONS, "repo:acme/app:*", "within", False),
    (ACTIONS, "repo:acme/app", "exact", False),
    (ACTIONS, "repo:acme/*", "loose", True),
    (ACTIONS, "repo:acme/app*:ref:refs/heads/main", "loose", True),
    (ACTIONS, "repo:ac*/app:*", "loose", True),
    (ACTIONS, "repo:*", "any", True),
    (ACTIONS, "*", "any", True),
    (ACTIONS, "", "any", True),
    ("https://gitlab.com", "project_path:acme/tools/app:ref_type:branch:ref:main", "exact", False),
    ("https://gitlab.com", "project_path:acme/*:ref_type:branch:ref:main", "loose", True),
    ("https://gitlab.example.org", "", "any", False),
    ("https://oidc.eks.eu-west-1.amazonaws.com/id/A", "system:serviceaccount:prod:api", "exact", False),
    ("https://oidc.eks.eu-west-1.amazonaws.com/id/A", "system:serviceaccount:prod:*", "loose", False),
    ("https://oidc.eks.eu-west-1.amazonaws.com/id/A", "system:serviceaccount:*:*", "any", False),
    ("spiffe://example.org", "spiffe://example.org/ns/prod/sa/*", "within", False),
    ("spiffe://example.org", "spiffe://example.org/*", "loose", False),
    ("AWS account 123456789012", "arn:aws:iam::123456789012:root", "loose", False),
    ("AWS account 123456789012", "arn:aws:iam::123456789012:role/deploy", "exact", False),
    ("any AWS account", "", "any", True),
    ("lambda.amazonaws.com", "", "exact", False),
]


@pytest.mark.parametrize(("issuer", "subject", "looseness", "strangers"), SUBJECTS)
def test_how_closely_a_trust_says_whom_it_means(issuer, subject, looseness, strangers):
    found = subject_looseness(issuer, subject)

    assert found.looseness == looseness
    assert found.lets_in_strangers is strangers
    assert found.words and not found.words.endswith(".")


def test_names_that_others_can_take_over_are_told_apart_from_ids():
    assert subject_looseness(ACTIONS, "repo:acme/app:ref:refs/heads/main").is_mutable
    assert not subject_looseness(ACTIONS, "repo:acme@12/app@34:ref:refs/heads/main").is_mutable
    assert not subject_looseness("spiffe://example.org", "spiffe://example.org/ns/prod/sa/api").is_mutable


@pytest.mark.parametrize(("audience", "is_open"), [("", True), ("*", True), ("sts.amazonaws.com", False)])
def test_a_trust_without_an_audience_takes_tokens_that_were_made_for_others(audience, is_open):
    assert audience_is_open(audience) is is_open
