"""Whatever is sent to whatever address, the answer is a refusal in words: never a fault, never a trace, never an echo."""

import uuid
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from tests.architecture import authorization
from tests.architecture.authorization import Endpoint
from tests.architecture.conftest import World

TABLE = authorization.read_table()
ENDPOINTS = list(authorization.walk())
PAGES = [endpoint for endpoint in ENDPOINTS if not endpoint.is_api and endpoint.name not in {"console:readyz"}]
API = [endpoint for endpoint in ENDPOINTS if endpoint.is_api]

NASTY = {
    "nul": "a\x00b",
    "huge text": "a" * 20_000,
    "huge number": "9" * 400,
    "negative": "-1",
    "not a number": "NaN",
    "exponent": "1e999",
    "sql": "'; DROP TABLE people_user; --",
    "markup": "<script>alert(1)</script>",
    "other digits": "١٢٣",
    "surrogate": "\ud800",
    "right to left": "\u202eexe.txt",
    "brackets": "{{7*7}}{%include%}",
    "path": "../../etc/passwd",
    "date": "9999999-99-99",
    "leap": "2026-02-30",
    "year zero": "0000-01-01",
    "uuid-like": "00000000-0000-0000-0000-00000000000g",
    "format": "%s%n%(x)s",
}
# The ones tried in each field alone; the others only in all of them at once.
SHARPEST = ("nul", "huge text", "huge number", "sql", "surrogate", "year zero")
# Every word that some address of the product reads from a query or a form.
WORDS = (
    *("cursor", "sort", "cols", "limit", "q", "source", "kind", "environment", "owner", "privileged", "segment"),
    *("unused_days", "status", "retired", "team", "path", "verb", "actor", "subject_kind", "subject", "since", "until"),
    *("before", "campaign", "recommendation", "view", "state", "action", "only", "page", "next", "theme", "answer"),
    *("version", "reason", "target_json", "keep", "advanced", "named_person", "to", "why", "item", "quick", "step"),
    *("decision", "days", "note", "name", "email", "roles", "members", "scopes", "left_on", "manager", "slug", "as_of"),
    *("rows", "purpose", "rrule", "preset", "starts_at", "time_zone", "duration_days", "item_kinds", "scope"),
    *("fallback_reviewer", "reviewer_rules", "deadline_policy", "interval_reason", "login", "password", "code", "key"),
    *("host", "port", "dbname", "user", "sslmode", "read_every_seconds", "max_retire_percent", "tab", "grant"),
    *("do", "all", "filter", "digest", "add_tags", "remove_tags", "nobody", "tags", "is_shared", "columns"),
    *("assignee", "after", "identity", "mode", "complete", "dry_run", "id", "date", "file"),
)
TRACES = (b"Traceback (most", b'File "/', b"django.db", b"psycopg.", b"SECRET_KEY", b"only-for-tests")
BODIES = {
    "nothing": b"",
    "cut off": b'{"name": ',
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "NaN": b'{"name": NaN, "answer": NaN}',
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "NUL": b'{"name": "a\\u0000b", "email": "a\\u0000@b.c", "slug": "\\u0000", "reason": "\\u0000", "purpose": "\\u0000"}',
    "surrogate": b'{"name": "\\ud800", "purpose": "\\ud800", "reason": "\\ud800", "answer": "approve"}',
    "deep": b'{"target": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "very deep": b"[" * 200_000,
    "huge number": b'{"read_every_seconds": ' + b"9" * 5_000 + b', "max_retire_percent": 1e999}',
    "wrong types": b'{"name": {"a": [1]}, "email": 7, "answer": {}, "scopes": "all", "settings": [], "members": {"a": 1}}',
    "twice": b'{"name": "a", "name": "b"}',
    "odd permission": b'{"answer": "scope_down", "target": {"dialect": "no-such", "statements": 7}}',
    "marked": b"\xef\xbb\xbf{}",
}
MEDIA_TYPES = (
    "application/json",
    "application/x-ndjson",
    "text/plain",
    "multipart/form-data",
    "a",
    "",
    "application/json; charset=x",
)


