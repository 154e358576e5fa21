"""One review goes the whole way: planned and previewed, asked and answered, its deadline, its orders, its numbers."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MANAGER = "mara.lindt@example.org"
OWNER = "sofia.marin@example.org"
INDEPENDENT = "ines.albrecht@example.org"
COLLEAGUE = "priya.nair@example.org"
NAME = "What finance’s machines hold"


def test_a_campaign_ends_in_a_changed_database_with_numbers_that_add_up(
    remit_tree: Any, ledger: Any, person: Callable[..., Any], wait_for: Callable[..., Any]
) -> None:
    base = remit_tree.base_url
    with psycopg.connect(remit_tree.settings["DATABASE_URL"], autocommit=True) as admin:
        manager = person().sign_in(MANAGER).page
        _prepare(manager, base)
        previewed = _plan_and_preview(manager, base)
        campaign = _launch(manager, admin, wait_for)
        asked = "SELECT count(*) FROM reviews_reviewitem WHERE campaign_id = %s"
        assert _one(admin, asked, campaign) == previewed

        _answer_by_keyboard(person().sign_in(OWNER).page, base, admin, campaign)
        _say_not_mine_on_a_phone(person, admin, campaign, base)
        second_stage = person().sign_in(INDEPENDENT)
        order_url = _decide_independently(second_stage, admin, campaign, base)
        _release_as_second(manager, order_url)

        _let_the_deadline_pass(admin, campaign, wait_for)
        assert _by_policy(admin, campaign) == _as_the_table_says(admin, campaign)
        try:
            _release_the_brake([manager, second_stage.page], admin, campaign, base, wait_for)
            _carried_out(ledger, admin, campaign, wait_for)
        finally:
            admin.execute("DELETE FROM reviews_sourcebudget")
        _numbers_add_up(manager, admin, campaign, base)


# --- planning ------------------------------------------------------------------------------------------------------


def _prepare(page: Any, base: str) -> None:
    """A second person who may release brakes, and a budget that a deadline runs into."""
    page.goto(f"{base}/settings/people/?q=ines")
    page.get_by_role("link", name="Ines Albrecht").first.click()
    page.get_by_label("Campaign manager").check()
    with page.expect_navigation():
        page.get_by_role("button", name="Save roles").click()
    page.goto(f"{base}/orders/brakes/")
    page.locator("form[action*=budget] [name=source]").select_option("ledger")
    page.locator("[name=per_hour]").fill("1")
    page.locator("form[action*='budget'] [name=reason]").fill("Two changes at the books within an hour are looked at.")
    with page.expect_navigation():
        page.locator("form[action*='budget'] button").click()


def _plan_and_preview(page: Any, base: str) -> int:
    page.goto(f"{base}/reviews/schedules/new/")
    page.locator("[name=name]").fill(NAME)
    # The builder writes the text, field by field.
    page.locator("#scope-builder [name=source]").select_option("ledger")
    text = page.locator("#id_scope")
    expect(text).to_have_value("source=ledger")
    # And the other way round: what is added to the text by hand is taken up by the fields.
    text.fill(f"source=ledger&owner={OWNER}")
    text.press("Tab")
    expect(page.locator("#scope-builder [name=owner]")).to_have_value(OWNER)
    page.locator("#schedule-preview", has_text="18 grants").wait_for()
    page.locator("[name=duration_days]").fill("10")
    page.locator("[name=fallback_reviewer]").select_option(label="Ines Albrecht")
    page.locator("[name=independent_reviewer]").select_option(label="Ines Albrecht")
    page.locator("[name=deadline_policy]").select_option("table")
    grid = {"used": "keep", "unused": "revoke", "not_observable": "expire"}
    for use, act in grid.items():
        page.locator(f"[name=deadline-standard_{use}_production]").select_option(act)
    page.locator("[name=deadline-standard_not_observable_production_days]").fill("30")
    page.locator("[name=interval_reason]").fill("Finance closes its books each quarter; access follows them.")
    page.get_by_role("button", name="Plan it").click()
    page.get_by_role("link", name="Preview").click()
    preview = page.locator("#campaign-preview")
    preview.wait_for()
    shown = preview.locator("tr", has_text="Sofia Marin").locator("td")
    expect(shown.nth(1)).to_have_text("18")
    page.go_back()
    shown_today = page.locator("dl.facts dd", has_text="grants").first.inner_text()
    return int(shown_today.split()[0])


def _launch(page: Any, admin: psycopg.Connection[Any], wait_for: Callable[..., Any]) -> str:
    page.get_by_role("button", name="Run now").click()
    page.locator("#confirm-yes").click()
    page.wait_for_url(re.compile(r"/reviews/[0-9a-f-]{36}/$"))
    campaign = page.url.rstrip("/").rsplit("/", 1)[1]
    wait_for(lambda: _one(admin, "SELECT state FROM reviews_campaign WHERE id = %s", campaign) == "open", 180)
    return campaign


# --- answers -------------------------------------------------------------------------------------------------------


def _answer_by_keyboard(page: Any, base: str, admin: psycopg.Connection[Any], campaign: str) -> None:
    """Two privileged ones on their own pages, then drafts in the list, looked over and submitted. No mouse."""
    page.goto(f"{base}/inbox/?campaign={campaign}")
    page.keyboard.press("j")
    for key, words in (("a", "The invoice tool corrects them daily."), ("r", "The rates come by API since May.")):
        with page.expect_navigation(url=re.compile("/reviews/items/")):
            page.keyboard.press("Enter")
        page.locator(".answer-form").wait_for()
        expect(page.locator(".answer-send")).to_have_text("Attest")
        page.keyboard.press(key)
        page.keyboard.press("c")
        page.keyboard.type(words)
        with page.expect_navigation():
            page.keyboard.press("Control+Enter")
        with page.expect_navigation(url=re.compile("/inbox/")):
            page.keyboard.press("i")
        page.keyboard.press("j")
    drafts = {("invoice_mailer", "table public.customers"): "r", ("bi_dashboard", "revenue_by_month"): "a"}
    for (identity, label), key in drafts.items():
        _walk_to(page, _item(admin, campaign, identity, label))
        page.keyboard.press(key)
        page.locator("tr.has-draft").nth(0 if key == "r" else 1).wait_for(state="attached")
    for part in ("/inbox/drafts/", "/inbox/drafts/submit/"):
        with page.expect_navigation(url=re.compile(part)):
            page.keyboard.press("S")
    expect(page.locator("h1")).to_contain_text("2 answers given")


def _walk_to(page: Any, item: str) -> None:
    """Down the rows, and up again where it stands above."""
    for key in "j" * 30 + "k" * 30:
        if page.locator(f"#row-{item}.is-current").count():
            return
        page.keyboard.press(key)
    pytest.fail("the keyboard does not reach the row")


def _say_not_mine_on_a_phone(
    person: Callable[..., Any], admin: psycopg.Connection[Any], campaign: str, base: str
) -> None:
    page = person(width=390, height=844, has_touch=True, is_mobile=True).sign_in(OWNER).page
    page.goto(f"{base}/inbox/?campaign={campaign}")
    item = _item(admin, campaign, "tax_report_export", "table billing.fx_rates")
    page.locator(f"#row-{item}").get_by_role("link", name="Not mine").tap()
    page.locator("#id_named_person").fill(COLLEAGUE)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.locator(".answer-send").tap()
    page.wait_for_url(re.compile("/inbox/"))
    asked = "SELECT u.email FROM reviews_reviewitem i JOIN people_user u ON u.id = i.assignee_id WHERE i.id = %s"
    assert _one(admin, asked, item) == COLLEAGUE


def _decide_independently(reviewer: Any, admin: psycopg.Connection[Any], campaign: str, base: str) -> str:
    """The second stage: what the owner attested is decided by somebody else. Returns the page of the order."""
    page = reviewer.page
    for identity, answer in (("finance_ops", "approve"), ("fx_rates_loader", "revoke")):
        page.goto(f"{base}/reviews/items/{_item(admin, campaign, identity, '', privileged=True)}/")
        page.locator(".answer-form").wait_for()
        expect(page.locator(".answer-send")).to_have_text("Decide")
        reviewer.choose(answer)
        reviewer.submit("As its owner says.")
    reviewer.open_order()
    reviewer.wait_for_state("Awaiting second person")
    assert page.locator("form[action*='/release/']").count() == 0
    return str(page.url)


def _release_as_second(page: Any, order_url: str) -> None:
    page.goto(order_url)
    page.locator("form[action*='/release/'] [name=reason]").fill("Nothing reads the rates through this any more.")
    page.get_by_role("button", name="Release").click()
    page.get_by_text("Released by").first.wait_for()


# --- the deadline --------------------------------------------------------------------------------------------------


def _let_the_deadline_pass(admin: psycopg.Connection[Any], campaign: str, wait_for: Callable[..., Any]) -> None:
    """Nobody waits ten days: the review's own date is moved to now, as if the calendar had. Beat does the rest."""
    admin.execute("UPDATE reviews_campaign SET deadline_at = now() WHERE id = %s", [campaign])
    state = "SELECT state FROM reviews_campaign WHERE id = %s"
    wait_for(lambda: _one(admin, state, campaign) in {"closed", "completed"}, 180)


