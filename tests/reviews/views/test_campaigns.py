"""Reviews and schedules as pages: progress, filters, ending, planning; and who may open which."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from reviews.campaigns.closing import close_due_campaigns
from reviews.decisions import decide
from reviews.models import Campaign, ReviewSchedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager(make):
    return make.person(Role.CAMPAIGN_MANAGER, name="Mira Kallas")


@pytest.fixture
def running(make, manager):
    """A review of two questions, asked of two people."""
    for name in ("svc-one", "svc-two"):
        make.grant(make.identity(owner=make.person(Role.OWNER, name=f"Owner of {name}"), name=name))
    return make.campaign(manager=manager, deadline_at=timezone.now() + timedelta(days=9))


@pytest.fixture
def plan(make):
    """A complete schedule form."""
    return {
        "name": "Quarterly ledger review",
        "scope": "privileged=no",
        "item_kinds": ["grant"],
        "preset": "FREQ=MONTHLY;INTERVAL=3",
        "rrule": "",
        "starts_at": "2027-01-04T09:00",
        "time_zone": "Europe/Berlin",
        "duration_days": "14",
        "reviewer_rules": ["owner"],
        "fallback_reviewer": str(make.person(Role.REVIEWER).pk),
        "independent_reviewer": "",
        "deadline_policy": "keep_and_escalate",
        "interval_reason": "Few changes, and alerts in between.",
    }


def test_a_manager_sees_progress_load_and_questions(running, manager, page_of):
    text = page_of(manager, "reviews:campaign_detail", running.pk)
    assert "0 of 2" in text
    assert "Owner of svc-one" in text
    assert "svc-two" in text
    assert "Keep and tell the campaign manager" in text
    assert "Close now" in text


def test_a_review_that_was_closed_early_is_due_no_more(running, manager, browse, page_of):
    item = running.items.first()
    assert "due <time" in page_of(manager, "reviews:campaign_detail", running.pk)
    browse(manager).post(reverse("reviews:campaign_close", args=[running.pk]))
    close_due_campaigns(now=timezone.now())
    review = page_of(manager, "reviews:campaign_detail", running.pk)
    question = page_of(manager, "reviews:item_detail", item.pk)
    for text in (review, question):
        assert "due <time" not in text
        assert "closed <time" in text
    assert f'data-label="Ended">{timezone.now():%-d %b %Y}<' in page_of(manager, "reviews:campaign_list")


def test_an_attested_question_is_not_counted_as_decided_and_the_page_says_where_it_went(make, manager, page_of):
    owner = make.person(Role.OWNER)
    deciding = {"manager": manager, "independent_reviewer": make.person(Role.REVIEWER)}
    item = make.item(make.PRIVILEGED, owner=owner, deadline_at=timezone.now() + timedelta(days=9), **deciding)
    words = "What an owner attested stands with whoever decides it."
    assert words not in page_of(manager, "reviews:campaign_detail", item.campaign_id)
    decide(item=item, version=1, answer="approve", actor=make.actor(owner), now=timezone.now(), reason="Needed.")
    text = page_of(manager, "reviews:campaign_detail", item.campaign_id)
    assert words in text
    assert "Decided by people" in text
    assert "1 attested" in text


def test_a_review_that_was_called_off_is_due_no_more(running, manager, browse, page_of):
    browse(manager).post(reverse("reviews:campaign_cancel", args=[running.pk]), {"reason": "Asked by mistake."})
    assert "was due" in page_of(manager, "reviews:campaign_detail", running.pk)
    assert "review called off" in page_of(manager, "reviews:item_detail", running.items.first().pk)


def test_questions_are_filtered_by_person_and_state(running, manager, page_of):
    asked = running.items.get(identity__name="svc-one").assignee
    by_person = page_of(manager, "reviews:campaign_detail", running.pk, assignee=str(asked.pk))
    decided = page_of(manager, "reviews:campaign_detail", running.pk, state="decided")
    nonsense = page_of(manager, "reviews:campaign_detail", running.pk, state="x", assignee="y", escalated="z")
    assert ">svc-two<" not in by_person
    assert "No questions here" in decided
    assert ">svc-two<" in nonsense


def test_stale_sources_are_named(running, manager, page_of):
    running.frozen |= {"warnings": ["Ledger was last read long ago; it may have changed since."]}
    running.save()
    assert "Ledger was last read long ago" in page_of(manager, "reviews:campaign_detail", running.pk)


def test_an_opening_review_refreshes_its_progress_and_an_open_one_does_not(running, manager, browse):
    path = reverse("reviews:campaign_detail", args=[running.pk])
    headers = {"HX-Request": "true", "HX-Target": "campaign-progress"}
    client = browse(manager)
    calm = client.get(path, headers=headers).content.decode()
    Campaign.objects.update(state="opening")
    moving = client.get(path, headers=headers).content.decode()
    assert "hx-trigger" not in calm
    assert 'hx-trigger="every 2s"' in moving
    assert "<html" not in moving


def test_an_opening_review_says_how_many_questions_are_written_without_counting_them(running, manager, page_of, browse):
    running.frozen |= {
        "expected": {"grant": 90_000, "credential": 10_000},
        "progress": {"grant": {"written": 35_000, "last": ["a", "b"]}},
    }
    running.state = "opening"
    running.save()
    text = page_of(manager, "reviews:campaign_detail", running.pk)
    headers = {"HX-Request": "true", "HX-Target": "campaign-progress"}
    client = browse(manager)
    path = reverse("reviews:campaign_detail", args=[running.pk])
    with CaptureQueriesContext(connection) as queries:
        moving = client.get(path, headers=headers).content.decode()
    assert not [query["sql"] for query in queries if "reviews_reviewitem" in query["sql"]]
    for shown in (text, moving):
        assert "35\u202f000 of 100\u202f000" in shown
        assert f'<noscript><p><a class="button button-small" href="{path}">Refresh</a>' in shown
    assert "svc-one" not in text, "half of the questions would look like all of them"


def test_a_page_that_watched_the_opening_loads_anew_when_all_questions_are_there(running, manager, browse):
    headers = {"HX-Request": "true", "HX-Target": "campaign-progress"}
    path = reverse("reviews:campaign_detail", args=[running.pk])
    client = browse(manager)
    Campaign.objects.update(state="opening")
    assert "HX-Refresh" not in client.get(path, headers=headers)
    Campaign.objects.update(state="open")
    assert client.get(path, headers=headers)["HX-Refresh"] == "true"
    assert "HX-Refresh" not in client.get(path)


def test_the_page_costs_a_fixed_number_of_queries(make, manager, browse, django_assert_max_num_queries):
    source = make.source()
    for _ in range(30):
        make.grant(make.identity(source, owner=make.person(Role.OWNER)))
    campaign = make.campaign(manager=manager, deadline_at=timezone.now() + timedelta(days=9))
    client = browse(manager)
    path = reverse("reviews:campaign_detail", args=[campaign.pk])
    client.get(path)
    with django_assert_max_num_queries(12):
        client.get(path)


def test_closing_and_cancelling_belong_to_its_manager(running, manager, make, browse):
    close = reverse("reviews:campaign_close", args=[running.pk])
    other = browse(make.person(Role.CAMPAIGN_MANAGER)).post(close)
    auditor = browse(make.person(Role.AUDITOR)).post(close)
    mine = browse(manager).post(close)
    running.refresh_from_db()
    assert (other.status_code, auditor.status_code, mine.status_code) == (404, 403, 302)
    assert running.state == "closing"


def test_cancelling_needs_a_reason(running, manager, browse):
    path = reverse("reviews:campaign_cancel", args=[running.pk])
    without = browse(manager).post(path, {"reason": " "})
    running.refresh_from_db()
    assert (without.status_code, running.state) == (422, "open")

    response = browse(manager).post(path, {"reason": "Wrong scope."})

    running.refresh_from_db()
    assert response.status_code == 302
    assert (running.state, running.cancelled_reason) == ("cancelled", "Wrong scope.")


@pytest.mark.parametrize("role", [Role.OWNER, Role.REVIEWER])
def test_people_who_only_answer_are_led_to_their_inbox(make, browse, role):
    response = browse(make.person(role)).get(reverse("reviews:campaign_list"))
    assert response["Location"] == reverse("reviews:inbox")


def test_the_list_shows_what_runs_what_comes_and_what_is_over(running, manager, make, page_of):
    make.schedule(name="Yearly keys", created_by=manager, next_due_at=timezone.now() + timedelta(days=3))
    make.campaign(is_open=False, name="Old review", manager=manager, state="completed")
    text = page_of(manager, "reviews:campaign_list")
    assert all(words in text for words in ("Quarterly review", "0 of 2", "Yearly keys", "Old review"))


def test_managers_do_not_see_the_reviews_of_others(running, make, page_of):
    assert "Quarterly review" not in page_of(make.person(Role.CAMPAIGN_MANAGER), "reviews:campaign_list")
    assert "Quarterly review" in page_of(make.person(Role.AUDITOR), "reviews:campaign_list")


def test_a_schedule_is_planned_on_the_clock_of_its_zone(manager, browse, plan, page_of):
    response = browse(manager).post(reverse("reviews:schedule_create"), plan)
    schedule = ReviewSchedule.objects.get()
    assert response.status_code == 302
    assert schedule.starts_at.isoformat() == "2027-01-04T08:00:00+00:00"
    assert schedule.rrule == "FREQ=MONTHLY;INTERVAL=3"
    text = page_of(manager, "reviews:schedule_detail", schedule.pk)
    assert "Monday, 4 January 2027" in text
    assert "Sunday, 4 July 2027" in text
    assert 'value="2027-01-04T09:00"' in page_of(manager, "reviews:schedule_edit", schedule.pk)


@pytest.mark.parametrize(("field", "value", "said"), [
    ("name", "", "required"),
    ("scope", "colour=red", "not something to filter by"),
    ("item_kinds", [], "required"),
    ("time_zone", "Mars/Olympus", "is not a time zone"),
    ("starts_at", "tomorrow", "valid date"),
    ("duration_days", "0", "greater than or equal to 1"),
    ("interval_reason", "short", "auditors ask"),
    ("fallback_reviewer", "00000000-0000-0000-0000-000000000000", "valid choice"),
    ("preset", "custom", "Write the rule."),
])  # fmt: skip
def test_a_plan_that_cannot_be_is_refused_beside_its_field(manager, browse, plan, field, value, said):
    response = browse(manager).post(reverse("reviews:schedule_create"), plan | {field: value})
    text = response.content.decode()
    assert response.status_code == 422
    assert said in text
    assert not ReviewSchedule.objects.exists()
    if field != "name":
        assert 'value="Quarterly ledger review"' in text


@pytest.mark.parametrize("rule", ["FREQ=SECONDLY", "nonsense", "FREQ=DAILY;INTERVAL=0", "FREQ=MONTHLY;BYMONTHDAY=99"])
def test_a_rule_that_cannot_be_is_refused(manager, browse, plan, rule):
    response = browse(manager).post(reverse("reviews:schedule_create"), plan | {"preset": "custom", "rrule": rule})
    assert response.status_code == 422
    assert not ReviewSchedule.objects.exists()


def test_dates_of_a_schedule_stand_on_its_own_clock(make, manager, browse, page_of, plan):
    # Monday, 00:30 in Tokyo; in UTC it is Sunday still.
    data = plan | {"time_zone": "Asia/Tokyo", "starts_at": "2031-01-06T00:30", "preset": "FREQ=WEEKLY"}
    previewed = browse(manager).post(reverse("reviews:schedule_preview"), data).content.decode()
    browse(manager).post(reverse("reviews:schedule_create"), data)
    shown = page_of(manager, "reviews:schedule_detail", ReviewSchedule.objects.get().pk)
    assert "Mon, 6 January 2031" in previewed
    assert "Monday, 6 January 2031" in shown
    for text in (previewed, shown):
        assert '<span class="muted num">00:30</span>' in text
        assert '<span class="muted">Asia/Tokyo</span>' in text
    assert "Every week" in shown
    for name in ("reviews:schedule_list", "reviews:campaign_list"):
        assert "6 Jan 2031, 00:30" in page_of(manager, name)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (["grant", "credential"], "0 questions about access and 0 questions about credentials"),
        (["ownership"], "1 question about who answers for what"),
    ],
)
def test_running_a_schedule_now_says_first_what_it_asks(make, manager, browse, page_of, plan, kinds, words):
    make.identity(name="svc-alone")
    browse(manager).post(reverse("reviews:schedule_create"), plan | {"item_kinds": kinds, "scope": ""})
    assert f"It asks {words}." in page_of(manager, "reviews:schedule_detail", ReviewSchedule.objects.get().pk)


def test_the_preview_counts_and_dates_while_the_form_is_incomplete(make, manager, browse, plan):
    make.grant()
    client = browse(manager)
    path, headers = reverse("reviews:schedule_preview"), {"HX-Request": "true"}
    good = client.post(path, plan | {"name": ""}, headers=headers).content.decode()
    bad = client.post(path, plan | {"scope": "colour=red"}, headers=headers).content.decode()
    empty = client.post(path, {}, headers=headers)
    assert "<strong>1 grant</strong>" in good
    assert "4 January 2027" in good
    assert "not something to filter by" in bad
    assert empty.status_code == 200
    assert not ReviewSchedule.objects.exists()


def test_the_slower_of_two_editors_is_told(manager, browse, plan, make):
    schedule = make.schedule(created_by=manager)
    path = reverse("reviews:schedule_edit", args=[schedule.pk])
    first = browse(manager).post(path, plan | {"version": schedule.version})
    second = browse(manager).post(path, plan | {"version": schedule.version, "name": "Other name"})
    assert (first.status_code, second.status_code) == (302, 409)
    assert "Other name" in second.content.decode()


def test_pausing_resuming_and_running_now(manager, browse, make):
    schedule = make.schedule(created_by=manager)
    make.grant()
    client = browse(manager)
    paused = client.post(reverse("reviews:schedule_pause", args=[schedule.pk]))
    twice = client.post(reverse("reviews:schedule_pause", args=[schedule.pk]))
    client.post(reverse("reviews:schedule_resume", args=[schedule.pk]))
    ran = client.post(reverse("reviews:schedule_run", args=[schedule.pk]))
    again = client.post(reverse("reviews:schedule_run", args=[schedule.pk]))
    schedule.refresh_from_db()
    assert (paused.status_code, twice.status_code, ran.status_code, again.status_code) == (302, 409, 302, 409)
    assert "is under way until" in again.content.decode()
    assert schedule.is_enabled
    assert Campaign.objects.get(schedule=schedule).state == "draft"


@pytest.mark.parametrize(("name", "allowed"), [
    ("schedule_list", {Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.AUDITOR}),
    ("schedule_create", {Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER}),
    ("inbox", set(Role)),
    ("order_list", set(Role)),
])  # fmt: skip
@pytest.mark.parametrize("role", list(Role))
def test_each_page_opens_for_its_roles_only(make, browse, name, allowed, role):
    response = browse(make.person(role)).get(reverse(f"reviews:{name}"))
    assert response.status_code == (200 if role in allowed else 403)


@pytest.mark.parametrize("name", ["inbox", "inbox_count", "campaign_list", "schedule_list", "order_list"])
def test_nobody_looks_in_without_signing_in(client, db, name):
    response = client.get(reverse(f"reviews:{name}"))
    assert response.status_code == 302
    assert "/accounts/login/" in response["Location"]


def test_a_closed_review_is_asked_again_with_one_click(make, manager, browse, page_of):
    make.grant(make.identity(owner=make.person()))
    campaign = make.campaign(manager=manager)
    close_due_campaigns(now=campaign.deadline_at)
    assert "Ask 1 again" in page_of(manager, "reviews:campaign_detail", campaign.pk)
    path = reverse("reviews:campaign_ask_again", args=[campaign.pk])
    response = browse(manager).post(path)
    second = Campaign.objects.get(round=2)
    assert response.headers["Location"] == reverse("reviews:campaign_detail", args=[second.pk])
    assert browse(manager).post(path).status_code == 409
    text = page_of(manager, "reviews:campaign_detail", campaign.pk)
    assert "Round 2" in text
    assert "1 question, 0 decided, 1 silent" in text
    assert "Ask 1 again" not in text
