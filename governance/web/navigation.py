"""The shell around every page: where one can go, where one may not and why, and how it looks."""

from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, Resolver404, resolve, reverse

from governance.kernel.actors import Role
from governance.web.access import actor_from_request, spoken_roles

THEMES = ("system", "light", "dark")
THEME_COOKIE = "theme"


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the rail. `key` follows `g` on the keyboard; `owns` are further paths that belong to it."""

    label: str
    url_name: str
    path: str
    icon: str
    key: str
    owns: tuple[str, ...] = ()


PLACES = (
    Place("Overview", "console:overview", "/", "layout-dashboard", "o"),
    Place("Identities", "identities:identity_list", "/identities/", "robot", "i", owns=("/history/", "/saved-views/")),
    Place("Access", "identities:access_list", "/access/", "key", "c", owns=("/grants/", "/playground/")),
    Place(
        "Reviews", "reviews:campaign_list", "/reviews/", "clipboard-check", "r", owns=("/inbox/", "/access-requests/")
    ),
    Place("Posture", "identities:posture", "/posture/", "chart-dots", "t", owns=("/frameworks/",)),
    Place("Findings", "identities:finding_list", "/findings/", "alert-triangle", "f"),
    Place("Orders", "reviews:order_list", "/orders/", "arrows-exchange", "d"),
    Place("Reports", "reviews:programme", "/reports/", "report-analytics", "p"),
    Place("Audit", "console:audit_trail", "/audit/", "history", "a"),
    Place("Sources", "identities:source_list", "/sources/", "database", "s", owns=("/runs/", "/boundaries/")),
    Place("Gateway", "identities:gateway", "/gateway/", "router", "w"),
    Place("Settings", "people:settings", "/settings/", "settings", "e", owns=("/accounts/",)),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A place as one person sees it. `reason` says why it is closed; empty means open."""

    label: str
    url: str
    icon: str
    key: str
    current: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Shell:
    """Everything the base template prints that does not come from the view."""

    entries: list[Entry]
    theme: str
    next_theme: str
    environment: str
    search_url: str
    inbox_url: str
    inbox_count_url: str
    layout: str
    here: str
    request_id: str


def shell(request: HttpRequest) -> dict[str, Shell]:
    """Context processor. Costs one query (the roles), and none when nobody is signed in."""
    user = getattr(request, "user", None)
    signed_in = bool(user is not None and user.is_authenticated)
    theme = theme_of(request)
    return {
        "shell": Shell(
            entries=_entries(request) if signed_in else [],
            theme=theme,
            next_theme=THEMES[(THEMES.index(theme) + 1) % len(THEMES)],
            environment=getattr(settings, "ENVIRONMENT_LABEL", ""),
            search_url=_url("identities:identity_list", "/identities/"),
            inbox_url=_url("reviews:inbox", "/inbox/"),
            inbox_count_url=_url("reviews:inbox_count", ""),
            layout="base.html" if signed_in else "plain.html",
            here=request.get_full_path(),
            request_id=getattr(request, "request_id", ""),
        )
    }


def theme_of(request: HttpRequest) -> str:
    """The chosen theme from the cookie, so that the first byte already has the right colours."""
    chosen = request.COOKIES.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else "system"


def _entries(request: HttpRequest) -> list[Entry]:
    roles = actor_from_request(request).roles
    current = place_of(request.path)
    return [
        Entry(
            label=place.label,
            url=_url(place.url_name, place.path),
            icon=place.icon,
            key=place.key,
            current=place is current,
            reason=_closed_because(place, roles),
        )
        for place in PLACES
    ]


def _closed_because(place: Place, roles: frozenset[Role]) -> str:
    needed = _roles_of(_url(place.url_name, place.path))
    if not needed or roles & needed:
        return ""
    return f"Hidden by your role: open to {spoken_roles(needed)}"


@cache
def _roles_of(path: str) -> frozenset[Role]:
    """The roles that the page itself asks for (`@page(roles=…)`), so that rail and page cannot disagree."""
    try:
        return getattr(resolve(path).func, "page_roles", frozenset())
    except Resolver404:
        return frozenset()


def place_of(path: str) -> Place | None:
    """The longest prefix wins, so that `/` does not claim every page."""
    best: tuple[int, Place | None] = (0, None)
    for place in PLACES:
        for prefix in (place.path, *place.owns):
            inside = path == prefix if prefix == "/" else path.startswith(prefix)
            if inside and len(prefix) > best[0]:
                best = (len(prefix), place)
    return best[1]


def _url(name: str, path: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return path
