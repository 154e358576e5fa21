"""The AuthZEN edge: HTTP as the standard has it, which differs from the rest of the API.

Errors are JSON strings, every fault of a body is 400, addresses have no slash at the end, and the id of a request comes
back as it was sent. What is decided stands in `identities/pdp`.
"""

import re
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import Error, connection
from django.http import Http404, UnreadablePostError
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.errors import DomainError, NotFound
from governance.waiting import within
from governance.web.authentication import SCHEME, ApiTokenAuthentication
from identities.api import authzen_schema as shapes
from identities.pdp.authzen import evaluation, search
from identities.pdp.authzen.metadata import metadata
from identities.pdp.authzen.wire import MOST_BYTES, Malformed, read_object
from identities.selectors.domains import Domain, find_domain

logger = structlog.get_logger(__name__)

RETRY_SECONDS = 2
# How long a request waits for the database where its connection is open; making one has a limit of its own.
WAIT_SECONDS = 4.0
MEDIA_TYPE = "application/json"
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


class DecisionTokenAuthentication(ApiTokenAuthentication):
    """A bearer token, or the bare token as the whole header: some enforcement points can only send a fixed value."""

    def credentials(self, request: Request) -> str | None:
        header = request.headers.get("Authorization", "").strip()
        is_bare = header and " " not in header and header.lower() != SCHEME.lower()
        return header if is_bare else super().credentials(request)


class DecisionView(APIView):
    """What the endpoints share: strict bodies, errors as JSON strings, the caller's request id."""

    required_scope = "pdp:decide"
    authentication_classes: Any = (DecisionTokenAuthentication,)
    schema: Any = shapes.DecisionSchema()

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """An enforcement point waits for the answer, so a database that hangs is one that is away."""
        with within(WAIT_SECONDS):
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        _request_id(request)

    def body(self, request: Request) -> dict[str, Any]:
        """The object that was sent. Raises `Malformed`."""
        media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type != MEDIA_TYPE:
            raise Malformed(f"Send the request as {MEDIA_TYPE}.")
        length = request.headers.get("Content-Length", "")
        if length.isdigit() and int(length) > MOST_BYTES:
            raise Malformed(f"The body is larger than {MOST_BYTES:,} bytes.")
        try:
            return read_object(request._request.body)
        except (RequestDataTooBig, UnreadablePostError):
            raise Malformed("The body is too large, or ended before its end.") from None

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """There is one form of answer, whatever is accepted."""
        return JSONRenderer(), MEDIA_TYPE

    def handle_exception(self, exc: Exception) -> Response:
        """Whatever went wrong, as the standard wants it said; the unexpected is logged and says nothing."""
        if isinstance(exc, Error):
            logger.warning("decision.database_away", error=str(exc).partition("\n")[0])
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            exc = evaluation.Unavailable("The inventory can't be asked at the moment.")
        elif not isinstance(exc, DomainError | exceptions.APIException | Http404):
            logger.exception("decision.failed")
            return Response("Something went wrong here.", status=500)
        response = Response(_sentence(exc), status=_status(exc))
        if response.status_code == 401:
            response["WWW-Authenticate"] = self.get_authenticate_header(self.request)
        elif response.status_code == 405:
            response["Allow"] = ", ".join(self.allowed_methods)
        elif response.status_code == 503:
            response["Retry-After"] = str(RETRY_SECONDS)
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        found = super().finalize_response(request, response, *args, **kwargs)
        if (sent := request.headers.get("X-Request-ID", "")) and _REQUEST_ID.fullmatch(sent):
            found["X-Request-ID"] = sent
        return found


def _request_id(request: Request) -> None:
    sent = request.headers.get("X-Request-ID", "")
    if sent and not _REQUEST_ID.fullmatch(sent):
        raise Malformed("X-Request-ID takes up to 128 visible ASCII characters.")


