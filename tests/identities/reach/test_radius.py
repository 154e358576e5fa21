"""What is reached, and what would remain."""

import json
from typing import Any

import pytest

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from identities.models import Grant
from identities.selectors.reach.radius import compare, radius_of
from identities.selectors.reach.trial import read_narrowing
from tests.identities.reach.conftest import grant, identity, let_in, role_arn, root_of

BUCKETS = "arn:aws:s3:::invoices/* arn:aws:s3:::reports/*"
CI, DEPLOY = role_arn("ci"), role_arn("deploy")


def held(*statements: tuple[str, str]) -> Permission:
    return Permission.from_json(grant("x", "aws", *statements)["permission"])


@pytest.fixture
def estate(fill: Any) -> Any:
    return fill(
        "aws", "aws", identity(CI), identity(DEPLOY), let_in(DEPLOY, root_of()),
        grant(CI, "aws", ("s3:GetObject s3:DeleteObject", BUCKETS), ("sts:AssumeRole", DEPLOY)),
        grant(CI, "aws", ("s3:GetObject", "arn:aws:s3:::invoices/*"), number=2),
        grant(DEPLOY, "aws", ("s3:*", "*")),
    )  # fmt: skip


def test_things_of_several_grants_are_told_once_with_all_that_can_be_done_there(
    estate: Any, named: Any, admin_actor: Any
) -> None:
    found = radius_of(named("ci").pk, actor=admin_actor)
    invoices = next(each for each in found.targets if each.name == "invoices/*")

    assert sorted(each.name for each in found.targets) == ["invoices/*", "reports/*", "role/deploy"]
    assert (invoices.segment, invoices.place, len(invoices.grants)) == ("storage", "s3", 2)
    assert {"read", "destructive"} <= invoices.classes
    assert found.breadth == "set"
    assert [each.name for each in found.primitives] == ["aws.assume-role"]
    assert [(each.hop.name, each.segments) for each in found.onward] == [("deploy", (("storage", 1, 1),))]


def test_a_deny_in_another_grant_takes_things_away(fill: Any, named: Any, admin_actor: Any) -> None:
    fill(
        "aws", "aws", identity(CI), grant(CI, "aws", ("s3:GetObject", BUCKETS)),
        grant(CI, "aws", ("s3:*", "arn:aws:s3:::reports/*", {"effect": "deny"}), number=2),
    )  # fmt: skip

    assert [each.name for each in radius_of(named("ci").pk, actor=admin_actor).targets] == ["invoices/*"]


def test_before_and_after_a_narrowing(estate: Any, named: Any, admin_actor: Any) -> None:
    start, wide = named("ci").pk, Grant.objects.get(external_id=f"{CI}|1")
    before = radius_of(start, actor=admin_actor)
    after = radius_of(start, actor=admin_actor, instead={wide.pk: held(("s3:GetObject", "arn:aws:s3:::invoices/a"))})

    become = {each.target.name: each.becomes for each in compare(before, after)}

    assert become == {"reports/*": "goes", "role/deploy": "goes", "invoices/*": "shrinks", "invoices/a": "is left"}
    assert not after.onward
    assert not after.primitives


def test_an_address_that_names_a_narrowing_is_read_and_proved(estate: Any, named: Any) -> None:
    start, wide = named("ci").pk, Grant.objects.get(external_id=f"{CI}|1")
    inside, outside = held(("s3:GetObject", BUCKETS)), held(("s3:PutObject", BUCKETS))

    assert read_narrowing(identity_id=start, grant="", target="") is None
    assert read_narrowing(identity_id=start, grant=str(wide.pk), target="").verdict.holds
    assert read_narrowing(identity_id=start, grant=str(wide.pk), target=json.dumps(inside.to_json())).verdict.holds
    assert not read_narrowing(identity_id=start, grant=str(wide.pk), target=json.dumps(outside.to_json())).verdict.holds


@pytest.mark.parametrize(
    ("which", "target"), [("nonsense", ""), ("foreign", ""), ("own", "{"), ("own", "[]"), ("own", "x" * 30_000)]
)
def test_an_address_that_means_nothing_is_refused_in_words(estate: Any, named: Any, which: str, target: str) -> None:
    ids = {
        "nonsense": "1",
        "own": Grant.objects.get(external_id=f"{CI}|1").pk,
        "foreign": Grant.objects.get(external_id=f"{DEPLOY}|1").pk,
    }

    with pytest.raises(DomainError) as refused:
        read_narrowing(identity_id=named("ci").pk, grant=str(ids[which]), target=target)

    assert refused.value.status == 400


def test_who_sees_only_their_own_is_not_told_the_names_of_others(
    estate: Any, named: Any, make_user: Any, actor_of: Any
) -> None:
    owner = make_user(Role.OWNER)
    start = named("ci")
    start.owner = owner
    start.save()

    (step,) = radius_of(start.pk, actor=actor_of(owner)).onward

    assert not step.is_visible
