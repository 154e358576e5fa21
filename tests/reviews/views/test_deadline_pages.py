"""The table of the deadline on the form of a schedule, in the API and in a browser."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from governance.kernel.actors import Role, system_actor
from reviews.campaigns.closing import close_due_campaigns
from reviews.campaigns.opening import open_campaign
from reviews.campaigns.rounds import ask_again
from reviews.campaigns.schedules import create_schedule
from reviews.models import ReviewSchedule
from reviews.policies.deadline import PRESETS, DeadlineTable
from tests.looking import SIZES, faults_in_every_look


@pytest.fixture
def manager(make):
    return make.person(Role.CAMPAIGN_MANAGER, name="Mira Kallas")


@pytest.fixture
def plan(make):
    return {
        "name": "Quarterly ledger review",
        "item_kinds": ["grant"],
        "preset": "FREQ=MONTHLY;INTERVAL=3",
        "starts_at": "2027-01-04T09:00",
        "time_zone": "Europe/Berlin",
        "duration_days": "14",
        "reviewer_rules": ["owner"],
        "fallback_reviewer": str(make.person(Role.REVIEWER).pk),
        "deadline_policy": "table",
        "interval_reason": "Few changes, and alerts in between.",
    }


@pytest.mark.django_db
def test_the_grid_is_kept_cell_by_cell_and_shown_again(manager, browse, plan, page_of):
    grid = {
        "deadline-standard_unused_production": "expire",
        "deadline-standard_unused_production_days": "21",
        "deadline-standard_unused_other": "revoke",
        "deadline-privileged_used_other": "keep",
    }
    browse(manager).post(reverse("reviews:schedule_create"), plan | grid)
    schedule = ReviewSchedule.objects.get()
    table = schedule.policy["deadline"]["table"]
    assert table["standard"]["unused"]["production"] == {"act": "expire", "days": 21}
    assert table["standard"]["unused"]["other"] == {"act": "revoke"}
    assert "end in 21 days" in page_of(manager, "reviews:schedule_detail", schedule.pk)
    assert 'value="21"' in page_of(manager, "reviews:schedule_edit", schedule.pk)


@pytest.mark.django_db
def test_an_end_without_days_is_refused_and_names_its_cell(manager, browse, plan):
    grid = {
        "deadline-privileged_unused_production": "expire",
        "deadline-privileged_unused_production_days": "0",
    }
    response = browse(manager).post(reverse("reviews:schedule_create"), plan | grid)
    assert response.status_code == 422
    assert "Privileged, production, watched and never used: say after how many days" in response.content.decode()
    assert not ReviewSchedule.objects.exists()


@pytest.mark.django_db
def test_a_form_without_the_grid_keeps_the_recommended_table(manager, browse, plan):
    browse(manager).post(reverse("reviews:schedule_create"), plan)
    assert DeadlineTable.from_json(ReviewSchedule.objects.get().policy["deadline"]) == PRESETS["graded"]


@pytest.mark.django_db
def test_a_schedule_with_a_table_is_written_as_the_api_would_write_it(make, manager):
    cells = {"standard": {"unused": {"other": {"act": "revoke"}}}}
    schedule = create_schedule(
        name="S",
        rrule="FREQ=MONTHLY",
        starts_at=make.NOW,
        interval_reason="Nothing changes here.",
        fallback_reviewer=manager,
        deadline_policy="table",
        policy={"deadline": {"table": cells}},
        actor=make.actor(manager),
        now=make.NOW,
    )
    assert schedule.policy["deadline"]["table"]["standard"]["unused"]["other"] == {"act": "revoke"}


@pytest.mark.browser
def test_the_grid_is_accessible_and_fits(site, visit, manager):
    page = visit(manager, "/reviews/schedules/new/", **SIZES[0])
    page.wait_for_selector("#schedule-preview ol")
    expect(page.locator(".deadline-grid").first).to_be_hidden()
    page.select_option("[name=deadline_policy]", "table")
    for size in SIZES:
        page.set_viewport_size(size)
        expect(page.locator(".deadline-grid").first).to_be_visible()
        expect(page.locator("[name=deadline-standard_unused_production_days]")).to_be_visible()
        expect(page.locator("[name=deadline-standard_used_production_days]")).to_be_hidden()
    page.evaluate("document.querySelectorAll('main details').forEach((each) => { each.open = true; })")
    assert faults_in_every_look(page, "form") == []


@pytest.mark.browser
def test_the_page_of_a_round_is_accessible_and_fits(site, visit, make, manager):
    for _ in range(3):
        make.grant(make.identity(owner=make.person(name="Olga Brandt")))
    first = make.campaign(manager=manager, deadline_policy="graded")
    close_due_campaigns(now=first.deadline_at)
    first.refresh_from_db()
    second = ask_again(campaign=first, actor=make.actor(manager), now=make.NOW)
    open_campaign(campaign_id=second.pk, actor=system_actor("scheduler"), now=make.NOW)
    close_due_campaigns(now=second.deadline_at)
    page = visit(manager, f"/reviews/{second.pk}/", **SIZES[0])
    for size in SIZES:
        page.set_viewport_size(size)
        expect(page.get_by_text("Ask 3 again").first).to_be_visible()
    page.evaluate("document.querySelectorAll('main details').forEach((each) => { each.open = true; })")
    assert faults_in_every_look(page, "round") == []
