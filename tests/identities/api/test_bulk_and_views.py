"""The API's twins of bulk edits and saved views."""

import json
from typing import Any

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.people.models import Team
from identities.models import Identity, SavedView
from tests.identities.services.conftest import fill

BULK = "/api/v1/identities/bulk-edit/"
VIEWS = "/api/v1/saved-views/"


def send(client: Any, body: dict[str, Any], **headers: str) -> Any:
    return client.post(BULK, json.dumps(body), content_type="application/json", headers=headers)


def test_a_dry_run_gives_the_tag_that_the_edit_needs(api: Any) -> None:
    (made,) = fill(1)
    body = {"ids": [str(made.pk)], "set": {"add_tags": ["pci"]}}

    dry = send(api(), body | {"dry_run": True})
    assert (dry.status_code, dry.json()["changed"], dry.json()["changes"][0]["new"]) == (200, 1, {"tags": ["pci"]})
    assert not Identity.objects.filter(tags=["pci"]).exists()

    assert send(api(), body).status_code == 428
    done = send(api(), body, **{"If-Match": dry["ETag"]})
    assert (done.status_code, done.json()["changed"]) == (200, 1)
    assert Identity.objects.filter(tags=["pci"]).exists()


def test_an_edit_that_is_sent_twice_is_carried_out_once(api: Any) -> None:
    fill(2)
    body = {"filter": "", "set": {"add_tags": ["pci"]}}
    tag = send(api(), body | {"dry_run": True})["ETag"]

    first, second = (send(api(), body, **{"If-Match": tag}) for _ in range(2))

    assert (first.status_code, second.status_code, second.json()["code"]) == (200, 412, "selection-changed")
    assert AuditEvent.objects.filter(verb="identity.changed").count() == 2


def test_a_key_stands_for_one_edit_and_its_answer(api: Any) -> None:
    fill(2)
    body = {"filter": "", "set": {"add_tags": ["pci"]}}
    headers = {"If-Match": "*", "Idempotency-Key": "order-17"}
    client = api()

    first = send(client, body, **headers)
    Identity.objects.update(tags=[])
    second = send(client, dict(reversed(body.items())), **headers)

    assert (first.status_code, second.status_code) == (200, 200)
    assert (second.json(), second["Idempotency-Replayed"]) == (first.json(), "true")
    assert "Idempotency-Replayed" not in first
    assert not Identity.objects.filter(tags=["pci"]).exists(), "nothing was edited again"
    assert AuditEvent.objects.filter(verb="identity.changed").count() == 2


def test_a_key_is_bound_to_its_request_and_to_its_program(api: Any) -> None:
    fill(1)
    body, other = ({"filter": "", "set": {"add_tags": [tag]}} for tag in ("pci", "sox"))
    headers = {"If-Match": "*", "Idempotency-Key": "order-17"}
    client = api()
    send(client, body, **headers)

    assert send(client, other, **headers).json()["code"] == "idempotency-key-reused"
    assert send(client, body, **headers | {"If-Match": '"x"'}).json()["code"] == "idempotency-key-reused"
    assert send(api(), other, **headers).status_code == 200
    assert Identity.objects.get().tags == ["pci", "sox"]


def test_a_refused_edit_leaves_its_key_free(api: Any) -> None:
    fill(1)
    body = {"filter": "", "set": {"add_tags": ["pci"]}}
    client = api()

    assert send(client, body, **{"If-Match": '"old"', "Idempotency-Key": "k"}).status_code == 412
    assert send(client, body, **{"If-Match": "*", "Idempotency-Key": "k"}).status_code == 200
    assert send(client, body, **{"If-Match": "*", "Idempotency-Key": ""}).json()["code"] == "invalid-idempotency-key"


def test_people_and_teams_are_named(api: Any, make_user: Any) -> None:
    ada, team = make_user(Role.OWNER), Team.objects.create(name="Payments")
    (made,) = fill(1)

    send(api(), {"filter": "", "set": {"owner": ada.email.upper(), "team": "Payments"}}, **{"If-Match": "*"})

    made.refresh_from_db()
    assert (made.owner, made.team) == (ada, team)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"set": {"owner": None}}, 422),
        ({"filter": "", "ids": [], "set": {"owner": None}}, 422),
        ({"filter": "", "set": {}}, 422),
        ({"filter": "", "set": {"purpose": "x"}}, 422),
        ({"filter": "", "set": {"owner": "nobody@example.org"}}, 422),
        ({"filter": "", "set": {"team": "none such"}}, 422),
        ({"filter": "", "set": {"add_tags": ["a,b"]}}, 422),
        ({"filter": "colour=red", "set": {"owner": None}}, 400),
        ({"ids": ["x"], "set": {"owner": None}}, 422),
        ({"filter": "", "set": {"owner": None}, "dryrun": True}, 422),
    ],
    ids=str,
)
def test_bad_input_changes_nothing(body: dict[str, Any], code: int, api: Any) -> None:
    fill(1)

    answer = send(api(), body, **{"If-Match": "*"})

    assert answer.status_code == code, answer.content
    assert set(Identity.objects.values_list("version", flat=True)) == {1}


