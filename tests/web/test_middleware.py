"""What every request gets: an id nobody can forge lines with, headers, and answers instead of stack traces."""

import json
import re

import pytest
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django_htmx.middleware import HtmxDetails

from governance.kernel.errors import Conflict
from governance.web.middleware import RequestContextMiddleware, request_id_from


def answer(request: HttpRequest, error: Exception) -> HttpResponse | None:
    middleware = RequestContextMiddleware(lambda _: HttpResponse())
    request.htmx = HtmxDetails(request)  # type: ignore[attr-defined]
    request.request_id = "req-12345678"  # type: ignore[attr-defined]
    return middleware.process_exception(request, error)


def test_a_harmless_request_id_is_taken_over(rf: RequestFactory) -> None:
    request = rf.get("/", headers={"X-Request-ID": "edge-7f3a.19_b"})

    assert request_id_from(request) == "edge-7f3a.19_b"


@pytest.mark.parametrize(
    "offered", ["", "short", "a" * 65, "abc\ndefghij", "<script>alert(1)</script>", "-leading-dash", "ümlaut-12345"]
)
def test_any_other_request_id_is_replaced(rf: RequestFactory, offered: str) -> None:
    request = rf.get("/", headers={"X-Request-ID": offered})

    assert re.fullmatch(r"[0-9a-f]{32}", request_id_from(request))


@pytest.mark.django_db
def test_every_answer_carries_its_id_and_is_not_kept_by_caches(client: Client) -> None:
    response = client.get("/accounts/login/", headers={"X-Request-ID": "trace-12345"})

    assert response["X-Request-ID"] == "trace-12345"
    assert "no-store" in response["Cache-Control"]
    assert "camera=()" in response["Permissions-Policy"]


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/?q=%00", "/identities/?q=a%00b", "/x%00y/"])
def test_a_nul_byte_is_refused_before_it_reaches_the_database(client: Client, address: str) -> None:
    response = client.get(address)

    assert response.status_code == 400
    assert b"Traceback" not in response.content


@pytest.mark.django_db
def test_a_refused_page_request_becomes_a_page_with_the_sentence(rf: RequestFactory) -> None:
    response = answer(rf.get("/orders/"), Conflict("Ada decided this <b>first</b>."))

    assert response is not None and response.status_code == 409
    assert b"Ada decided this &lt;b&gt;first&lt;/b&gt;." in response.content
    assert b"req-12345678" in response.content


@pytest.mark.django_db
def test_a_refused_fragment_request_becomes_a_message_and_leaves_the_page_alone(rf: RequestFactory) -> None:
    response = answer(rf.post("/orders/", headers={"HX-Request": "true"}), Conflict("Ada was faster."))

    assert response is not None and response.status_code == 409
    assert (response["HX-Retarget"], response["HX-Reswap"]) == ("#toasts", "beforeend")
    assert b'role="alert"' in response.content and b"<html" not in response.content


def test_a_refused_program_gets_a_problem_document(rf: RequestFactory) -> None:
    response = answer(rf.post("/api/v1/x/"), Conflict("Somebody was faster."))

    assert response is not None and response["Content-Type"] == "application/problem+json"
    assert json.loads(response.content)["code"] == "conflict"


def test_other_exceptions_are_left_to_the_error_page(rf: RequestFactory) -> None:
    assert answer(rf.get("/"), ZeroDivisionError()) is None


@pytest.mark.parametrize(
    "error", [OperationalError("the connection is lost"), InterfaceError("connection already closed")]
)
def test_a_database_that_is_away_is_said_without_asking_it(rf: RequestFactory, error: Exception) -> None:
    page = answer(rf.get("/orders/?state=open"), error)
    fragment = answer(rf.post("/orders/", headers={"HX-Request": "true"}), error)
    document = answer(rf.get("/api/v1/x/"), error)

    for response in (page, fragment, document):
        assert response is not None and (response.status_code, response["Retry-After"]) == (503, "5")
    assert page is not None and b'href="/orders/?state=open"' in page.content and b"req-12345678" in page.content
    assert fragment is not None and b'role="alert"' in fragment.content
    assert document is not None and json.loads(document.content)["code"] == "database-away"
