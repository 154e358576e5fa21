"""What programs can learn of a run and do about it: progress, refused records, held runs, cancelling."""

import gzip
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from governance.audit.models import AuditEvent
from identities.models import Change, Grant, Identity, Source, SyncRun, SyncState

RUNS = "/api/v1/sources/aws/syncs/"
PERMISSION = {
    "dialect": "aws",
    "statements": [{"actions": ["sqs:ReceiveMessage"], "resources": ["arn:aws:sqs:*:*:orders"]}],
}
ADMIN = {"dialect": "aws", "statements": [{"actions": ["*"], "resources": ["*"]}]}


def identity(name: str) -> dict[str, Any]:
    return {"type": "identity", "id": name, "kind": "bot", "name": name.upper()}


def grant(name: str, owner: str, permission: Any = PERMISSION) -> dict[str, Any]:
    return {"type": "grant", "id": name, "identity": owner, "label": name, "permission": permission}


ESTATE = [
    *(identity(name) for name in ("a", "b", "c")),
    *(grant(f"a{n}", "a") for n in range(4)),
    *(grant(f"b{n}", "b", ADMIN) for n in range(2)),
    grant("c0", "c"),
]


@pytest.fixture
def sender(api: Any, push: Any, source: Source) -> Client:
    """A program that may do nothing but send, and has sent an estate."""
    client = api("sync:write")
    assert push(client, ESTATE, complete="true").status_code == 201
    return client


@pytest.fixture
def held(sender: Client, push: Any) -> dict[str, Any]:
    """Most of it would go, one grant would change and one would come."""
    response = push(
        sender, [identity("a"), identity("c"), grant("c0", "c") | {"label": "x"}, grant("n", "c")], complete="true"
    )
    assert response.status_code == 202
    return response.json()


@pytest.fixture
def running(source: Source) -> Callable[..., SyncRun]:
    def make(**facts: Any) -> SyncRun:
        now = timezone.now()
        plain = {"mode": "snapshot", "origin": "api", "actor_id": "system:test", "started_at": now, "observed_at": now}
        return SyncRun.objects.create(source=source, **(plain | facts))

    return make


# --- who sees a run ----------------------------------------------------------------------------------------------


def test_who_may_only_send_sees_what_they_sent_and_nothing_else(
    sender: Client, api: Any, push: Any, running: Any
) -> None:
    own = push(sender, [identity("d") | {"kind": "human"}]).json()["run_url"]
    others = f"{RUNS}{running().pk}/"

    assert sender.get(own).json()["errors"][0]["pointer"] == "/kind"
    assert sender.get(others).status_code == 404
    assert api("sync:write").get(own).status_code == 404
    assert api("inventory:read").get(own).status_code == 200
    assert sender.get(own + "changes/").status_code == 403
    assert sender.get(RUNS).status_code == 403


def test_a_run_is_found_under_its_own_source_alone(api: Any, running: Any) -> None:
    Source.objects.create(slug="gcp", name="GCP", kind="push")
    run = running()

    assert api().get(f"/api/v1/sources/gcp/syncs/{run.pk}/").status_code == 404


def test_a_running_run_says_how_far_it_is(api: Any, running: Any) -> None:
    progress = {"phase": "reading", "records": 4000, "bytes": 10, "of_bytes": 100, "at": "2026-11-23T12:00:00+00:00"}

    document = api("inventory:read").get(f"{RUNS}{running(progress=progress).pk}/").json()

    assert document["state"] == "running" and document["progress"] == progress


# --- held runs ---------------------------------------------------------------------------------------------------


def test_a_held_run_says_what_it_would_change_and_who_would_lose_most(held: dict[str, Any], api: Any) -> None:
    client = api("inventory:read")
    before = (Change.objects.count(), AuditEvent.objects.count())

    answer = client.get(held["url"] + "would-change/").json()

    assert answer["counts"]["grant"] == {"added": 1, "changed": 1, "retired": 6, "unchanged": 0}
    assert answer["counts"] == held["counts"]
    assert [(one["external_id"], one["grants"], one["of_grants"], one["is_retired"]) for one in answer["losers"]] == [
        ("a", 4, 4, False),
        ("b", 2, 2, True),
    ]
    assert [one["privileged"] for one in answer["losers"]] == [0, 2]
    rows = [(row["action"], row["external_id"]) for row in answer["results"]]
    assert rows[:3] == [("retired", "b"), ("retired", "b0"), ("retired", "b1")], "identities, then privileged access"
    assert rows[-2:] == [("changed", "c0"), ("added", "n")]
    changed = answer["results"][-2]
    assert (changed["old"], changed["new"]) == ({"label": "c0"}, {"label": "x"})
    assert (Change.objects.count(), AuditEvent.objects.count()) == before
    assert Grant.objects.filter(retired_at=None).count() == 7 and SyncRun.objects.get(pk=held["id"]).state == "held"


