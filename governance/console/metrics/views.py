"""`/metrics`: for the monitoring system, by token or from an address that the operator named; closed by default."""

import threading
import time
from ipaddress import ip_address, ip_network

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from governance import measuring
from governance.console.metrics.exposition import CONTENT_TYPE, render
from governance.console.metrics.figures import collect
from governance.people.tokens import InvalidToken, authenticate_token

SCOPE = "metrics:read"
KEEP_SECONDS = 5.0
_lock = threading.Lock()
_kept: tuple[float, str] = (float("-inf"), "")


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures, at most a few seconds old; 401 without a token, 403 without its scope, 503 where that is unknown."""
    if not _comes_from_allowed_address(request):
        refusal = _refusal(request)
        if refusal is not None:
            return refusal
    return HttpResponse(_text(), content_type=CONTENT_TYPE)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    problem = HttpResponse("A token with the scope metrics:read is needed.\n", status=401, content_type="text/plain")
    problem["WWW-Authenticate"] = 'Bearer realm="Remit metrics"'
    if scheme.lower() != "bearer":
        return problem
    try:
        token = authenticate_token(credentials.strip(), now=timezone.now())
    except InvalidToken:
        return problem
    except DatabaseError:
        # Who asks cannot be told. An address that the operator named gets the figures that need no database.
        return HttpResponse("The database does not answer.\n", status=503, content_type="text/plain")
    if SCOPE not in token.scopes:
        return HttpResponse("The token lacks the scope metrics:read.\n", status=403, content_type="text/plain")
    return None


def _comes_from_allowed_address(request: HttpRequest) -> bool:
    # What a proxy passes on comes from the proxy's address, whoever asked: such a request needs a token.
    if not settings.METRICS_ALLOWED_ADDRESSES or "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return any(address in ip_network(each, strict=False) for each in settings.METRICS_ALLOWED_ADDRESSES)


def _told() -> str:
    latencies = measuring.tell()
    return render(collect(timezone.now(), knows_latencies=latencies is not None)) + (latencies or "")


def _text() -> str:
    """Callers within some seconds share an answer, so that scraping often costs nothing."""
    global _kept  # noqa: PLW0603 - one answer per process
    with _lock:
        if time.monotonic() - _kept[0] >= KEEP_SECONDS:
            _kept = (time.monotonic(), _told())
        return _kept[1]
