"""Pages that belong to no single app: theme, style guide, list of problems."""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from governance.console.styleguide import styleguide_context
from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.navigation import THEME_COOKIE, THEMES
from governance.web.problems import known_problems


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Remember light, dark or the system's choice in a cookie. Also for people who are not signed in."""
    theme = request.POST.get("theme", "")
    wanted = request.POST.get("next", "/")
    is_path = wanted.startswith("/") and wanted.isprintable()
    safe = is_path and url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    response = HttpResponseRedirect(wanted if safe else "/")
    response.set_cookie(
        THEME_COOKIE,
        theme if theme in THEMES else "system",
        max_age=timedelta(days=365),
        samesite="Lax",
        secure=request.is_secure(),
        httponly=True,
    )
    return response


@require_safe
@page()
def styleguide(request: HttpRequest) -> HttpResponse:
    """Every component in one page, for looking at and for the accessibility tests."""
    return render(request, "console/styleguide.html", styleguide_context(request.GET))


@require_safe
def problems(request: HttpRequest) -> HttpResponse:
    """What each problem code of the API means; the `type` of every problem document leads here."""
    return render(request, "console/problems.html", {"problems": known_problems(DomainError)})
