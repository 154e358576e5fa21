"""Bulk answers and remarks over REST: results per row, once per key, and programs that only look."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from governance.kernel.actors import Role
from governance.people.access import SCOPES
from reviews.decisions import ask_remark, reply_to_remark
from reviews.decisions.nudges import note_seen
from reviews.models import Decision, Order

pytestmark = pytest.mark.django_db
PATH = "/api/v1/items/decide/"


@pytest.fixture
def call(client, make_token):
    def run(method, path, data=None, *, scopes=SCOPES, **headers):
        headers = {"authorization": f"Bearer {make_token(scopes)[1]}"} | headers
        return getattr(client, method)(path, data, content_type="application/json", headers=headers)

    return run


@pytest.fixture
def three(make):
    """Two plain questions and a privileged one, all asked of one person."""
    me = make.person()
    grants = [make.grant(make.identity(owner=me)) for _ in range(2)]
    grants.append(make.grant(make.identity(), make.PRIVILEGED))
    campaign = make.campaign(
        fallback_reviewer=me, independent_reviewer=me, deadline_at=timezone.now() + timedelta(days=9)
    )
    return me, [make.get_item(campaign, grant) for grant in grants]


@pytest.fixture
def as_person(make, three, monkeypatch):
    """Requests act for the person, as they would if tokens of people existed."""
    monkeypatch.setattr("reviews.api.bulk.actor_of", lambda request: make.actor(three[0]))


def body(items, **more):
    return {"items": [{"id": str(item.pk), "version": item.version} for item in items], "answer": "approve"} | more


def test_a_program_decides_nothing_however_many_it_names(call, three):
    response = call("post", PATH, body(three[1]))
    assert (response.status_code, response.json()["code"]) == (403, "not-assigned")
    assert not Decision.objects.exists()


def test_each_row_has_its_result(call, three, as_person):
    answer = call("post", PATH, body(three[1])).json()
    assert (answer["answered"], answer["refused"]) == (2, 1)
    assert [row["code"] for row in answer["results"]] == ["", "", "privileged-one-at-a-time"]
    assert [row["id"] for row in answer["results"]] == [str(item.pk) for item in three[1]]


def test_a_dry_run_says_the_same_and_writes_nothing(call, three, as_person):
    foreseen = call("post", PATH, body(three[1], dry_run=True)).json()
    assert not Decision.objects.exists()
    assert foreseen["results"] == call("post", PATH, body(three[1])).json()["results"]


def test_the_same_request_with_its_key_is_carried_out_once(call, three, as_person):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first, second = (call("post", PATH, body(three[1]), **key) for _ in range(2))
    assert first.json() == second.json()
    assert ("Idempotency-Replayed" in first, second["Idempotency-Replayed"]) == (False, "true")
    assert Decision.objects.count() == 2
    other = call("post", PATH, body(three[1], reason="x"), **key)
    assert other.json()["code"] == "idempotency-key-reused"


def test_a_version_that_is_out_of_date_is_refused_in_its_row(call, three, as_person):
    stale = body(three[1][:2])
    stale["items"][0]["version"] = 7
    assert [row["code"] for row in call("post", PATH, stale).json()["results"]] == ["stale-item", ""]


@pytest.mark.parametrize(
    "wrong", [{"answer": "perhaps"}, {"items": []}, {"items": [{"id": "x"}]}], ids=["answer", "none", "id"]
)
def test_a_request_that_makes_no_sense_is_refused_as_a_whole(call, three, as_person, wrong):
    assert call("post", PATH, body(three[1]) | wrong).status_code in (400, 422)
    assert not Decision.objects.exists()


def test_a_narrowing_nobody_recommends_is_refused_in_each_row(call, three, as_person):
    answer = call("post", PATH, body(three[1][:2], answer="scope_down")).json()
    assert (answer["answered"], answer["refused"]) == (0, 2)
    assert {row["code"] for row in answer["results"]} == {"nothing-recommended"}
    assert not Decision.objects.exists()


def test_programs_read_what_people_asked_and_replied(call, make, three):
    me, items = three
    manager = items[0].campaign.manager
    asked = ask_remark(item=items[0], asked=manager, text="Needed?", actor=make.actor(me), now=timezone.now())
    path = f"/api/v1/items/{items[0].pk}/remarks/"
    assert call("get", path).json()[0]["reply"] is None
    reply_to_remark(remark=asked, text="Yes.", actor=make.actor(manager), now=timezone.now())
    [shown] = call("get", path, scopes={"reviews:read"}).json()
    assert (shown["text"], shown["asked"], shown["reply"]["text"]) == ("Needed?", manager.email, "Yes.")
    assert call("get", path, scopes=SCOPES - {"reviews:read"}).status_code == 403


def test_what_waits_for_a_person_can_be_asked_for_by_their_address(call, three, make):
    me, [item, *_] = three
    owner, second = item.identity.owner, make.person(Role.REVIEWER)
    identity = make.identity(owner=second)
    facts = {"source": identity.source, "action": "revoke", "execute_after": make.NOW, "state": "awaiting_second"}
    Order.objects.create(identity=identity, **facts)
    free = Order.objects.create(identity=make.identity(identity.source), **facts)
    remark = ask_remark(item=item, asked=make_askable(item, make), text="Who?", actor=make.actor(me), now=make.NOW)

    def found(path, name, email):
        answer = call("get", f"/api/v1/{path}/?{name}={email}", scopes=["reviews:read", "orders:read"])
        assert answer.status_code == 200, answer.content
        return [row["id"] for row in answer.json()["results"]]

    assert found("orders", "releasable_by", second.email) == [str(free.pk)]
    assert found("orders", "releasable_by", owner.email) == []
    assert found("orders", "releasable_by", "nobody@example.org") == []
    assert found("items", "replied_to", me.email) == []
    reply_to_remark(remark=remark, text="I do.", actor=make.actor(remark.asked), now=make.NOW)
    assert found("items", "replied_to", me.email.upper()) == [str(item.pk)]
    assert found("items", "replied_to", second.email) == []
    note_seen(item_id=item.pk, actor=make.actor(me), now=make.NOW)
    assert found("items", "replied_to", me.email) == []


def make_askable(item, make):
    """Somebody around the question who can be asked about it."""
    item.identity.backup_owner = person = make.person()
    item.identity.save()
    return person
