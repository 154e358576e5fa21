"""The API does what its document says: the document is whole, and real answers have the shapes that it promises."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from governance.people.access import SCOPES
from governance.web.problems import MEDIA_TYPE
from tests.architecture import authorization
from tests.architecture.conftest import World
from tests.reviews import conftest as make


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path of the document."""

    path: str
    method: str
    body: dict[str, Any]

    def __str__(self) -> str:
        return self.body["operationId"]

    @property
    def parameters(self) -> list[tuple[str, str]]:
        return [(one["in"], one["name"]) for one in self.body.get("parameters", [])]


def generate() -> dict[str, Any]:
    GENERATOR_STATS.reset()
    return json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True), default=str))


DOCUMENT = generate()
COMPLAINTS = [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]
OPERATIONS = [
    Operation(path, method, body) for path, methods in DOCUMENT["paths"].items() for method, body in methods.items()
]
READS = [operation for operation in OPERATIONS if operation.method == "get"]
WRITES = [operation for operation in OPERATIONS if operation.method != "get"]
# An answer of a program is refused after everything else was right, so its scope alone does not let it in.
PEOPLE_ONLY = {"items_decide"}
ON_HELD_RUNS = ("syncs_would_change", "syncs_accept", "syncs_reject")
ETAG = '"v1"'
# AuthZEN fixes these addresses and that errors are JSON strings.
STANDARD = "/access/v1/"


@pytest.fixture
def program(world: World) -> Client:
    """A program with every scope."""
    return Client(headers=world.headers["every scope"], raise_request_exception=False)


def address(operation: Operation, world: World) -> str:
    """The operation's path, filled with the stranger's things."""
    things = world.stranger
    if str(operation) in ("sources_read", "sources_preview"):
        return operation.path.format(slug=world.readable.slug)
    values = (
        things.parameters(str(operation))
        | {"credential_id": uuid.uuid4(), "brake_id": world.brake_id}
        | {"hold_id": world.hold_id}
    )
    if str(operation) in ("sources_check", "imports_send"):
        values["slug"] = world.kept.source.slug
    if run := {
        "syncs_cancel": world.running,
        "syncs_take_in": world.kept,
        **dict.fromkeys(ON_HELD_RUNS, world.held),
    }.get(str(operation)):
        values |= {"slug": run.source.slug, "run_id": run.pk}
    if operation.path.startswith("/api/v1/items/{item_id}/decisions"):
        values["item_id"] = things.answered.pk
    if str(operation) in ("campaigns_ask_again", "packs_request"):
        values["campaign_id"] = world.silent.pk
    if str(operation) == "grants_ask":
        values["grant_id"] = things.answered.grant_id
    if str(operation) == "campaigns_release":
        values["campaign_id"] = world.waiting.pk
    if str(operation) == "schedules_approve":
        values["schedule_id"] = world.belongings["owner"].schedule.pk
    if str(operation) == "schedules_resume":
        values["schedule_id"] = world.paused.pk
    asked = "?action=SELECT&resource=table:ledger/public/payments&dialect=postgresql"
    return operation.path.format(**values) + (asked if str(operation) == "history_who_could" else "")


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def problems_of(response: HttpResponse, operation: Operation) -> Iterator[str]:
    """In which ways an answer differs from what the document promises for it."""
    promised = operation.body["responses"].get(str(response.status_code))
    if promised is None:
        yield f"status {response.status_code} is not documented"
        return
    content = resolved(promised).get("content", {})
    if not content and not response.content:
        return  # nothing is promised, and nothing came
    media_type = response["Content-Type"].partition(";")[0]
    if media_type not in content:
        yield f"{media_type} is not documented for {response.status_code}"
        return
    schema = content[media_type]["schema"] | {"components": DOCUMENT["components"]}
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for error in validator.iter_errors(response.json()):
        yield f"{error.json_path}: {error.message[:300]}"


def test_the_document_is_made_without_a_warning() -> None:
    assert COMPLAINTS == []


def test_the_document_is_valid_openapi_3_1() -> None:
    validate_schema(DOCUMENT)

    assert DOCUMENT["openapi"].startswith("3.1")


