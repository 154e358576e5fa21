"""Connecting and importing over the API: the same use cases as the pages, and the same refusals."""

from typing import Any

import pytest

from identities.models import Identity, Source, SyncRun

pytestmark = pytest.mark.django_db
CSV = b"identity,kind,dialect,actions,resources\netl,bot,aws,s3:GetObject,*\n"


@pytest.fixture
def source() -> Source:
    return Source.objects.create(slug="ci", name="CI", kind="push", max_retire_percent=20)


def test_kinds_say_what_can_be_set(api: Any) -> None:
    found = {each["name"]: each for each in api("inventory:read").get("/api/v1/source-kinds/").json()}

    settings = {each["name"]: each for each in found["postgresql"]["settings"]}
    assert settings["host"]["required"] and settings["password"]["kind"] == "reference"
    assert found["push"]["settings"] == []


def test_a_connection_is_tried_and_its_failure_is_an_answer(api: Any) -> None:
    body = {
        "kind": "postgresql",
        "settings": {"host": "/nowhere", "databases": ["x"], "user": "u", "password": "env:NOT_SET"},
    }
    answer = api("inventory:write").post("/api/v1/connection-checks/", body, content_type="application/json")

    assert answer.status_code == 200 and answer.json()["state"] == "failed"
    assert "NOT_SET" in answer.json()["checks"][0]["detail"] and not Source.objects.exists()


@pytest.mark.parametrize(
    "body", [{"kind": "nothing"}, {"kind": "postgresql", "settings": {"hots": "x"}}, {"kind": "postgresql", "settings": {"host": "x", "password": "hunter2-x"}}]
)  # fmt: skip
def test_settings_that_could_not_be_stored_are_not_tried_either(body: Any, api: Any) -> None:
    answer = api("inventory:write").post("/api/v1/connection-checks/", body, content_type="application/json")

    assert answer.status_code == 422


def test_a_file_is_taken_in_and_its_notes_told(source: Source, api: Any) -> None:
    answer = api("sync:write", "inventory:read").post("/api/v1/sources/ci/imports/", CSV * 1, content_type="text/csv")

    assert answer.status_code == 201 and answer.json()["notes"]["format"] == "csv"
    assert Identity.objects.get().external_id == "etl"


def test_a_kept_dry_run_is_taken_in_by_whoever_sent_it(source: Source, api: Any) -> None:
    client = api("sync:write")
    dry = client.post("/api/v1/sources/ci/imports/?dry_run=true&keep=true", CSV, content_type="text/csv")
    assert dry.status_code == 200 and not Identity.objects.exists()
    seen = api("inventory:read").get(f"{dry.json()['url']}would-change/").json()
    assert [each["action"] for each in seen["results"]] == ["added", "added"]

    stranger = api("sync:write").post(f"{dry.json()['url']}take-in/")
    taken = client.post(f"{dry.json()['url']}take-in/")

    assert (stranger.status_code, taken.status_code) == (404, 201)
    assert taken.json()["state"] == "applied" and Identity.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "query", "code"),
    [
        (b"", "", "file-refused"),
        (b"\x00\x01", "", "file-refused"),
        (CSV, "?file_format=excel", "file-refused"),
        (CSV, "?part=true&complete=true", "sync-refused"),
        (CSV[:-9] + b'"x\n', "", "file-refused"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_problem_with_a_code(
    body: bytes, query: str, code: str, source: Source, api: Any
) -> None:
    answer = api("sync:write").post(f"/api/v1/sources/ci/imports/{query}", body, content_type="text/csv")

    assert answer.status_code == 422 and answer.json()["code"] == code
    assert not Identity.objects.exists()


def test_a_preview_promises_a_run(api: Any) -> None:
    Source.objects.create(
        slug="erp", name="ERP", kind="postgresql", settings={"host": "x", "databases": ["x"], "user": "u"}
    )
    answer = api("inventory:write").post("/api/v1/sources/erp/preview/")

    assert answer.status_code == 202 and answer["Location"] == answer.json()["url"]
    assert not SyncRun.objects.exists()
