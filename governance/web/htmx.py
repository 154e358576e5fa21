"""Pages and fragments from one template pair, and the few htmx headers we use."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails


def is_fragment(request: HttpRequest) -> bool:
    """Whether only a part of the page is wanted.

    A boosted navigation and a restored history entry are htmx requests too, but they replace the whole page.
    """
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    return htmx is not None and bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def render_page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any] | None = None,
    *,
    fragment: str = "",
    status: int = 200,
) -> HttpResponse:
    """Render `template`, or only `fragment` when htmx asked for a part.

    The page must `{% include %}` the same fragment, so that full and partial rendering cannot differ. Pass
    `status=422` when a form has errors.
    """
    chosen = fragment if fragment and is_fragment(request) else template
    response = render(request, chosen, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def trigger(response: HttpResponse, event: str, detail: Any = True) -> HttpResponse:
    """Tell the page that something happened; other panels refresh on `hx-trigger="<event> from:body"`."""
    events = json.loads(response.get("HX-Trigger", "{}"))
    events[event] = detail
    response["HX-Trigger"] = json.dumps(events)
    return response


def toast(response: HttpResponse, text: str, *, tone: str = "success") -> HttpResponse:
    """Show a short message after a fragment was swapped in. Full pages use `django.contrib.messages` instead."""
    return trigger(response, "toast", {"text": text, "tone": tone})
