"""The push API: what a sync client gets for what it sends."""

from typing import Any

import pytest
from django.test import Client

from governance.audit.models import AuditEvent
from identities.models import Identity, Source, SyncRun, SyncState

ETL = {"type": "identity", "id": "etl", "kind": "service_account"}
BOT = {"type": "identity", "id": "bot", "kind": "bot"}
PERMISSION = {"dialect": "aws", "statements": [{"actions": ["sqs:*"], "resources": ["*"]}]}
GRANT = {"type": "grant", "id": "g", "identity": "etl", "permission": PERMISSION}


def test_an_applied_snapshot_answers_with_its_run(api: Any, push: Any, source: Source) -> None:
    client = api()

    response = push(client, [ETL, GRANT], complete="true")

    run = response.json()
    assert response.status_code == 201, run
    assert (run["state"], run["is_complete"], run["records"], run["errors"]) == ("applied", True, 2, [])
    assert run["counts"]["grant"] == {"added": 1, "changed": 0, "retired": 0, "unchanged": 0}
    assert response["Location"] == run["url"]
    assert client.get(run["url"]).json() == run
    assert "Idempotency-Replayed" not in response


def test_runs_and_their_changes_can_be_listed(api: Any, push: Any, source: Source) -> None:
    client = api()
    push(client, [ETL, GRANT], complete="true")
    second = push(client, [ETL], complete="true", headers={}).json()

    assert second["state"] == "held", "the only grant would go"
    push(client, [ETL, GRANT | {"label": "Orders"}])
    runs = client.get("/api/v1/sources/aws/syncs/").json()["results"]
    assert [run["state"] for run in runs] == ["applied", "rejected", "applied"], (
        "the newer reading replaced the held one"
    )
    (change,) = client.get(runs[0]["changes_url"]).json()["results"]
    assert (change["action"], change["old"], change["new"]) == ("changed", {"label": "g"}, {"label": "Orders"})
    assert len(client.get(runs[2]["changes_url"], {"kind": "grant", "action": "added"}).json()["results"]) == 1
    assert client.get("/api/v1/sources/aws/syncs/", {"limit": 1}).json()["next"]


def test_gzip_is_unpacked(api: Any, push: Any, source: Source) -> None:
    response = push(api("sync:write"), [ETL], packed=True)

    assert response.status_code == 201


def test_a_bad_reading_answers_with_every_bad_line(api: Any, push: Any, source: Source) -> None:
    response = push(api(), [ETL, ETL, BOT | {"kind": "human"}], complete="true")

    problem = response.json()
    assert response.status_code == 422 and response["Content-Type"] == "application/problem+json"
    assert problem["code"] == "sync-rejected"
    assert problem["errors"] == [
        {
            "line": 3,
            "pointer": "/kind",
            "code": "unknown-value",
            "detail": problem["errors"][0]["detail"],
        }
    ]
    assert not Identity.objects.exists()
    assert SyncRun.objects.get().state == SyncState.REJECTED