def _by_policy(admin: psycopg.Connection[Any], campaign: str) -> Counter[tuple[str, str]]:
    """(use, what silence came to) of everything that nobody answered."""
    rows = admin.execute(
        """SELECT i.use_state, CASE WHEN i.state = 'expired' THEN 'kept' WHEN d.until IS NULL THEN 'revoked'
                  WHEN d.until - c.closed_at BETWEEN interval '29 days' AND interval '31 days' THEN 'ends in 30 days'
                  ELSE 'something else' END
           FROM reviews_reviewitem i JOIN reviews_campaign c ON c.id = i.campaign_id
           LEFT JOIN reviews_decision d ON d.item_id = i.id AND d.decided_by_policy = 'table'
           WHERE i.campaign_id = %s AND (i.state = 'expired' OR d.id IS NOT NULL)""",
        [campaign],
    )
    return Counter((use, fate) for use, fate in rows)


def _as_the_table_says(admin: psycopg.Connection[Any], campaign: str) -> Counter[tuple[str, str]]:
    table = {"used": "kept", "unused": "revoked", "not_observable": "ends in 30 days"}
    rows = admin.execute(
        """SELECT i.use_state FROM reviews_reviewitem i WHERE i.campaign_id = %s AND NOT EXISTS (
               SELECT 1 FROM reviews_decision d WHERE d.item_id = i.id AND d.decided_by_id IS NOT NULL
                   AND NOT d.is_attestation AND d.answer <> 'not_mine')""",
        [campaign],
    ).fetchall()
    expected = Counter((use, table[use]) for (use,) in rows)
    assert {fate for _, fate in expected} == set(table.values())
    return expected


