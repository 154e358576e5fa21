"""Starting a review from its page: fields and text are one scope, nothing starts unseen, and nothing starts twice."""

import os
import re
from html.parser import HTMLParser

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.http import QueryDict
from django.template.loader import render_to_string
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import expect

from governance.kernel.actors import Role
from identities.selectors.filters import InventoryFilter
from reviews.decisions import decide_many
from reviews.forms.scopes import ScopeForm, scope_of
from reviews.models import Campaign, ReviewSchedule
from reviews.templatetags.scopes import in_words
from tests.identities.lists.test_filter_text import filters
from tests.looking import settled

SHOTS = os.environ.get("SHOTS", "")
SOURCES = [("ledger", "Ledger"), ("aws", "AWS")]


class Browser(HTMLParser):
    """What a browser would send of the fields in a piece of a page."""

    def __init__(self, html):
        super().__init__()
        self.fields, self.select = {}, None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "input" and "name" in found:
            self.fields[found["name"]] = found.get("value") or ""
        elif tag == "select":
            self.select = found["name"]
            self.fields[self.select] = None
        elif tag == "option" and (self.fields[self.select] is None or "selected" in found):
            self.fields[self.select] = found.get("value", "")


def shown(scope):
    """The fields of the builder as they come back when nobody touches them."""
    page = render_to_string("reviews/_scope_builder.html", {"builder": ScopeForm(scope, sources=SOURCES)})
    return Browser(page).fields


def reviewable(given):
    return InventoryFilter.parse({name: value for name, value in given.items() if name != "retired"})


@given(filters())
@settings(max_examples=60, deadline=None)
def test_text_to_fields_and_back_is_the_same_text(given):
    text = reviewable(given).to_text()
    assert scope_of(shown(text)) == text


@given(filters(), filters())
@settings(max_examples=60, deadline=None)
def test_whichever_of_the_two_was_edited_fills_the_other(before, after):
    old, new = reviewable(before).to_text(), reviewable(after).to_text()
    by_text = scope_of(shown(old) | {"scope": new})
    assert by_text == new
    assert {name: shown(by_text)[name] for name in ("kind", "path", "q", "new_since")} == {
        name: getattr(reviewable(after), name) for name in ("kind", "path", "q", "new_since")
    }
    typed = {name: getattr(reviewable(after), name) for name in shown("") if name not in ("scope", "scope_was")}
    assert scope_of(shown(old) | typed) == new


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_text_that_nobody_can_mean_is_kept_and_never_becomes_everything(text):
    back = scope_of({"scope": text, "scope_was": ""})
    assert scope_of(shown(back)) == back.strip()


@pytest.fixture
def manager(make, db):
    return make.person(Role.CAMPAIGN_MANAGER)


@pytest.fixture
def plan(make, db):
    return {
        "name": "After the incident",
        "scope": "",
        "item_kinds": ["grant"],
        "reviewer_rules": ["owner"],
        "duration_days": "5",
        "fallback_reviewer": str(make.person(Role.REVIEWER).pk),
        "independent_reviewer": "",
        "deadline_policy": "revoke",
        "key": "once-only",
    }


def seen_in(response):
    return Browser(response.content.decode()).fields["seen"]


def test_nothing_starts_before_its_preview_was_shown(make, browse, manager, plan):
    owner = make.person(Role.OWNER, name="Ada Ownsworth")
    make.grant(make.identity(owner=owner))
    client, path = browse(manager), reverse("reviews:campaign_create")
    unseen = client.post(path, plan | {"do": "start"})
    assert "Look at the preview" in unseen.content.decode()
    assert "Ada Ownsworth" in unseen.content.decode()
    assert not Campaign.objects.exists()
    started = client.post(path, plan | {"do": "start", "seen": seen_in(unseen)})
    campaign = Campaign.objects.get()
    assert started["Location"] == reverse("reviews:campaign_detail", args=[campaign.pk])
    assert (campaign.manager, campaign.schedule, campaign.deadline_policy) == (manager, None, "revoke")


def test_another_scope_than_the_one_that_was_seen_is_shown_first(make, browse, manager, plan):
    make.grant(make.identity(make.source(slug="ledger")))
    client, path = browse(manager), reverse("reviews:campaign_create")
    seen = seen_in(client.post(path, plan | {"do": "preview"}))
    changed = client.post(path, plan | {"do": "start", "seen": seen, "scope": "source=ledger"})
    assert "Look at the preview" in changed.content.decode()
    assert not Campaign.objects.exists()


