"""Whoever asks for what is not there, or meets a fault, is answered in their own language: a page, a problem, SCIM's error."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client, RequestFactory

from governance.console import failures

PROBLEM, SCIM = "application/problem+json", "application/scim+json"
PROGRAMS = {
    "/api/v1/nothing/": PROBLEM,
    "/api/v1/identities/no-uuid/": PROBLEM,
    "/access/v1/nothing": PROBLEM,
    "/d/payments/nothing": PROBLEM,
    "/.well-known/nothing": PROBLEM,
    "/scim/v2/Users/no-uuid": SCIM,
}
PAGES = ("/nothing/", "/identities/no-uuid/")


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head"])
def test_an_address_that_leads_nowhere_is_said_to_programs_in_their_form(client: Client, method: str) -> None:
    for path, media_type in PROGRAMS.items():
        answer = getattr(client, method)(path)

        assert (answer.status_code, answer["Content-Type"]) == (404, media_type), path
        if method != "head":
            said = answer.json()
            assert str(said["status"]) == "404" and said["detail"], path
            assert media_type == SCIM or (said["code"] == "not-found" and said["request_id"]), path


@pytest.mark.django_db
def test_people_get_a_page(client: Client) -> None:
    for path in PAGES:
        answer = client.get(path)

        assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8"), path


@pytest.mark.django_db
def test_the_address_that_a_form_is_sent_to_says_that_it_is_no_page(client: Client) -> None:
    said = client.get("/theme/")
    to_programs = client.put("/theme/")

    assert (said.status_code, said["Allow"]) == (405, "POST")
    assert "There is no page at this address" in said.content.decode() and "Content-Security-Policy" in said
    assert (to_programs.status_code, to_programs.content) == (405, b"")


@pytest.mark.django_db
def test_an_address_without_its_last_slash_still_leads_on(client: Client) -> None:
    assert client.get("/api/v1/identities").status_code == 301


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (lambda request: failures.bad_request(request, SuspiciousOperation("secret")), 400, "request-unreadable"),
        (lambda request: failures.forbidden(request, PermissionDenied("secret")), 403, "forbidden"),
        (failures.fault, 500, "fault"),
    ],
)
def test_what_django_refuses_by_itself_never_tells_what_was_behind_it(
    rf: RequestFactory, answer: Callable[..., HttpResponse], status: int, code: str
) -> None:
    problem, scim, page = (answer(rf.get(path)) for path in ("/api/v1/x/", "/scim/v2/Users", "/x/"))

    assert [each.status_code for each in (problem, scim, page)] == [status] * 3
    assert f'"code": "{code}"'.encode() in problem.content
    assert b"urn:ietf:params:scim:api:messages:2.0:Error" in scim.content
    assert page["Content-Type"].startswith("text/html")
    assert not any(b"secret" in each.content for each in (problem, scim, page))


@pytest.mark.parametrize(("error", "status"), [(OperationalError("the connection is lost"), 503), (ValueError(), 500)])
def test_a_fault_in_a_middleware_is_told_from_a_database_that_is_away(
    rf: RequestFactory, error: Exception, status: int
) -> None:
    answers: list[Any] = []
    try:
        raise error
    except type(error):
        answers = [failures.fault(rf.get(path)) for path in ("/", "/api/v1/x/", "/scim/v2/Users")]

    assert [each.status_code for each in answers] == [status] * 3
    assert all(each.has_header("Retry-After") == (status == 503) for each in answers)