def _release_the_brake(
    pages: list[Any], admin: psycopg.Connection[Any], campaign: str, base: str, wait_for: Callable[..., Any]
) -> None:
    """The budget is one: the first change went through, the rest waits for two people."""
    held = """SELECT count(*) FROM reviews_order o JOIN reviews_orderhold h ON h.order_id = o.id
              JOIN reviews_reviewitem i ON i.id = o.item_id WHERE i.campaign_id = %s AND h.released_at IS NULL"""
    to_revoke = """SELECT count(*) FROM reviews_decision d JOIN reviews_reviewitem i ON i.id = d.item_id
                   WHERE i.campaign_id = %s AND d.decided_by_policy = 'table' AND d.until IS NULL"""
    expected = _one(admin, to_revoke, campaign) - 1
    assert expected > 0
    wait_for(lambda: _one(admin, held, campaign) == expected, 180)
    brake = _one(admin, "SELECT id FROM reviews_brake WHERE state = 'held' ORDER BY tripped_at DESC LIMIT 1")
    words = {"Agree as the first": "Noted. A second person has to agree", "Agree and send": "The orders are being sent"}
    for page, (button, said) in zip(pages, words.items(), strict=True):
        page.goto(f"{base}/orders/brakes/{brake}/")
        page.locator("form[action*='/release/'] textarea").fill("Each of them was looked at with finance.")
        page.get_by_role("button", name=button).click()
        page.get_by_text(said).wait_for()
    assert _one(admin, held, campaign) == 0


