"""Registering an identity and declaring how often it is used."""

from typing import Any

import pytest
from django.utils import timezone

from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from identities.models import Identity, IdentityVersion
from identities.services.identities import IdentityChanged, InvalidEdit, NotAnOwner
from identities.services.lifecycle import AlreadyRegistered, declare_cadence, register_identity

NOW = timezone.now()
pytestmark = pytest.mark.django_db


@pytest.fixture
def identity(identities: Any) -> Identity:
    (one,) = identities(1)
    return one


def test_whoever_registers_names_owner_and_purpose_and_both_hold(
    identity: Identity, admin_actor: Any, make_user: Any
) -> None:
    ada = make_user()

    registered = register_identity(
        identity=identity, version=identity.version, owner=ada, purpose=" Books payments. ", actor=admin_actor, now=NOW
    )

    registered.refresh_from_db()
    assert (registered.owner, registered.effective_purpose) == (ada, "Books payments.")
    assert (registered.registered_at, str(registered.registered_by_id)) == (NOW, str(admin_actor.person_id))
    assert IdentityVersion.objects.get(identity=identity, seen_until=None).owner == ada


def test_a_purpose_that_the_source_says_already_stays_the_sources(
    identity: Identity, admin_actor: Any, make_user: Any
) -> None:
    Identity.objects.filter(pk=identity.pk).update(purpose="Runs the nightly export.")
    identity.refresh_from_db()

    registered = register_identity(
        identity=identity, version=identity.version, owner=make_user(), purpose="Runs the nightly export.",
        actor=admin_actor, now=NOW,
    )  # fmt: skip

    assert registered.purpose_edited == ""


@pytest.mark.parametrize(("owner", "purpose", "error"), [(True, "  ", InvalidEdit), (False, "Books.", NotAnOwner)])
def test_nobody_registers_without_owner_and_purpose(
    identity: Identity, admin_actor: Any, make_user: Any, owner: bool, purpose: str, error: type[Exception]
) -> None:
    named: Any = make_user() if owner else None

    with pytest.raises(error):
        register_identity(
            identity=identity, version=identity.version, owner=named, purpose=purpose, actor=admin_actor, now=NOW
        )


def test_an_identity_is_registered_once(identity: Identity, admin_actor: Any, make_user: Any) -> None:
    more = {"owner": make_user(), "purpose": "Books.", "actor": admin_actor, "now": NOW}
    registered = register_identity(identity=identity, version=identity.version, **more)

    with pytest.raises(AlreadyRegistered):
        register_identity(identity=registered, version=registered.version, **more)


def test_strangers_neither_register_nor_declare(identity: Identity, make_user: Any, actor_of: Any) -> None:
    stranger = actor_of(make_user(Role.OWNER))

    with pytest.raises(Forbidden):
        register_identity(
            identity=identity, version=identity.version, owner=make_user(), purpose="Books.", actor=stranger, now=NOW
        )
    with pytest.raises(Forbidden):
        declare_cadence(identity=identity, version=identity.version, days=9, actor=stranger, now=NOW, reason="So.")


def test_a_cadence_is_declared_and_taken_back_each_with_a_reason(identity: Identity, admin_actor: Any) -> None:
    declared = declare_cadence(
        identity=identity, version=identity.version, days=370, actor=admin_actor, now=NOW, reason="Closes the year."
    )
    assert Identity.objects.get(pk=identity.pk).expected_cadence_days == 370

    declare_cadence(
        identity=declared, version=declared.version, days=None, actor=admin_actor, now=NOW, reason="Runs monthly now."
    )
    assert Identity.objects.get(pk=identity.pk).expected_cadence_days is None


@pytest.mark.parametrize(("days", "reason"), [(0, "So."), (4_000, "So."), (30, " ")])
def test_a_cadence_needs_sense_and_a_reason(identity: Identity, admin_actor: Any, days: int, reason: str) -> None:
    with pytest.raises(InvalidEdit):
        declare_cadence(
            identity=identity, version=identity.version, days=days, actor=admin_actor, now=NOW, reason=reason
        )


def test_nobody_overwrites_what_somebody_else_just_said(identity: Identity, admin_actor: Any) -> None:
    with pytest.raises(IdentityChanged):
        declare_cadence(
            identity=identity, version=identity.version + 1, days=30, actor=admin_actor, now=NOW, reason="So."
        )


def test_nothing_is_declared_of_what_is_gone(identity: Identity, admin_actor: Any) -> None:
    Identity.objects.filter(pk=identity.pk).update(retired_at=NOW)

    with pytest.raises(InvalidEdit):
        declare_cadence(identity=identity, version=identity.version, days=30, actor=admin_actor, now=NOW, reason="So.")