def test_what_would_change_can_be_narrowed(held: dict[str, Any], api: Any) -> None:
    url, client = held["url"] + "would-change/", api("inventory:read")

    retired = client.get(url, {"action": "retired", "kind": "grant", "limit": 3}).json()

    assert [row["external_id"] for row in retired["results"]] == ["b0", "b1", "a0"]
    for bad in ({"action": "eaten"}, {"kind": "planet"}, {"limit": "0"}, {"cursor": "x"}):
        assert client.get(url, bad).status_code == 400, bad


def test_only_a_held_run_can_say_what_it_would_change(api: Any, running: Any) -> None:
    response = api("inventory:read").get(f"{RUNS}{running().pk}/would-change/")

    assert (response.status_code, response.json()["code"]) == (409, "not-held")


def test_another_program_lets_a_held_run_through(held: dict[str, Any], api: Any) -> None:
    response = api("inventory:write").post(held["url"] + "accept/")

    assert response.status_code == 200 and response.json()["state"] == "applied"
    assert set(Identity.objects.filter(retired_at=None).values_list("external_id", flat=True)) == {"a", "c"}
    assert api("inventory:write").post(held["url"] + "accept/").json()["code"] == "not-held"


def test_who_sent_a_held_run_cannot_let_it_through(api: Any, push: Any, source: Source) -> None:
    client = api()
    push(client, ESTATE, complete="true")
    run = push(client, [identity("a")], complete="true").json()

    response = client.post(run["url"] + "accept/")

    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert SyncRun.objects.get(pk=run["id"]).state == SyncState.HELD
    assert client.post(run["url"] + "reject/", {"reason": "my mistake"}, "application/json").status_code == 200


def test_a_program_turns_a_held_run_away_with_a_reason(held: dict[str, Any], api: Any) -> None:
    client, url = api("inventory:write"), held["url"] + "reject/"

    for body in ({}, {"reason": ""}, {"reason": "x" * 501}, {"reason": "x", "force": True}):
        assert client.post(url, body, "application/json").status_code == 422, body
    assert client.post(url, {"reason": "broken export"}, "application/json").json()["state"] == "rejected"
    assert client.post(url, {"reason": "broken export"}, "application/json").status_code == 409
    assert Grant.objects.filter(retired_at=None).count() == 7


@pytest.mark.parametrize("action", ["accept", "reject"])
@pytest.mark.parametrize("scope", ["sync:write", "inventory:read", "people:write"])
def test_other_scopes_decide_nothing(action: str, scope: str, held: dict[str, Any], api: Any) -> None:
    response = api(scope).post(f"{held['url']}{action}/", {"reason": "x"}, "application/json")

    assert response.status_code == 403
    assert SyncRun.objects.get(pk=held["id"]).state == SyncState.HELD


# --- cancelling --------------------------------------------------------------------------------------------------


def test_a_running_run_is_asked_to_stop_once(api: Any, running: Any) -> None:
    run, client = running(), api("inventory:write")
    url = f"{RUNS}{run.pk}/cancel/"

    first = client.post(url, {"reason": "wrong file"}, "application/json")
    again = client.post(url, content_type="application/json")

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["cancel_requested_at"] == again.json()["cancel_requested_at"] is not None
    assert AuditEvent.objects.filter(verb="sync.cancel_requested").count() == 1


def test_who_sent_a_run_may_cancel_it_and_other_senders_may_not(api: Any, make_token: Any, running: Any) -> None:
    token, plain = make_token(("sync:write",))
    run = running(actor_id=str(token.pk))
    url = f"{RUNS}{run.pk}/cancel/"

    assert api("sync:write").post(url, content_type="application/json").status_code == 404
    assert api("inventory:read").post(url, content_type="application/json").status_code == 403
    run.refresh_from_db()
    assert run.cancel_requested_at is None
    assert (
        Client(headers={"Authorization": f"Bearer {plain}"}).post(url, content_type="application/json").status_code
        == 202
    )


