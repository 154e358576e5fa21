"""The console's own pages and the pages of refusal in a real browser: accessible, quiet, never wider than the screen."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from governance.audit.holds import lift_hold, place_hold
from governance.audit.selectors import list_events
from governance.kernel.actors import Role
from tests.looking import SIZES, faults_in_every_look
from tests.reviews import conftest as make

pytestmark = pytest.mark.browser


def test_the_overview_and_the_trail_look_right(browse: Callable[..., Any], decided_item: Any) -> None:
    administrator = make.make_person(Role.ADMINISTRATOR, name="Ada Ochieng")
    decided_item(make.make_person(Role.OWNER, name="Ben Tal"))
    (row,) = list_events(verb="item.decided").rows

    for path, name in {"/": "overview", "/audit/": "trail", f"/audit/events/{row.event_id}/": "event"}.items():
        assert faults_in_every_look(browse(administrator, path, **SIZES[0]), name) == [], path


def test_retention_holds_and_erasure_look_right(browse: Callable[..., Any], decided_item: Any) -> None:
    administrator = make.make_person(Role.ADMINISTRATOR, name="Ada Ochieng")
    item = decided_item(make.make_person(Role.OWNER, name="Ben Tal"))
    actor, now = make.actor(administrator), timezone.now()
    held = {"kind": "campaign", "subject_id": str(item.campaign_id), "actor": actor, "now": now}
    hold = place_hold(**held, reason="Request of the labour court, case 4 C 12/26")
    place_hold(kind="person", subject_id=str(administrator.pk), reason="Internal inquiry 7", actor=actor, now=now)
    lift_hold(hold_id=hold.pk, reason="The case is closed.", actor=actor, now=now)

    for path, name in {"": "retention", f"?person={item.assignee.pk}&include_reasons=on": "erasure"}.items():
        page = browse(administrator, f"/audit/retention/{path}", **SIZES[0])
        assert faults_in_every_look(page, name) == [], path


def test_pages_of_refusal_look_right(browse: Callable[..., Any]) -> None:
    owner = make.make_person(Role.OWNER)

    for path, status in {"/nowhere/": 404, "/audit/": 403, "/settings/people/": 403}.items():
        page = browse(owner, path, **SIZES[0])
        assert str(status) in page.content() or page.title()
        assert faults_in_every_look(page, f"refusal-{path.strip('/').replace('/', '-')}") == [], path


def test_a_form_without_its_token_and_a_fault_are_answered_calmly(
    browse: Callable[..., Any], site: str, browser_problems: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*args: object) -> None:
        raise RuntimeError("a secret that nobody may see")

    page = browse(None, "/accounts/login/", **SIZES[0])
    page.fill("input[name=login]", "ada@example.org")
    page.fill("input[name=password]", "whatever-it-is")
    page.context.clear_cookies()
    with page.expect_navigation():
        page.click("main button[type=submit]")
    assert faults_in_every_look(page, "csrf") == []

    monkeypatch.setattr("governance.console.views.known_problems", fault)
    assert page.goto(f"{site}/docs/problems").status == 500
    assert "secret" not in page.content()
    assert faults_in_every_look(page, "fault") == []

    assert any("500" in problem for problem in browser_problems)
    browser_problems.clear()
