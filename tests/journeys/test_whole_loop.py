"""One grant goes the whole way: from a role of a real server to a verified decision, and back."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
DELETE = "DELETE FROM public.refunds WHERE id = 1"
READ = "SELECT count(*) FROM public.refunds"


def test_scoping_down_is_executed_verified_restored_and_told(
    remit_tree: Any, ledger: Any, person: Callable[..., Any], manage: Callable[..., Any]
) -> None:
    reviewer = person().sign_in()
    page = reviewer.page
    assert ledger.holds("bi_reporting", "DELETE", "public.refunds")

    # Decide: only reading remains, proved, replayed, planned.
    reviewer.open_question("bi_reporting", "table refunds")
    reviewer.choose("scope_down")
    reviewer.keep_only("read every row")
    preview = page.locator("#preview")
    preview.get_by_text("Proved:").wait_for()
    expect(preview).to_contain_text("0 of")
    preview.get_by_text("How the source is changed").click()
    expect(preview.get_by_text("REVOKE").first).to_be_visible()
    _picture(page, "question.png")
    reviewer.submit("The board report only reads refunds.")

    # The order is carried out and verified by a later reading, while the page looks on.
    reviewer.open_order()
    reviewer.wait_for_state("Verified")
    assert not ledger.may("bi_reporting", DELETE)
    assert ledger.may("bi_reporting", READ)
    order_url = page.url

    # Restore brings it back.
    page.get_by_label("Why is it needed again?").fill("The board wants its corrections back for a week.")
    page.get_by_label("For how many days").fill("7")
    page.get_by_role("button", name="Restore for a time").click()
    page.wait_for_url(lambda url: url != order_url and "/orders/" in url)
    reviewer.wait_for_state("Verified")
    assert ledger.may("bi_reporting", DELETE)
    page.goto(order_url)
    reviewer.wait_for_state("Restored")

    # The trail tells it, in order, and stands up to checking.
    expect(page.locator(".timeline-title").nth(4)).to_be_visible()
    verified = manage("verify_audit")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_an_edited_record_is_found(remit_tree: Any, manage: Callable[..., Any]) -> None:
    # The product's own role owns the tables, so it may switch their guards off: just what an intruder would do.
    with psycopg.connect(remit_tree.settings["DATABASE_URL"], autocommit=True) as admin:
        payload = _first_payload(admin)
        _rewrite(admin, payload.replace('"success"', '"refused"', 1))
        try:
            found = manage("verify_audit")
        finally:
            _rewrite(admin, payload)

    assert found.returncode == 1
    assert "1" in found.stdout
    assert manage("verify_audit").returncode == 0


def _first_payload(admin: psycopg.Connection[Any]) -> str:
    row = admin.execute(
        "SELECT e.payload FROM audit_auditevent e JOIN audit_auditlink l ON l.event_id = e.id WHERE l.seq = 1"
    ).fetchone()
    assert row
    return str(row[0])


def _rewrite(admin: psycopg.Connection[Any], payload: str) -> None:
    """Behind its back: as the owner of the machine, with the guards switched off and on again."""
    guards = admin.execute(
        "SELECT quote_ident(tgname) FROM pg_trigger WHERE tgrelid = 'audit_auditevent'::regclass AND NOT tgisinternal"
    ).fetchall()
    with admin.transaction():
        for (guard,) in guards:
            admin.execute(f"ALTER TABLE audit_auditevent DISABLE TRIGGER {guard}")
        admin.execute(
            "UPDATE audit_auditevent SET payload = %s WHERE id = (SELECT event_id FROM audit_auditlink WHERE seq = 1)",
            [payload],
        )
        for (guard,) in guards:
            admin.execute(f"ALTER TABLE audit_auditevent ENABLE ALWAYS TRIGGER {guard}")


def _picture(page: Any, name: str) -> None:
    """`REMIT_PICTURES=yes make test PYTEST_ARGS='-k whole_loop'` takes the README's picture anew."""
    if os.environ.get("REMIT_PICTURES") == "yes":
        PICTURES.mkdir(exist_ok=True)
        page.set_viewport_size({"width": 1440, "height": 1260})
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=str(PICTURES / name))
