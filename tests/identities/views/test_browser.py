"""The inventory's pages in a real browser: accessible in both modes and widths, quiet, usable by keyboard."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from identities.models import SyncRun
from tests.identities.views.conftest import payments_records, push
from tests.looking import faults_in_every_look, settled, violations

pytestmark = pytest.mark.browser

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def open_at(shown: Any, new_page: Callable[..., Any]) -> Callable[..., Any]:
    def go(path: str, **options: Any) -> Any:
        page = new_page(**options)
        page.context.add_cookies(shown.cookies)
        page.goto(shown.site + path)
        return page

    return go


def test_every_page_is_accessible_and_never_scrolls_sideways(
    open_at: Callable[..., Any], shown: Any, browser_problems: list[str]
) -> None:
    inventory = shown.inventory
    page = open_at("/identities/", **DESKTOP)
    for path in (
        "/identities/",
        "/identities/?kind=nope",
        "/access/",
        "/access/?kind=-bot&privileged=yes&cursor=last",
        "/access/?access=nothing-like-this",
        "/identities/?q=etl&privileged=yes&unused_days=30",
        "/identities/?q=nothing-like-this",
        f"/identities/{inventory.etl.pk}/",
        f"/identities/{inventory.bot.pk}/",
        f"/identities/{inventory.etl.pk}/edit/",
        f"/identities/{inventory.etl.pk}/life/",
        "/identities/owners/",
        f"/grants/{inventory.all_grant.pk}/",
        "/sources/",
        "/sources/payments/",
        "/settings/domains/",
        "/settings/domains/new/",
        "/sources/new/",
        "/sources/new/?kind=postgresql",
        "/sources/payments/import/",
        f"/runs/{inventory.run.pk}/",
    ):
        page.goto(shown.site + path)
        page.evaluate("document.querySelectorAll('details.disclosure').forEach((each) => { each.open = true; })")
        assert faults_in_every_look(page) == [], path
    assert len(browser_problems) == 1, "only the filter that nobody could mean is answered with an error"
    assert "400" in browser_problems.pop()


def test_the_list_filters_as_one_types_and_the_address_can_be_shared(open_at: Callable[..., Any], shown: Any) -> None:
    page = open_at("/identities/", **DESKTOP)

    page.fill("#list-search", "bot")
    page.wait_for_url("**/identities/?q=bot")
    expect(page.locator("#list-table tbody tr")).to_have_count(1)
    page.select_option("[name=kind]", "bot")
    page.wait_for_selector("text=No identity matches")
    page.goto(page.url)

    expect(page.locator("[name=kind]")).to_have_value("bot")
    expect(page.get_by_text("No identity matches")).to_be_visible()


def test_the_list_can_be_walked_by_keyboard(open_at: Callable[..., Any], shown: Any) -> None:
    page = open_at("/identities/", **DESKTOP)

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")

    page.wait_for_url(f"**/identities/{shown.inventory.bot.pk}/")
    expect(page.get_by_text("Can it prove itself?").first).to_be_visible()


def test_the_native_form_is_one_click_away(open_at: Callable[..., Any], shown: Any) -> None:
    page = open_at(f"/identities/{shown.inventory.etl.pk}/", **DESKTOP)
    settled(page)
    assert not page.is_visible("text=TRUNCATE")

    page.click(".grant summary:has-text('Native form')")

    expect(page.get_by_text("TRUNCATE").first).to_be_visible()


def test_a_reading_in_every_state_is_accessible(open_at: Callable[..., Any], shown: Any) -> None:
    payments = shown.inventory.payments
    bad = {"type": "identity", "id": "x", "kind": "spaceship"}
    partial = push(payments, [*payments_records(), bad], skip_bad=True)
    rejected = push(payments, [bad], state="rejected")
    held = push(payments, [{"type": "identity", "id": "new", "kind": "bot"}], state="held")
    now = timezone.now()
    running = SyncRun.objects.create(
        source=payments,
        mode="snapshot",
        origin="api",
        actor_id="system:test",
        started_at=now,
        observed_at=now,
        progress={"phase": "reading", "records": 7, "bytes": 1, "of_bytes": 3, "at": now.isoformat()},
    )
    page = open_at("/sources/payments/", **DESKTOP)
    dry = push(payments, [{"type": "identity", "id": "new", "kind": "bot"}], state="dry_run", dry_run=True, keep=True)
    for run in (partial, rejected, held, running, dry):
        page.goto(f"{shown.site}/runs/{run.pk}/")
        if run in (held, dry):
            page.get_by_role("heading", name="Who would lose most").wait_for()
        assert faults_in_every_look(page) == [], run.state


def test_a_connection_is_tried_from_the_form_and_what_was_typed_stays(open_at: Callable[..., Any], shown: Any) -> None:
    page = open_at("/sources/new/?kind=postgresql", **PHONE)
    page.fill("[name=setting_host]", "/nowhere/at/all")
    page.fill("[name=setting_databases]", "erp")
    page.fill("[name=setting_user]", "remit")

    page.get_by_role("button", name="Test connection").click()
    page.get_by_role("heading", name="The connection").wait_for()

    expect(page.locator("[name=setting_host]")).to_have_value("/nowhere/at/all")
    assert violations(page) == []


@pytest.fixture
def running(shown: Any, open_at: Callable[..., Any]) -> SimpleNamespace:
    """The page of a reading that is under way, which renews itself; `asked_again()` waits until it has done so."""
    now = timezone.now()
    run = SyncRun.objects.create(
        source=shown.inventory.payments,
        mode="snapshot",
        origin="api",
        actor_id="system:test",
        started_at=now,
        observed_at=now,
    )
    page = open_at(f"/runs/{run.pk}/")

    def asked_again() -> None:
        # It asks only after it has shown what it was told before.
        for _ in range(2):
            with page.expect_response(f"**/runs/{run.pk}/"):
                pass

    return SimpleNamespace(
        run=run, page=page, asked_again=asked_again, cancel=page.get_by_role("button", name="Cancel")
    )


def test_the_page_of_a_running_reading_renews_itself_until_it_is_over(running: Any) -> None:
    run, page = running.run, running.page
    page.get_by_text("Beginning").wait_for()
    SyncRun.objects.filter(pk=run.pk).update(progress={"phase": "writing", "records": 12})
    page.get_by_text("Writing what changed").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the reading").click()
    page.get_by_text("Stopping at its next step").wait_for()
    SyncRun.objects.filter(pk=run.pk).update(state="applied", finished_at=timezone.now())

    page.get_by_text("Nothing changed").wait_for()


def test_a_reading_is_cancelled_however_long_somebody_thinks_about_it(running: Any) -> None:
    running.cancel.click()
    running.asked_again()
    running.page.get_by_role("button", name="Cancel the reading").click()

    running.page.get_by_text("Stopping at its next step").wait_for()
    running.run.refresh_from_db()
    assert running.run.cancel_requested_at


def test_a_button_does_not_renew_itself_while_it_is_pressed(running: Any) -> None:
    box = running.cancel.bounding_box()
    running.page.mouse.move(box["x"] + 5, box["y"] + 5)
    running.page.mouse.down()
    running.asked_again()
    running.page.mouse.up()

    expect(running.page.locator("#confirm")).to_be_visible()


def test_who_has_come_to_a_button_by_keyboard_is_still_there_after_it_has_renewed_itself(running: Any) -> None:
    running.cancel.focus()
    SyncRun.objects.filter(pk=running.run.pk).update(progress={"phase": "writing", "records": 12})
    running.page.get_by_text("Writing what changed").wait_for()

    expect(running.cancel).to_be_focused()


def test_a_row_stays_chosen_when_the_list_of_readings_renews_itself(running: Any, shown: Any) -> None:
    page = running.page
    page.goto(f"{shown.site}/sources/payments/")
    rows = page.locator("#run-table [data-row]")
    expect(rows).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("j")
    SyncRun.objects.filter(pk=running.run.pk).update(progress={"phase": "writing", "records": 12})
    page.get_by_text("Writing what changed").wait_for()

    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(rows.nth(0)).to_be_focused()


def test_access_is_searched_while_typing_and_paged_by_keys(
    open_at: Callable[..., Any], shown: Any, browser_problems: list[str]
) -> None:
    page = open_at("/access/", **DESKTOP)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    rows = page.locator("#list-table tbody tr")
    expect(rows).to_have_count(2)

    page.clock.install()
    page.fill("#list-search", "al")  # too short to ask for
    page.clock.run_for(2_000)  # longer than it waits for the next key
    page.fill("#list-search", "all on")
    page.clock.run_for(2_000)
    expect(rows).to_have_count(1)

    expect(page).to_have_url(f"{shown.site}/access/?access=all+on")
    assert [url.partition("&")[0] for url in asked if "access=" in url] == [f"{shown.site}/access/?access=all%20on"]
    page.keyboard.press("Escape")
    page.locator("body").click(position={"x": 700, "y": 5})
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/grants/{shown.inventory.all_grant.pk}/")
