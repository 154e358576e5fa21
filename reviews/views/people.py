"""Suggestions for whoever types a person into a form. Without JavaScript the line takes names and addresses too."""

from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.core.cache import cache
from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from governance.web.access import page
from governance.web.htmx import render_page
from reviews.decisions.choosing import list_known, suggest_people
from reviews.forms.fields import PersonField
from reviews.models import ReviewItem
from reviews.selectors import access_item
from reviews.views.requests import PageRequest

# The names under which forms send what is typed.
TYPED = ("q", "to", "named_person", "delegate", "person")
# Nobody types so fast; whoever asks more often is reading a directory.
MOST_A_MINUTE = 120


@require_safe
@page()
def people_suggest(request: PageRequest) -> HttpResponse:
    """Who may be chosen and matches what is typed, as options; `item`: for which question."""
    if _asked_within_a_minute(request) > MOST_A_MINUTE:
        return HttpResponse(status=429, headers={"Retry-After": "60"})
    wanted = request.GET.get("item", "")
    item = access_item(actor=request.actor, item_id=_id(wanted)) if wanted else None
    text = next((request.GET[name] for name in TYPED if name in request.GET), "")
    people = suggest_people(actor=request.actor, text=text, item=item)
    return render_page(request, "reviews/_people_options.html", {"people": people})


def offer_people(form: forms.Form, request: PageRequest, item: ReviewItem | None = None) -> Any:
    """Let the lines of a form in which a person is typed know whom this one may be shown, and where to ask."""
    for field in form.fields.values():
        if isinstance(field, PersonField):
            field.known = partial(list_known, request.actor, item)
            field.widget.attrs |= suggesting(item)
    return form


def suggesting(item: ReviewItem | None = None) -> dict[str, str]:
    """The attributes by which a line asks for suggestions while one types."""
    about = f"?item={item.pk}" if item is not None else ""
    return {
        "hx-get": reverse("reviews:people_suggest") + about,
        "hx-trigger": "input changed delay:250ms, focus once",
        "hx-swap": "innerHTML",
        # A request that is cut off is an error in the browser's log; the last one waits for the one before.
        "hx-sync": "this:queue last",
    }


def _asked_within_a_minute(request: PageRequest) -> int:
    key = f"people-suggest:{request.actor.id}"
    cache.add(key, 0, timeout=60)
    try:
        return cache.incr(key)
    except ValueError:
        # It ran out between the two.
        return 1


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