def test_the_same_key_never_applies_twice(api: Any, push: Any, source: Source) -> None:
    client = api()
    first = push(client, [ETL], key="nightly-1")

    again = push(client, [ETL], key="nightly-1", packed=True)

    assert again.status_code == 201 and again["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
    assert SyncRun.objects.count() == 1
    assert AuditEvent.objects.filter(verb="sync.applied").count() == 1


def test_the_same_key_replays_a_refusal(api: Any, push: Any, source: Source) -> None:
    client = api()
    first = push(client, b"nonsense", key="k")

    again = push(client, b"nonsense", key="k")

    assert (first.status_code, again.status_code) == (422, 422)
    assert again["Idempotency-Replayed"] == "true" and again.json() == first.json()


@pytest.mark.parametrize(
    "other", [{"records": [ETL, BOT]}, {"dry_run": "true"}, {"complete": "true"}, {"mode": "delta"}]
)
def test_the_same_key_for_something_else_is_refused(other: Any, api: Any, push: Any, source: Source) -> None:
    client = api()
    push(client, [ETL], key="k")

    response = push(client, other.pop("records", [ETL]), key="k", **other)

    assert response.status_code == 422 and response.json()["code"] == "idempotency-key-reused"
    assert SyncRun.objects.count() == 1


def test_keys_of_two_sources_are_strangers(api: Any, push: Any, source: Source) -> None:
    Source.objects.create(slug="gcp", name="GCP", kind="push")
    client = api()
    push(client, [ETL], key="k")

    assert push(client, [ETL], key="k", slug="gcp").status_code == 201
    assert Identity.objects.count() == 2


def test_a_dry_run_answers_200_and_leaves_the_inventory_alone(api: Any, push: Any, source: Source) -> None:
    response = push(api(), [ETL], dry_run="true", complete="true")

    assert response.status_code == 200 and response.json()["state"] == "dry_run"
    assert response.json()["counts"]["identity"]["added"] == 1
    assert not Identity.objects.exists()


def test_a_dry_run_of_a_bad_reading_answers_like_the_real_one(api: Any, push: Any, source: Source) -> None:
    response = push(api(), [ETL | {"kind": "human"}], dry_run="true")

    assert response.status_code == 422 and response.json()["errors"][0]["pointer"] == "/kind"


def test_a_run_that_would_retire_too_much_is_held(api: Any, push: Any, source: Source) -> None:
    client = api()
    push(client, [ETL, BOT, ETL | {"id": "third"}], complete="true")

    response = push(client, [ETL], complete="true")

    run = response.json()
    assert response.status_code == 202 and run["state"] == "held"
    assert run["problem"]["losses"] == [{"kind": "identity", "retired": 2, "current": 3}]
    assert Identity.objects.filter(retired_at=None).count() == 3


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"dryrun": "true"}, 400, "unknown-parameter"),
        ({"dry_run": "yes"}, 400, "invalid-parameter"),
        ({"complete": "1"}, 400, "invalid-parameter"),
        ({"mode": "full"}, 400, "invalid-parameter"),
        ({"mode": "delta", "complete": "true"}, 422, "sync-refused"),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused(
    parameters: Any, status: int, code: str, api: Any, push: Any, source: Source
) -> None:
    response = push(api(), [ETL], **parameters)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert not SyncRun.objects.exists()


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"],
)
def test_another_media_type_is_refused(content_type: str, api: Any, push: Any, source: Source) -> None:
    response = push(api(), [ETL], content_type=content_type)

    assert response.status_code == 415 and response.json()["code"] == "unsupported-media-type"


def test_another_encoding_is_refused(api: Any, push: Any, source: Source) -> None:
    assert push(api(), [ETL], headers={"Content-Encoding": "br"}).status_code == 415


def test_an_empty_body_is_refused(api: Any, push: Any, source: Source) -> None:
    response = push(api(), b"")

    assert response.status_code == 422 and response.json()["errors"][0]["code"] == "empty"


def test_a_line_of_fifty_megabytes_is_refused(api: Any, push: Any, source: Source) -> None:
    response = push(api(), b'{"type":"identity","id":"' + b"x" * 50_000_000 + b'"}')

    assert response.status_code == 413 and response.json()["code"] == "too-large"


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(
    api: Any, push: Any, source: Source, settings: Any
) -> None:
    settings.SYNC_MAX_UPLOAD_BYTES = 10

    response = push(api(), [ETL])

    assert response.status_code == 413 and not SyncRun.objects.exists()


@pytest.mark.parametrize("key", ["", "x" * 201, "ключ", "a\tb"])
def test_a_key_that_cannot_be_kept_is_refused(key: str, api: Any, push: Any, source: Source) -> None:
    response = push(api(), [ETL], headers={"Idempotency-Key": key})

    assert response.status_code == 422 and response.json()["code"] == "invalid-idempotency-key"


def test_a_second_run_of_a_busy_source_is_sent_away(api: Any, push: Any, source: Source, monkeypatch: Any) -> None:
    from identities.sync import locks

    monkeypatch.setattr(locks, "_call", lambda function, source_id: False)
    from django.conf import settings

    monkeypatch.setattr(settings, "SYNC_WAIT_SECONDS", 0)

    response = push(api(), [ETL])

    assert response.status_code == 409 and response.json()["code"] == "sync-in-progress"
    assert int(response["Retry-After"]) > 0


def test_what_the_token_may_not_do_is_refused(api: Any, push: Any, source: Source) -> None:
    assert push(api("inventory:read"), [ETL]).status_code == 403
    assert push(Client(), [ETL]).status_code == 401
    assert api("sync:write").get("/api/v1/sources/aws/syncs/").status_code == 403
    assert not SyncRun.objects.exists()


def test_an_unknown_source_is_not_found(api: Any, push: Any, source: Source) -> None:
    assert push(api(), [ETL], slug="nowhere").status_code == 404


def test_a_run_is_not_found_under_another_source(api: Any, push: Any, source: Source) -> None:
    Source.objects.create(slug="gcp", name="GCP", kind="push")
    client = api()
    run = push(client, [ETL]).json()

    assert client.get(run["url"].replace("/aws/", "/gcp/")).status_code == 404


def test_a_switched_off_source_takes_nothing(api: Any, push: Any, source: Source) -> None:
    Source.objects.update(is_enabled=False)

    assert push(api(), [ETL]).json()["code"] == "sync-refused"
