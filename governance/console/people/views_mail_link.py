"""The page behind a link from a mail. Opening it does nothing; its button starts a session of limited
power.
"""

import re

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from governance.console.people.trail import start_session
from governance.people import mail_links
from governance.people.access import MAIL_LINK

INBOX = "/inbox/"
QUESTION = re.compile(r"/reviews/items/[0-9a-f-]{36}/(#talk-title)?")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def mail_link(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows whose inbox this is; POST (with a CSRF token) goes there, or to the question that the mail is about."""
    now = timezone.now()
    try:
        if request.method != "POST":
            person = mail_links.get_person_behind(token, now=now)
            return _page(request, {"person": person, "leads_to_question": _where_to(request) != INBOX})
        person = mail_links.redeem(token, now=now, request_id=getattr(request, "request_id", ""))
    except mail_links.MailLinkInvalid as error:
        return _page(request, {"error": error}, status=error.status)
    # Whoever was signed in before, perhaps with more power, is not carried over.
    request.session.flush()
    login(request, person, backend="allauth.account.auth_backends.AuthenticationBackend")
    start_session(request, method=MAIL_LINK)
    return redirect(_where_to(request))


def _where_to(request: HttpRequest) -> str:
    """The inbox, or a question of it. Anything else in the address of the link was not written by Remit."""
    wanted = request.GET.get("to", "")
    return wanted if QUESTION.fullmatch(wanted) else INBOX


def _page(request: HttpRequest, context: dict[str, object], status: int = 200) -> HttpResponse:
    response = render(request, "people/mail_link.html", context, status=status)
    # The address is a key: it must not travel to another site or into a search index.
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response
