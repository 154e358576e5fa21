"""The inventory's pages in a real browser: accessible in both modes and widths, quiet, usable by keyboard."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone

from identities.models import SyncRun
from tests.identities.views.conftest import payments_records, push

pytestmark = pytest.mark.browser

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def open_at(shown: Any, new_page: Callable[..., Any]) -> Callable[..., Any]:
    def go(path: str, **options: Any) -> Any:
        page = new_page(**options)
        page.context.add_cookies(shown.cookies)
        page.goto(shown.site + path)
        page.wait_for_load_state("networkidle")
        return page

    return go


def violations(page: Any) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1440", "390"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_is_accessible_and_never_scrolls_sideways(
    open_at: Callable[..., Any], shown: Any, size: dict[str, int], dark: bool, browser_problems: list[str]
) -> None:
    inventory = shown.inventory
    page = open_at("/identities/", dark=dark, **size)
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
        "/sources/new/",
        "/sources/new/?kind=postgresql",
        "/sources/payments/import/",
        f"/runs/{inventory.run.pk}/",
    ):
        page.goto(shown.site + path)
        page.wait_for_load_state("networkidle")
        page.evaluate("document.querySelectorAll('details.disclosure').forEach((each) => { each.open = true; })")
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
    assert len(browser_problems) == 1, "only the filter that nobody could mean is answered with an error"
    assert "400" in browser_problems.pop()


def test_the_list_filters_as_one_types_and_the_address_can_be_shared(open_at: Callable[..., Any], shown: Any) -> None:
    page = open_at("/identities/", **DESKTOP)

    page.fill("#list-search", "bot")
    page.wait_for_url("**/identities/?q=bot")
    page.wait_for_function("document.querySelectorAll('#list-table tbody tr').length === 1")
    page.select_option("[name=kind]", "bot")
    page.wait_for_selector("text=No identity matches")
    page.goto(page.url)

    assert page.input_value("[name=kind]") == "bot"
    assert page.is_visible("text=No identity matches")


def test_the_list_can_be_walked_by_keyboard(open_at: Callable[..., Any], shown: Any) -> None:
    page = open_at("/identities/", **DESKTOP)

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")

    page.wait_for_url(f"**/identities/{shown.inventory.bot.pk}/")
    assert page.is_visible("text=Can it prove itself?")


def test_the_native_form_is_one_click_away(open_at: Callable[..., Any], shown: Any) -> None:
    page = open_at(f"/identities/{shown.inventory.etl.pk}/", **DESKTOP)
    assert not page.is_visible("text=TRUNCATE")

    page.click(".grant summary:has-text('Native form')")

    assert page.is_visible("text=TRUNCATE")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1440", "390"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_reading_in_every_state_is_accessible(
    open_at: Callable[..., Any], shown: Any, size: dict[str, int], dark: bool
) -> None:
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
    page = open_at("/sources/payments/", dark=dark, **size)
    dry = push(payments, [{"type": "identity", "id": "new", "kind": "bot"}], state="dry_run", dry_run=True, keep=True)
    for run in (partial, rejected, held, running, dry):
        page.goto(f"{shown.site}/runs/{run.pk}/")
        if run in (held, dry):
            page.get_by_role("heading", name="Who would lose most").wait_for()
        assert violations(page) == [], run.state
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{run.state} scrolls sideways"


def test_a_connection_is_tried_from_the_form_and_what_was_typed_stays(open_at: Callable[..., Any], shown: Any) -> None:
    page = open_at("/sources/new/?kind=postgresql", **PHONE)
    page.fill("[name=setting_host]", "/nowhere/at/all")
    page.fill("[name=setting_databases]", "erp")
    page.fill("[name=setting_user]", "remit")

    page.get_by_role("button", name="Test connection").click()
    page.get_by_role("heading", name="The connection").wait_for()

    assert page.input_value("[name=setting_host]") == "/nowhere/at/all"
    assert violations(page) == []


def test_the_page_of_a_running_reading_renews_itself_until_it_is_over(open_at: Callable[..., Any], shown: Any) -> None:
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
    page.get_by_text("Beginning").wait_for()
    SyncRun.objects.filter(pk=run.pk).update(progress={"phase": "writing", "records": 12})
    page.get_by_text("Writing what changed").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the reading").click()
    page.get_by_text("Stopping at its next step").wait_for()
    SyncRun.objects.filter(pk=run.pk).update(state="applied", finished_at=now)

    page.get_by_text("Nothing changed").wait_for()


def test_access_is_searched_while_typing_and_paged_by_keys(
    open_at: Callable[..., Any], shown: Any, browser_problems: list[str]
) -> None:
    page = open_at("/access/", **DESKTOP)

    page.fill("#list-search", "al")  # too short to ask for
    page.wait_for_timeout(500)
    assert page.locator("#list-table tbody tr").count() == 2
    page.fill("#list-search", "all on")
    page.locator("#list-table tbody tr").nth(1).wait_for(state="detached")

    assert page.url.endswith("/access/?access=all+on")
    page.keyboard.press("Escape")
    page.locator("body").click(position={"x": 700, "y": 5})
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/grants/{shown.inventory.all_grant.pk}/")
