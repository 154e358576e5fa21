"""The REST resources of reviews: scopes, filters, versions; and that programs never decide."""

from datetime import timedelta

import pytest
from django.utils import timezone

from governance.people.access import SCOPES
from reviews.campaigns.closing import close_due_campaigns
from reviews.decisions import decide
from reviews.models import Brake, Decision, Order

pytestmark = pytest.mark.django_db
LISTS = [
    ("/api/v1/campaigns/", "reviews:read"),
    ("/api/v1/items/", "reviews:read"),
    ("/api/v1/orders/", "orders:read"),
    ("/api/v1/brakes/", "orders:read"),
    ("/api/v1/schedules/", "reviews:read"),
]


@pytest.fixture
def call(client, make_token):
    """`call("get", path, data, scopes=…)` as a program with these scopes."""

    def run(method, path, data=None, *, scopes=SCOPES, **headers):
        headers = {"authorization": f"Bearer {make_token(scopes)[1]}"} | headers
        return getattr(client, method)(path, data, content_type="application/json", headers=headers)

    return run


@pytest.fixture
def item(make):
    return make.item(deadline_at=timezone.now() + timedelta(days=14))


@pytest.mark.parametrize(("path", "scope"), LISTS)
def test_each_list_asks_for_exactly_its_scope(call, path, scope):
    assert call("get", path, scopes=SCOPES - {scope}).status_code == 403
    assert call("get", path, scopes={scope}).json() == {"next": None, "previous": None, "results": []}


@pytest.mark.parametrize(("path", "_scope"), LISTS)
def test_no_endpoint_takes_a_session(client, make_user, sign_in, path, _scope):
    assert sign_in(client, make_user()).get(path).status_code == 401


def test_a_review_with_its_questions_and_progress(call, item):
    campaign = f"/api/v1/campaigns/{item.campaign_id}/"
    detail, progress = call("get", campaign), call("get", f"{campaign}progress/").json()
    [listed] = call("get", "/api/v1/items/", {"campaign": str(item.campaign_id)}).json()["results"]
    assert detail.json()["state"] == "open"
    assert detail["ETag"].startswith('"v')
    assert (progress["items"]["open"], progress["items"]["total"], progress["orders"]["total"]) == (1, 1, 0)
    assert listed["id"] == str(item.pk)
    assert listed["assignee"] == item.assignee.email
    assert listed["seen"]["plain"]


def test_questions_are_filtered(call, item):
    def found(**query):
        return len(call("get", "/api/v1/items/", query).json()["results"])

    assert found(assignee=item.assignee.email) == found(state="open") == found(kind="grant") == 1
    assert found(assignee="nobody@example.org") == found(state="decided") == found(kind="credential") == 0


@pytest.mark.parametrize(("path", "query"), [
    ("/api/v1/items/", {"state": "half"}), ("/api/v1/items/", {"campaign": "x"}), ("/api/v1/items/", {"kind": "x"}),
    ("/api/v1/orders/", {"state": "x"}), ("/api/v1/campaigns/", {"state": "x"}), ("/api/v1/orders/", {"cursor": "x"}),
    ("/api/v1/schedules/", {"limit": "0"}),
])  # fmt: skip
def test_a_filter_that_nothing_can_match_is_an_error_and_not_an_empty_list(call, path, query):
    response = call("get", path, query)
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"


def test_a_program_cannot_decide(call, item):
    path = f"/api/v1/items/{item.pk}/"
    etag = call("get", path)["ETag"]
    response = call("post", f"{path}decisions/", {"answer": "approve"}, **{"if-match": etag})
    assert response.status_code == 403
    assert response.json()["code"] == "not-assigned"
    assert "a program cannot" in response.json()["detail"]
    assert not Decision.objects.exists()


def test_deciding_asks_for_the_scope_and_the_version_first(call, item):
    path = f"/api/v1/items/{item.pk}/decisions/"
    read_only = call("post", path, {"answer": "approve"}, scopes={"reviews:read"})
    without = call("post", path, {"answer": "approve"})
    stale = call("post", path, {"answer": "approve"}, **{"if-match": '"v999"'})
    assert (read_only.status_code, without.status_code, stale.status_code) == (403, 428, 412)


