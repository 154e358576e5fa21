"""A reviewer clears sixty mixed questions with the keyboard alone, in a real browser."""

from datetime import timedelta

import pytest
from django.utils import timezone

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


def go(page, key, part="/inbox/"):
    """Press a key that leads somewhere."""
    with page.expect_navigation(url=lambda url: part in url):
        page.keyboard.press(key)


def test_sixty_mixed_questions_are_cleared_by_keyboard_alone(sixty, visit):
    page = visit(sixty, "/inbox/", **DESKTOP)
    page.wait_for_load_state("networkidle")

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
    assert "48 drafted answers" in page.inner_text("h1")
    assert "Submit 48 answers" in page.inner_text("main")
    go(page, "S", "/inbox/drafts/submit/")

    assert "48 answers given" in page.inner_text("h1")
    assert not ReviewItem.objects.exclude(state="decided").exists()
    assert Decision.objects.values("item").distinct().count() == 60
    assert AuditEvent.objects.filter(verb="item.decided").count() == 60
    assert not Draft.objects.exists()
    go(page, "i")
    assert "Nothing waits for you" in page.inner_text("main")


def test_the_focus_is_always_visible(sixty, visit):
    page = visit(sixty, "/inbox/", **DESKTOP)
    page.keyboard.press("j")
    shown = page.evaluate("getComputedStyle(document.activeElement).boxShadow")
    assert shown != "none"
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.matches('.filters select:focus-visible')")


@pytest.mark.parametrize(
    ("key", "answer", "field"), [("r", "revoke", "id_reason"), ("m", "not_mine", "id_named_person")]
)
def test_what_is_typed_after_choosing_in_the_list_is_text_and_not_a_row_of_keys(sixty, visit, key, answer, field):
    page = visit(sixty, "/inbox/", **DESKTOP)
    page.wait_for_load_state("networkidle")
    page.keyboard.press("j")
    go(page, key, "/reviews/items/")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(200)
    page.keyboard.type("a draft")
    assert page.input_value(f"#{field}") == "a draft"
    assert page.is_checked(f"[name=answer][value={answer}]")


def test_who_answers_for_an_identity_is_answered_by_keyboard(site, make, visit):
    owner = make.person(Role.OWNER, name="Olga Brandt")
    make.identity(name="svc-orphan")
    make.campaign(item_kinds=["ownership"], fallback_reviewer=owner, deadline_at=timezone.now() + timedelta(days=9))
    page = visit(owner, "/inbox/", **DESKTOP)
    page.wait_for_load_state("networkidle")
    page.keyboard.press("j")
    go(page, "r", "/reviews/ownership/")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(200)
    # Were this pressed instead of typed, it would end as “It is mine”.
    page.keyboard.type("retired in May, a relic")
    assert page.is_checked("[name=answer][value=retire]")
    with page.expect_navigation():
        page.keyboard.press("Control+Enter")
    assert Decision.objects.get().answer == "retire"
    assert Decision.objects.get().reason == "retired in May, a relic"


def test_what_is_typed_saves_itself_and_comes_back(sixty, visit):
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
    page.wait_for_timeout(500)
    page.go_back()
    page.reload()
    assert page.input_value("#id_reason") == "Nobody runs it any more."
    assert page.is_checked("[name=answer][value=revoke]")
    assert "Nothing is decided yet" in page.inner_text(".answer-form")
    assert not Decision.objects.exists()


def test_everything_is_reached_without_script(sixty, visit):
    page = visit(sixty, "/inbox/?kind=credential", java_script_enabled=False, **DESKTOP)
    page.click("tr:has-text('key-00') >> button:has-text('Keep')")
    assert "kind=credential" in page.url
    page.click("tr:has-text('key-01') >> button:has-text('Deactivate')")
    page.click("tr:has-text('key-01') >> button:has-text('Undo')")
    page.click("tr:has-text('key-01') >> button:has-text('Deactivate')")
    page.click("text=Look over and submit")
    page.click("button:has-text('Submit 2 answers')")
    assert "2 answers given" in page.inner_text("h1")
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
    assert page.locator("#keys h3").first.inner_text() == "This page"
    assert page.evaluate("(keys => keys.scrollHeight <= keys.clientHeight)(document.querySelector('#keys'))")


def test_passing_a_question_on_is_not_called_deciding(sixty, visit):
    item = ReviewItem.objects.filter(is_privileged=True).first()
    page = visit(sixty, f"/reviews/items/{item.pk}/", **DESKTOP)
    page.keyboard.press("m")
    assert page.locator(".answer-send").inner_text() == "Pass it on"
    page.keyboard.press("a")
    assert page.locator(".answer-send").inner_text() == "Decide"


def test_what_was_just_answered_stays_within_reach_of_the_next_question(sixty, visit):
    page = visit(sixty, "/inbox/", **DESKTOP)
    page.keyboard.press("j")
    go(page, "r", "/reviews/items/")
    answered = page.url.split("?")[0]
    page.fill("#id_reason", "A slip of the finger.")
    go(page, "Control+Enter", "/reviews/items/")
    assert not page.url.startswith(answered)
    page.click(".toast >> text=take it back")
    page.click("button:has-text('Take it back')")
    page.wait_for_selector(".answer-form")
    assert page.url.split("?")[0] == answered
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
