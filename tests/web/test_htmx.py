"""Pages and fragments from one template pair."""

import json

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django_htmx.middleware import HtmxDetails

from governance.web.htmx import is_fragment, render_page, toast, trigger

FRAGMENT = {"HX-Request": "true"}


def request_with(rf: RequestFactory, headers: dict[str, str]):
    request = rf.get("/", headers=headers)
    request.htmx = HtmxDetails(request)
    return request


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        (FRAGMENT, True),
        (FRAGMENT | {"HX-Boosted": "true"}, False),
        (FRAGMENT | {"HX-History-Restore-Request": "true"}, False),
    ],
)
def test_only_a_real_part_request_is_answered_with_a_part(
    rf: RequestFactory, headers: dict[str, str], expected: bool
) -> None:
    assert is_fragment(request_with(rf, headers)) is expected


@pytest.mark.django_db
def test_a_part_is_the_fragment_alone_and_caches_keep_both_apart(rf: RequestFactory) -> None:
    context = {"text": "Saved", "tone": "success"}

    part = render_page(request_with(rf, FRAGMENT), "400.html", context, fragment="components/_toast.html", status=422)
    whole = render_page(request_with(rf, {}), "400.html", context, fragment="components/_toast.html")

    assert b"<html" not in part.content and b"Saved" in part.content
    assert b"<html" in whole.content
    assert part.status_code == 422
    assert part["Vary"] == whole["Vary"] == "HX-Request"


def test_several_events_travel_in_one_header() -> None:
    response = toast(trigger(HttpResponse(), "decided", {"item": 7}), "Approved")

    assert json.loads(response["HX-Trigger"]) == {
        "decided": {"item": 7},
        "toast": {"text": "Approved", "tone": "success"},
    }