@pytest.mark.parametrize("data", [{}, {"answer": "perhaps"}, {"answer": "approve", "until": "soon"}, [], "x"])
def test_an_answer_that_cannot_be_read_is_refused_with_pointers(call, item, data):
    response = call("post", f"/api/v1/items/{item.pk}/decisions/", data, **{"if-match": "*"})
    assert response.status_code in (400, 422)
    assert response["Content-Type"] == "application/problem+json"


def test_a_broken_target_names_its_place(call, item):
    data = {"answer": "scope_down", "target": {"dialect": "postgresql", "statements": "all"}}
    response = call("post", f"/api/v1/items/{item.pk}/decisions/", data, **{"if-match": "*"})
    assert response.status_code == 422
    assert "statements" in response.json()["detail"]


def test_what_people_said_and_ordered_can_be_read(call, item, make):
    decide(
        item=item,
        version=item.version,
        answer="revoke",
        reason="Unused.",
        actor=make.actor(item.assignee),
        now=timezone.now(),
    )
    [said] = call("get", f"/api/v1/items/{item.pk}/decisions/").json()
    [listed] = call("get", "/api/v1/orders/", {"campaign": str(item.campaign_id)}).json()["results"]
    order = call("get", f"/api/v1/orders/{listed['id']}/").json()
    assert (said["answer"], said["decided_by"], said["reason"]) == ("revoke", item.assignee.email, "Unused.")
    assert (order["action"], order["decision"]) == ("revoke", said["id"])
    assert order["id"] == str(Order.objects.get().pk)


def test_a_schedule_tells_its_next_dates(call, make):
    schedule = make.schedule()
    detail = call("get", f"/api/v1/schedules/{schedule.pk}/").json()
    assert len(detail["next_dates"]) == 5
    assert "next_dates" not in call("get", "/api/v1/schedules/").json()["results"][0]


@pytest.mark.parametrize("kind", ["campaigns", "items", "orders", "schedules"])
def test_what_does_not_exist_is_not_found(call, kind):
    response = call("get", f"/api/v1/{kind}/00000000-0000-0000-0000-000000000000/")
    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/v1/items/", "/api/v1/orders/", "/api/v1/campaigns/"])
def test_lists_cost_a_fixed_number_of_queries(call, make, make_token, client, django_assert_max_num_queries, path):
    source = make.source()
    for _ in range(20):
        make.grant(make.identity(source))
    campaign = make.campaign(deadline_at=timezone.now() + timedelta(days=14))
    for each in campaign.items.all()[:5]:
        decide(item=each, version=each.version, answer="revoke", actor=make.actor(each.assignee), now=timezone.now())
    headers = {"authorization": f"Bearer {make_token()[1]}"}
    client.get(path, headers=headers)
    with django_assert_max_num_queries(5):
        client.get(path, headers=headers)


def test_what_stayed_silent_is_asked_again_once(call, make, verbs):
    make.grant(make.identity(owner=make.person()))
    campaign = make.campaign()
    close_due_campaigns(now=campaign.deadline_at)
    path = f"/api/v1/campaigns/{campaign.pk}/rounds/"
    assert call("post", path, scopes=SCOPES - {"reviews:write"}).status_code == 403
    asked = call("post", path)
    assert (asked.status_code, asked.json()["round"], asked.json()["first_round"]) == (201, 2, str(campaign.pk))
    again = call("post", path)
    assert (again.status_code, again.json()["code"], again.json()["campaign"]) == (
        409, "asked-again", asked.json()["id"],
    )  # fmt: skip
    counts = [(row["round"], row["asked"], row["silent"]) for row in call("get", path).json()]
    assert counts == [(1, 1, 1), (2, 0, 0)]


def test_brakes_are_read_and_never_released_by_programs(call, make):
    brake = Brake.objects.create(scope="source", source=make.source(slug="ledger"), budget=3, tripped_at=make.NOW)
    path = f"/api/v1/brakes/{brake.pk}/"
    found = call("get", path)
    assert (found.json()["source"], found.json()["held"], found["ETag"]) == ("ledger", 0, '"v1"')
    assert call("post", path).status_code == 405
    [listed] = call("get", "/api/v1/brakes/", {"state": "held"}).json()["results"]
    assert listed["id"] == str(brake.pk)
    assert call("get", "/api/v1/orders/", {"brake": str(brake.pk)}).json()["results"] == []
