"""A directory keeps people and teams in step over SCIM 2.0 (RFC 7643, 7644)."""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.console.scim.messages import ENTERPRISE, GROUP, PATCH, USER
from governance.kernel.actors import Role
from governance.people.access import actor_for_user
from governance.people.models import RoleAssignment, Team, User
from governance.people.tokens import create_token

pytestmark = pytest.mark.django_db
SCIM = "application/scim+json"


class Directory:
    """A client as directories are: SCIM's media type, a bearer token."""

    def __init__(self, token: str) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {token}", "Accept": SCIM})

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = json.dumps(body) if body is not None else b""
        return self.client.generic(method, f"/scim/v2/{path}", data, content_type=SCIM, headers=headers)

    def patch(self, path: str, *operations: dict[str, Any], **headers: str) -> Any:
        return self("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, **headers)


def token_of(*scopes: str) -> str:
    boss = User.objects.create_user(f"boss-{uuid.uuid4().hex[:8]}@example.org", None, name="Boss")
    RoleAssignment.objects.create(user=boss, role=Role.ADMINISTRATOR)
    now = timezone.now()
    actor = actor_for_user(boss, auth_method="password")
    return create_token(name="directory", scopes=scopes, expires_at=now + timedelta(days=1), actor=actor, now=now)[1]


@pytest.fixture
def directory() -> Directory:
    return Directory(token_of("people:provision"))


def ada(**more: Any) -> dict[str, Any]:
    return {"schemas": [USER], "userName": "ada@example.org", "displayName": "Ada Lovelace", "externalId": "e-1"} | more


def add(directory: Directory, **more: Any) -> dict[str, Any]:
    response = directory("POST", "Users", ada(**more))
    assert response.status_code == 201, response.content
    return response.json()


def verbs_since(known: set[Any]) -> list[str]:
    return list(AuditEvent.objects.exclude(pk__in=known).order_by("pk").values_list("verb", flat=True))


def records() -> set[Any]:
    return set(AuditEvent.objects.values_list("pk", flat=True))


def test_a_person_is_created_read_and_found_by_address_and_by_the_directorys_id(directory):
    known = records()
    response = directory("POST", "Users", ada(name={"givenName": "Ada", "familyName": "Lovelace"}))
    assert response.status_code == 201
    assert response["Content-Type"].startswith(SCIM)
    made = response.json()
    assert (made["userName"], made["active"], made["externalId"]) == ("ada@example.org", True, "e-1")
    assert response["Location"] == made["meta"]["location"] == f"/scim/v2/Users/{made['id']}"
    assert directory("GET", f"Users/{made['id']}")["ETag"] == made["meta"]["version"] == 'W/"v1"'
    for text in ('userName eq "ADA@example.org"', 'externalId eq "e-1" and active eq true', f'id eq "{made["id"]}"'):
        found = directory("GET", f"Users?filter={text}").json()
        assert (found["totalResults"], found["Resources"][0]["id"]) == (1, made["id"])
    assert directory("GET", 'Users?filter=userName eq "nobody@example.org"').json()["totalResults"] == 0
    assert verbs_since(known) == ["user.created"]
    person = User.objects.get(pk=made["id"])
    assert not person.has_usable_password()
    assert not person.role_assignments.exists()


def test_an_address_that_is_taken_is_a_conflict_in_scims_words(directory):
    add(directory)
    response = directory("POST", "Users", ada(externalId="e-2"))
    assert (response.status_code, response.json()["scimType"], response.json()["status"]) == (409, "uniqueness", "409")
    response = directory("POST", "Users", ada(userName="other@example.org"))
    assert (response.status_code, response.json()["scimType"]) == (409, "uniqueness")


def test_active_false_is_a_departure_with_all_that_follows_and_active_true_brings_back(directory):
    made = add(directory)
    RoleAssignment.objects.create(user_id=made["id"], role=Role.REVIEWER)
    known = records()
    # As one known directory writes it.
    response = directory.patch(f"Users/{made['id']}", {"op": "Replace", "path": "active", "value": "False"})
    assert (response.status_code, response.json()["active"]) == (200, False)
    person = User.objects.get(pk=made["id"])
    assert (person.is_active, person.left_at is not None, person.session_epoch) == (False, True, 1)
    assert not person.role_assignments.exists()
    assert verbs_since(known) == ["user.left"]
    directory.patch(f"Users/{made['id']}", {"op": "replace", "value": {"active": True}})
    person.refresh_from_db()
    assert (person.is_active, person.left_at) == (True, None)
    assert not person.role_assignments.exists()


def test_the_same_request_twice_changes_once(directory):
    made = add(directory)
    known = records()
    for _ in range(2):
        assert (
            directory.patch(f"Users/{made['id']}", {"op": "replace", "path": "active", "value": False}).status_code
            == 200
        )
    assert verbs_since(known) == ["user.left"]
    assert User.objects.get(pk=made["id"]).version == 2


def test_a_replacement_says_all_of_it(directory):
    boss = add(directory, userName="boss@example.org", externalId="b")
    made = add(directory, **{ENTERPRISE: {"manager": {"value": boss["id"]}}})
    assert made[ENTERPRISE]["manager"]["value"] == boss["id"]
    response = directory(
        "PUT", f"Users/{made['id']}", ada(displayName="Countess Lovelace", userName="countess@example.org")
    )
    assert response.status_code == 200
    person = User.objects.get(pk=made["id"])
    assert (person.name, person.email, person.manager) == ("Countess Lovelace", "countess@example.org", None)


@pytest.mark.parametrize(
    ("operation", "name", "email"),
    [
        ({"op": "replace", "path": "displayName", "value": "A. King"}, "A. King", "ada@example.org"),
        ({"op": "replace", "path": "name.formatted", "value": "A. King"}, "A. King", "ada@example.org"),
        ({"op": "add", "value": {"name": {"givenName": "A.", "familyName": "King"}}}, "A. King", "ada@example.org"),
        ({"op": "replace", "path": "userName", "value": "king@example.org"}, "Ada Lovelace", "king@example.org"),
        ({"op": "replace", "path": 'emails[type eq "work"].value', "value": "king@example.org"}, "Ada Lovelace", "king@example.org"),
        ({"op": "replace", "path": f"{USER}:displayName", "value": "A. King"}, "A. King", "ada@example.org"),
        ({"op": "Add", "path": "title", "value": "Countess"}, "Ada Lovelace", "ada@example.org"),
    ],
    ids=["display name", "formatted", "given and family", "user name", "work address", "with its schema", "not kept"],
)  # fmt: skip
def test_what_a_patch_changes(directory, operation, name, email):
    made = add(directory)
    response = directory.patch(f"Users/{made['id']}", operation)
    assert response.status_code == 200, response.content
    assert (response.json()["displayName"], response.json()["userName"]) == (name, email)


def test_a_manager_is_set_and_taken_away_by_patch_and_a_circle_is_refused(directory):
    boss = add(directory, userName="boss@example.org", externalId="b")
    made = add(directory)
    path = f"{ENTERPRISE}:manager"
    for value in ({"value": boss["id"]}, boss["id"]):
        directory.patch(f"Users/{made['id']}", {"op": "replace", "path": path, "value": value})
        assert str(User.objects.get(pk=made["id"]).manager_id) == boss["id"]
    circle = directory.patch(f"Users/{boss['id']}", {"op": "replace", "path": path, "value": {"value": made["id"]}})
    assert (circle.status_code, circle.json()["scimType"]) == (400, "invalidValue")
    directory.patch(f"Users/{made['id']}", {"op": "remove", "path": path})
    assert User.objects.get(pk=made["id"]).manager is None


def test_deleting_means_left_here_gone_there_and_new_again_when_they_return(directory):
    made = add(directory)
    assert directory("DELETE", f"Users/{made['id']}").status_code == 204
    for method in ("GET", "DELETE"):
        assert directory(method, f"Users/{made['id']}").status_code == 404
    assert directory("GET", 'Users?filter=userName eq "ada@example.org"').json()["totalResults"] == 0
    assert User.objects.get(pk=made["id"]).left_at is not None
    again = add(directory, externalId="e-9")
    assert again["id"] == made["id"]
    assert User.objects.get(pk=made["id"]).left_at is None


def test_a_change_names_the_version_it_saw(directory):
    made = add(directory)
    stale = directory("PUT", f"Users/{made['id']}", ada(displayName="X"), **{"If-Match": 'W/"v7"'})
    assert (stale.status_code, stale.json()["status"]) == (412, "412")
    assert directory("PUT", f"Users/{made['id']}", ada(displayName="X"), **{"If-Match": 'W/"v1"'}).status_code == 200


def test_the_last_administrator_stays_whatever_the_directory_says(directory):
    boss = User.objects.get(name="Boss")
    response = directory.patch(f"Users/{boss.pk}", {"op": "replace", "path": "active", "value": False})
    assert response.status_code == 409
    boss.refresh_from_db()
    assert boss.left_at is None


def test_groups_are_teams_and_members_come_and_go(directory):
    first, second = add(directory), add(directory, userName="ben@example.org", externalId="e-2")
    made = directory(
        "POST", "Groups", {"schemas": [GROUP], "displayName": "Payments", "members": [{"value": first["id"]}]}
    ).json()
    path = f"Groups/{made['id']}"
    team = Team.objects.get(pk=made["id"])
    directory.patch(path, {"op": "add", "path": "members", "value": [{"value": second["id"]}]})
    assert team.members.count() == 2
    directory.patch(path, {"op": "remove", "path": f'members[value eq "{first["id"]}"]'})
    directory.patch(path, {"op": "Remove", "path": "members", "value": [{"value": first["id"]}]})
    assert [str(each.pk) for each in team.members.all()] == [second["id"]]
    assert directory("GET", f"Users/{second['id']}").json()["groups"][0]["display"] == "Payments"
    directory.patch(path, {"op": "replace", "value": {"displayName": "Paying", "members": []}})
    team.refresh_from_db()
    assert (team.name, team.members.count()) == ("Paying", 0)
    assert directory("GET", 'Groups?filter=displayName eq "Paying"').json()["totalResults"] == 1
    assert directory("DELETE", path).status_code == 204
    assert directory("GET", path).status_code == 404
    assert Team.objects.filter(pk=team.pk).exists()


def test_lists_are_paged_by_position_and_say_how_many_there_are(directory):
    for number in range(5):
        add(directory, userName=f"p{number}@example.org", externalId=str(number))
    page = directory("GET", "Users?startIndex=3&count=2").json()
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (6, 3, 2)
    assert [each["userName"] for each in page["Resources"]] == ["p1@example.org", "p2@example.org"]
    assert directory("GET", "Users?count=0").json()["Resources"] == []


def test_a_page_of_people_costs_a_fixed_number_of_queries(directory, django_assert_max_num_queries):
    for number in range(30):
        User.objects.create_user(f"p{number}@example.org", None, name=f"P {number}")
    with django_assert_max_num_queries(8):
        assert directory("GET", "Users").json()["itemsPerPage"] == 31


@pytest.mark.parametrize(
    ("method", "path", "body", "kind"),
    [
        ("GET", "Users?filter=userName sw \"a\"", None, "invalidFilter"),
        ("GET", "Users?filter=password eq \"a\"", None, "invalidFilter"),
        ("GET", "Users?filter=userName eq \"a\" or id eq \"b\"", None, "invalidFilter"),
        ("GET", "Users?startIndex=many", None, "invalidValue"),
        ("POST", "Users", {"displayName": "Nobody"}, "invalidValue"),
        ("POST", "Users", {"userName": "no address"}, "invalidValue"),
        ("POST", "Users", {"userName": "a@example.org", "active": "perhaps"}, "invalidValue"),
        ("POST", "Users", {"userName": ["a@example.org"]}, "invalidValue"),
        ("POST", "Users", [], "invalidSyntax"),
        ("POST", "Groups", {"displayName": "X", "members": [{"value": "nobody"}]}, "invalidValue"),
        ("POST", "Groups", {"displayName": ""}, "invalidValue"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "",
)  # fmt: skip
def test_bad_requests_are_refused_in_scims_words_and_change_nothing(directory, method, path, body, kind):
    known = records()
    response = directory(method, path, body)
    assert response.status_code == 400, response.content
    assert response.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert response.json()["scimType"] == kind
    assert records() == known


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "move", "path": "active", "value": True},
        {"op": "remove"},
        {"op": "replace", "path": "emails[type pr].value", "value": "x"},
        {"op": "replace", "path": "a b", "value": "x"},
        {"op": "replace", "path": "active", "value": {"x": 1}},
        {"op": "add", "value": "text"},
        "text",
    ],
    ids=["unknown op", "remove without path", "unknown path", "no attribute", "no flag", "no object", "no operation"],
)
def test_bad_patches_are_refused_whole(directory, operation):
    made = add(directory)
    good = {"op": "replace", "path": "displayName", "value": "Changed"}
    response = directory.patch(f"Users/{made['id']}", good, operation)
    assert response.status_code == 400
    assert User.objects.get(pk=made["id"]).name == "Ada Lovelace"