@pytest.mark.parametrize("scopes", [["inventory:read"], ["inventory:write"], ["sync:write"]])
def test_editing_many_needs_to_read_and_to_write(scopes: list[str], api: Any) -> None:
    assert send(api(*scopes), {"filter": "", "set": {"owner": None}, "dry_run": True}).status_code == 403


def test_tags_of_one_identity_are_read_and_written(api: Any) -> None:
    (made,) = fill(1, source_tags=["src"])
    client = api()

    answer = client.patch(
        f"/api/v1/identities/{made.pk}/", json.dumps({"tags": ["b", "a"]}), content_type="application/json",
        headers={"If-Match": '"v1"'},
    )  # fmt: skip

    assert (answer.json()["tags"], answer.json()["source_tags"]) == (["a", "b"], ["src"])


# --- saved views ----------------------------------------------------------------------------------------------------


def test_a_program_keeps_views_for_whoever_answers_for_it(api: Any, admin_actor: Any) -> None:
    client = api()
    made = client.post(
        VIEWS, {"page": "identities", "name": "Mine", "filter": "privileged=yes"}, content_type="application/json"
    )
    address = f"{VIEWS}{made.json()['id']}/"

    assert (made.status_code, made.json()["is_mine"]) == (201, True)
    assert SavedView.objects.get().owner_id == admin_actor.person_id
    changed = client.patch(
        address, {"name": "Renamed", "is_shared": True}, content_type="application/json",
        headers={"If-Match": made["ETag"]},
    )  # fmt: skip
    assert (changed.json()["name"], changed.json()["is_shared"]) == ("Renamed", True)
    assert [view["name"] for view in client.get(VIEWS, {"page": "identities"}).json()["results"]] == ["Renamed"]
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


def test_a_view_that_somebody_changed_meanwhile_is_not_overwritten(api: Any) -> None:
    client = api()
    made = client.post(VIEWS, {"page": "identities", "name": "Mine"}, content_type="application/json")
    address, seen = f"{VIEWS}{made.json()['id']}/", {"If-Match": made["ETag"]}

    def rename(name: str, **headers: str) -> Any:
        return client.patch(address, {"name": name}, content_type="application/json", headers=headers)

    assert rename("No tag").status_code == 428
    first = rename("First", **seen)
    assert (first.status_code, first["ETag"]) == (200, client.get(address)["ETag"])
    assert (rename("Second", **seen).status_code, SavedView.objects.get().name) == (412, "First")
    assert client.delete(address, headers=seen).status_code == 412
    assert client.delete(address, headers={"If-Match": first["ETag"]}).status_code == 204


def test_views_of_others_are_absent_unless_shared(api: Any, make_user: Any) -> None:
    other = make_user(Role.OWNER)
    own = SavedView.objects.create(page="identities", name="Own", owner=other)
    shared = SavedView.objects.create(page="identities", name="Shared", owner=other, is_shared=True)
    client = api()

    assert client.get(f"{VIEWS}{own.pk}/").status_code == 404
    assert client.get(f"{VIEWS}{shared.pk}/").json()["is_mine"] is False
    headers = {"If-Match": "*"}
    refused = client.patch(f"{VIEWS}{shared.pk}/", {"name": "x"}, content_type="application/json", headers=headers)
    assert refused.status_code == 403
    assert client.delete(f"{VIEWS}{shared.pk}/").status_code == 403


def test_a_broken_view_is_listed_with_its_problem(api: Any, admin_actor: Any) -> None:
    SavedView.objects.create(page="identities", name="Old", owner_id=admin_actor.person_id, filter="colour=red")

    (view,) = api().get(VIEWS).json()["results"]

    assert "colour" in view["problem"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"page": "identities"}, 422),
        ({"page": "people", "name": "x"}, 422),
        ({"page": "identities", "name": "x", "filter": "colour=red"}, 400),
        ({"page": "identities", "name": "x", "colour": "red"}, 422),
    ],
)
def test_bad_views_are_refused(body: dict[str, Any], status: int, api: Any) -> None:
    assert api().post(VIEWS, body, content_type="application/json").status_code == status
    assert not SavedView.objects.exists()
