"""Who may do what, asked from the product itself: each role, each address, one's own object and somebody else's.

The answers stand in `authorization.toml`; `docs/authorization.md` is made from it.
"""

from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from governance.audit.models import AuditEvent
from governance.people.access import SCOPES
from tests.architecture import authorization
from tests.architecture.authorization import METHODS, PEOPLE, RELATIONS, VISITORS, Endpoint
from tests.architecture.conftest import World

ENDPOINTS = list(authorization.walk())
PAGES = [endpoint for endpoint in ENDPOINTS if not endpoint.is_api]
API = [endpoint for endpoint in ENDPOINTS if endpoint.is_api]
TABLE = authorization.read_table()
CLOSED = {401, 403, 404, 410}
SIGN_IN = "/accounts/login/?next="
NOT_OFFERED = 405
SINGLE_SCOPES = ("no scope", *sorted(SCOPES))
# Tables in which looking at something leaves a trace on purpose: sessions, counters of callers, the last use of a token,
# that somebody opened a question of theirs, and that what was said to them about it is no news any more.
TRACES = {"django_session", "shared_cache", "people_apitoken", "reviews_viewing", "reviews_nudge"}
# Whoever is refused leaves a record, so the trail may grow by these, and by nothing else.
TRAIL = {"audit_auditevent", "audit_auditlink", "audit_audithead", "audit_auditdetail", "audit_pending"}
REFUSED = "access.refused"


def named(endpoint: Endpoint) -> str:
    return endpoint.name


def ask(world: World, endpoint: Endpoint, method: str, who: str, relation: str, body: Any) -> HttpResponse:
    """One request by a person, or (for scopes) by a program."""
    path = reverse(endpoint.name, kwargs=world.parameters(endpoint, who, relation))
    if endpoint.name in ("identities:source_create", "identities:source_check_new"):
        path += "?kind=push"
    if who in VISITORS:
        return getattr(world.client(who), method)(path, body if method == "post" else None)
    headers = world.headers[who] | {"If-Match": '"v1"'}
    client = Client(raise_request_exception=False, headers=headers)
    if method == "get":
        return client.get(path)
    return getattr(client, method)(path, body, content_type="application/json")


def is_open(response: HttpResponse, endpoint: Endpoint) -> bool:
    """Whether somebody was let in; what they were told there (a form's errors, a conflict) is another matter."""
    is_honest = endpoint.name == "console:readyz" and response.status_code == 503  # nothing runs beside a test
    assert is_honest or response.status_code < 500, response.content[:2000].decode(errors="replace")
    if response.status_code in CLOSED:
        return False
    return SIGN_IN not in response.get("Location", "") and SIGN_IN not in response.get("HX-Redirect", "")


def observed(world: World, endpoint: Endpoint, method: str, bodies: Any, undone: Any) -> authorization.Entry | None:
    """Who was let in, or None where the method is not offered at all."""
    found = set()
    for who in VISITORS if not endpoint.is_api else SINGLE_SCOPES:
        for relation in RELATIONS if not endpoint.is_api else ("other",):
            with undone():
                things = world.things(who, relation)
                response = ask(world, endpoint, method, who, relation, bodies(endpoint.name, things))
            if response.status_code == NOT_OFFERED:
                return None
            if is_open(response, endpoint):
                found |= {(who, kind) for kind in RELATIONS} if endpoint.is_api else {(who, relation)}
    return frozenset(found)


def methods_of(endpoint: Endpoint) -> tuple[str, ...]:
    """The library's own pages of sign-in take PUT for POST, and send whoever is signed in away; we ask what browsers do."""
    return METHODS[:2] if endpoint.route.startswith("accounts/") else METHODS


def test_every_address_is_in_the_table_and_every_line_leads_somewhere() -> None:
    known, named_there = {endpoint.name for endpoint in ENDPOINTS}, set(TABLE)

    assert known - named_there == set(), "add these to tests/architecture/authorization.toml with who may use them"
    assert named_there - known == set(), (
        "these addresses are gone: remove them from tests/architecture/authorization.toml"
    )


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=named)
def test_each_address_lets_in_whom_the_table_names_and_nobody_else(
    endpoint: Endpoint, world: World, bodies: Any, undone: Any
) -> None:
    wanted, wrong = TABLE.get(endpoint.name, {}), []

    for method in methods_of(endpoint):
        found = observed(world, endpoint, method, bodies, undone)
        expected = authorization.expand(wanted[method]) if method in wanted else None
        if expected is None and not found:
            continue  # refused to everybody, by whatever words
        if found != expected:
            wrong.append(authorization.line(method, found) if found is not None else f"{method} is not offered (405)")

    assert not wrong, (
        f"authorization.toml differs from what the product does; it does:\n[…{endpoint.name!r}]\n" + "\n".join(wrong)
    )


