"""The reviewers' pages in a real browser: accessible in both modes and widths, quick by keyboard, usable by thumb."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from governance.kernel.actors import Role
from governance.people.access import MAIL_LINK
from reviews.decisions import decide, save_draft
from reviews.models import Decision, Order, ReviewItem
from tests.looking import faults_in_every_look, violations

pytestmark = pytest.mark.browser

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def scene(site, make):
    """An owner with used, unused and privileged access and a credential; a reviewer, a manager, one order."""
    owner = make.person(Role.OWNER, name="Olga Brandt")
    reviewer = make.person(Role.REVIEWER, name="Ravi Menon")
    manager = make.person(Role.CAMPAIGN_MANAGER, name="Mira Kallas")
    source = make.source(name="Ledger")
    etl = make.identity(source, owner=owner, name="etl_nightly")
    batch = make.identity(source, owner=owner, name="batch_admin")
    make.window(source)
    make.use(etl, "SELECT", "table:ledger/public/payments", count=4212)
    grants = [make.grant(etl), make.grant(etl, make.NARROWER), make.grant(batch, make.PRIVILEGED)]
    credential = make.credential(etl, never_expires=True)
    schedule = make.schedule(created_by=manager)
    campaign = make.campaign(
        manager=manager,
        schedule=schedule,
        independent_reviewer=reviewer,
        item_kinds=["grant", "credential"],
        deadline_at=timezone.now() + timedelta(days=9),
    )
    make.owner, make.reviewer, make.manager, make.review, make.plan = owner, reviewer, manager, campaign, schedule
    make.plain, make.spare, make.privileged, make.key = (
        make.get_item(campaign, thing) for thing in (*grants, credential)
    )
    save_draft(item=make.key, version=1, actor=make.actor(owner), now=timezone.now(), answer="keep")
    make.free = make.grant(etl, label="payments and refunds")
    decide(item=make.spare, version=1, answer="revoke", actor=make.actor(owner), now=timezone.now(), reason="Old.")
    return make


def test_every_page_is_accessible_and_never_scrolls_sideways(scene, visit):
    order = Order.objects.get()
    visits = [
        (scene.owner, "/inbox/", ""),
        (scene.owner, f"/reviews/items/{scene.plain.pk}/", "#preview .diff"),
        (scene.owner, f"/reviews/items/{scene.privileged.pk}/", ""),
        (scene.owner, f"/reviews/items/{scene.key.pk}/?answer=rotate", "#preview .banner"),
        (scene.owner, f"/reviews/items/{scene.spare.pk}/", ".answered"),
        (scene.manager, f"/reviews/{scene.review.pk}/", ".timeline"),
        (scene.manager, "/reviews/", ""),
        (scene.manager, "/reviews/schedules/", ""),
        (scene.manager, f"/reviews/schedules/{scene.plan.pk}/", ""),
        (scene.manager, "/reviews/schedules/new/", "#schedule-preview ol"),
        (scene.manager, "/reviews/watches/", ""),
        (scene.manager, "/reviews/watches/new/", ""),
        (scene.reviewer, f"/reviews/narrow/{scene.free.pk}/", "#preview .diff"),
        (scene.reviewer, f"/grants/{scene.plain.grant_id}/", ".narrow-form"),
        (scene.reviewer, f"/identities/{scene.plain.identity_id}/", ".grant-narrow"),
        (scene.reviewer, "/orders/", ""),
        (scene.reviewer, f"/orders/{order.pk}/", ""),
    ]
    found = []
    for person, path, waits_for in visits:
        page = visit(person, path, **DESKTOP)
        if "plain" in path or path.endswith(f"{scene.plain.pk}/"):
            page.check("[name=answer][value=scope_down]", force=True)
        if waits_for:
            page.wait_for_selector(waits_for)
        # What is closed at first must be as good as what is open.
        page.evaluate("document.querySelectorAll('main details').forEach((each) => { each.open = true; })")
        found += [f"{path} {each}" for each in faults_in_every_look(page)]
        page.context.close()
    assert found == []


def test_the_desk_is_accessible_and_never_scrolls_sideways(scene, visit):
    columns = "&".join(f"cols={name}" for name in ("use", "exposure", "owner", "last", "recommendation"))
    found = []
    for path in (f"/inbox/?by=source&{columns}", "/inbox/?by=permission", "/inbox/drafts/"):
        page = visit(scene.owner, path, **DESKTOP)
        page.evaluate("document.querySelectorAll('main details').forEach((each) => { each.open = true; })")
        found += [f"{path} {each}" for each in faults_in_every_look(page)]
        page.context.close()
    assert found == []


def test_scoping_down_by_keyboard_with_a_live_proof(scene, visit):
    page = visit(scene.owner, f"/reviews/items/{scene.plain.pk}/", **DESKTOP)

    page.keyboard.press("s")
    page.wait_for_selector("text=0 of 4 212")
    page.uncheck("text=read every row of table payments >> xpath=ancestor::label >> input")
    page.wait_for_selector("text=Nothing would remain")
    page.check("text=read every row of table payments >> xpath=ancestor::label >> input")
    page.wait_for_selector("text=Proved:")
    page.click("text=Decide")
    page.wait_for_selector(".answered")

    expect(page.locator(".answered")).to_contain_text("Scope down")
    assert Decision.objects.filter(item=scene.plain).get().target == scene.NARROWER
    page.click("text=Take it back")
    page.wait_for_selector("[name=answer]", state="attached")
    assert Order.objects.get(decision__item=scene.plain).state == "recalled"


def test_a_narrowing_is_tried_and_asked_for_by_keyboard(scene, visit):
    grant = scene.free.pk
    page = visit(scene.reviewer, f"/reviews/narrow/{grant}/", **DESKTOP)
    page.wait_for_selector("text=Proved:")

    page.focus(".piece >> nth=0 >> input")
    page.keyboard.press("Space")
    page.wait_for_selector("text=Nothing would remain")
    page.keyboard.press("Space")
    page.wait_for_selector("text=Proved:")
    page.click("summary:has-text('Only a part of it') >> nth=0")
    page.fill(".place-only input >> nth=0", "table:ledger/public/salaries")
    page.keyboard.press("Tab")
    page.wait_for_selector("text=Not inside what is held.")
    assert violations(page) == []
    page.fill(".place-only input >> nth=0", "")
    page.keyboard.press("Tab")
    page.wait_for_selector("text=Proved:")
    page.fill("#id_reason", "Only read.")
    page.click("text=Ask whether to do this")
    page.wait_for_selector(".proposal")

    expect(page.locator(".proposal")).to_contain_text("Only read.")
    assert ReviewItem.objects.filter(grant=grant, campaign__frozen__has_key="asked").count() == 1


def test_another_suggestion_comes_without_losing_the_page(scene, visit):
    page = visit(scene.owner, f"/reviews/items/{scene.plain.pk}/", **DESKTOP)
    page.keyboard.press("s")
    page.wait_for_selector("text=Proved:")
    page.fill("#id_reason", "Typed before.")
    page.uncheck(".piece >> nth=0 >> input")
    page.wait_for_selector("text=Nothing would remain")

    page.click(".suggestions .chip >> nth=0")
    page.wait_for_selector("text=Proved:")

    expect(page.locator(".piece >> nth=0 >> input")).to_be_checked()
    expect(page.locator("#id_reason")).to_have_value("Typed before.")


def test_the_preview_is_of_what_is_chosen_now_however_it_was_asked_for(scene, visit, answers_held):
    page = visit(scene.owner, f"/reviews/items/{scene.plain.pk}/", **DESKTOP)
    page.keyboard.press("s")
    page.wait_for_selector("text=Proved:")
    with answers_held(page, "**/preview/") as held:
        page.click("button:has-text('Preview')")
        page.uncheck(".piece >> nth=0 >> input")
        held.wait_for(2)

    page.wait_for_selector("text=Nothing would remain")


def test_a_narrowing_is_tried_without_script(scene, visit):
    page = visit(scene.reviewer, f"/reviews/narrow/{scene.free.pk}/", java_script_enabled=False, **DESKTOP)
    page.click("text=Preview")
    page.wait_for_selector("text=Proved:")
    page.click("text=Ask whether to do this")
    page.wait_for_selector(".proposal")


def _walk_to(page, *words):
    """Rows of one identity stand in no order that a test could know; the keys go to the one with these words."""
    for key in ("k", "k", "k", "k", "k", "k", "j", "j", "j", "j", "j", "j"):
        current = page.query_selector(".is-current")
        if current is not None and all(word in current.inner_text() for word in words):
            return
        page.keyboard.press(key)
    raise AssertionError(f"no row with {words}")


def test_the_inbox_is_triaged_by_keyboard(scene, visit):
    page = visit(scene.owner, "/inbox/", **DESKTOP)

    _walk_to(page, "etl_nightly", "table payments")
    page.keyboard.press("a")
    # One was drafted before.
    page.wait_for_selector("#draft-bar:has-text('2 drafted')")
    assert Decision.objects.exclude(item=scene.spare).count() == 0

    _walk_to(page, "etl_nightly", "table payments")
    page.keyboard.press("x")
    expect(page.locator("[data-selected-count]")).to_have_text("1")
    with page.expect_navigation():  # keys work once the page has come as a whole
        page.keyboard.press("A")
    page.wait_for_selector("text=Nothing has been applied yet.")
    assert violations(page) == []
    page.keyboard.press("c")
    page.keyboard.type("Needed every night.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=1 question answered")


def test_people_ask_each_other_on_the_page_of_a_question(scene, visit):
    page = visit(scene.owner, f"/reviews/items/{scene.plain.pk}/", **DESKTOP)
    page.keyboard.press("q")
    page.select_option("#id_ask-asked", label="Mira Kallas, runs the review")
    page.fill("#id_ask-text", "Does the month-end run still write?")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=No reply yet.")

    other = visit(scene.manager, "/inbox/", **PHONE)
    other.click("text=about etl_nightly")
    other.fill("#talk textarea", "It only reads.")
    assert violations(other) == []
    other.click("button:has-text('Reply')")
    other.wait_for_selector(".talk-reply:has-text('It only reads.')")
    # Whoever has replied is done: no form for a question of their own opens by itself.
    other.wait_for_load_state("load")
    assert not other.locator("#ask-somebody[open]").count()
    other.goto(other.url.split("/reviews/")[0] + "/inbox/")
    expect(other.locator("main")).not_to_contain_text("about etl_nightly")


def test_an_owner_on_a_phone_answers_in_two_taps_and_a_sentence(scene, visit):
    page = visit(scene.owner, "/inbox/", method=MAIL_LINK, has_touch=True, **PHONE)

    page.tap("tr:has-text('batch_admin') >> text=Yes")
    page.wait_for_selector("#id_reason")
    page.wait_for_selector("#preview > *")
    page.fill("#id_reason", "The nightly batch empties its staging rows.")
    page.tap(".answer-send")
    page.wait_for_selector("text=Attested by Olga Brandt")

    scene.privileged.refresh_from_db()
    assert (scene.privileged.state, scene.privileged.assignee) == ("attested", scene.reviewer)


def test_the_help_lists_the_keys_of_the_page(scene, visit):
    page = visit(scene.owner, f"/reviews/items/{scene.plain.pk}/", **DESKTOP)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("Scope down")
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    page.wait_for_url(lambda url: str(scene.plain.pk) not in url)


def test_the_page_works_without_script(scene, visit):
    page = visit(scene.owner, f"/reviews/items/{scene.plain.pk}/", java_script_enabled=False, **DESKTOP)
    page.check("[name=answer][value=revoke]", force=True)
    page.click("text=Preview")
    page.wait_for_selector("text=A person has to do this.")
    page.click("text=Decide")
    page.wait_for_selector(".answered")


@pytest.mark.parametrize("has_touch", [True, False], ids=["finger", "mouse"])
def test_a_button_that_moves_under_a_hand_is_pressed_and_not_what_came_in_its_place(
    scene, visit, answers_held, has_touch
):
    path = f"/reviews/items/{scene.plain.pk}/?answer=not_mine"
    page = visit(scene.owner, "/inbox/", **PHONE, has_touch=has_touch)
    touch = page.context.new_cdp_session(page)
    with answers_held(page, "**/preview/"):
        page.goto(page.url.replace("/inbox/", path))
        button = page.locator(".answer-send")
        button.scroll_into_view_if_needed()
        box = button.bounding_box()
        x, y = box["x"] + 20, box["y"] + 5
        if has_touch:
            touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        else:
            page.mouse.move(x, y)
            page.mouse.down()
    page.wait_for_selector("text=The question goes to")
    assert button.bounding_box()["y"] > y
    with page.expect_navigation(url="**/inbox/"):
        if has_touch:
            touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        else:
            page.mouse.up()
    assert ReviewItem.objects.get(pk=scene.plain.pk).assignee != scene.owner
