"""Trying a narrowing and asking for it over the API: what the workbench shows, as data."""

from datetime import timedelta

import pytest
from django.utils import timezone

from governance.people.access import SCOPES
from reviews.models import Campaign, Order, ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def call(client, make_token):
    def run(path, data=None, *, scopes=SCOPES):
        headers = {"authorization": f"Bearer {make_token(scopes)[1]}"}
        return client.post(path, data, content_type="application/json", headers=headers)

    return run


@pytest.fixture
def item(make):
    item = make.item(deadline_at=timezone.now() + timedelta(days=14))
    make.window(item.identity.source)
    make.use(item.identity, "SELECT", "table:ledger/public/payments", count=4205)
    make.use(item.identity, "INSERT", "table:ledger/public/payments", count=7)
    return item


@pytest.fixture(params=["items", "grants"])
def path(request, item):
    """The verdict of a question, and of a grant."""
    return f"/api/v1/{request.param}/{item.pk if request.param == 'items' else item.grant_id}/verdict/"


def test_a_narrowing_is_proved_replayed_and_planned(call, path, make):
    before = (Campaign.objects.count(), Order.objects.count())

    verdict = call(path, {"target": make.NARROWER}).json()

    assert verdict["state"] == "proved"
    assert (verdict["replay"]["calls"], verdict["replay"]["refused_calls"]) == (4212, 7)
    assert verdict["replay"]["refused"][0]["action"] == "INSERT"
    assert verdict["stays"] == ["read every row of table payments in database ledger"]
    assert any("refunds" in sentence for sentence in verdict["goes"])
    assert verdict["instructions"]
    assert (verdict["plan"], verdict["counter_example"], verdict["others"]) == (None, None, [])
    assert (Campaign.objects.count(), Order.objects.count()) == before


def test_a_target_outside_is_refuted_with_an_example_in_both_forms(call, path, make):
    verdict = call(path, {"target": make.PRIVILEGED}).json()
    example = verdict["counter_example"]
    assert verdict["state"] == "refuted"
    assert (example["action"], example["resource"]) in {
        ("DELETE", "table:ledger/public/payments"),
        ("TRUNCATE", "table:ledger/public/payments"),
    }
    assert "table payments in database ledger" in example["words"]
    assert (verdict["replay"], verdict["plan"], verdict["others"]) == (None, None, None)


@pytest.mark.parametrize(("name", "state"), [("HELD", "equal"), ("EMPTY", "empty")])
def test_everything_and_nothing_are_no_narrowing(call, path, make, name, state):
    target = getattr(make, name, {"dialect": "postgresql", "statements": []})
    verdict = call(path, {"target": target}).json()
    assert verdict["state"] == state
    assert (verdict["replay"] is None) is (state == "equal"), "what taking everything away would refuse is told"


@pytest.mark.parametrize("body", [{}, {"target": "all"}, {"target": {"dialect": "x", "statements": []}}, []])
def test_what_is_no_permission_is_a_problem(call, path, body):
    response = call(path, body)
    assert response.status_code in {400, 422}
    assert response["Content-Type"] == "application/problem+json"


def test_each_asks_for_its_scope(call, item, make):
    target = {"target": make.NARROWER}
    assert call(f"/api/v1/items/{item.pk}/verdict/", target, scopes={"reviews:read"}).status_code == 200
    assert call(f"/api/v1/items/{item.pk}/verdict/", target, scopes={"inventory:read"}).status_code == 403
    assert call(f"/api/v1/grants/{item.grant_id}/verdict/", target, scopes={"inventory:read"}).status_code == 200
    assert call(f"/api/v1/grants/{item.grant_id}/verdict/", target, scopes={"reviews:read"}).status_code == 403


def test_what_the_source_no_longer_holds_is_a_conflict(call, item, make):
    item.grant.versions.update(seen_until=make.NOW)
    response = call(f"/api/v1/grants/{item.grant_id}/verdict/", {"target": make.NARROWER})
    assert (response.status_code, response.json()["code"]) == (409, "nothing-held")


def test_a_program_asks_and_a_person_is_asked(call, make):
    grant = make.grant()
    body = {"target": make.NARROWER, "why": "Read only since March."}

    response = call(
        f"/api/v1/grants/{grant.pk}/questions/", body, scopes={"reviews:write", "inventory:read", "reviews:read"}
    )

    item = ReviewItem.objects.get()
    assert (response.status_code, response.json()["id"]) == (201, str(item.pk))
    assert response.json()["seen"]["proposal"]["why"] == "Read only since March."
    assert not Order.objects.exists()


def test_asking_needs_both_scopes_and_nothing_more(call, make):
    path, body = f"/api/v1/grants/{make.grant().pk}/questions/", {"target": make.NARROWER}
    assert call(path, body, scopes={"reviews:write"}).status_code == 404
    assert call(path, body, scopes={"inventory:read"}).status_code == 403
    assert call(path, body, scopes={"reviews:write", "inventory:read"}).status_code == 201


def test_a_question_that_waits_is_named(call, item, make):
    response = call(f"/api/v1/grants/{item.grant_id}/questions/", {"target": make.NARROWER})
    assert (response.status_code, response.json()["code"]) == (409, "asked-already")
    assert response.json()["item"] == str(item.pk)


def test_a_proposal_outside_is_refused_with_the_counter_example(call, make):
    response = call(f"/api/v1/grants/{make.grant().pk}/questions/", {"target": make.PRIVILEGED})
    assert response.json()["code"] == "target-not-inside"
    assert response.json()["counter_example"]["resource"] == "table:ledger/public/payments"
    assert not Campaign.objects.exists()


def test_suggestions_lie_inside_and_refuse_no_call(client, make_token, item):
    headers = {"authorization": f"Bearer {make_token({'inventory:read'})[1]}"}
    [first, *_] = client.get(f"/api/v1/grants/{item.grant_id}/suggestions/", headers=headers).json()["results"]
    verdict = client.post(
        f"/api/v1/grants/{item.grant_id}/verdict/",
        {"target": first["target"]},
        content_type="application/json",
        headers=headers,
    ).json()
    assert first["style"] == "exact"
    assert (verdict["state"], verdict["replay"]["refused_calls"]) == ("proved", 0)
    assert first["plain"] == verdict["stays"]