def complain(response: HttpResponse) -> str:
    """What is wrong with an answer, or nothing."""
    if response.status_code >= 500:
        return f"{response.status_code}"
    content = b"" if response.streaming else response.content
    return next((f"shows {trace!r}" for trace in TRACES if trace in content), "")


def path_of(endpoint: Endpoint, world: World) -> str:
    return reverse(endpoint.name, kwargs=world.parameters(endpoint, "administrator", "own"))


@pytest.fixture
def program(world: World) -> Client:
    return Client(headers=world.headers["every scope"], raise_request_exception=False)


def visitors(endpoint: Endpoint) -> tuple[str, ...]:
    """Whoever gets furthest: an administrator sees most pages, an owner is asked, anybody signs in."""
    if any(word == "everybody" for words in TABLE.get(endpoint.name, {}).values() for word in words):
        return ("signed out",)
    return ("administrator",)


@pytest.mark.parametrize("endpoint", PAGES, ids=lambda endpoint: endpoint.name)
def test_pages_refuse_bad_words_in_words(endpoint: Endpoint, world: World, bodies: Any, undone: Any) -> None:
    path, wrong = path_of(endpoint, world), []

    for who in visitors(endpoint):
        for title, value in NASTY.items():
            given = dict.fromkeys(WORDS, value.encode("utf-8", "surrogatepass") if title == "surrogate" else value)
            good = bodies(endpoint.name, world.things(who, "own"))
            tries: list[tuple[str, dict[str, Any]]] = []
            if "get" in TABLE.get(endpoint.name, {}):
                tries.append(("get", given))
            if "post" in TABLE.get(endpoint.name, {}):
                # All at once, and each field of a form that would otherwise be accepted.
                tries.append(("post", given))
                if title in SHARPEST:
                    tries += [("post", good | {name: next(iter(given.values()))}) for name in good]
            for method, words in tries:
                with undone():
                    found = complain(getattr(world.client(who), method)(path, words))
                if found:
                    wrong.append(f"{method} {title} in {sorted(words)[:12]}: {found}")

    assert wrong == []


@pytest.mark.parametrize(
    "endpoint",
    [one for one in PAGES if "get" in TABLE.get(one.name, {}) and not one.parameters],
    ids=lambda endpoint: endpoint.name,
)
def test_pages_refuse_each_bad_parameter_by_itself(endpoint: Endpoint, world: World, undone: Any) -> None:
    path, wrong = path_of(endpoint, world), []
    parameters = [word for word in WORDS if word in QUERY_WORDS]

    with undone():
        client = world.client(visitors(endpoint)[0])
        for word in parameters:
            for title in ("nul", "huge number", "sql", "surrogate", "other digits"):
                found = complain(client.get(path, {word: NASTY[title].encode("utf-8", "surrogatepass")}))
                if found:
                    wrong.append(f"{title} in {word}: {found}")

    assert wrong == []


QUERY_WORDS = frozenset(
    {
        "cursor",
        "sort",
        "q",
        "since",
        "before",
        "campaign",
        "view",
        "team",
        "as_of",
        "answer",
        "unused_days",
        "actor",
        "subject",
    }
)


@pytest.mark.parametrize("endpoint", API, ids=lambda endpoint: endpoint.name)
def test_the_api_refuses_bad_bodies_with_a_problem(
    endpoint: Endpoint, world: World, program: Client, undone: Any
) -> None:
    path, wrong = path_of(endpoint, world), []

    for method in [one for one in TABLE.get(endpoint.name, {}) if one != "get"]:
        for title, body in BODIES.items():
            for media_type in MEDIA_TYPES if title in {"nothing", "cut off"} else MEDIA_TYPES[:2]:
                with undone():
                    response = program.generic(
                        method.upper(), path, body, content_type=media_type, headers={"If-Match": '"v1"'}
                    )
                if found := complain(response):
                    wrong.append(f"{method} {title} as {media_type!r}: {found}")
                elif response.status_code >= 400 and response["Content-Type"] != "application/problem+json":
                    wrong.append(f"{method} {title} as {media_type!r}: answers {response['Content-Type']}")

    assert wrong == []


