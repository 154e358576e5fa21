"""The REST API of people, teams and tokens, and the bearer authentication under every API."""

from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from governance.kernel.actors import Role
from governance.people.access import SCOPES
from governance.people.models import ApiToken, User
from governance.people.tokens import revoke_token

pytestmark = pytest.mark.django_db
ENDPOINTS = [
    ("get", "/api/v1/people/", "people:read"),
    ("post", "/api/v1/people/", "people:write"),
    ("get", "/api/v1/people/{person}/", "people:read"),
    ("patch", "/api/v1/people/{person}/", "people:write"),
    ("post", "/api/v1/people/{person}/leave/", "people:write"),
    ("get", "/api/v1/teams/", "people:read"),
    ("post", "/api/v1/teams/", "people:write"),
    ("get", "/api/v1/tokens/", "people:read"),
    ("post", "/api/v1/tokens/", "people:write"),
    ("post", "/api/v1/tokens/{token}/revoke/", "people:write"),
]


@pytest.fixture
def call(client, make_token):
    """`call("get", path, data, scopes=…)` as a program with these scopes."""

    def run(method, path, data=None, *, scopes=SCOPES, plain=None, **headers):
        plain = plain or make_token(scopes)[1]
        headers = {"authorization": f"Bearer {plain}"} | headers
        return getattr(client, method)(path, data, content_type="application/json", headers=headers)

    return run


@pytest.mark.parametrize(("method", "path", "scope"), ENDPOINTS)
def test_each_endpoint_asks_for_exactly_its_scope(call, make_user, make_token, method, path, scope):
    path = path.format(person=make_user().pk, token=make_token()[0].pk)

    refused = call(method, path, {}, scopes=SCOPES - {scope})
    allowed = call(method, path, {}, scopes={"people:read", scope})

    assert refused.status_code == 403
    assert refused["Content-Type"] == "application/problem+json"
    assert scope in refused.json()["detail"]
    assert allowed.status_code not in (401, 403)


@pytest.mark.parametrize(("method", "path", "scope"), ENDPOINTS)
def test_no_endpoint_takes_a_session(client, make_user, sign_in, method, path, scope):
    sign_in(client, make_user(*Role))

    response = getattr(client, method)(path.format(person=make_user().pk, token=make_user().pk))

    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer nonsense", "Basic YTpi", "Bearer a b c", "bearer remit_x_y", "Bearer é"]
)
def test_whatever_is_no_token_gets_401_and_a_problem(client, header):
    response = client.get("/api/v1/people/", headers={"authorization": header})

    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_token_is_refused_with_the_next_request(call, make_token, admin_actor):
    token, plain = make_token()
    assert call("get", "/api/v1/people/", plain=plain).status_code == 200

    revoke_token(token_id=token.pk, actor=admin_actor, now=timezone.now())

    assert call("get", "/api/v1/people/", plain=plain).status_code == 401


def test_a_view_without_a_scope_fails_loudly(make_token):
    class Forgotten(APIView):
        def get(self, request):
            raise AssertionError("must not be reached")

    request = APIRequestFactory().get("/", headers={"authorization": f"Bearer {make_token()[1]}"})

    with pytest.raises(ImproperlyConfigured):
        Forgotten.as_view()(request)


def test_a_person_is_created_read_and_changed_with_an_etag(call):
    created = call("post", "/api/v1/people/", {"email": "Ada@X.org", "name": "Ada"})
    path = f"/api/v1/people/{created.json()['id']}/"
    etag = call("get", path)["ETag"]

    missing = call("patch", path, {"name": "B"})
    changed = call("patch", path, {"name": "Countess"}, **{"if-match": etag})
    stale = call("patch", path, {"name": "Late"}, **{"if-match": etag})

    assert (created.status_code, created.json()["email"]) == (201, "ada@x.org")
    assert (missing.status_code, changed.status_code, stale.status_code) == (428, 200, 412)
    assert User.objects.get(email="ada@x.org").name == "Countess"


def test_powers_and_secrets_cannot_be_sent_along(call):
    extra = {
        "roles": ["administrator"],
        "password": "x" * 20,
        "is_superuser": True,
        "id": "00000000-0000-0000-0000-000000000001",
    }

    refused = call("post", "/api/v1/people/", {"email": "a@x.org", "name": "A"} | extra)

    assert refused.status_code == 422
    assert {error["pointer"] for error in refused.json()["errors"]} == {f"/{name}" for name in extra}
    assert not User.objects.filter(email="a@x.org").exists()


def test_no_answer_carries_a_password_or_a_hash(call, make_user):
    make_user()

    for path in ("/api/v1/people/", "/api/v1/tokens/"):
        text = call("get", path).content.decode()
        assert "password" not in text
        assert "secret" not in text


@pytest.mark.parametrize(
    "body", [{"email": "x", "name": "A"}, {"email": "a@x.org"}, {"email": "a@x.org", "name": "A\x00"}, [], "text", None]
)
def test_bad_bodies_get_a_problem_and_change_nothing(call, body):
    before = User.objects.count()

    response = call("post", "/api/v1/people/", body)

    assert response.status_code in (400, 422)
    assert response["Content-Type"] == "application/problem+json"
    assert User.objects.count() - before <= 1  # the administrator behind the token


def test_a_person_leaves_through_the_api(call, make_user):
    person = make_user()

    response = call("post", f"/api/v1/people/{person.pk}/leave/", {"left_at": "2026-01-01T00:00:00Z"})

    assert (response.status_code, response.json()["may_sign_in"]) == (200, False)


def test_a_team_takes_members_by_address(call, make_user):
    make_user(email="ada@x.org")

    created = call("post", "/api/v1/teams/", {"name": "Platform", "members": ["ADA@x.org"]})
    unknown = call("post", "/api/v1/teams/", {"name": "Other", "members": ["nobody@x.org"]})

    assert created.json()["members"] == ["ada@x.org"]
    assert unknown.status_code == 422
    path = f"/api/v1/teams/{created.json()['id']}/"
    changed = call("patch", path, {"members": []}, **{"if-match": created["ETag"]})
    assert changed.json()["members"] == []


def test_a_program_creates_a_narrower_token_and_sees_its_secret_once(call, make_token):
    parent, plain = make_token(["people:read", "people:write", "sync:write"])
    end = (parent.expires_at - timedelta(days=1)).isoformat()
    wish = {"name": "child", "scopes": ["sync:write"], "expires_at": end}

    created = call("post", "/api/v1/tokens/", wish, plain=plain)
    wider = call("post", "/api/v1/tokens/", wish | {"scopes": ["audit:read"]}, plain=plain)

    assert created.status_code == 201
    assert created.json()["secret"].startswith("remit_")
    assert wider.status_code == 403
    assert ApiToken.objects.count() == 2


def test_lists_are_paged_by_cursor(call, make_user):
    for number in range(5):
        make_user(email=f"p{number}@x.org")

    first = call("get", "/api/v1/people/?limit=2").json()

    assert len(first["results"]) == 2
    assert "cursor=" in first["next"]
    assert call("get", "/api/v1/people/?limit=zero").status_code == 400


def test_the_openapi_document_knows_the_bearer_token(settings):
    from drf_spectacular.generators import SchemaGenerator

    document = SchemaGenerator(urlconf="tests.people_urls").get_schema(public=True)

    assert document["components"]["securitySchemes"]["apiToken"]["scheme"] == "bearer"
    assert document["paths"]["/api/v1/people/{person_id}/"]["patch"]["security"] == [{"apiToken": ["people:write"]}]
