"""Findings without an engine: outcomes as rules give them, taken by the product's own function."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from governance.kernel.actors import Role
from governance.people.models import User
from identities.models import Credential, Finding, Identity, PosturePolicy
from identities.posture.findings.recording import Taken, take_outcomes
from identities.posture.results import ObjectKind, Outcome, Result, Severity
from tests.identities.services.conftest import fill

NOW = timezone.now()
DAY = timedelta(days=1)


def outcome(thing: Any, result: Result = Result.FAIL, rule: str = "NHI5-A", **more: Any) -> Outcome:
    """What a rule says of an identity or a credential; a fail is high unless told otherwise."""
    kind = ObjectKind.CREDENTIAL if isinstance(thing, Credential) else ObjectKind.IDENTITY
    values: dict[str, Any] = {"reasons": ("stale",)} if result is Result.NOT_ASSESSABLE else {}
    if result is Result.FAIL:
        values = {"severity": Severity.HIGH, "arithmetic": ("base: high",), "evidence": {"grants": ["everything"]}}
    return Outcome(rule=rule, result=result, object_kind=kind, object_id=thing.pk, **(values | more))


def take(outcomes: Iterable[Outcome], assessed: dict[str, list[UUID]] | None = None, *, at: Any = NOW) -> Taken:
    """One pass, in which every object with an outcome was judged, and those of `assessed`."""
    outcomes = list(outcomes)
    found: dict[str, set[UUID]] = {rule: set(ids) for rule, ids in (assessed or {}).items()}
    for each in outcomes:
        found.setdefault(each.rule, set()).add(each.object_id)
    return take_outcomes(outcomes, assessed=found, policy_number=1, now=at)


@pytest.fixture(autouse=True)
def policy(db: None) -> PosturePolicy:
    return PosturePolicy.objects.get_or_create(number=1, defaults={"document": {}})[0]


@pytest.fixture
def identity(make_user: Callable[..., User]) -> Identity:
    """One identity with an owner."""
    (made,) = fill(1, owner=make_user(Role.OWNER, name="Olga"))
    return made


@pytest.fixture
def finding(identity: Identity) -> Finding:
    """Its one finding, high, open for a day."""
    take([outcome(identity)], at=NOW - DAY)
    return Finding.objects.select_related("identity", "source").get()


def make_credential(identity: Identity, **fields: Any) -> Credential:
    values = {"external_id": f"key-{identity.pk}", "kind": "api_key", "content_hash": b"\0" * 32}
    times = {"first_seen_at": NOW, "last_changed_at": NOW}
    return Credential.objects.create(source=identity.source, identity=identity, **(values | times | fields))


@pytest.fixture
def browse(sign_in: Callable[..., Client]) -> Callable[..., Client]:
    """`browse(user)`: a client with that person's session."""

    def go(user: User, method: str = "password+totp") -> Client:
        return sign_in(Client(), user, method=method)

    return go
