"""A reviewer clears sixty mixed questions with the keyboard alone, in a real browser."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from reviews.models import Decision, Draft, ReviewItem

pytestmark = pytest.mark.browser

DESKTOP = {"width": 1440, "height": 900}


@pytest.fixture
def sixty(site, make):
    """Forty kinds of access (some used, some not, some of which nobody knows), twelve privileged, eight credentials."""
    reviewer = make.person(Role.REVIEWER, name="Ravi Menon")
    watched, dark = make.source(name="Ledger"), make.source(name="Archive")
    make.window(watched)
    for number in range(40):
        identity = make.identity(watched if number % 2 else dark, name=f"plain-{number:02}")
        make.grant(identity)
        if number % 4 == 1:
            make.use(identity, "SELECT", "table:ledger/public/payments", count=9)
    for number in range(12):
        make.grant(make.identity(watched, name=f"strong-{number:02}"), make.PRIVILEGED)
    for number in range(8):
        make.credential(make.identity(dark, name=f"key-{number:02}"))
    make.campaign(
        fallback_reviewer=reviewer,
        independent_reviewer=reviewer,
        item_kinds=["grant", "credential"],
        deadline_at=timezone.now() + timedelta(days=9),
    )
    assert ReviewItem.objects.filter(assignee=reviewer).count() == 60
    return reviewer


def stop_time(page):
    """No timer of the page runs out any more."""
    page.clock.install()
    page.clock.pause_at(timezone.now() + timedelta(hours=1))


def go(page, key, part="/inbox/"):
    """Press a key that leads somewhere."""
    with page.expect_navigation(url=lambda url: part in url):
        page.keyboard.press(key)


def test_sixty_mixed_questions_are_cleared_by_keyboard_alone(sixty, visit):
    page = visit(sixty, "/inbox/", **DESKTOP)

    # The privileged ones first, each on its own page, with a reason; the next one comes by itself.
    page.keyboard.press("j")
    go(page, "Enter", "/reviews/items/")
    for number in range(12):
        page.keyboard.press("a" if number % 3 else "r")
        page.keyboard.press("c")
        page.keyboard.type("Seen in the runbook.")
        go(page, "Control+Enter", "/reviews/items/")
    assert Decision.objects.count() == 12

    # Back in the list: plain rows are drafted one key each, in the order in which they stand.
    page.keyboard.press("Escape")
    go(page, "i")
    while rows := page.locator("tr[data-row]:not(.has-draft)").count():
        page.keyboard.press("j")
        for number in range(rows):
            before = page.locator("tr.has-draft").count()
            page.keyboard.press(
                "r" if number % 5 == 0 else "y" if page.locator(".is-current [data-key=y]").count() else "a"
            )
            page.wait_for_selector(f"tr.has-draft >> nth={before}", state="attached")
        if not page.locator("[data-next]").count():
            break
        go(page, "]")
    assert Draft.objects.filter(person=sixty).count() == 48
    assert Decision.objects.count() == 12

    # One is undone and drafted otherwise; then all of it is looked over and submitted.
    page.keyboard.press("u")
    page.wait_for_selector("tr.is-current:not(.has-draft)")
    page.keyboard.press("a")
    page.wait_for_selector("tr[data-row]:not(.has-draft)", state="detached")
    go(page, "S", "/inbox/drafts/")
    expect(page.locator("h1")).to_contain_text("48 drafted answers")
    expect(page.locator("main")).to_contain_text("Submit 48 answers")
    go(page, "S", "/inbox/drafts/submit/")

    expect(page.locator("h1")).to_contain_text("48 answers given")
    assert not ReviewItem.objects.exclude(state="decided").exists()
    assert Decision.objects.values("item").distinct().count() == 60
    assert AuditEvent.objects.filter(verb="item.decided").count() == 60
    assert not Draft.objects.exists()
    go(page, "i")
    expect(page.locator("main")).to_contain_text("Nothing waits for you")


def test_keys_pressed_while_an_answer_travels_go_down_the_list(sixty, visit, answers_held):
    page = visit(sixty, "/inbox/?privileged=no", **DESKTOP)
    rows = page.locator("tr[data-row]")
    page.keyboard.press("j")
    with answers_held(page, "**/inbox/answers/"):
        for key in "aaj":
            page.keyboard.press(key)
        expect(rows.nth(3)).to_be_focused()
    expect(page.locator("tr.has-draft")).to_have_count(2)

    # What comes back late takes nobody away from where they are by then, and the newest number stands.
    expect(rows.nth(3)).to_be_focused()
    expect(page.locator("#draft-bar")).to_contain_text("2 drafted")
    page.keyboard.press("a")
    expect(page.locator("#draft-bar")).to_contain_text("3 drafted")
    assert [("has-draft" in rows.nth(place).get_attribute("class")) for place in (0, 1, 3)] == [True] * 3
    assert Draft.objects.filter(person=sixty).count() == 3


def test_who_goes_to_look_over_finds_what_was_drafted_a_moment_before(sixty, visit, answers_held):
    page = visit(sixty, "/inbox/?privileged=no", **DESKTOP)
    page.keyboard.press("j")
    page.keyboard.press("a")
    expect(page.locator("tr.has-draft")).to_have_count(1)
    with page.expect_navigation(url="**/inbox/drafts/"), answers_held(page, "**/inbox/answers/"):
        for key in "aaS":
            page.keyboard.press(key)
        expect(page.locator("button.htmx-request").first).to_be_attached()
    expect(page.locator("h1")).to_contain_text("3 drafted answers")


def test_back_from_a_question_that_a_key_opened_the_list_stands_at_it(sixty, visit):
    page = visit(sixty, "/inbox/", **DESKTOP)
    page.keyboard.press("j")
    page.keyboard.press("j")
    row = page.locator("tr.is-current").get_attribute("id")
    go(page, "r", "/reviews/items/")
    page.go_back()
    expect(page.locator(f"#{row}")).to_be_focused()


def test_the_focus_is_always_visible(sixty, visit):
    page = visit(sixty, "/inbox/", **DESKTOP)
    page.keyboard.press("j")
    row = page.locator("tr[data-row]").first
    expect(row).to_be_focused()
    expect(row).not_to_have_css("box-shadow", "none")
    page.keyboard.press("f")
    expect(page.locator(".filters select:focus-visible")).to_be_focused()


@pytest.mark.parametrize(
    ("key", "answer", "field"), [("r", "revoke", "id_reason"), ("m", "not_mine", "id_named_person")]
)
def test_what_is_typed_after_choosing_in_the_list_is_text_and_not_a_row_of_keys(sixty, visit, key, answer, field):
    page = visit(sixty, "/inbox/", **DESKTOP)
    page.keyboard.press("j")
    go(page, key, "/reviews/items/")
    expect(page.locator(f"#{field}")).to_be_focused()
    page.keyboard.type("a draft")
    expect(page.locator(f"#{field}")).to_have_value("a draft")
    expect(page.locator(f"[name=answer][value={answer}]")).to_be_checked()


def test_who_answers_for_an_identity_is_answered_by_keyboard(site, make, visit):
    owner = make.person(Role.OWNER, name="Olga Brandt")
    make.identity(name="svc-orphan")
    make.campaign(item_kinds=["ownership"], fallback_reviewer=owner, deadline_at=timezone.now() + timedelta(days=9))
    page = visit(owner, "/inbox/", **DESKTOP)
    page.keyboard.press("j")
    go(page, "r", "/reviews/ownership/")
    expect(page.locator("#id_reason")).to_be_focused()
    # Were this pressed instead of typed, it would end as “It is mine”.
    page.keyboard.type("retired in May, a relic")
    expect(page.locator("[name=answer][value=retire]")).to_be_checked()
    with page.expect_navigation():
        page.keyboard.press("Control+Enter")
    assert Decision.objects.get().answer == "retire"
    assert Decision.objects.get().reason == "retired in May, a relic"


def test_what_is_typed_saves_itself_and_comes_back(sixty, visit, wait_for):
    item = ReviewItem.objects.filter(is_privileged=True).order_by("identity_name").first()
    page = visit(sixty, f"/reviews/items/{item.pk}/", **DESKTOP)
    page.keyboard.press("r")
    page.keyboard.press("c")
    page.keyboard.type("Nobody runs it any mo")
    page.wait_for_selector("text=Draft saved")
    page.keyboard.type("re.")
    page.keyboard.press("Escape")
    with page.expect_navigation():
        page.keyboard.press("j")  # left at once: what was typed last is sent on the way out
    typed = "Nobody runs it any more."
    wait_for(lambda: Draft.objects.get(item=item).fields["reason"] == [typed], 30)
    page.go_back()
    page.reload()
    expect(page.locator("#id_reason")).to_have_value(typed)
    expect(page.locator("[name=answer][value=revoke]")).to_be_checked()
    expect(page.locator(".answer-form")).to_contain_text("Nothing is decided yet")
    assert not Decision.objects.exists()


def test_everything_is_reached_without_script(sixty, visit):
    page = visit(sixty, "/inbox/?kind=credential", java_script_enabled=False, **DESKTOP)
    drafts = page.locator("tr.has-draft")
    page.click("tr:has-text('key-00') >> button:has-text('Keep')")
    expect(drafts).to_have_count(1)
    assert "kind=credential" in page.url
    page.click("tr:has-text('key-01') >> button:has-text('Deactivate')")
    expect(drafts).to_have_count(2)
    page.click("tr:has-text('key-01') >> button:has-text('Undo')")
    expect(drafts).to_have_count(1)
    page.click("tr:has-text('key-01') >> button:has-text('Deactivate')")
    expect(drafts).to_have_count(2)
    page.click("text=Look over and submit")
    page.click("button:has-text('Submit 2 answers')")
    expect(page.locator("h1")).to_contain_text("2 answers given")
    assert sorted(Decision.objects.values_list("answer", flat=True)) == ["deactivate", "keep"]


def test_the_first_question_stands_on_the_first_screen_of_a_phone(sixty, visit):
    page = visit(sixty, "/inbox/", width=390, height=844, has_touch=True)
    row = page.locator("tr[data-row]").first
    assert row.bounding_box()["y"] < 844 / 2
    name, words = row.locator(".cell-main"), row.locator(".inbox-access")
    assert name.bounding_box()["x"] == words.bounding_box()["x"]
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    last = page.locator("#f-recommendation")
    last.scroll_into_view_if_needed()
    last.select_option("approve")
    page.wait_for_url("**recommendation=approve**")


def test_all_keys_of_the_page_are_seen_at_once(sixty, visit):
    page = visit(sixty, "/inbox/", **DESKTOP)
    page.keyboard.press("?")
    page.wait_for_selector("#keys[open]")
    expect(page.locator("#keys h3").first).to_have_text("This page")
    assert page.evaluate("(keys => keys.scrollHeight <= keys.clientHeight)(document.querySelector('#keys'))")


def test_passing_a_question_on_is_not_called_deciding(sixty, visit):
    item = ReviewItem.objects.filter(is_privileged=True).first()
    page = visit(sixty, f"/reviews/items/{item.pk}/", **DESKTOP)
    page.keyboard.press("m")
    expect(page.locator(".answer-send")).to_have_text("Pass it on")
    page.keyboard.press("a")
    expect(page.locator(".answer-send")).to_have_text("Decide")


def test_what_was_just_answered_stays_within_reach_of_the_next_question(sixty, visit):
    page = visit(sixty, "/inbox/", **DESKTOP)
    page.keyboard.press("j")
    go(page, "r", "/reviews/items/")
    answered = page.url.split("?")[0]
    page.fill("#id_reason", "A slip of the finger.")
    stop_time(page)  # what is said goes by itself after a while; here it stays until somebody has pressed it
    go(page, "Control+Enter", "/reviews/items/")
    assert not page.url.startswith(answered)
    page.click(".toast >> text=take it back")
    page.click("button:has-text('Take it back')")
    page.wait_for_selector(".answer-form")
    expect(page).to_have_url(re.compile(f"^{re.escape(answered)}"))
    assert ReviewItem.objects.get(pk=answered.rstrip("/").split("/")[-1]).state == "open"


def test_an_owner_on_a_phone_says_not_mine_and_who_in_two_taps(site, make, visit):
    owner, other = make.person(Role.OWNER, name="Olga Brandt"), make.person(Role.OWNER, name="Bo Lind")
    make.grant(make.identity(owner=owner, name="svc-lost"))
    make.campaign(deadline_at=timezone.now() + timedelta(days=9))
    page = visit(owner, "/inbox/", width=390, height=844, has_touch=True)

    page.tap("tr:has-text('svc-lost') >> text=Not mine")
    page.fill("#id_named_person", other.email)
    page.tap(".answer-send")
    page.wait_for_selector("text=Nothing waits for you")

    item = ReviewItem.objects.get()
    assert (item.assignee, item.state) == (other, "open")
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