def test_the_document_that_is_served_is_the_one_checked_here(world: World) -> None:
    served = Client().get("/api/v1/openapi.json")

    assert served.status_code == 200
    assert served.json()["paths"].keys() == DOCUMENT["paths"].keys()


def test_every_address_of_the_api_is_described() -> None:
    described = {(operation.path, operation.method) for operation in OPERATIONS}
    existing = {
        ("/" + endpoint.route.replace("<uuid:", "{").replace("<slug:", "{").replace(">", "}"), method)
        for endpoint in authorization.walk()
        if endpoint.is_api
        for method in authorization.read_table().get(endpoint.name, {})
    }

    assert existing - described == set()


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_operation_says_who_may_call_it_and_how_it_refuses(operation: Operation) -> None:
    scopes = [scope for requirement in operation.body["security"] for scope in requirement["apiToken"]]

    assert scopes and set(scopes) <= SCOPES
    assert all(f"`{scope}`" in operation.body["description"] for scope in scopes)
    assert operation.body["summary"]
    assert {"401", "403"} <= operation.body["responses"].keys()
    refusals = {status: body for status, body in operation.body["responses"].items() if status >= "400"}
    media_type = "application/json" if operation.path.startswith(STANDARD) else MEDIA_TYPE
    assert all(list(resolved(body)["content"]) == [media_type] for body in refusals.values())


def test_sync_clients_find_examples_of_what_to_send() -> None:
    (send,) = [operation for operation in OPERATIONS if str(operation) == "syncs_send"]

    (content,) = send.body["requestBody"]["content"].values()
    for example in content["examples"].values():
        lines = [json.loads(line) for line in example["value"].splitlines()]
        assert lines[-1] == {"type": "end", "records": len(lines) - 1}
    assert content["examples"]


@pytest.mark.parametrize("operation", READS, ids=str)
def test_what_is_read_has_the_promised_shape(operation: Operation, world: World, program: Client) -> None:
    response = program.get(address(operation, world))

    assert response.status_code == 200, response.content
    if "application/json" not in resolved(operation.body["responses"]["200"])["content"]:
        return  # a file
    assert list(problems_of(response, operation)) == []
    if "results" in response.json():
        assert response.json()["results"], "the world has nothing to show here, so nothing was checked"


@pytest.mark.parametrize("operation", READS, ids=str)
def test_a_parameter_that_fits_nothing_is_answered_as_promised(
    operation: Operation, world: World, program: Client
) -> None:
    place = address(operation, world)
    begin = "&" if "?" in place else "?"

    for kind, name in operation.parameters:
        for value in (str(uuid.uuid4()), "no-such-thing") if kind == "query" else ():
            response = program.get(f"{place}{begin}{name}={value}")

            assert str(response.status_code) in operation.body["responses"], f"{name}={value}: {response.status_code}"


LISTS = [operation for operation in READS if ("query", "limit") in operation.parameters]


@pytest.mark.parametrize("operation", LISTS, ids=str)
def test_unknown_parameters_are_refused_in_lists(operation: Operation, world: World, program: Client) -> None:
    response = program.get(address(operation, world), {"no_such_filter": "1"})

    assert (response.status_code, response.json()["code"]) == (400, "unknown-parameter")
    assert list(problems_of(response, operation)) == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_refusals_have_the_promised_shape(operation: Operation, world: World, program: Client, undone: Any) -> None:
    path, stranger = address(operation, world), Client()
    lesser = Client(headers=world.headers["no scope"])

    with undone():
        answers = [stranger.generic(operation.method, path), lesser.generic(operation.method, path)]
        if operation.method != "get" and "requestBody" in operation.body:
            answers.append(program.generic(operation.method, path, b"{", content_type="application/json"))
            answers.append(program.generic(operation.method, path, b"<a/>", content_type="application/xml"))
            answers.append(
                program.generic(
                    operation.method,
                    path,
                    b'{"name": {"x": 7}}',
                    content_type="application/json",
                    headers={"If-Match": ETAG},
                )
            )
        if ("path", "slug") in operation.parameters or "_id}" in operation.path:
            nowhere = operation.path.replace("{slug}", "no-such-thing")
            for name in (name for place, name in operation.parameters if place == "path" and name != "slug"):
                nowhere = nowhere.replace(f"{{{name}}}", str(uuid.uuid4()))
            answers.append(program.generic(operation.method, nowhere, headers={"If-Match": ETAG}))

    for answer in answers:
        assert answer.status_code >= 400
        assert list(problems_of(answer, operation)) == [], (answer.status_code, answer.content)