@pytest.mark.parametrize("endpoint", API, ids=lambda endpoint: endpoint.name)
def test_the_api_refuses_bad_parameters_with_a_problem(
    endpoint: Endpoint, world: World, program: Client, undone: Any
) -> None:
    path, wrong = path_of(endpoint, world), []
    parameters = (
        "cursor",
        "limit",
        "q",
        "state",
        "kind",
        "source",
        "campaign",
        "assignee",
        "identity",
        "after",
        "owner",
    )

    for method in TABLE.get(endpoint.name, {}):
        for title in SHARPEST if endpoint.parameters else NASTY:
            value = NASTY[title]
            for word in parameters if method == "get" else parameters[:1]:
                with undone():
                    query = {word: value.encode("utf-8", "surrogatepass")}
                    response = program.generic(method.upper(), path, query_params=query)
                if found := complain(response):
                    wrong.append(f"{method} {title} in {word}: {found}")
                elif response.status_code >= 400 and response["Content-Type"] != "application/problem+json":
                    wrong.append(f"{method} {title} in {word}: answers {response['Content-Type']}")

    assert wrong == []


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if one.parameters], ids=lambda endpoint: endpoint.name)
def test_addresses_that_name_nothing_are_not_found(
    endpoint: Endpoint, world: World, program: Client, undone: Any
) -> None:
    good = path_of(endpoint, world)
    client = program if endpoint.is_api else world.client("administrator")
    methods = [method for method in ("get", "post") if method in TABLE.get(endpoint.name, {})]
    values = [str(value) for value in world.parameters(endpoint, "administrator", "own").values()]

    for wrong in (
        str(uuid.uuid4()),
        "0",
        "not-a-uuid",
        "%00",
        "%ff%fe",
        "a" * 5_000,
        "%27%20OR%201=1--",
        "..%2f..%2f",
        "💥",
    ):
        address = good
        for value in values:
            address = address.replace(value, wrong)
        for method in methods:
            with undone():
                response = getattr(client, method)(address)

            assert complain(response) == ""


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer \x00"},
        {"Authorization": "Bearer " + "x" * 100_000},
        {"Authorization": "Bearer \xff\xfe"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer a b c"},
        {"Authorization": "bearer remit_" + "a" * 43},
    ],
    ids=range(7),
)
def test_odd_credentials_are_refused_alike(headers: dict[str, str], world: World) -> None:
    response = Client(raise_request_exception=False).get("/api/v1/sources/", headers=headers)

    assert response.status_code == 401
    assert response.json()["code"] in {"authentication-failed", "not-authenticated"}
    assert "remit_" not in response.content.decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-ID": "a\nSet-Cookie: b"},
        {"X-Request-ID": "x" * 10_000},
        {"HX-Request": "true", "HX-Target": "\x00", "HX-Current-URL": "javascript:alert(1)"},
        {"Accept": "application/xml"},
        {"Accept": "\x00"},
        {"Accept-Language": "../../etc"},
        {"Cookie": "session=\x00; csrf=" + "x" * 5_000},
        {"If-Match": "\x00"},
        {"Referer": "\x00"},
        {"X-Forwarded-For": "\x00, 1.1.1.1"},
        {"Content-Length": "-1"},
        {"Content-Type": "multipart/form-data; boundary="},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_odd_headers_do_no_harm(headers: dict[str, str], world: World, program: Client, undone: Any) -> None:
    with undone():
        for client, path in (
            (world.client("administrator"), "/"),
            (world.client("administrator"), "/identities/"),
            (program, "/api/v1/sources/"),
        ):
            for method in ("get", "post"):
                response = getattr(client, method)(path, headers=headers)

                assert complain(response) == ""
                assert "Set-Cookie: b" not in response.get("X-Request-ID", "")


def test_what_somebody_typed_is_never_printed_as_markup(world: World, undone: Any) -> None:
    typed = "<script>alert(1)</script>"

    with undone():
        for path in ("/identities/", "/audit/", "/settings/people/", "/inbox/", "/orders/", "/no-such-page/"):
            response = world.client("administrator").get(
                path, {"q": typed, "actor": typed, "sort": typed, "source": typed}
            )

            assert typed.encode() not in response.content
