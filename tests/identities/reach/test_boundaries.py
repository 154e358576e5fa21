"""Trust boundaries: what is trusted, what was registered, and how the two compare."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden, NotFound
from identities.models import TrustBoundary, TrustRelation
from identities.posture.gathering import gather
from identities.selectors.boundaries import list_boundaries, registrations_of
from identities.services.boundaries import (
    BoundaryChanged,
    BoundaryExists,
    InvalidBoundary,
    change_boundary,
    register_boundary,
    review_boundary,
    withdraw_boundary,
)
from tests.identities.reach.conftest import ACCOUNT, identity, role_arn, root_of, trust

ISSUER = "https://token.actions.githubusercontent.com"
STS = "sts.amazonaws.com"
DUE = (timezone.now() + timedelta(days=90)).date()


@pytest.fixture
def aws(fill: Any) -> Any:
    ci, wide = role_arn("ci"), role_arn("wide")
    return fill(
        "aws", "aws", identity(ci), identity(wide),
        trust(ci, ISSUER, "repo:acme/app:ref:refs/heads/main", audience=STS, conditions={}),
        trust(wide, ISSUER, "repo:acme/*", audience=STS, conditions={"token.actions.githubusercontent.com:ref": "main"}),
        trust(wide, "AWS account 999999999999", root_of("999999999999"), conditions={}),
    )  # fmt: skip


@pytest.fixture
def register(aws: Any, admin_actor: Any, make_user: Any) -> Any:
    """`register(subjects=[…])`: a record of GitHub's word, somebody else answering for it."""

    def go(**given: Any) -> TrustBoundary:
        wish = {
            "source": aws, "issuer": ISSUER, "subjects": ["repo:acme/app:*"], "audiences": [STS], "attributes_trusted": [],
            "purpose": "Deploys", "owner": make_user(Role.OWNER), "review_due": DUE, "actor": admin_actor,
            "now": timezone.now(),
        }  # fmt: skip
        return register_boundary(**(wish | given))

    return go


def test_each_issuer_of_each_source_is_one_boundary_with_its_loosest_pattern_first(aws: Any, admin_actor: Any) -> None:
    found = {each.issuer: each for each in list_boundaries(actor=admin_actor).rows}

    github = found[ISSUER]
    assert set(found) == {ISSUER, "AWS account 999999999999"}
    assert (github.identities, github.relations, github.record) == (2, 2, None)
    assert [(line.subject, line.judgement.looseness, line.has_conditions) for line in github.lines] == [
        ("repo:acme/*", "loose", True),
        ("repo:acme/app:ref:refs/heads/main", "exact", False),
    ]


def test_what_lies_outside_a_record_is_told(register: Any, admin_actor: Any) -> None:
    record = register()
    (github,) = list_boundaries(actor=admin_actor, registered="yes").rows

    assert {line.subject: line.is_registered for line in github.lines} == {
        "repo:acme/*": False,
        "repo:acme/app:ref:refs/heads/main": True,
    }
    assert github.outside == 1
    told = registrations_of(list(TrustRelation.objects.all()))
    by_subject = {each.subject: told.get(each.pk) for each in TrustRelation.objects.all()}
    assert by_subject["repo:acme/*"].record_id == record.pk and not by_subject["repo:acme/*"].covers
    assert by_subject["repo:acme/app:ref:refs/heads/main"].covers
    assert by_subject[root_of("999999999999")] is None


def test_a_trust_without_a_subject_lies_inside_no_record_but_one_for_everybody(
    register: Any, fill: Any, admin_actor: Any
) -> None:
    register(subjects=["repo:*"])
    fill("aws", "aws", identity(role_arn("ci")), trust(role_arn("ci"), ISSUER, "", audience=STS))

    (github,) = list_boundaries(actor=admin_actor).rows

    assert github.loosest.judgement.looseness == "any"
    assert (github.loosest.is_registered, github.loosest.has_conditions) == (False, None)


def test_a_record_is_listed_before_anything_uses_it(register: Any, admin_actor: Any) -> None:
    register(issuer="https://later.example.org")

    (later,) = list_boundaries(actor=admin_actor, text="LATER").rows

    assert (later.identities, later.lines) == (0, [])


