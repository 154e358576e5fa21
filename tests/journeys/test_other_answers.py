"""The other answers, each on the running product and the governed server."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OWNER = "tomas.rey@example.org"
STEWARD = "oskar.holm@example.org"
SECOND = "ines.albrecht@example.org"


def test_approving_changes_nothing_at_the_source(ledger: Any, person: Callable[..., Any]) -> None:
    before = ledger.rights_on("public.accounts")
    reviewer = person().sign_in()

    reviewer.open_question("sandbox_tester", "table accounts")
    reviewer.choose("approve")
    expect(reviewer.page.locator("#preview")).to_contain_text("Nothing changes at the source")
    reviewer.submit("Load tests run again next week.")

    assert reviewer.page.locator(".answered a[href*='/orders/']").count() == 0
    assert ledger.rights_on("public.accounts") == before


def test_approving_until_a_date_is_executed_on_that_date(
    remit_tree: Any, ledger: Any, person: Callable[..., Any]
) -> None:
    reviewer = person().sign_in()
    statement = "SELECT count(*) FROM public.customers"
    assert ledger.may("sandbox_tester", statement)

    reviewer.open_question("sandbox_tester", "table customers")
    reviewer.choose("approve_until")
    reviewer.page.locator("#id_until").fill((date.today() + timedelta(days=30)).isoformat())
    reviewer.submit("Until the load tests end.")
    reviewer.open_order()
    assert ledger.may("sandbox_tester", statement)
    _release(person, reviewer.page.url, "The tests are over by then.")
    _let_the_day_come(remit_tree, reviewer.page.url)

    reviewer.page.reload()
    reviewer.wait_for_state("Verified")
    assert not ledger.may("sandbox_tester", statement)


def test_revoking_says_which_path_remains(ledger: Any, person: Callable[..., Any]) -> None:
    reviewer = person().sign_in()

    reviewer.open_question("bi_reporting", "table payments")
    reviewer.choose("revoke")
    reviewer.submit("The report has a copy of its own now.")
    reviewer.open_order()
    _release(person, reviewer.page.url, "The copy was shown to me.")
    reviewer.page.reload()
    reviewer.wait_for_state("Still effective")

    expect(reviewer.page.locator("#order-life")).to_contain_text("payments_writer")
    assert not ledger.may("bi_reporting", "TRUNCATE public.payments")
    assert ledger.may("bi_reporting", "SELECT count(*) FROM public.payments")


def test_deactivating_ends_the_credential(remit_tree: Any, ledger: Any, person: Callable[..., Any]) -> None:
    manager = person().sign_in()
    manager.page.goto(f"{remit_tree.base_url}/reviews/schedules/")
    manager.page.get_by_role("link", name="Credentials of production").click()
    manager.page.get_by_role("button", name="Run now").click()
    manager.page.locator("#confirm-yes").click()
    manager.page.wait_for_url(re.compile(r"/reviews/[0-9a-f-]{36}/$"))
    assert ledger.may_sign_in("legacy_export_2019")
    steward = person().sign_in(STEWARD)

    steward.open_question("legacy_export_2019", "assword")
    steward.choose("deactivate")
    steward.submit("Nobody has exported anything since 2019.")
    steward.open_order()
    steward.wait_for_state("Verified")

    assert not ledger.may_sign_in("legacy_export_2019")


def test_an_owner_attests_from_the_mail_on_a_phone_and_cannot_decide(
    remit_tree: Any, person: Callable[..., Any], mailbox: Callable[[str], str]
) -> None:
    owner = person(width=390, height=844, has_touch=True, is_mobile=True)
    page = owner.page

    page.goto(mailbox(OWNER))
    page.get_by_role("button").filter(has_text="questions").or_(page.locator("main form button")).first.click()
    page.wait_for_url("**/inbox/**")
    owner.open_question("ledger_api", "table payments")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    owner.choose("approve")
    expect(page.locator("#preview")).to_contain_text("decides with what you say")
    owner.submit("The payments API needs all of it.")

    expect(page.locator("#item-state")).to_contain_text("Attested")
    state, answers, orders = _standing(remit_tree, page.url)
    assert state == "attested"
    assert answers == [("approve", True)]
    assert orders == 0
    page.goto(f"{remit_tree.base_url}/settings/people/")
    assert page.get_by_text("Add a person").count() == 0


def _release(person: Callable[..., Any], order_url: str, reason: str) -> None:
    """Privileged access in production is taken away when a second person has released it."""
    second = person().sign_in(SECOND)
    second.page.goto(order_url)
    second.page.locator("form[action*='/release/'] [name=reason]").fill(reason)
    second.page.get_by_role("button", name="Release").click()
    second.page.get_by_text("Released by a second person").first.wait_for()


def _let_the_day_come(tree: Any, order_url: str) -> None:
    """Nobody waits for a month: the order's own date is moved to now, as if the calendar had."""
    order = order_url.rstrip("/").rsplit("/", 1)[1]
    with psycopg.connect(tree.settings["DATABASE_URL"]) as connection:
        connection.execute("UPDATE reviews_order SET execute_after = now() WHERE id = %s", [order])


def _standing(tree: Any, item_url: str) -> tuple[str, list[tuple[str, bool]], int]:
    item = item_url.split("/items/")[1].split("/", maxsplit=1)[0]
    with psycopg.connect(tree.settings["DATABASE_URL"]) as connection:
        state = connection.execute("SELECT state FROM reviews_reviewitem WHERE id = %s", [item]).fetchone()
        answers = connection.execute(
            "SELECT answer, is_attestation FROM reviews_decision WHERE item_id = %s", [item]
        ).fetchall()
        orders = connection.execute("SELECT count(*) FROM reviews_order WHERE item_id = %s", [item]).fetchone()
    assert state and orders
    return state[0], answers, orders[0]