def test_the_readable_page_says_what_the_table_says() -> None:
    assert authorization.DOCUMENT.read_text() == authorization.document(), (
        "docs/authorization.md is out of date: write it anew with python -m tests.architecture.authorization"
    )


@pytest.mark.parametrize("endpoint", API, ids=named)
def test_the_session_of_a_browser_opens_nothing_of_the_api(endpoint: Endpoint, world: World) -> None:
    for who in VISITORS:
        response = ask(world, endpoint, "get", who, "own", None)

        assert response.status_code == 401
        assert response["WWW-Authenticate"].startswith("Bearer")


def forms() -> list[Endpoint]:
    return [endpoint for endpoint in PAGES if "post" in TABLE.get(endpoint.name, {})]


@pytest.mark.parametrize("endpoint", forms(), ids=named)
def test_no_form_is_taken_without_its_token_against_forgery(
    endpoint: Endpoint, world: World, bodies: Any, undone: Any
) -> None:
    who = next(
        (name for name in PEOPLE if (name, "own") in authorization.expand(TABLE[endpoint.name]["post"])), PEOPLE[0]
    )
    client = world.client(who)
    client.handler.enforce_csrf_checks = True
    path = reverse(endpoint.name, kwargs=world.parameters(endpoint, who, "own"))

    with undone():
        before, told = fingerprint(), events()
        response = client.post(path, bodies(endpoint.name, world.things(who, "own")))
        after, verbs = fingerprint(), verbs_since(told)

    assert response.status_code == 403
    assert b"form" in response.content.lower()
    assert changed(before, after) <= TRAIL
    assert verbs <= {REFUSED}


def test_answering_in_bulk_leaves_the_questions_of_others_alone(world: World, bodies: Any, undone: Any) -> None:
    asked_of_others = bodies("reviews:items_bulk", world.stranger)

    for who in PEOPLE:
        with undone():
            world.client(who).post(reverse("reviews:items_bulk"), asked_of_others)

            assert not world.stranger.item.decisions.exists()


def test_answering_in_bulk_answers_what_one_is_asked(world: World, bodies: Any, undone: Any) -> None:
    with undone():
        world.client("owner").post(
            reverse("reviews:items_bulk"), bodies("reviews:items_bulk", world.belongings["owner"])
        )

        assert world.belongings["owner"].item.decisions.count() == 1


def test_looking_changes_nothing(world: World, undone: Any) -> None:
    """Every GET by everybody, on one's own and on others' objects, leaves every table as it was.

    Except for what is recorded in the trail on purpose: what is taken out, looks at single people, and refusals.
    """
    exports = {f"identities:{what}_{form}" for what in ("identity", "access", "finding") for form in ("csv", "ndjson")}
    exports |= {"identities:boundary_csv", "identities:identity_reach_csv"}
    exports |= {"reviews:pack_download", "api_pack_file", "console:audit_export", "api_audit_export"}
    exports |= {"reviews:campaign_people"}
    with undone():
        before, told = fingerprint(), events()
        for endpoint in ENDPOINTS:
            if endpoint.name in exports:
                continue
            for who in SINGLE_SCOPES if endpoint.is_api else VISITORS:
                ask(world, endpoint, "get", who, "own", None)
        after, verbs = fingerprint(), verbs_since(told)

    assert changed(before, after) <= TRAIL
    assert verbs <= {REFUSED}


def fingerprint() -> dict[str, str]:
    """Each table's number of rows and a hash of all of them."""
    with connection.cursor() as cursor:
        found = {}
        for table in sorted(set(connection.introspection.table_names(cursor)) - TRACES):
            quoted = connection.ops.quote_name(table)
            cursor.execute(
                f"SELECT count(*) || ':' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {quoted} t"
            )
            found[table] = cursor.fetchone()[0]
    return found


def events() -> dict[Any, str]:
    """The verb of every event in the trail."""
    return dict(AuditEvent.objects.values_list("pk", "verb"))


def verbs_since(told: dict[Any, str]) -> set[str]:
    return {verb for pk, verb in events().items() if pk not in told}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {table for table in before | after if before.get(table) != after.get(table)}