def test_a_page_that_is_sent_twice_starts_one_review(make, browse, manager, plan):
    make.grant()
    client, path = browse(manager), reverse("reviews:campaign_create")
    body = plan | {"do": "start", "seen": seen_in(client.post(path, plan))}
    first, second = client.post(path, body), client.post(path, body)
    assert first["Location"] == second["Location"]
    assert Campaign.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scope": "colour=red"}, "not something to filter by"),
        ({"scope": "owner=me"}, "means nobody"),
        ({"name": ""}, "required"),
        ({"duration_days": "0"}, "greater than or equal to 1"),
        ({"item_kinds": []}, "required"),
    ],
    ids=["unknown field", "me", "no name", "no days", "no kinds"],
)
def test_a_mistake_is_named_and_what_was_typed_stays(make, browse, manager, plan, change, said):
    make.grant()
    response = browse(manager).post(reverse("reviews:campaign_create"), plan | change)
    assert response.status_code == 422
    assert said in response.content.decode()
    assert ("After the incident" in response.content.decode()) == ("name" not in change)


def test_a_scope_that_matches_nothing_cannot_start(make, browse, manager, plan):
    make.grant()
    client, path = browse(manager), reverse("reviews:campaign_create")
    body = plan | {"scope": "source=nowhere"}
    shown_first = client.post(path, body)
    assert "It would ask nothing" in shown_first.content.decode()
    assert client.post(path, body | {"do": "start", "seen": seen_in(shown_first)}).status_code == 422
    assert not Campaign.objects.exists()


def test_the_builder_answers_with_the_other_form_and_how_much_it_is(make, browse, manager):
    make.grant(make.identity(make.source(slug="ledger")), make.PRIVILEGED)
    make.grant()
    data = shown("") | {"privileged": "yes", "item_kinds": "grant"}
    counting, silent = (
        browse(manager).post(reverse("reviews:scope_builder") + query, data, headers={"HX-Request": "true"})
        for query in ("?count=yes", "")
    )
    for page in (counting, silent):
        fields = Browser(page.content.decode()).fields
        assert (fields["scope"], fields["scope_was"]) == ("privileged=yes", "privileged=yes")
    assert "1 grant" in counting.content.decode()
    assert "scope/?count=yes" in counting.content.decode(), "the next edit counts as well"
    assert "1 grant" not in silent.content.decode()


def test_a_schedule_keeps_what_its_fields_say(make, browse, manager, plan):
    timing = {"preset": "FREQ=WEEKLY", "rrule": "", "starts_at": "2027-01-04T09:00", "time_zone": "UTC"}
    body = plan | timing | {"interval_reason": "Little changes here."}
    body |= shown("kind=-bot") | {"standing": "yes"}
    browse(manager).post(reverse("reviews:schedule_create"), body)
    assert ReviewSchedule.objects.get().scope == "kind=-bot&standing=yes"


def test_a_schedule_can_be_simulated(make, page_of, manager):
    owner = make.person(Role.OWNER, name="Ada Ownsworth")
    make.grant(make.identity(owner=owner))
    schedule = make.schedule(created_by=manager)
    page = page_of(manager, "reviews:schedule_simulate", schedule.pk)
    assert "Ada Ownsworth" in page
    assert reverse("reviews:schedule_run", args=[schedule.pk]) in page
    assert not Campaign.objects.exists()


def test_who_may_not_run_a_schedule_is_not_offered_to(make, page_of, manager):
    make.grant()
    schedule = make.schedule(created_by=manager)
    page = page_of(make.person(Role.CAMPAIGN_MANAGER), "reviews:schedule_simulate", schedule.pk)
    assert reverse("reviews:schedule_run", args=[schedule.pk]) not in page


def test_a_scope_is_shown_in_words_with_its_text_beside(make, page_of, manager):
    schedule = make.schedule(created_by=manager, scope="kind=ai_agent,bot&privileged=yes&source=ledger")
    page = page_of(manager, "reviews:schedule_list")
    assert f'title="{schedule.scope.replace("&", "&amp;")}">Source ledger, Privileged, AI agent or Bot<' in page
    assert in_words("no=<b>") == '<span title="no=&lt;b&gt;">no=&lt;b&gt;</span>'
    assert (in_words(""), in_words("", "Everywhere")) == ("Everything", "Everywhere")


def test_a_page_without_the_builder_sends_its_text():
    assert scope_of(QueryDict("scope=kind%3Dbot")) == "kind=bot"


