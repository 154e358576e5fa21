"""Every place of the running product, as a person meets it: accessible, quiet in the browser's console, and self-contained."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.urls import URLResolver, get_resolver

from tests.looking import SIZES, faults_in_every_look

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Besides every address that needs nothing filled in.
FURTHER_PLACES = (
    "/identities/?privileged=yes&owner=none",
    "/access/?privileged=yes&kind=-bot",
    "/posture/rules/NHI5-A/",
    "/frameworks/pci_dss_4_0_1/",
    "/settings/posture-policy/versions/1/",
    "/sources/ledger/",
    "/nowhere/",
)
# So that several can be looked at side by side.
PARTS = 3
# The first of its kind, reached as a person reaches it: by the first link in the list.
FIRST_OF = {
    "/identities/": "main tbody a",
    "/settings/people/": "main tbody a.person",
    "/settings/teams/": "main tbody a, main li a",
    "/audit/": "main tbody a",
}


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_is_accessible_and_fits(part: int, person: Callable[..., Any]) -> None:
    page = person(**SIZES[0]).sign_in().page
    base = page.url.rstrip("/")
    found: dict[str, Any] = {}

    for place in [*_pages(page, base), *FURTHER_PLACES][part::PARTS]:
        page.goto(base + place)
        _look(page, place, found)
        if place in FIRST_OF:
            page.locator(FIRST_OF[place]).first.click()
            page.wait_for_load_state("load")
            _look(page, f"first of {place}", found)

    assert found == {}


def _pages(page: Any, base: str) -> list[str]:
    """The addresses without a part to fill in that answer with a whole page, so that no new one is forgotten here."""
    found = []
    for place in sorted(_addresses(get_resolver())):
        answer = page.request.get(base + place, max_redirects=0)
        if answer.status == 200 and "text/html" in answer.headers.get("content-type", "") and "<html" in answer.text():
            found.append(place)
    assert {"/", "/inbox/", "/reviews/new/", "/orders/windows/", "/settings/webhooks/"} <= set(found)
    return found


def _addresses(resolver: URLResolver, before: str = "/") -> Iterator[str]:
    for entry in resolver.url_patterns:
        address = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _addresses(entry, address)
        elif not set("<^") & set(address) and not address.startswith("/api/"):  # its reference is not of our making
            yield address


def test_the_api_reference_shows_the_document(remit_tree: Any, page: Any) -> None:
    page.goto(f"{remit_tree.base_url}/api/docs/")

    # What is further down is drawn when somebody gets there, and forgotten when they have passed it.
    wanted = page.get_by_text("/api/v1/identities/", exact=True).first
    page.get_by_text("/api/v1/audit/events/", exact=True).first.wait_for()
    for _ in range(160):
        if wanted.is_visible():
            break
        page.mouse.move(400, 400)
        page.mouse.wheel(0, 400)
        page.wait_for_timeout(150)
    wanted.wait_for()


def _look(page: Any, place: str, found: dict[str, Any]) -> None:
    page.wait_for_load_state("networkidle")
    faults = faults_in_every_look(page)
    page.set_viewport_size(SIZES[0])
    if faults:
        found[place] = faults
