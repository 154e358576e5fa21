"""The inventory over REST: same filter as the page, ETags, history, the feed of changes, clear refusals."""

import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from identities.models import Identity, Source

ROOT = "/api/v1/"
READ = {"dialect": "aws", "statements": [{"actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::pay/*"]}]}
ALL = {"dialect": "aws", "statements": [{"actions": ["s3:*"], "resources": ["*"]}]}


def records(permission: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "identity", "id": "etl", "kind": "service_account", "environment": "staging", "purpose": "Copies"},
        {"type": "identity", "id": "bot", "kind": "bot"},
        {"type": "credential", "id": "key", "identity": "etl", "kind": "access_key"},
        {"type": "grant", "id": "g", "identity": "etl", "label": "s3", "permission": permission},
        {"type": "trust", "id": "t", "identity": "bot", "issuer": "https://issuer.example.org"},
    ]


@pytest.fixture
def filled(source: Source, api: Any, push: Any) -> SimpleNamespace:
    client = api()
    for key, permission in (("1", ALL), ("2", READ)):
        run = push(client, records(permission), key=key)
        assert run.json()["state"] == "applied", run.json()
    found = {identity.external_id: identity for identity in Identity.objects.all()}
    return SimpleNamespace(etl=found["etl"], bot=found["bot"], grant=found["etl"].grants.get(), client=client)


def path_of(filled: SimpleNamespace, path: str) -> str:
    return ROOT + path.format(identity=filled.etl.pk, grant=filled.grant.pk)


READS = ["identities/", "identities/{identity}/", "identities/{identity}/grants/", "grants/{grant}/",
         "grants/{grant}/versions/", "credentials/", "changes/"]  # fmt: skip


@pytest.mark.parametrize("path", READS)
def test_reading_asks_for_the_scope_to_read(path: str, filled: Any, api: Any) -> None:
    assert api("inventory:write", "sync:write").get(path_of(filled, path)).status_code == 403
    assert api("inventory:read").get(path_of(filled, path)).status_code == 200


@pytest.mark.parametrize("path", READS)
def test_a_misspelt_parameter_is_not_taken_for_its_absence(path: str, filled: Any) -> None:
    response = filled.client.get(path_of(filled, path), {"kinnd": "bot"})

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert "kinnd" in response.json()["detail"]


@pytest.mark.parametrize("path", [*READS, "identities/{absent}/", "grants/{absent}/"])
def test_what_is_absent_is_not_found(path: str, filled: Any) -> None:
    absent = str(uuid.uuid4())
    path = ROOT + path.format(identity=absent, grant=absent, absent=absent)

    assert filled.client.get(path).status_code == (404 if absent in path else 200)


def test_identities_carry_what_holds_and_what_the_source_says(filled: Any) -> None:
    Identity.objects.filter(pk=filled.etl.pk).update(environment_edited="production")

    (row,) = filled.client.get(f"{ROOT}identities/", {"q": "ETL"}).json()["results"]

    assert (row["environment"], row["source_environment"]) == ("production", "staging")
    assert (row["grants"], row["credentials"], row["owner"]) == (1, 1, None)
    assert (row["last_seen_at"], row["watched_since"]) == (None, None)


@pytest.mark.parametrize(
    "query",
    [{"kind": "spaceship"}, {"unused_days": "-1"}, {"team": "x"}, {"limit": "0"}, {"cursor": "x"}, {"q": "x" * 300}],
)
def test_a_filter_that_nobody_could_mean_is_a_400(query: dict[str, str], filled: Any) -> None:
    response = filled.client.get(f"{ROOT}identities/", query)

    assert response.status_code == 400
    assert response.json()["code"] in {"invalid-filter", "bad-limit", "bad-cursor"}


def test_a_list_is_paged_both_ways(filled: Any) -> None:
    first = filled.client.get(f"{ROOT}identities/", {"limit": 1}).json()
    second = filled.client.get(first["next"]).json()

    assert [row["external_id"] for row in first["results"] + second["results"]] == ["bot", "etl"]
    assert second["next"] is None
    assert filled.client.get(second["previous"]).json()["results"] == first["results"]


