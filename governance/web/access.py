"""Who is looking at a page, and whether their roles open it.

Pages take the actor from here and pass it into use cases; nothing below the edge ever looks at a request.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Forbidden
from governance.people.access import PASSWORD, SESSION_AUTH_METHOD, actor_for_user

PageView = Callable[..., HttpResponse]
# What browsers send. Views narrow it further; nothing is reachable by a method that nobody thought of.
PAGE_METHODS = ("GET", "HEAD", "POST")


class RoleNeeded(Forbidden):
    """The page exists, but none of the person's roles opens it. Said aloud, with the roles that would."""

    code = "role-needed"
    title = "Your role does not open this page"


def actor_from_request(request: HttpRequest) -> Actor:
    """The signed-in person as an actor, read once per request (one query for the roles).

    Raises `Forbidden` when nobody is signed in; pages are normally behind `@page`, which redirects first.
    """
    known: Actor | None = getattr(request, "actor", None)
    if known is not None:
        return known
    if not request.user.is_authenticated:
        raise Forbidden("Sign in first.")
    actor = actor_for_user(
        request.user,
        auth_method=request.session.get(SESSION_AUTH_METHOD, PASSWORD),
        request_id=getattr(request, "request_id", ""),
    )
    request.actor = actor  # type: ignore[attr-defined]
    return actor


def page(*, roles: Iterable[Role] = ()) -> Callable[[PageView], PageView]:
    """Turn a view into a page of the console: signed in, one of `roles` (any role when empty), `request.actor` set.

    A signed-out person is sent to sign in and comes back; a fragment request makes the browser itself go there,
    so that a sign-in form never lands inside a table row. A missing role raises `RoleNeeded` (403), a method that no
    page knows is answered with 405.
    """
    allowed = frozenset(roles)

    def decorate(view: PageView) -> PageView:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method not in PAGE_METHODS:
                return HttpResponseNotAllowed(PAGE_METHODS)
            if not request.user.is_authenticated:
                return _go_and_sign_in(request)
            actor = actor_from_request(request)
            if allowed and not actor.roles & allowed:
                raise RoleNeeded(f"This page is open to {spoken_roles(allowed)}. Ask an administrator for the role.")
            return view(request, *args, **kwargs)

        wrapped.page_roles = allowed  # type: ignore[attr-defined]
        return wrapped

    return decorate


def _go_and_sign_in(request: HttpRequest) -> HttpResponse:
    htmx = getattr(request, "htmx", None)
    if htmx:
        here = htmx.current_url_abs_path or "/"
        return HttpResponseClientRedirect(redirect_to_login(here).url)
    return redirect_to_login(_where_it_was_sent_from(request) if request.method == "POST" else request.get_full_path())


def _where_it_was_sent_from(request: HttpRequest) -> str:
    """The page of ours with the form: where it was sent to may be no page, and what was sent is gone anyway."""
    came_from = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(came_from, {request.get_host()}, require_https=request.is_secure()):
        return "/"
    parts = urlsplit(came_from)
    return urlunsplit(("", "", parts.path or "/", parts.query, ""))


def spoken_roles(roles: frozenset[Role]) -> str:
    """The roles as they are said in a sentence: "administrators and auditors"."""
    names = sorted(role.value.replace("_", " ") + "s" for role in roles)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