def test_filters_narrow_and_the_queries_stay_three(
    register: Any, admin_actor: Any, django_assert_num_queries: Any
) -> None:
    register()

    with django_assert_num_queries(3):
        assert len(list_boundaries(actor=admin_actor).rows) == 2
    assert [each.issuer for each in list_boundaries(actor=admin_actor, registered="no").rows] == [
        "AWS account 999999999999"
    ]
    assert list_boundaries(actor=admin_actor, source="other").rows == []


def test_one_record_of_an_issuer_is_in_force_at_a_time(register: Any, admin_actor: Any) -> None:
    first = register()
    with pytest.raises(BoundaryExists):
        register()

    withdraw_boundary(boundary=first, version=1, reason="moved", actor=admin_actor, now=timezone.now())
    again = register()

    assert again.pk != first.pk
    assert TrustBoundary.objects.count() == 2


@pytest.mark.parametrize(
    "given",
    [
        {"subjects": []},
        {"subjects": ["a\x00"]},
        {"subjects": ["x" * 600]},
        {"audiences": ["x"] * 2 + [str(n) for n in range(200)]},
        {"purpose": "  "},
        {"issuer": ""},
        {"review_due": timezone.now().date()},
        {"review_due": (timezone.now() + timedelta(days=400)).date()},
        {"owner": None},
    ],
    ids=str,
)
def test_what_cannot_be_a_record_is_refused(register: Any, given: Any) -> None:
    with pytest.raises(InvalidBoundary):
        register(**given)

    assert not TrustBoundary.objects.exists()


def test_two_who_change_a_record_never_overwrite_each_other(register: Any, admin_actor: Any) -> None:
    record = register()
    by = {"boundary": record, "version": 1, "actor": admin_actor, "now": timezone.now()}
    change_boundary(changes={"purpose": "Releases"}, **by)

    with pytest.raises(BoundaryChanged):
        change_boundary(changes={"purpose": "Something else"}, **by)
    with pytest.raises(BoundaryChanged):
        withdraw_boundary(reason="old", **by)


def test_nobody_reviews_a_boundary_that_they_answer_for(register: Any, make_user: Any, actor_of: Any) -> None:
    owner, other = make_user(Role.ADMINISTRATOR), make_user(Role.AUDITOR)
    record = register(owner=owner)
    look = {"boundary": record, "version": 1, "review_due": DUE, "reason": "Read the trusts.", "now": timezone.now()}

    with pytest.raises(Forbidden):
        review_boundary(actor=actor_of(owner), **look)
    reviewed = review_boundary(actor=actor_of(other), **look)

    assert (reviewed.version, reviewed.review_due) == (2, DUE)


def test_only_administrators_register_and_only_who_sees_everything_looks(
    register: Any, make_user: Any, actor_of: Any
) -> None:
    for role in (Role.OWNER, Role.REVIEWER, Role.CAMPAIGN_MANAGER):
        with pytest.raises(Forbidden):
            register(actor=actor_of(make_user(role)))
    with pytest.raises(NotFound):
        list_boundaries(actor=actor_of(make_user(Role.OWNER)))


def test_posture_knows_which_trusts_are_registered_and_which_need_not_be(register: Any, fill: Any) -> None:
    register()
    own, ci = role_arn("own"), role_arn("ci")
    fill(
        "aws", "aws", identity(own), identity(ci),
        trust(own, f"AWS account {ACCOUNT}", root_of()), trust(own, "lambda.amazonaws.com"),
        trust(ci, ISSUER, "repo:acme/app:*", audience=STS), trust(ci, ISSUER, "repo:acme/*", audience=STS),
    )  # fmt: skip
    ids = [each.identity_id for each in TrustRelation.objects.filter(retired_at=None)]

    told = {
        trust.subject or trust.issuer: trust.is_registered
        for facts in gather(set(ids), now=timezone.now())
        for trust in facts.trusts
    }

    assert told == {root_of(): None, "lambda.amazonaws.com": None, "repo:acme/app:*": True, "repo:acme/*": False}
