"""Errors of the API as problem documents (RFC 9457), one shape for every refusal."""

import math
from collections.abc import Iterator
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from governance.kernel.errors import DomainError

logger = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"
# A server that was restarted is back within seconds; asking sooner would only keep it busy.
RETRY_SECONDS = 5

# Stable codes for what the framework itself refuses; domain errors bring their own.
_FRAMEWORK_CODES: dict[type[exceptions.APIException], tuple[str, str]] = {
    exceptions.ParseError: ("malformed-body", "The request body could not be read"),
    exceptions.NotAuthenticated: ("not-authenticated", "A token is needed"),
    exceptions.AuthenticationFailed: ("authentication-failed", "The token was not accepted"),
    exceptions.PermissionDenied: ("forbidden", "The token does not allow this"),
    exceptions.NotFound: ("not-found", "Not found"),
    exceptions.MethodNotAllowed: ("method-not-allowed", "This method is not offered here"),
    exceptions.NotAcceptable: ("not-acceptable", "None of the accepted media types can be served"),
    exceptions.UnsupportedMediaType: ("unsupported-media-type", "This media type cannot be read here"),
    exceptions.Throttled: ("too-many-requests", "Too many requests"),
}

_VALIDATION_MEANING = "The member `errors` lists each one with a JSON pointer into the request body."


class DatabaseAway(DomainError):
    """The database is away or did not answer in time. Whether a change was still written is not known: look first.

    Reading again is safe, and so is repeating with the same Idempotency-Key, after `Retry-After` seconds.
    """

    code = "database-away"
    status = 503
    title = "The database doesn't answer"


def database_away(exc: BaseException | None) -> DatabaseAway | None:
    """What to say of an error that is the database's and not the request's; None for any other."""
    if not isinstance(exc, OperationalError | InterfaceError):
        return None
    logger.error("database.away", exc_info=exc)
    return DatabaseAway("The database did not answer. If you were changing something, look whether it was kept.")


def problem_document(error: DomainError, *, request_id: str = "") -> dict[str, Any]:
    """The problem document of a domain error. `details` become extension members."""
    return {
        **error.details,
        **_base(error.code, error.title, error.status, request_id=request_id),
        "detail": error.message,
    }


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Django REST Framework's hook. Returns None for the unexpected, which becomes a logged 500."""
    request_id = getattr(context.get("request"), "request_id", "")
    exc = database_away(exc) or exc
    if isinstance(exc, DomainError):
        set_rollback()
        response = _response(problem_document(exc, request_id=request_id), exc.status)
        if isinstance(exc, DatabaseAway):
            response["Retry-After"] = str(RETRY_SECONDS)
        return response
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    if not isinstance(exc, exceptions.APIException):
        return None
    set_rollback()
    if isinstance(exc, exceptions.ValidationError):
        return _response(_validation_problem(exc, request_id), 422)
    return _framework_response(exc, request_id)


def json_pointers(detail: Any, prefix: str = "") -> Iterator[dict[str, str]]:
    """Flatten the framework's nested error detail into `{"pointer", "code", "detail"}` rows (RFC 6901 pointers)."""
    if isinstance(detail, dict):
        for key, value in detail.items():
            # Errors about the object as a whole point at the object, not at a made-up member.
            step = "" if key == "non_field_errors" else "/" + _escape(str(key))
            yield from json_pointers(value, prefix + step)
    elif isinstance(detail, list) and any(isinstance(item, dict) for item in detail):
        for index, item in enumerate(detail):
            if item:
                yield from json_pointers(item, f"{prefix}/{index}")
    elif isinstance(detail, list):
        for item in detail:
            yield from json_pointers(item, prefix)
    else:
        yield {"pointer": prefix, "code": getattr(detail, "code", "invalid"), "detail": str(detail)}


def known_problems(base: type[DomainError]) -> list[dict[str, Any]]:
    """Every problem the loaded code can answer with, by code: code, title, status and what it means."""
    found = {
        code: {"code": code, "title": title, "status": kind.status_code, "meaning": ""}
        for kind, (code, title) in _FRAMEWORK_CODES.items()
    }
    found["invalid-input"] = {
        "code": "invalid-input",
        "title": "Some values cannot be accepted",
        "status": 422,
        "meaning": _VALIDATION_MEANING,
    }
    waiting = [base]
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        meaning = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        found[kind.code] = {"code": kind.code, "title": kind.title, "status": kind.status, "meaning": meaning}
    return [found[code] for code in sorted(found)]


def _validation_problem(exc: exceptions.ValidationError, request_id: str) -> dict[str, Any]:
    errors = list(json_pointers(exc.detail))
    document = _base("invalid-input", "Some values cannot be accepted", 422, request_id=request_id)
    document["detail"] = f"{len(errors)} problem{'s' if len(errors) != 1 else ''} found; nothing was changed."
    document["errors"] = errors
    return document


def _framework_response(exc: exceptions.APIException, request_id: str) -> Response:
    code, title = next(
        (words for kind, words in _FRAMEWORK_CODES.items() if isinstance(exc, kind)),
        (str(exc.default_code).replace("_", "-"), "The request was refused"),
    )
    document = _base(code, title, exc.status_code, request_id=request_id) | {"detail": str(exc.detail)}
    response = _response(document, exc.status_code)
    if challenge := getattr(exc, "auth_header", None):
        response["WWW-Authenticate"] = challenge
    if (wait := getattr(exc, "wait", None)) is not None:
        response["Retry-After"] = str(math.ceil(wait))
    return response


def _base(code: str, title: str, status: int, *, request_id: str) -> dict[str, Any]:
    base: dict[str, Any] = {"type": f"/docs/problems#{code}", "title": title, "status": status, "code": code}
    if request_id:
        base["request_id"] = request_id
    return base


def _response(document: dict[str, Any], status: int) -> Response:
    return Response(document, status=status, content_type=MEDIA_TYPE)


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