def _status(exc: Exception) -> int:
    if isinstance(exc, Http404):
        return 404
    if isinstance(exc, exceptions.APIException):
        # What this framework tells apart by codes of their own, the standard calls 400.
        return 400 if isinstance(exc, exceptions.ParseError | exceptions.UnsupportedMediaType) else exc.status_code
    return getattr(exc, "status", 500)


def _sentence(exc: Exception) -> str:
    if isinstance(exc, DomainError):
        return exc.message
    return str(exc.detail) if isinstance(exc, exceptions.APIException) else "There is no such address."


def _domain(slug: str) -> Domain:
    found = find_domain(slug)
    if found is None:
        raise NotFound("There is no such decision domain.")
    return found


class Evaluation(DecisionView):
    """`/access/v1/evaluation`"""

    @extend_schema(operation_id="access_evaluate", request=shapes.EVALUATION, responses=shapes.DECISION)
    def post(self, request: Request, domain: str = "") -> Response:
        """May this subject do this action on this resource?"""
        return Response(evaluation.evaluate(self.body(request), domain=domain, now=timezone.now()))


class Evaluations(DecisionView):
    """`/access/v1/evaluations`"""

    @extend_schema(operation_id="access_evaluate_many", request=shapes.EVALUATIONS, responses=shapes.DECISIONS)
    def post(self, request: Request, domain: str = "") -> Response:
        """Many questions at once, with defaults for what they share."""
        return Response(evaluation.evaluate_many(self.body(request), domain=domain, now=timezone.now()))


class SearchSubjects(DecisionView):
    """`/access/v1/search/subject`"""

    @extend_schema(operation_id="access_search_subjects", request=shapes.SEARCH, responses=shapes.RESULTS)
    def post(self, request: Request, domain: str = "") -> Response:
        """Which subjects of a type may do this?"""
        body = self.body(request)
        return Response(search.search_subjects(body, domain=_domain(domain), now=timezone.now()))


class SearchResources(DecisionView):
    """`/access/v1/search/resource`"""

    @extend_schema(operation_id="access_search_resources", request=shapes.SEARCH, responses=shapes.RESULTS)
    def post(self, request: Request, domain: str = "") -> Response:
        """On which resources of a type may this subject do this?"""
        body = self.body(request)
        return Response(search.search_resources(body, domain=_domain(domain), now=timezone.now()))


class SearchActions(DecisionView):
    """`/access/v1/search/action`"""

    @extend_schema(operation_id="access_search_actions", request=shapes.SEARCH, responses=shapes.RESULTS)
    def post(self, request: Request, domain: str = "") -> Response:
        """What may this subject do on this resource?"""
        body = self.body(request)
        return Response(search.search_actions(body, domain=_domain(domain), now=timezone.now()))


class Configuration(DecisionView):
    """`/.well-known/authzen-configuration`: open to everybody, it says nothing but addresses."""

    authentication_classes = ()
    permission_classes = ()
    schema = None

    def get(self, request: Request, domain: str = "") -> Response:
        if domain:
            _domain(domain)
        return Response(metadata(settings.PUBLIC_URL, domain), headers={"Cache-Control": "public, max-age=300"})


_ENDPOINTS = (
    ("evaluation", Evaluation),
    ("evaluations", Evaluations),
    ("search/subject", SearchSubjects),
    ("search/resource", SearchResources),
    ("search/action", SearchActions),
)
# Without a slash at the end, and outside of /api/v1/: the standard fixes these addresses.
urlpatterns = [
    *(
        path(f"access/v1/{place}", view.as_view(), name=f"access_{place.replace('/', '_')}")
        for place, view in _ENDPOINTS
    ),
    *(
        path(
            f"d/<slug:domain>/access/v1/{place}",
            view.as_view(schema=None),
            name=f"domain_access_{place.replace('/', '_')}",
        )
        for place, view in _ENDPOINTS
    ),
    path(".well-known/authzen-configuration", Configuration.as_view(), name="authzen_configuration"),
    path(
        ".well-known/authzen-configuration/d/<slug:domain>",
        Configuration.as_view(),
        name="domain_authzen_configuration",
    ),
]
