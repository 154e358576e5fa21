"""How applications decide: who may say so, whose word goes first, and what follows from it."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from identities.models import Identity
from identities.posture.exposure import assess_exposure
from identities.posture.facts import Missing
from identities.posture.gathering import gather
from identities.posture.legacy import application_grant
from identities.posture.policy import first_policy
from identities.selectors.authorization import Declared, declared_of
from identities.services.authorization import DeclarationChanged, InvalidDeclaration, declare_authorization
from tests.identities.reach.conftest import identity

ALL = {
    "model": "login_implies_all",
    "classes": ["write", "destructive"],
    "breadth": "service",
    "note": "",
    "version": 0,
}


@pytest.fixture
def erp(fill: Any) -> Identity:
    fill(
        "legacy",
        "push",
        identity("erp", "database_user"),
        identity("said", "database_user", attributes={"authz_model": "roles"}),
    )
    return Identity.objects.get(name="erp")


@pytest.fixture
def declare(admin_actor: Any) -> Any:
    def go(of: Any, **given: Any) -> Any:
        return declare_authorization(of=of, **(ALL | {"actor": admin_actor, "now": timezone.now()} | given))

    return go


def test_the_nearest_word_goes_first_and_can_be_taken_back(
    erp: Identity, declare: Any, django_assert_num_queries: Any
) -> None:
    said = Identity.objects.get(name="said")
    ids = [erp.pk, said.pk]
    model_of = lambda: {pk: (each.model, each.said_by) for pk, each in declared_of(ids).items()}  # noqa: E731

    assert model_of() == {said.pk: ("roles", "reading")}
    declare(erp.source)
    assert model_of() == {erp.pk: ("login_implies_all", "source"), said.pk: ("login_implies_all", "source")}
    declare(erp, model="per_request", classes=[], breadth="")
    assert model_of()[erp.pk] == ("per_request", "identity")
    declare(erp, model="", classes=[], breadth="", version=1)
    with django_assert_num_queries(2):
        assert model_of()[erp.pk] == ("login_implies_all", "source")


@pytest.mark.parametrize(
    "given",
    [{"model": "magic"}, {"classes": ["fly"]}, {"breadth": "galaxy"}, {"note": "x" * 3_000}, {"model": ""}],
    ids=str,
)
def test_what_nobody_can_declare_is_refused(erp: Identity, declare: Any, given: Any) -> None:
    with pytest.raises(InvalidDeclaration):
        declare(erp, **given)


def test_two_who_declare_never_overwrite_each_other(erp: Identity, declare: Any) -> None:
    declare(erp)

    with pytest.raises(DeclarationChanged):
        declare(erp, model="roles", classes=[], breadth="")


def test_its_owner_declares_of_an_identity_and_only_administrators_of_a_source(
    erp: Identity, declare: Any, make_user: Any, actor_of: Any
) -> None:
    owner = make_user(Role.OWNER)
    with pytest.raises(Forbidden):
        declare(erp, actor=actor_of(owner))
    erp.owner = owner
    erp.save()

    assert declare(erp, actor=actor_of(owner)).declared_by_id == owner.pk
    with pytest.raises(Forbidden):
        declare(erp.source, actor=actor_of(owner))


def declared(model: str, classes: tuple[str, ...] = (), breadth: str = "") -> Declared:
    return Declared(model, classes, breadth, "", "identity", timezone.now(), 1)


def test_where_signing_in_is_all_what_the_application_can_do_counts_as_a_grant() -> None:
    found = application_grant(
        declared("login_implies_all", ("write", "destructive"), "service"),
        identity_id=uuid4(),
        first_seen_at=timezone.now(),
    )

    assert found is not None
    assert (found.classes, found.breadth, found.is_privileged, found.is_parsed) == (
        {"write", "destructive"},
        "service",
        True,
        True,
    )


def test_what_nobody_declared_is_not_nothing() -> None:
    found = application_grant(declared("login_implies_all"), identity_id=uuid4(), first_seen_at=timezone.now())

    assert found is not None
    assert not found.is_parsed
    assert isinstance(found.breadth, Missing)


def test_an_application_that_decides_adds_nothing() -> None:
    assert application_grant(declared("per_request"), identity_id=uuid4(), first_seen_at=timezone.now()) is None


def test_posture_takes_the_declaration_for_a_fact_and_the_application_for_a_grant(erp: Identity, declare: Any) -> None:
    declare(erp)

    (facts,) = gather([erp.pk], now=timezone.now())

    assert facts.authz_model == "login_implies_all"
    assert [(each.dialect, each.is_privileged, each.breadth) for each in facts.grants] == [
        ("application", True, "service")
    ]


def test_what_a_source_says_of_an_application_comes_by_the_same_way_and_by_no_other(fill: Any) -> None:
    says = {"authz_model": "login_implies_all", "application_classes": ["read", "admin"]}
    fill("old", "push", identity("told", "database_user", attributes=says))
    told = Identity.objects.get(name="told")

    (facts,) = gather([told.pk], now=timezone.now())

    (grant,) = facts.grants
    assert (grant.dialect, grant.classes, grant.is_parsed) == ("application", {"read", "admin"}, True)
    without = replace(facts, attributes={"authz_model": "login_implies_all"})
    (privilege, *_), (same, *_) = (
        [each for each in assess_exposure(it, first_policy()).factors if each.name == "privilege"]
        for it in (facts, without)
    )
    assert (privilege.low, privilege.high) == (same.low, same.high) == (30, 30)