@pytest.mark.parametrize("state", [state for state in SyncState.values if state != "running"])
def test_a_run_that_is_over_cannot_be_cancelled(state: str, api: Any, running: Any) -> None:
    run = running(state=state, finished_at=timezone.now())

    response = api("inventory:write").post(f"{RUNS}{run.pk}/cancel/", content_type="application/json")

    assert (response.status_code, response.json()["code"]) == (409, "not-running")
    run.refresh_from_db()
    assert run.cancel_requested_at is None


# --- partial runs ------------------------------------------------------------------------------------------------


SECRET = "ghp_" + "a1B2c3D4e5F6" * 3


def test_good_records_apply_and_bad_ones_can_be_fetched(sender: Client, push: Any) -> None:
    bad = [identity("d") | {"kind": "human"}, identity("e") | {"attributes": {"note": SECRET}}, grant("x", "nobody")]
    response = push(sender, [identity("f"), *bad, grant("f0", "f")], complete="true", on_error="skip")

    run = response.json()
    assert (response.status_code, run["state"], run["is_partial"], run["refused"]) == (201, "applied", True, 3)
    assert run["counts"]["identity"]["retired"] == 0, "absence proves nothing in a partial run"
    assert {error["line"] for error in run["errors"]} == {2, 3, 4}
    assert Grant.objects.filter(retired_at=None).count() == 8
    file = sender.get(run["refused_url"], headers={"Accept-Encoding": "identity"})
    lines = [json.loads(line) for line in b"".join(file).splitlines()]
    assert [(line["line"], line["pointer"]) for line in lines][::2] == [(2, "/kind"), (4, "/identity")]
    assert json.loads(lines[0]["record"])["id"] == "d"
    assert "record" not in lines[1] and SECRET not in json.dumps(lines)
    assert file["Content-Disposition"] == f'attachment; filename="refused-{run["id"]}.ndjson"'


def test_refused_records_travel_packed_where_the_client_unpacks_them(sender: Client, push: Any) -> None:
    run = push(sender, [identity("f"), identity("d") | {"kind": "human"}], on_error="skip").json()

    file = sender.get(run["refused_url"], headers={"Accept-Encoding": "gzip, br"})

    assert file["Content-Encoding"] == "gzip" and "Accept-Encoding" in file["Vary"]
    assert json.loads(gzip.decompress(file.content))["line"] == 2


def test_refused_records_are_for_those_who_see_the_run(sender: Client, push: Any, api: Any) -> None:
    run = push(sender, [identity("f"), identity("d") | {"kind": "human"}], on_error="skip").json()

    assert api("sync:write").get(run["refused_url"]).status_code == 404
    assert api("inventory:write").get(run["refused_url"]).status_code == 403
    assert api("inventory:read").get(run["refused_url"]).status_code == 200


def test_a_run_without_bad_records_is_not_partial_and_keeps_none(sender: Client, push: Any) -> None:
    run = push(sender, [identity("f")], on_error="skip").json()

    assert (run["is_partial"], run["refused"], run["refused_url"]) == (False, 0, None)
    assert sender.get(run["url"] + "refused/").status_code == 404


def test_a_partial_run_is_repeated_as_it_was(sender: Client, push: Any) -> None:
    records = [identity("f"), identity("d") | {"kind": "human"}]
    first = push(sender, records, on_error="skip", key="k")

    again = push(sender, records, on_error="skip", key="k")
    other = push(sender, records, key="k")

    assert again.json() == first.json() and again["Idempotency-Replayed"] == "true"
    assert other.json()["code"] == "idempotency-key-reused"


def test_without_asking_for_it_nothing_is_skipped(sender: Client, push: Any) -> None:
    records = [identity("f"), identity("d") | {"kind": "human"}]

    assert push(sender, records).status_code == 422
    assert push(sender, records, on_error="reject").status_code == 422
    assert push(sender, records, on_error="ignore").json()["code"] == "invalid-parameter"


def test_a_run_of_nobody_is_not_found(api: Any, source: Source) -> None:
    client = api()
    for rest in ("", "changes/", "would-change/", "refused/"):
        assert client.get(f"{RUNS}{uuid.uuid4()}/{rest}").status_code == 404
    for rest in ("accept/", "reject/", "cancel/"):
        assert client.post(f"{RUNS}{uuid.uuid4()}/{rest}").status_code == 404