@pytest.mark.django_db
def test_the_page_says_what_it_waits_for_and_releases_it(make, browse, page_of):
    make.grant(make.identity(make.source(name="Old", last_success_at=None)))
    campaign = make.campaign(policy={"freshness": {"stale": "hold"}})
    text = page_of(campaign.manager, "reviews:campaign_detail", campaign.pk)
    assert "Waits until these sources were read: Old." in text
    path = reverse("reviews:campaign_release", args=[campaign.pk])
    assert browse(campaign.manager).post(path, {"reason": ""}).status_code == 422
    assert browse(campaign.manager).post(path, {"reason": "It is gone."}).status_code == 302
    assert Campaign.objects.get().frozen["released"]["reason"] == "It is gone."


def test_the_choice_about_stale_sources_is_kept(make, browse, manager, plan):
    make.grant()
    client, path = browse(manager), reverse("reviews:campaign_create")
    body = plan | {"freshness-stale": "hold"}
    client.post(path, body | {"do": "start", "seen": seen_in(client.post(path, body))})
    assert Campaign.objects.get().policy["freshness"] == {"stale": "hold"}


def carrying_schedule(make, manager):
    """A schedule that would find ten unchanged approvals, and other access."""
    owner = make.person(Role.OWNER)
    grants = [make.grant(make.identity(owner=owner)) for _ in range(10)]
    make.grant(make.identity(owner=owner), make.PRIVILEGED)
    first = make.campaign()
    ids = [make.get_item(first, grant).pk for grant in grants]
    decide_many(item_ids=ids, answer="approve", actor=make.actor(owner), now=make.NOW)
    rules = {"is_on": True, "sample_percent": 20, "max_age_days": 730}
    return make.schedule(created_by=manager, policy={"carrying": rules})


def test_the_preview_of_a_schedule_tells_what_it_carries_over(make, browse, manager):
    schedule = carrying_schedule(make, manager)
    text = browse(manager).get(reverse("reviews:schedule_simulate", args=[schedule.pk])).content.decode()
    facts = re.findall(r"<dt>([^<]+)</dt><dd class=\"num\">([^<]+)</dd>", text)
    assert facts == [
        ("Unchanged since a person approved", "10"),
        ("Not asked again", "about 8"),
        ("Asked as a sample (20 %)", "about 2"),
    ]
    assert "Privileged access is always asked about." in text
    type(schedule).objects.filter(pk=schedule.pk).update(policy={})
    plain = browse(manager).get(reverse("reviews:schedule_simulate", args=[schedule.pk])).content.decode()
    assert "Carried over" not in plain


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)], ids=["wide", "narrow and dark"])
def test_what_is_carried_over_is_accessible_and_fits(site, visit, make, width, dark):
    manager = make.person(Role.CAMPAIGN_MANAGER)
    schedule = carrying_schedule(make, manager)
    path = reverse("reviews:schedule_simulate", args=[schedule.pk])
    page = visit(manager, path, width=width, height=900, dark=dark)
    settled(page)
    expect(page.get_by_text("Unchanged since a person approved").first).to_be_visible()
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/carried-{width}.png", full_page=True)
    found = Axe().run(page).response["violations"]
    assert [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]] == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.browser
def test_a_preview_comes_in_place_so_that_going_back_later_sends_nothing(site, visit, make):
    manager = make.person(Role.CAMPAIGN_MANAGER)
    make.grant(make.identity(owner=make.person(Role.OWNER)))
    page = visit(manager, reverse("reviews:campaign_create"), width=1440, height=900)
    page.fill("[name=name]", "After the incident")
    page.select_option("[name=fallback_reviewer]", str(manager.pk))
    page.click("button[value=preview]")
    expect(page.locator("#preview-title")).to_be_focused()
    page.click("button[value=start]")
    page.wait_for_url(re.compile(r"/reviews/[0-9a-f-]{36}/$"))
    sent = []
    page.on("request", lambda request: sent.append(request.method))
    page.go_back()
    expect(page.locator("h1")).to_have_text("Start a review now")
    assert "POST" not in sent
    assert Campaign.objects.count() == 1


@pytest.mark.browser
def test_what_is_typed_while_the_builder_still_asks_is_kept(site, visit, make, answers_held):
    make.source(slug="ledger", name="Ledger")
    page = visit(make.person(Role.CAMPAIGN_MANAGER), reverse("reviews:schedule_create"))
    page.click("#scope-builder summary")
    with page.expect_response("**/reviews/scope/"), answers_held(page, "**/reviews/scope/"):
        page.select_option("#scope-builder [name=source]", "ledger")
        page.focus("#scope-builder [name=q]")
        page.keyboard.type("pay")
    page.keyboard.type("roll")
    page.keyboard.press("Tab")
    expect(page.locator("#id_scope")).to_have_value("q=payroll&source=ledger")
    expect(page.locator("#scope-builder [name=q]")).to_have_value("payroll")