@pytest.mark.parametrize(("scopes", "status"), [(["people:write"], 403), (["people:read"], 403)], ids=str)
def test_only_the_scope_for_directories_opens_it(scopes, status):
    response = Directory(token_of(*scopes))("GET", "Users")
    assert (response.status_code, response.json()["status"]) == (status, str(status))


def test_without_a_token_nothing_opens_and_a_directorys_token_opens_nothing_else():
    assert Client().get("/scim/v2/Users").status_code == 401
    token = token_of("people:provision")
    client = Client(headers={"Authorization": f"Bearer {token}"})
    for path in ("/api/v1/people/", "/api/v1/teams/", "/api/v1/tokens/"):
        assert client.get(path).status_code == 403
    body = {"name": "mine", "scopes": ["people:provision"], "expires_at": "2027-01-01T00:00:00Z"}
    assert client.post("/api/v1/tokens/", body, content_type="application/json").status_code == 403


def test_it_says_what_it_can(directory):
    assert directory("GET", "ServiceProviderConfig").json()["patch"] == {"supported": True}
    assert directory("GET", "ResourceTypes").json()["totalResults"] == 2
    assert directory("GET", "ResourceTypes/Group").json()["endpoint"] == "/Groups"
    assert directory("GET", f"Schemas/{USER}").json()["id"] == USER
    assert directory("GET", "Schemas").json()["totalResults"] == 3
    assert directory("GET", "Schemas/urn:none").status_code == 404