@pytest.mark.parametrize("operation", [one for one in WRITES if str(one) not in PEOPLE_ONLY], ids=str)
def test_what_is_written_is_answered_in_the_promised_shape(
    operation: Operation, world: World, program: Client, undone: Any
) -> None:
    body, content_type = BODIES.get(str(operation), lambda world: b"")(world), "application/json"
    if str(operation) == "syncs_send":
        content_type = "application/x-ndjson"
    elif str(operation) == "imports_send":
        content_type = "application/octet-stream"
    elif body:
        body = json.dumps(body).encode()

    with undone():
        response = program.generic(
            operation.method, address(operation, world), body, content_type=content_type, headers={"If-Match": ETAG}
        )

    assert response.status_code < 300, response.content
    assert list(problems_of(response, operation)) == []


ASKED = {
    "subject": {"type": "identity", "id": "svc"},
    "action": {"name": "read"},
    "resource": {"type": "record", "id": "7"},
}
BODIES: dict[str, Any] = {
    "items_decide_many": lambda world: {
        "items": [{"id": str(world.stranger.item.pk)}],
        "answer": "approve",
        "dry_run": True,
    },
    "items_verdict": lambda world: {"target": make.NARROWER},
    "grants_verdict": lambda world: {"target": make.NARROWER},
    "watches_create": lambda world: {
        "trigger": "reappeared",
        "fallback_reviewer": world.stranger.watch.fallback_reviewer.email,
    },
    "watches_change": lambda world: {"is_enabled": False},
    "change_windows_create": lambda world: {
        "name": "Sundays",
        "rrule": "FREQ=WEEKLY;BYDAY=SU",
        "starts_at": "2027-01-03T02:00Z",
        "duration_minutes": 60,
    },
    "freezes_create": lambda world: {
        "reason": "Year end",
        "starts_at": "2099-12-20T00:00Z",
        "ends_at": "2100-01-02T00:00Z",
    },
    "audit_holds_place": lambda world: {
        "kind": "identity",
        "subject": str(world.stranger.identity.pk),
        "reason": "Case 9",
    },
    "audit_holds_lift": lambda world: {"reason": "Closed."},
    "audit_erasures_create": lambda world: {"person": str(world.stranger.user.pk), "reason": "Request 12"},
    "grants_ask": lambda world: {"target": make.NARROWER, "why": "Never written to."},
    "campaigns_create": lambda world: {"name": "Now", "fallback_reviewer": world.stranger.user.email},
    "campaign_previews": lambda world: {
        "fallback_reviewer": world.stranger.user.email,
        "item_kinds": ["grant", "credential"],
        "deadline_policy": "revoke",
    },
    "schedules_create": lambda world: {
        "name": "Every quarter",
        "rrule": "FREQ=MONTHLY;INTERVAL=3",
        "starts_at": "2030-01-01T09:00:00Z",
        "interval_reason": "Little changes here.",
        "fallback_reviewer": world.stranger.user.email,
    },
    "campaigns_release": lambda world: {"reason": "The exporter is broken until Monday."},
    "schedules_change": lambda world: {"duration_days": 7},
    "schedules_pause": lambda world: {"reason": "Until the move is over."},
    "items_reassign": lambda world: {
        "items": [{"item": str(world.stranger.item.pk)}],
        "to": world.stranger.campaign.fallback_reviewer.email,
        "reason": "They know.",
    },
    "delegations_create": lambda world: {
        "person": world.stranger.user.email,
        "delegate": world.stranger.campaign.fallback_reviewer.email,
        "starts_at": "2027-06-01T00:00:00Z",
        "ends_at": "2027-06-03T00:00:00Z",
        "reason": "Away.",
    },
    "delegations_end": lambda world: {"reason": "Back early."},
    "syncs_reject": lambda world: {"reason": "A broken export."},
    "domains_create": lambda world: {
        "slug": "other",
        "name": "Other",
        "sources": [world.kept.source.slug],
        "subject_types": {"user": []},
    },
    "domains_change": lambda world: {"name": "Renamed"},
    "access_requests_create": lambda world: {
        "identity": str(world.stranger.identity.pk),
        "permission": make.HELD,
        "until": (timezone.now() + timedelta(hours=2)).isoformat(),
        "reason": "Refunds.",
    },
    "access_evaluate": lambda world: ASKED,
    "access_evaluate_many": lambda world: ASKED | {"evaluations": [{}, {}]},
    "access_search_subjects": lambda world: ASKED | {"page": {"limit": 1}},
    "access_search_resources": lambda world: ASKED,
    "access_search_actions": lambda world: ASKED,
    "gateway_servers_create": lambda world: {"name": "new", "url": "https://mcp.example.org/"},
    "gateway_cut_offs_create": lambda world: {"server": "behind", "reason": "It sends too much."},
    "sources_create": lambda world: {"slug": "new", "name": "New", "kind": "push"},
    "sources_change": lambda world: {"name": "Renamed"},
    "identities_register": lambda world: {"owner": world.stranger.user.email, "purpose": "Pays salaries."},
    "identities_cadence": lambda world: {"days": 370, "reason": "Closes the year."},
    "identities_change": lambda world: {"purpose": "Pays salaries."},
    "identities_bulk_edit": lambda world: {"filter": "", "set": {"add_tags": ["seen"]}, "dry_run": True},
    "findings_assign": lambda world: {"assignee": None},
    "findings_request_exception": lambda world: {
        "reason": "The vendor ships the fix in March.",
        "compensating_control": "Only one host may reach it.",
        "until": (timezone.now() + timedelta(days=30)).isoformat(),
    },
    "findings_bulk": lambda world: {"filter": "finding=NHI5", "assign": {"assignee": None}, "dry_run": True},
    "boundaries_register": lambda world: {
        "source": world.readable.slug,
        "issuer": "https://other.example.org",
        "subjects": ["*"],
        "purpose": "Builds",
        "owner": world.stranger.user.email,
        "review_due": (timezone.now() + timedelta(days=30)).date().isoformat(),
    },
    "boundaries_change": lambda world: {"purpose": "Releases"},
    "boundaries_withdraw": lambda world: {"reason": "It moved."},
    "identities_authorization_declare": lambda world: {"model": "roles", "version": 0},
    "sources_authorization_declare": lambda world: {"model": "roles", "version": 0},
    "saved_views_create": lambda world: {"page": "identities", "name": "New", "filter": "privileged=yes"},
    "saved_views_change": lambda world: {"name": "Renamed"},
    "people_create": lambda world: {"email": "new@example.org", "name": "New"},
    "people_change": lambda world: {"name": "Renamed"},
    "people_leave": lambda world: {"left_at": "2026-01-01T00:00:00Z"},
    "tokens_withhold": lambda world: {"scopes": ["inventory:read"], "held": ["inventory:read"]},
    "tokens_give_back": lambda world: {"scopes": ["orders:read"]},
    "webhooks_create": lambda world: {"name": "New", "url": "https://hooks.example.org/", "verbs": ["order"]},
    "webhooks_change": lambda world: {"name": "Renamed"},
    "orders_note_ticket": lambda world: {"reference": "OPS-1"},
    "teams_create": lambda world: {"name": "New"},
    "teams_change": lambda world: {"name": "Renamed"},
    "tokens_create": lambda world: {
        "name": "New",
        "scopes": ["people:read"],
        "expires_at": (timezone.now() + timedelta(days=3)).isoformat(),
    },
    "connections_check": lambda world: {"kind": "push"},
    "imports_send": lambda world: b"identity,kind\nnew,bot\n",
    "syncs_send": lambda world: (
        b'{"type":"identity","id":"new","kind":"service_account"}\n{"type":"end","records":1}\n'
    ),
}
