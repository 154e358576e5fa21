"""Problem documents (RFC 9457): one shape, stable codes, pointers into the body."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, serializers

from governance.kernel.errors import Conflict, DomainError
from governance.web.problems import exception_handler, json_pointers, known_problems


class Request:
    request_id = "req-12345678"


def handle(error: Exception) -> Any:
    return exception_handler(error, {"request": Request()})


def test_a_domain_error_becomes_its_own_status_code_and_sentence() -> None:
    response = handle(Conflict("The item was decided by somebody else.", version=4))

    assert response.status_code == 409
    assert response.content_type == "application/problem+json"
    assert response.data == {
        "type": "/docs/problems#conflict",
        "title": "Somebody or something was faster",
        "status": 409,
        "code": "conflict",
        "detail": "The item was decided by somebody else.",
        "request_id": "req-12345678",
        "version": 4,
    }


def test_details_cannot_overwrite_the_members_of_the_standard() -> None:
    response = handle(Conflict("No.", status=200, code="fine", title="All good"))

    assert (response.data["status"], response.data["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Http404(), 404, "not-found"),
        (PermissionDenied(), 403, "forbidden"),
        (exceptions.NotAuthenticated(), 401, "not-authenticated"),
        (exceptions.AuthenticationFailed(), 401, "authentication-failed"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method-not-allowed"),
        (exceptions.UnsupportedMediaType("text/plain"), 415, "unsupported-media-type"),
        (exceptions.ParseError(), 400, "malformed-body"),
        (exceptions.Throttled(wait=3.2), 429, "too-many-requests"),
    ],
)
def test_refusals_of_the_framework_have_the_same_shape(error: Exception, status: int, code: str) -> None:
    response = handle(error)

    assert (response.status_code, response.data["code"]) == (status, code)
    assert response.data["detail"]


def test_a_throttled_caller_learns_when_to_come_back() -> None:
    assert handle(exceptions.Throttled(wait=3.2))["Retry-After"] == "4"


def test_an_unexpected_exception_is_not_explained_away() -> None:
    assert handle(ZeroDivisionError()) is None


def test_validation_errors_point_into_the_body() -> None:
    class Inner(serializers.Serializer[Any]):
        name = serializers.CharField()

    class Outer(serializers.Serializer[Any]):
        owners = Inner(many=True)
        until = serializers.DateField()

    wrong = Outer(data={"owners": [{"name": "ok"}, {}], "until": "soon"})
    assert not wrong.is_valid()

    response = handle(exceptions.ValidationError(wrong.errors))

    assert response.status_code == 422
    assert {(row["pointer"], row["code"]) for row in response.data["errors"]} == {
        ("/owners/1/name", "required"),
        ("/until", "invalid"),
    }


def test_pointers_escape_slash_and_tilde_and_name_the_object_itself() -> None:
    found = {row["pointer"] for row in json_pointers({"a/b~c": ["x"], "non_field_errors": ["y"]})}

    assert found == {"/a~1b~0c", ""}


def test_the_list_of_problems_holds_every_code_that_can_be_answered() -> None:
    codes = {problem["code"] for problem in known_problems(DomainError)}

    assert {"conflict", "forbidden", "not-found", "bad-cursor", "version-changed", "invalid-input"} <= codes
