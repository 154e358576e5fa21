"""HTTP as the standard has it: statuses, errors as JSON strings, request ids, tokens, metadata, a database that is away."""

import json
from typing import Any

import jsonschema
import pytest
from django.db import OperationalError, connections
from django.test import Client

from identities.api import authzen
from tests.identities.authzen.conftest import post, question
from tests.identities.authzen.test_wire import HOSTILE

READ = question("user:alice", "read", "record:record-1")
ENDPOINTS = ("evaluation", "evaluations", "search/subject", "search/resource", "search/action")


@pytest.fixture(autouse=True)
def scenario(load: Any) -> None:
    load("certification")


def url(place: str = "evaluation") -> str:
    return f"/d/certification/access/v1/{place}"


def refused(response: Any, status: int) -> str:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    message = response.json()
    assert isinstance(message, str) and message
    return message


def test_hostile_bodies_are_refused_everywhere(pep: Client) -> None:
    for place in ENDPOINTS:
        for body in HOSTILE.values():
            refused(post(pep, url(place), body), 400)


def test_another_media_type_is_a_bad_request(pep: Client) -> None:
    for place in ENDPOINTS:
        for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/problem+json", ""):
            refused(post(pep, url(place), READ, content_type=media_type), 400)


def test_parameters_of_the_media_type_and_what_is_accepted_do_not_matter(pep: Client) -> None:
    asked = post(
        pep,
        url() + "?format=xml",
        READ,
        content_type="application/json; charset=utf-8",
        headers={"Accept": "text/html"},
    )

    assert (asked.status_code, asked.json()) == (200, {"decision": True})


def test_so_many_evaluations_are_refused_and_no_answer_is_a_permit(pep: Client) -> None:
    for item in ({}, None, []):
        body = READ | {"evaluations": [item] * 100_000}
        assert "evaluations" in refused(post(pep, url("evaluations"), body), 400)
    refused(post(pep, url("evaluations"), READ | {"evaluations": [{}] * 1_001}), 400)
    most = post(pep, url("evaluations"), READ | {"evaluations": [{}] * 1_000}).json()["evaluations"]
    assert most == [{"decision": True}] * 1_000


def test_options_that_mean_nothing_are_refused(pep: Client) -> None:
    for options in ("x", 7, [], *({"evaluations_semantic": value} for value in ("first", 7, []))):
        refused(post(pep, url("evaluations"), {"evaluations": [READ], "options": options}), 400)


def test_evaluations_are_a_list(pep: Client) -> None:
    for items in ({}, "x", 7, True):
        refused(post(pep, url("evaluations"), READ | {"evaluations": items}), 400)


def test_the_id_of_a_request_comes_back_as_it_was_sent(pep: Client) -> None:
    for sent in ("bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "x", "~" * 128, 'a"b<c>'):
        for body in (READ, {}):
            assert post(pep, url(), body, headers={"X-Request-ID": sent})["X-Request-ID"] == sent


def test_an_id_that_could_forge_a_line_is_refused(pep: Client) -> None:
    for sent in ("x" * 129, "a b", "a\tb", "caf\u00e9", "a\x7fb"):
        response = post(pep, url(), READ, headers={"X-Request-ID": sent})

        refused(response, 400)
        assert response["X-Request-ID"] != sent


def test_without_an_id_one_is_made(pep: Client) -> None:
    first, second = (post(pep, url(), READ)["X-Request-ID"] for _ in range(2))

    assert first and first != second


def test_who_may_ask(make_token: Any) -> None:
    _, plain = make_token(["pdp:decide"])
    _, other = make_token(["inventory:read"])

    for header in (f"Bearer {plain}", f"bearer  {plain}", plain):
        assert post(Client(headers={"Authorization": header}), url(), READ).json() == {"decision": True}
    for header in ("", "Bearer", "Bearer remit_x", "remit_x", f"Basic {plain}", f"{plain} {plain}"):
        response = post(Client(headers={"Authorization": header}), url(), READ)
        refused(response, 401)
        assert response["WWW-Authenticate"].startswith("Bearer")
    for place in ENDPOINTS:
        assert "pdp:decide" in refused(
            post(Client(headers={"Authorization": f"Bearer {other}"}), url(place), READ), 403
        )


def test_a_browser_may_not_ask_and_needs_no_token_against_forgery(pep: Client, make_user: Any, sign_in: Any) -> None:
    refused(post(sign_in(Client(), make_user()), url(), READ), 401)
    pep.handler.enforce_csrf_checks = True
    assert post(pep, url(), READ).status_code == 200


def test_other_methods_and_other_addresses_are_none(pep: Client) -> None:
    for place in ENDPOINTS:
        for method in ("get", "put", "patch", "delete"):
            response = getattr(pep, method)(url(place))
            refused(response, 405)
            assert "POST" in response["Allow"]
        assert post(pep, url(place) + "/", READ).status_code == 404
        refused(post(pep, f"/d/nowhere/access/v1/{place}", READ | {"evaluations": [READ]}), 404)


def test_a_switched_off_domain_is_none(pep: Client, manager: Client) -> None:
    etag = manager.get("/api/v1/domains/certification/")["ETag"]
    body = json.dumps({"is_enabled": False})
    manager.patch("/api/v1/domains/certification/", body, content_type="application/json", headers={"If-Match": etag})

    refused(post(pep, url(), READ), 404)
    refused(Client().get("/.well-known/authzen-configuration/d/certification"), 404)


def test_the_metadata_names_what_there_is(settings: Any) -> None:
    settings.PUBLIC_URL = "https://pdp.example.com"
    for domain, base in (
        ("", "https://pdp.example.com"),
        ("/d/certification", "https://pdp.example.com/d/certification"),
    ):
        response = Client().get(f"/.well-known/authzen-configuration{domain}")

        assert response.status_code == 200
        assert response["Content-Type"] == "application/json"
        assert "max-age" in response["Cache-Control"]
        document = response.json()
        assert document.pop("policy_decision_point") == base
        assert set(document.values()) == {f"{base}/access/v1/{place}" for place in ENDPOINTS}
        for address in document.values():
            assert post(Client(), address.removeprefix("https://pdp.example.com"), READ).status_code == 401


def test_while_the_database_is_away_nothing_is_permitted(pep: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("server closed the connection unexpectedly\n\tThis probably means trouble")

    with monkeypatch.context() as broken:
        broken.setattr(connections["default"], "cursor", away)
        for place in ENDPOINTS:
            response = post(pep, url(place), READ)
            message = refused(response, 503)
            assert "server" not in message
            assert int(response["Retry-After"]) > 0
    assert post(pep, url(), READ).json() == {"decision": True}


def test_a_mistake_of_our_own_is_no_permit_and_tells_nothing(pep: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("secret")

    monkeypatch.setattr(authzen.evaluation, "evaluate", broken)
    assert "secret" not in refused(post(pep, url(), READ), 500)


RESPONSE = {
    "type": "object",
    "required": ["decision"],
    "properties": {"decision": {"type": "boolean"}, "context": {"type": "object"}},
}


def test_answers_have_the_shape_of_the_standard(pep: Client) -> None:
    for context in ({}, {"explain": True}):
        jsonschema.validate(post(pep, url(), READ | {"context": context}).json(), RESPONSE)
