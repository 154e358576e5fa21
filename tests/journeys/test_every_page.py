"""Every place of the running product, as a person meets it: accessible, quiet in the browser's console, and self-contained."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from tests.architecture import authorization
from tests.looking import SIZES, faults_in_every_look

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Every address that needs nothing filled in, as the product itself lists them: a new page is looked at by being there.
ADDRESSES = sorted({f"/{endpoint.route}" for endpoint in authorization.walk() if not endpoint.parameters})
# One is drawn by others, and a test of its own looks at it; two are files of an answer, and want the question first.
LEFT_OUT = {"/api/docs/", "/history/who-could.csv", "/history/who-could.json"}
# And some that need something filled in.
FURTHER_PLACES = (
    "/identities/?privileged=yes&owner=none",
    "/access/?privileged=yes&kind=-bot",
    "/posture/rules/NHI5-A/",
    "/frameworks/pci_dss_4_0_1/",
    "/settings/posture-policy/versions/1/",
    "/sources/ledger/",
    "/nowhere/",
)
# The first of its kind, reached as a person reaches it: by the first link in the list.
FIRST_OF = {
    "/identities/": "main tbody a",
    "/settings/people/": "main tbody a.person",
    "/settings/teams/": "main tbody a, main li a",
    "/audit/": "main tbody a",
}
PLACES = [place for place in (*ADDRESSES, *FURTHER_PLACES) if place not in LEFT_OUT]
# A screen further on, and everything that comes into sight there is drawn.
_ON = """() => new Promise((done) => {
    scrollBy(0, 400);
    requestAnimationFrame(() => requestIdleCallback(() => requestAnimationFrame(() => done())));
})"""
# Everything at once would be one test of several minutes.
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_is_accessible_and_fits(part: int, person: Callable[..., Any]) -> None:
    page = person(**SIZES[0]).sign_in().page
    base = page.url.rstrip("/")

    _look_at(PLACES[part::PARTS], page, base)


def test_every_page_that_is_open_to_everybody_is_accessible_and_fits(remit_tree: Any, new_page: Any) -> None:
    looked = _look_at(PLACES, new_page(**SIZES[0]), remit_tree.base_url)

    assert {"/accounts/login/", "/accounts/password/reset/", "/nowhere/"} <= set(looked)


def test_the_api_reference_shows_the_document(remit_tree: Any, page: Any) -> None:
    page.goto(f"{remit_tree.base_url}/api/docs/")

    # What is further down is drawn when somebody gets there, and forgotten when they have passed it.
    wanted = page.get_by_text("/api/v1/identities/", exact=True).first
    page.get_by_text("/api/v1/audit/events/", exact=True).first.wait_for()
    for _ in range(160):
        if wanted.is_visible():
            break
        page.evaluate(_ON)
    wanted.wait_for()


def _look_at(places: list[str], page: Any, base: str) -> list[str]:
    """The pages among the places, each looked at."""
    pages, found = [], {}
    statuses: set[int] = set()
    for place in places:
        status = _status_of_page(base + place, {cookie["name"]: cookie["value"] for cookie in page.context.cookies()})
        # What only takes what a form sends says so in the same words everywhere.
        if not status or (status == HTTPStatus.METHOD_NOT_ALLOWED and status in statuses):
            continue
        statuses.add(status)
        pages.append(place)
        page.goto(base + place)
        _look(page, place, found)
        if place in FIRST_OF and page.locator(FIRST_OF[place]).count():
            with page.expect_navigation():
                page.locator(FIRST_OF[place]).first.click()
            _look(page, f"first of {place}", found)
    assert found == {}
    return pages


def _status_of_page(address: str, cookies: dict[str, str]) -> int:
    """With what a whole HTML document is answered, whatever it says: a refusal is a page like any other. 0 for none.

    The rest shows by its answer what it is: an action takes no GET, a download and what programs read is no HTML, a
    piece of a page is no whole document, and what sends the visitor on is looked at where it leads to.
    """
    with httpx.stream("GET", address, cookies=cookies, timeout=60) as answer:
        is_html = answer.headers.get("content-type", "").startswith("text/html")
        assert not (is_html and answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR), address
        return answer.status_code if is_html and "<html" in answer.read().decode() else 0


def _look(page: Any, place: str, found: dict[str, Any]) -> None:
    faults = faults_in_every_look(page)
    page.set_viewport_size(SIZES[0])
    if faults:
        found[place] = faults