def patch(filled: Any, data: Any, *, match: str | None = None, client: Any = None) -> Any:
    client = client or filled.client
    url = path_of(filled, "identities/{identity}/")
    headers = {"If-Match": match if match is not None else filled.client.get(url)["ETag"]}
    return client.patch(url, data, content_type="application/json", headers={k: v for k, v in headers.items() if v})


def test_a_program_says_who_answers_and_the_trail_keeps_it(filled: Any, make_user: Any) -> None:
    owner = make_user(Role.OWNER)

    response = patch(filled, {"owner": owner.email, "purpose": "Feeds the ledger", "environment": ""})

    assert response.status_code == 200, response.json()
    assert response.json()["owner"] == owner.email
    assert (response.json()["purpose"], response.json()["source_purpose"]) == ("Feeds the ledger", "Copies")
    event = AuditEvent.objects.get(verb="identity.owner_assigned")
    assert event.subject_id == str(filled.etl.pk)


def test_two_programs_never_silently_overwrite_each_other(filled: Any) -> None:
    seen = filled.client.get(path_of(filled, "identities/{identity}/"))["ETag"]

    assert patch(filled, {"purpose": "one"}, match=seen).status_code == 200
    assert patch(filled, {"purpose": "two"}, match=seen).status_code == 412
    assert patch(filled, {"purpose": "two"}, match="").status_code == 428
    assert Identity.objects.get(pk=filled.etl.pk).purpose_edited == "one"


@pytest.mark.parametrize(
    "data",
    [
        {"owner": "nobody@example.org"}, {"owner": "x"}, {"team": "no such team"}, {"environment": "moon"},
        {"purpose": "x" * 3000}, {"purpose": {"a": 1}}, [], {"owner": 7},
    ],
)  # fmt: skip
def test_a_bad_change_is_refused_and_nothing_changes(data: Any, filled: Any) -> None:
    response = patch(filled, data)

    assert response.status_code in (400, 422), response.content
    assert response["Content-Type"] == "application/problem+json"
    assert Identity.objects.get(pk=filled.etl.pk).version == 1


def test_changing_asks_for_the_scope_to_write(filled: Any, api: Any) -> None:
    assert patch(filled, {"purpose": "x"}, client=api("inventory:read")).status_code == 403


def test_a_grant_shows_its_content_and_that_its_use_is_not_observable(filled: Any) -> None:
    (row,) = filled.client.get(path_of(filled, "identities/{identity}/grants/")).json()["results"]

    assert row == filled.client.get(path_of(filled, "grants/{grant}/")).json()
    assert row["current"]["permission"] == READ
    assert (row["current"]["number"], row["current"]["is_privileged"]) == (2, False)
    assert (row["use"]["state"], row["use"]["unused"]) == ("not_observable", 0)


def test_history_is_kept_as_it_was(filled: Any) -> None:
    versions = filled.client.get(path_of(filled, "grants/{grant}/versions/")).json()["results"]

    assert [version["number"] for version in versions] == [2, 1]
    assert versions[1]["permission"] == ALL and versions[1]["is_privileged"]
    assert versions[1]["seen_until"] == versions[0]["seen_from"]


def test_credentials_are_listed_for_one_identity(filled: Any) -> None:
    url = f"{ROOT}credentials/"

    assert [row["external_id"] for row in filled.client.get(url).json()["results"]] == ["key"]
    assert filled.client.get(url, {"identity": str(filled.bot.pk)}).json()["results"] == []
    assert filled.client.get(url, {"identity": "x"}).status_code == 400
    assert filled.client.get(url, {"identity": str(uuid.uuid4())}).status_code == 404


def test_answers_have_the_members_that_the_openapi_document_promises(filled: Any) -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    for path in READS:
        template = "/api/v1/" + path.replace("{identity}", "{identity_id}").replace("{grant}", "{grant_id}")
        promised = schema["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        answer = filled.client.get(path_of(filled, path)).json()
        if "$ref" in promised and "Paginated" in promised["$ref"]:
            listed = schema["components"]["schemas"][promised["$ref"].rpartition("/")[2]]
            assert set(answer) == set(listed["properties"]), path
            promised, answer = listed["properties"]["results"]["items"], answer["results"][0]
        component = schema["components"]["schemas"][promised["$ref"].rpartition("/")[2]]
        assert set(answer) == set(component["properties"]), path


def test_the_openapi_document_of_the_inventory_has_no_warnings(db: None, capsys: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null")
