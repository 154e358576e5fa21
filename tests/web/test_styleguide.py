"""All components in a real browser: accessible in both modes and widths, quiet, usable by keyboard."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from governance.kernel.actors import Role
from tests.looking import faults_in_every_look, violations

pytestmark = pytest.mark.browser

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def signed_in_page(site: str, session_cookies: Callable[..., Any], new_page: Callable[..., Any]) -> Callable[..., Any]:
    cookies = session_cookies(site, Role.ADMINISTRATOR)

    def open_at(path: str, **options: Any) -> Any:
        page = new_page(**options)
        page.context.add_cookies(cookies)
        page.goto(site + path)
        return page

    return open_at


def test_every_component_is_accessible_and_fits(signed_in_page: Callable[..., Any]) -> None:
    page = signed_in_page("/styleguide/", **DESKTOP)

    assert faults_in_every_look(page) == []


def test_sign_in_and_errors_are_accessible(site: str, new_page: Callable[..., Any]) -> None:
    page = new_page(**PHONE)
    for path in ("/accounts/login/", "/accounts/password/reset/", "/nowhere/", "/docs/problems"):
        page.goto(site + path)
        assert faults_in_every_look(page, sizes=(PHONE,)) == [], path


def test_the_console_can_be_used_by_keyboard(signed_in_page: Callable[..., Any]) -> None:
    page = signed_in_page("/styleguide/", **DESKTOP)

    page.keyboard.press("/")
    expect(page.locator("#sample-q")).to_be_focused()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("[data-selected-count]")).to_have_text("1")
    expect(page.locator("[data-row]:nth-child(2) [data-select]")).to_be_checked()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.clock.install()  # how long "g" is remembered is for people: here time stands still until "e" comes
    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.wait_for_url("**/settings/")


def test_a_dangerous_button_asks_first_and_escape_means_no(signed_in_page: Callable[..., Any]) -> None:
    page = signed_in_page("/styleguide/", **DESKTOP)
    page.check("[data-row]:nth-child(1) [data-select]")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)

    page.click("[data-bulk-bar] button:has-text('Revoke')")
    expect(page.locator("#confirm-question")).to_have_text("Revoke the selected grants?")
    # Whoever listens to the dialog hears that it was closed a moment after it is gone.
    page.evaluate("""() => { window.closed = new Promise((done) =>
        document.querySelector("#confirm").addEventListener("close", () => setTimeout(done))); }""")
    page.keyboard.press("Escape")
    page.evaluate("window.closed")

    expect(page.locator("#confirm")).to_be_hidden()
    assert sent == []


def test_the_theme_follows_the_button_and_survives_a_reload(signed_in_page: Callable[..., Any]) -> None:
    page = signed_in_page("/styleguide/", **DESKTOP)

    with page.expect_response("**/theme/"):
        page.click(".theme-button")
    with page.expect_response("**/theme/"):
        page.click(".theme-button")
    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"


def test_menus_forms_and_lists_work_without_script(
    site: str, session_cookies: Callable[..., Any], new_page: Callable[..., Any]
) -> None:
    page = new_page(java_script_enabled=False, **PHONE)
    page.context.add_cookies(session_cookies(site, Role.ADMINISTRATOR))
    page.goto(site + "/styleguide/")

    page.click(".rail-more summary")
    page.click(".rail-sheet a:has-text('Settings')")
    page.wait_for_url("**/settings/")
    page.click(".theme-button")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
