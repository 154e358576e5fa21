"""What Django itself refuses, before or beside a view: a page for people, a document for programs (`handler404` …)."""

import sys

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from governance.console.scim import messages as scim
from governance.kernel.errors import DomainError, Forbidden, NotFound
from governance.web.middleware import answer_domain_error, answers_programs
from governance.web.problems import RETRY_SECONDS, DatabaseAway, database_away

SCIM_PATH = "/scim/"


class RequestUnreadable(DomainError):
    """The address, a header or the body is damaged, or larger than this installation takes. Nothing was changed."""

    code = "request-unreadable"
    status = 400
    title = "This request can't be read"


class Fault(DomainError):
    """Something broke on our side and was logged with the request id. Unfinished changes were rolled back."""

    code = "fault"
    status = 500
    title = "Something broke on our side"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    error = RequestUnreadable("Something in the address, the headers or the body is damaged.")
    return _document(request, error) or defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    error = Forbidden("This is not allowed.")
    return _document(request, error) or defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    error = NotFound("This address leads nowhere, or to something that is not yours to see.")
    return _document(request, error) or defaults.page_not_found(request, exception)


def fault(request: HttpRequest) -> HttpResponse:
    """For whatever nothing translated, also in a middleware further in; a database that is away is no fault."""
    if (away := database_away(sys.exception())) is not None:
        return _document(request, away) or answer_domain_error(request, away)
    error = Fault("The error was logged with its request id. Unfinished changes were rolled back.")
    return _document(request, error) or defaults.server_error(request)


def _document(request: HttpRequest, error: DomainError) -> HttpResponse | None:
    """For programs alone; people get a page."""
    if request.path.startswith(SCIM_PATH):
        document = scim.error_document(error.status, error.message)
        headers = {"Retry-After": str(RETRY_SECONDS)} if isinstance(error, DatabaseAway) else None
        return JsonResponse(document, status=error.status, headers=headers, content_type=scim.MEDIA_TYPE)
    return answer_domain_error(request, error) if answers_programs(request) else None
