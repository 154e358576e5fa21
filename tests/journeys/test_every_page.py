"""Every place of the running product, as a person meets it: accessible, quiet in the browser's console, and self-contained."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.looking import SIZES, faults_in_every_look

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PLACES = (
    "/",
    "/inbox/",
    "/identities/",
    "/identities/?privileged=yes&owner=none",
    "/access/",
    "/access/?privileged=yes&kind=-bot",
    "/posture/",
    "/posture/rules/",
    "/posture/rules/NHI5-A/",
    "/posture/changes/",
    "/posture/catalogues/",
    "/frameworks/",
    "/frameworks/pci_dss_4_0_1/",
    "/settings/posture-policy/",
    "/settings/posture-policy/edit/",
    "/settings/posture-policy/versions/1/",
    "/reviews/",
    "/reviews/schedules/",
    "/reviews/schedules/new/",
    "/orders/",
    "/findings/",
    "/boundaries/",
    "/playground/",
    "/playground/agents/",
    "/gateway/",
    "/access-requests/",
    "/audit/",
    "/audit/seals/",
    "/sources/",
    "/sources/ledger/",
    "/settings/",
    "/settings/profile/",
    "/settings/people/",
    "/settings/people/new/",
    "/settings/people/import/",
    "/settings/teams/",
    "/settings/teams/new/",
    "/settings/tokens/",
    "/accounts/password/change/",
    "/accounts/2fa/",
    "/docs/problems",
    "/nowhere/",
)
# The first of its kind, reached as a person reaches it: by the first link in the list.
FIRST_OF = {
    "/identities/": "main tbody a",
    "/settings/people/": "main tbody a.person",
    "/settings/teams/": "main tbody a, main li a",
    "/audit/": "main tbody a",
}


def test_every_page_is_accessible_and_fits(person: Callable[..., Any]) -> None:
    page = person(**SIZES[0]).sign_in().page
    base = page.url.rstrip("/")
    found: dict[str, Any] = {}

    for place in PLACES:
        page.goto(base + place)
        _look(page, place, found)
        if place in FIRST_OF:
            page.locator(FIRST_OF[place]).first.click()
            page.wait_for_load_state("load")
            _look(page, f"first of {place}", found)

    assert found == {}


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
