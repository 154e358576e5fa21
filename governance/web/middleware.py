"""What every request gets, whoever serves it: an id, safe headers, and an answer instead of a stack trace."""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from governance.kernel.errors import DomainError
from governance.measuring import note_request
from governance.waiting import Patience, answered_within, each_within
from governance.web.htmx import is_fragment
from governance.web.problems import RETRY_SECONDS, DatabaseAway, database_away, problem_document
from governance.web.refusing import note_refusal

log = structlog.get_logger(__name__)

# An inbound id ends up in logs and audit records, so only what cannot forge a line or a header is taken over.
SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")

# Asked every few seconds by machines; their lines would bury everything else.
QUIET_VIEWS = frozenset({"console:healthz", "console:readyz", "console:metrics"})

# Addresses of programs. Those of SCIM have errors of their own (`governance.console.scim`).
PROGRAMS = ("/api/", "/access/v1/", "/d/", "/.well-known/")

PERMISSIONS_POLICY = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()"


class BadCharacters(DomainError):
    """The address holds a NUL byte, which no name in the inventory can contain."""

    code = "bad-characters"
    status = 400
    title = "The address contains characters that cannot be searched for"


class NoPageHere(DomainError):
    """The address takes what a form sends, and is no page by itself. Nothing was changed."""

    code = "no-page-here"
    status = 405
    title = "There is no page at this address"


class NoPageHereMiddleware:
    """Whoever reloads or bookmarks the address that a form was sent to is told so, instead of seeing nothing at all."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_bare = response.status_code == NoPageHere.status and not response.streaming and not response.content
        if not is_bare or request.method != "GET" or answers_programs(request):
            return response
        said = answer_domain_error(request, NoPageHere("It takes what a form sends. Nothing was changed."))
        said["Allow"] = response["Allow"]
        return said


class RequestContextMiddleware:
    """Gives the request an id and a limit for the database, binds it to the logs, sets headers, translates errors."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.request_id = request_id_from(request)  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)  # type: ignore[attr-defined]
        started = time.perf_counter()
        patience = Patience(settings.DATABASE_ANSWER_SECONDS)
        with answered_within(patience):
            if _has_nul(request):
                response = answer_domain_error(request, BadCharacters("Remove the NUL byte (%00) and try again."))
            else:
                response = self.get_response(request)
            if response.status_code == 403:
                note_refusal(request, response)
        if response.streaming:
            stream: Any = response
            stream.streaming_content = _whole_or_said(
                each_within(stream.streaming_content, patience), response.get("Content-Type", ""), _id_of(request)
            )
        seconds = time.perf_counter() - started
        _set_headers(request, response, seconds=seconds)
        _log(request, response, seconds=seconds)
        note_request(view=_view_of(request), method=request.method, status=response.status_code, seconds=seconds)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Pages raise the same typed errors as the API; here they become a page, a fragment or a problem document."""
        if (away := database_away(exception)) is not None:
            return answer_domain_error(request, away)
        if not isinstance(exception, DomainError):
            return None
        request.refusal_code = exception.code  # type: ignore[attr-defined]
        log.info("request.refused", code=exception.code, status=exception.status)
        return answer_domain_error(request, exception)


def request_id_from(request: HttpRequest) -> str:
    """The caller's X-Request-ID when it is harmless, else a fresh one."""
    offered = request.headers.get("X-Request-ID", "")
    return offered if SANE_REQUEST_ID.fullmatch(offered) else uuid.uuid4().hex


def answer_domain_error(request: HttpRequest, error: DomainError) -> HttpResponse:
    """A problem document for programs, a message that stays for htmx, an error page for everybody else."""
    response: HttpResponse
    if answers_programs(request):
        document = problem_document(error, request_id=_id_of(request))
        response = JsonResponse(document, status=error.status, content_type="application/problem+json")
    elif isinstance(error, DatabaseAway):
        response = _away(request, error)
    else:
        response = _refused(request, error)
    if isinstance(error, DatabaseAway):
        response["Retry-After"] = str(RETRY_SECONDS)
    return response


def answers_programs(request: HttpRequest) -> bool:
    """Whether whoever asks at this address is a program, so that a page would be of no use."""
    return request.path.startswith(PROGRAMS)


def _away(request: HttpRequest, error: DatabaseAway) -> HttpResponse:
    """Rendered without a request: whoever asks for who is signed in asks the database."""
    if is_fragment(request):
        return _toast(render_to_string("components/_toast.html", {"text": error.message, "tone": "danger"}), error)
    again = request.get_full_path() if request.method in ("GET", "HEAD") else "/"
    context = {"error": error, "request_id": _id_of(request), "again": again}
    return HttpResponse(render_to_string("errors/database_away.html", context), status=error.status)


def _whole_or_said(pieces: Iterator[bytes], content_type: str, request_id: str) -> Iterator[bytes]:
    """The pieces; where the database ends them before their end, a last line says so, in words of the format.

    The status is sent long before, and a web server ends the answer as if it were whole.
    """
    try:
        yield from pieces
    except DatabaseError as error:
        away = database_away(error)
        media_type = content_type.partition(";")[0]
        if away is not None and media_type == "text/csv":
            yield f'"NOT COMPLETE: {away.title}. Download it again."\r\n'.encode()
        elif away is not None and media_type == "application/x-ndjson":
            yield json.dumps(problem_document(away, request_id=request_id)).encode() + b"\n"
        raise


def _refused(request: HttpRequest, error: DomainError) -> HttpResponse:
    context = {"error": error, "request_id": _id_of(request)}
    if is_fragment(request):
        return _toast(render_to_string("components/_toast.html", {"text": error.message, "tone": "danger"}), error)
    return render(request, "errors/problem.html", context, status=error.status)


def _toast(message: str, error: DomainError) -> HttpResponse:
    response = HttpResponse(message, status=error.status)
    # Whatever the request wanted to replace stays as it was: nothing typed is lost.
    response["HX-Retarget"] = "#toasts"
    response["HX-Reswap"] = "beforeend"
    return response


def _has_nul(request: HttpRequest) -> bool:
    return "\x00" in request.path or "%00" in request.META.get("QUERY_STRING", "")


def _id_of(request: HttpRequest) -> str:
    return getattr(request, "request_id", "")


def _view_of(request: HttpRequest) -> str:
    match = request.resolver_match
    return (match.view_name if match else "") or "none"


def _log(request: HttpRequest, response: HttpResponse, *, seconds: float) -> None:
    """One line per request. The view's name instead of the path: a path can hold a token, and logs are kept."""
    view = _view_of(request)
    say = log.debug if view in QUIET_VIEWS else log.info
    actor = getattr(request, "actor", None)
    say(
        "request",
        method=request.method,
        view=view,
        status=response.status_code,
        ms=round(seconds * 1000, 1),
        actor=actor.id if actor is not None else "",
    )


def _set_headers(request: HttpRequest, response: HttpResponse, *, seconds: float) -> None:
    response.headers.setdefault("X-Request-ID", _id_of(request))
    response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
    response.headers.setdefault("Server-Timing", f"app;dur={seconds * 1000:.1f}")
    # Everything that reaches this middleware (static files do not) is somebody's data.
    response.headers.setdefault("Cache-Control", "no-store")
