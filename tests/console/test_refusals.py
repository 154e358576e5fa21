"""Failed authorisation is in the trail, from pages and the API alike, and nobody can flood the trail with it."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from governance.audit.selectors import TrailRow, list_events
from governance.kernel.actors import Actor, Role
from governance.people import refusals
from governance.people.refusals import PER_MINUTE, record_refusal
from tests.reviews import conftest as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def refused() -> Callable[[], list[TrailRow]]:
    def read() -> list[TrailRow]:
        connection.check_constraints()
        return list_events(verb="access.refused", limit=100).rows

    return read


@pytest.fixture
def attempt(admin_actor: Actor) -> Callable[..., bool]:
    """One refused attempt of one person, so many seconds after the first."""
    begin = timezone.now()

    def go(seconds: float = 0, actor: Actor = admin_actor) -> bool:
        now = begin + timedelta(seconds=seconds)
        return record_refusal(actor=actor, place="x:y", method="POST", code="forbidden", objects={}, now=now)

    return go


def test_a_page_that_a_role_does_not_open_leaves_a_record(signed_in: Callable[..., Client], refused: Any) -> None:
    owner = make.make_person(Role.OWNER)

    assert signed_in(owner).get("/audit/?actor=ada@example.org").status_code == 403

    (row,) = refused()
    assert (row.actor_id, row.subject_id, row.outcome) == (str(owner.pk), "console:audit_trail", "refused")
    assert row.context == {"method": "GET", "code": "role-needed"}
    assert "ada@" not in row.payload and row.request_id


def test_an_action_that_a_use_case_refuses_leaves_a_record_with_the_object(
    signed_in: Callable[..., Client], refused: Any
) -> None:
    person = make.make_person(Role.OWNER)
    client = signed_in(make.make_person(Role.REVIEWER))

    assert client.post(f"/settings/people/{person.pk}/leave/", {"reason": "Kim"}).status_code == 403

    (row,) = refused()
    assert row.context["user_id"] == str(person.pk) and row.context["method"] == "POST"
    assert "Kim" not in row.payload


def test_a_token_without_the_scope_leaves_a_record(make_token: Any, refused: Any) -> None:
    token, secret = make_token(scopes=["audit:read"])
    client = Client(headers={"Authorization": f"Bearer {secret}"})

    assert client.get(f"/api/v1/people/{uuid.uuid4()}/").status_code == 403

    (row,) = refused()
    assert (row.actor_kind, row.actor_id, row.subject_id) == ("api_client", str(token.pk), "api_person")
    assert row.context["code"] == "forbidden"


def test_what_is_open_or_unknown_or_of_nobody_leaves_none(signed_in: Callable[..., Client], refused: Any) -> None:
    client = signed_in(make.make_person(Role.AUDITOR))

    assert client.get("/audit/").status_code == 200
    assert client.get(f"/grants/{uuid.uuid4()}/").status_code == 404
    assert Client().get("/api/v1/people/").status_code == 401
    assert refused() == []


def test_the_rate_is_bounded_and_what_was_left_out_is_counted(attempt: Callable[..., bool], refused: Any) -> None:
    recorded = [attempt(n / 10) for n in range(40)]

    assert recorded == [True] * (PER_MINUTE + 1) + [False] * (39 - PER_MINUTE)
    assert refused()[0].context["more_follow"] and "more_follow" not in refused()[1].context

    assert attempt(90)
    assert refused()[0].context["left_out_before"] == 39 - PER_MINUTE
    assert attempt(91) and "left_out_before" not in refused()[0].context


def test_one_actor_does_not_use_up_the_records_of_another(
    attempt: Callable[..., bool], make_user: Any, actor_of: Any
) -> None:
    for n in range(10):
        attempt(n)

    assert attempt(10, actor=actor_of(make_user(Role.OWNER)))


def test_counting_needs_little_memory_whoever_tries(
    attempt: Callable[..., bool], actor_of: Any, make_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "MOST_COUNTED", 2)
    counted = refusals._Unlisted()

    for name in "abcde":
        counted.add(name)

    assert len(counted._numbers) <= 2 and counted.take("e") == 1 and counted.take("e") == 0
