"""Limits of a session: it ends with time, and one that came from a mail opens no account pages."""

from collections.abc import Callable

from django.contrib.auth import logout
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from governance.console.people.trail import SEEN_AT, STARTED_AT
from governance.people.access import MAIL_LINK, SESSION_AUTH_METHOD, session_is_over

# Writing the session on every request would cost an update each; a minute is exact enough for an idle limit.
RESOLUTION_SECONDS = 60


class SessionLimitsMiddleware:
    """Stands right after authentication, before allauth's own middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Requests without a session cookie (the API, health checks) must not cost a query.
        if request.session.session_key and request.user.is_authenticated:
            _keep_or_end(request)
            if request.session.get(SESSION_AUTH_METHOD) == MAIL_LINK and _is_account_page(request):
                # A link from a mail proves too little to set a password or a second factor. To the account
                # pages the visitor is nobody, so they offer the way to sign in.
                request.user = AnonymousUser()
        return self.get_response(request)


def _keep_or_end(request: HttpRequest) -> None:
    now = int(timezone.now().timestamp())
    session = request.session
    started = session.setdefault(STARTED_AT, now)
    seen = session.setdefault(SEEN_AT, now)
    method = session.get(SESSION_AUTH_METHOD, "")
    if session_is_over(age_seconds=now - started, idle_seconds=now - seen, auth_method=method):
        logout(request)
    elif now - seen > RESOLUTION_SECONDS:
        session[SEEN_AT] = now


def _is_account_page(request: HttpRequest) -> bool:
    return request.path.startswith("/accounts/") and request.path != reverse("account_logout")
