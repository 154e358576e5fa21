"""The pages of the past in a real browser: accessible in both modes and widths, and whole without script."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.looking import faults_in_every_look

pytestmark = pytest.mark.browser

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
QUESTION = "/history/who-could/?action=SELECT&resource=table:ledger/public/payments"


def test_every_page_of_the_past_is_accessible_and_never_scrolls_sideways(
    shown: Any, new_page: Callable[..., Any], browser_problems: list[str]
) -> None:
    page = new_page(**DESKTOP)
    page.context.add_cookies(shown.cookies)
    etl = shown.inventory.etl.pk

    for path in (
        *("/history/", "/history/?at=2020-01-01", "/history/?view=access", "/history/?q=nothing-like-this"),
        *("/history/who-could/", QUESTION, f"{QUESTION}&answer=depends"),
        *(f"/identities/{etl}/", f"/identities/{etl}/history/", f"/identities/{etl}/as-of/"),
        f"/identities/{etl}/as-of/?at=2020-01-01",
    ):
        page.goto(shown.site + path)
        assert faults_in_every_look(page) == [], path
    assert browser_problems == []


def test_the_panel_of_an_identity_loads_by_itself(shown: Any, new_page: Callable[..., Any]) -> None:
    page = new_page(**DESKTOP)
    page.context.add_cookies(shown.cookies)

    page.goto(f"{shown.site}/identities/{shown.inventory.etl.pk}/")
    page.wait_for_selector("text=What happened")
    page.click("#history-title ~ a")

    page.wait_for_url("**/history/")
    expect(page.get_by_text("Grant added: ALL on payments").first).to_be_visible()