def _carried_out(ledger: Any, admin: psycopg.Connection[Any], campaign: str, wait_for: Callable[..., Any]) -> None:
    """The server itself says what is gone and what stayed."""
    moving = """SELECT count(*) FROM reviews_order o JOIN reviews_reviewitem i ON i.id = o.item_id
                WHERE i.campaign_id = %s AND o.state IN ('planned', 'executing', 'applied')
                AND o.execute_after <= now()"""
    wait_for(lambda: _one(admin, moving, campaign) == 0, 180)
    assert not ledger.may("fx_rates_loader", "SELECT count(*) FROM billing.fx_rates")
    assert not ledger.may("fx_rates_loader", "INSERT INTO ops.job_runs (job) VALUES ('rates')")
    assert not ledger.may("invoice_mailer", "SELECT name FROM public.customers")
    assert ledger.may("finance_ops", "SELECT count(*) FROM billing.invoices")
    assert ledger.may("bi_dashboard", "SELECT count(*) FROM billing.revenue_by_month")
    # Taken away where it was given, and still held by a role: that is said, not called done.
    states = _orders(admin, campaign)
    assert set(states) == {"verified", "still_effective", "planned"}, states


# --- the numbers ---------------------------------------------------------------------------------------------------


def _numbers_add_up(page: Any, admin: psycopg.Connection[Any], campaign: str, base: str) -> None:
    page.goto(f"{base}/reviews/{campaign}/")
    counts = dict(
        admin.execute(
            """SELECT CASE WHEN i.state = 'expired' THEN 'expired'
                      WHEN EXISTS (SELECT 1 FROM reviews_decision d WHERE d.item_id = i.id
                                   AND d.decided_by_policy = 'table') THEN 'by the deadline policy'
                      ELSE i.state END, count(*)
               FROM reviews_reviewitem i WHERE i.campaign_id = %s GROUP BY 1""",
            [campaign],
        ).fetchall()
    )
    total = sum(counts.values())
    progress = page.locator("#campaign-progress")
    told = [text.removeprefix("of these ").split(" ", 1) for text in progress.locator("li").all_inner_texts()]
    shown = {words: int(number) for number, words in told}
    escalated = "SELECT count(*) FROM reviews_reviewitem WHERE campaign_id = %s AND escalated_at IS NOT NULL"
    assert shown == counts | {"escalated": _one(admin, escalated, campaign)}
    assert f"{counts['decided']} of {total}" in progress.inner_text()
    orders = page.locator("[aria-labelledby=orders-title] li").all_inner_texts()
    assert sorted(int(text.split()[-1]) for text in orders) == sorted(_orders(admin, campaign).values())


def _orders(admin: psycopg.Connection[Any], campaign: str) -> dict[str, int]:
    return dict(
        admin.execute(
            """SELECT o.state, count(*) FROM reviews_order o JOIN reviews_reviewitem i ON i.id = o.item_id
               WHERE i.campaign_id = %s AND o.action <> 'restore' GROUP BY 1""",
            [campaign],
        ).fetchall()
    )


# --- reading the truth ---------------------------------------------------------------------------------------------


def _one(admin: psycopg.Connection[Any], statement: str, *values: Any) -> Any:
    row = admin.execute(statement, list(values)).fetchone()
    return row[0] if row else None


def _item(admin: psycopg.Connection[Any], campaign: str, identity: str, label: str, *, privileged: bool = False) -> str:
    found = _one(
        admin,
        """SELECT i.id FROM reviews_reviewitem i JOIN identities_grant g ON g.id = i.grant_id
           WHERE i.campaign_id = %s AND i.identity_name = %s AND g.label LIKE %s AND (i.is_privileged OR NOT %s)""",
        campaign,
        identity,
        f"%{label}%",
        privileged,
    )
    assert found
    return str(found)
