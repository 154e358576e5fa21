"""The connector on answers that a real API server gave (Kubernetes v1.20.2), and on answers that no server should give.

The answers come over HTTP from a server of the test; `test_kubernetes_server.py` records them.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from identities.connectors.contract import Capability, ReadIncomplete, SourceUnreachable, capabilities_of
from identities.connectors.kubernetes import Kubernetes
from identities.connectors.settings import BadSettings
from tests.plugins.cluster import Replay, Server
from tests.plugins.kubernetes_walk import APP, STATES, Walked, walk

RECORD = Path(__file__).parent / "kubernetes_1_20_2.json"
BEARER = "only-for-this-test-bearer"


@pytest.fixture
def replay() -> Iterator[Replay]:
    recorded = json.loads(RECORD.read_text())
    place = Replay([each | {"body": recorded["bodies"][each["body"]]} for each in recorded["record"]])
    yield place
    place.close()


def connect(url: str, **settings: Any) -> Kubernetes:
    return Kubernetes({"server": url, "token": "env:UNUSED"} | settings, {"token": BEARER})


@pytest.fixture
def walked(replay: Replay) -> Walked:
    return walk(connect(replay.url))


def test_the_whole_walk_asks_only_what_was_recorded(replay: Replay, walked: Walked) -> None:
    assert replay.unknown == []
    assert walked.states == STATES
    assert walked.left == ["keepers", "system:basic-user"]


def test_plans_say_exactly_what_is_sent(replay: Replay, walked: Walked) -> None:
    revoke, narrow, restore = walked.plans
    changes = [f"{m} {p}" for m, p, _ in replay.requests if m != "GET" and "accessreview" not in p]

    shown = [step.text.split("\n")[0] for plan in walked.plans for step in plan.steps]
    assert changes == shown
    assert [text.split()[0] for text in shown] == ["DELETE", *("POST", "POST", "PATCH"), *("PATCH", "DELETE", "DELETE")]
    assert [step.text for step in restore.steps] == [step.text for step in narrow.inverse]
    assert json.loads(narrow.steps[0].text.partition("\n")[2])["rules"] == [
        {"apiGroups": [""], "resourceNames": ["rates"], "resources": ["configmaps"], "verbs": ["get"]}
    ]
    assert revoke.removes and narrow.removes and narrow.keeps == (("get", "api:prod//configmaps//rates"),)


def test_a_reading_of_recorded_answers_is_complete_and_holds_no_secret(walked: Walked) -> None:
    records = walked.records

    assert records[-1] == {"type": "end", "records": len(records) - 1}
    app = {each["type"]: each for each in records if APP in (each.get("id"), each.get("identity"))}
    assert app["identity"]["attributes"]["exists"] is True
    assert {each["id"] for each in records if each["type"] == "credential" and each["identity"] == APP} == {
        "secret:prod/old",
        f"bound:{APP}",
    }
    keepers = next(each for each in records if each["type"] == "grant" and "keepers" in each["label"])
    assert (keepers["shared_with"], keepers["revocability"]) == (1, "here")
    assert BEARER not in json.dumps(records)


def test_secrets_are_asked_for_by_their_metadata_only(replay: Replay, walked: Walked) -> None:
    asked = [headers["accept"] for _, path, headers in replay.requests if path.startswith("/api/v1/secrets")]

    assert asked and all("as=PartialObjectMetadata" in accept for accept in asked)


def test_the_connector_can_do_everything_that_an_order_asks_for() -> None:
    assert capabilities_of(connect("https://127.0.0.1:1")) == set(Capability)


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """`serve(answers)`: the address of a server with these (status, body) answers by path; empty lists elsewhere."""
    places: list[Server] = []

    def go(**answers: tuple[int, Any]) -> str:
        nothing = (200, {"kind": "List", "metadata": {}, "items": []})

        def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
            status, content = answers.get(path.partition("?")[0].rpartition("/")[2], nothing)
            if callable(content):
                status, content = content(path)
            return status, "application/json", content if isinstance(content, bytes) else json.dumps(content).encode()

        places.append(Server(answer))
        return places[-1].url

    yield go
    for place in places:
        place.close()


def pages(path: str) -> tuple[int, Any]:
    """A list of which the second page is gone."""
    if "continue" in path:
        return 410, {"kind": "Status", "reason": "Expired"}
    return 200, {"metadata": {"continue": "abc"}, "items": [{"metadata": {"name": "r"}}]}


@pytest.mark.parametrize(
    ("answer", "problem", "says"),
    [
        ((200, pages), ReadIncomplete, "took so long"),
        ((403, {"message": "forbidden"}), ReadIncomplete, "verb list"),
        ((200, b"<html>"), ReadIncomplete, "no JSON"),
        ((200, {"hello": 1}), ReadIncomplete, "no list"),
        ((200, [1]), ReadIncomplete, "no list"),
        ((200, {"metadata": {}, "items": [3]}), ReadIncomplete, "no ClusterRole"),
        (
            (200, {"metadata": {}, "items": [{"metadata": {"name": "r"}, "rules": [{"verbs": [1]}]}]}),
            ReadIncomplete,
            "no text",
        ),
        ((302, b""), ReadIncomplete, "302"),
        ((401, {}), SourceUnreachable, "401"),
        ((503, {}), SourceUnreachable, "503"),
        ((429, {}), SourceUnreachable, "429"),
    ],
)
def test_what_is_not_a_whole_list_ends_the_reading(serve, answer, problem, says) -> None:
    with pytest.raises(problem, match=says) as caught:
        list(connect(serve(clusterroles=answer)).read())

    assert BEARER not in str(caught.value)


def test_a_role_beyond_all_measure_does_not_stop_the_reading_and_is_not_narrowed(serve) -> None:
    rule = {"verbs": ["get"], "apiGroups": [f"g{n}" for n in range(120)], "resources": [f"r{n}" for n in range(120)]}
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "huge"},
        "subjects": [{"kind": "ServiceAccount", "name": "app", "namespace": "p"}],
    }
    url = serve(
        clusterroles=(200, {"metadata": {}, "items": [{"metadata": {"name": "huge"}, "rules": [rule]}]}),
        clusterrolebindings=(200, {"metadata": {}, "items": [binding]}),
    )

    (grant,) = [each for each in connect(url).read() if each["type"] == "grant"]

    assert grant["permission"]["statements"] == [{"actions": ["*"], "resources": ["api:*/*/*/*/*"]}]
    assert grant["native_ref"]["is_overstated"] is True


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"server": ""}, "server"),
        ({"server": "10.0.0.1"}, "must be an address"),
        ({"server": "http://10.0.0.1:8080"}, "https only"),
        ({"server": "https://user:pass@h"}, "must be an address"),
        ({"client_certificate": "/x.crt"}, "belong together"),
        ({"token": "abc"}, "where the secret is"),
        ({"timeout": 0}, "timeout"),
        ({"nonsense": 1}, "Unknown setting"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, says) -> None:
    with pytest.raises(BadSettings, match=says):
        Kubernetes({"server": "https://h:6443"} | settings, {})
