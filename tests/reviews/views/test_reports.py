"""Reports as pages, files and API: who may read them, and that they open in every state."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from reviews.models import Campaign

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager(make):
    return make.person(Role.CAMPAIGN_MANAGER, name="Mira Kallas")


@pytest.fixture
def running(make, manager, answer):
    """A review of three questions, one of them answered."""
    for name in ("svc-one", "svc-two", "svc-three"):
        make.grant(make.identity(owner=make.person(Role.OWNER, name=f"Owner of {name}"), name=name))
    campaign = make.campaign(manager=manager, deadline_at=timezone.now() + timedelta(days=9))
    answer(campaign.items.get(identity__name="svc-one"), "revoke", reason="Not needed.")
    return campaign


def test_the_report_says_the_numbers_and_shows_a_table_behind_the_chart(running, manager, page_of):
    text = page_of(manager, "reviews:campaign_report", running.pk)
    assert "1 of 3 questions" in text
    assert 'class="line-chart"' in text
    assert "Open questions per day, as a table" in text
    assert "not assessable: nobody gave ten answers one by one" in text
    assert "style=" not in text.split("<main")[1].split("</main>")[0]


@pytest.mark.parametrize("state", ["draft", "opening", "open", "closing", "closed", "completed", "cancelled"])
def test_it_opens_in_every_state(running, manager, page_of, state):
    Campaign.objects.update(state=state)
    text = page_of(manager, "reviews:campaign_report", running.pk)
    assert ("Nothing to report yet" in text) == (state in {"draft", "opening"})


def test_a_review_called_off_before_it_opened_has_no_days(running, manager, page_of):
    Campaign.objects.update(state="cancelled", opened_at=None)
    assert "It never opened." in page_of(manager, "reviews:campaign_report", running.pk)


def test_an_unknown_clock_is_said_and_the_usual_one_used(running, manager, browse):
    path = reverse("reviews:campaign_report", args=[running.pk])
    wrong = browse(manager).get(path, {"zone": "Mars/Olympus"})
    right = browse(manager).get(path, {"zone": "Asia/Tokyo"})
    assert (wrong.status_code, right.status_code) == (422, 200)
    assert "is not a time zone" in wrong.content.decode()
    assert "(Asia/Tokyo)" in right.content.decode()


def test_a_report_says_that_its_review_was_closed_before_the_deadline(running, manager, page_of):
    words = "closed 3 May 2031, 04:05"
    assert words not in page_of(manager, "reviews:campaign_report", running.pk, zone="UTC")
    running.state, running.closed_at = "closed", datetime(2031, 5, 3, 4, 5, tzinfo=UTC)
    running.deadline_at = datetime(2031, 5, 9, 20, 30, tzinfo=UTC)
    running.save(update_fields=["state", "closed_at", "deadline_at"])
    assert words in page_of(manager, "reviews:campaign_report", running.pk, zone="UTC")


def test_times_of_a_report_are_those_of_the_clock_it_names(running, manager, page_of):
    running.deadline_at = datetime(2031, 5, 9, 20, 30, tzinfo=UTC)
    running.save(update_fields=["deadline_at"])
    tokyo = ZoneInfo("Asia/Tokyo")
    before = timezone.localtime(timezone=tokyo)
    review = page_of(manager, "reviews:campaign_report", running.pk, zone="Asia/Tokyo")
    programme = page_of(manager, "reviews:programme", zone="Asia/Tokyo")
    assert "to 10 May 2031, 05:30" in review
    shown = [re.search(r"as of (\d+ \w+ \d+, \d\d):\d\d", text)[1] for text in (review, programme)]
    assert set(shown) <= {f"{at:%-d %b %Y, %H}" for at in (before, timezone.localtime(timezone=tokyo))}


def test_the_numbers_can_be_taken_away(running, manager, browse):
    client = browse(manager)
    numbers = client.get(reverse("reviews:campaign_report_json", args=[running.pk])).json()
    sheet = b"".join(client.get(reverse("reviews:campaign_report_csv", args=[running.pk]))).decode()
    assert numbers["progress"]["asked"] == 3
    assert "progress.asked,3\r\n" in sheet
    assert numbers["answers"]["teams"] == []


def test_a_manager_reads_only_the_reports_of_their_own_reviews_and_reviewers_none(running, make, browse):
    names = ("campaign_report", "campaign_report_json", "campaign_report_csv", "campaign_people")
    for name in names:
        path = reverse(f"reviews:{name}", args=[running.pk])
        assert browse(make.person(Role.CAMPAIGN_MANAGER)).get(path).status_code == 404
        assert browse(make.person(Role.REVIEWER, Role.OWNER)).get(path).status_code == 403
        assert browse(make.person(Role.AUDITOR)).get(path).status_code == 200


def test_reading_person_by_person_is_on_record_and_the_report_itself_is_not(running, manager, page_of):
    page_of(manager, "reviews:campaign_report", running.pk)
    assert not AuditEvent.objects.filter(verb="quality.read").exists()
    text = page_of(manager, "reviews:campaign_people", running.pk)
    assert "Owner of svc-one" in text
    assert "too few answers to tell" in text
    assert AuditEvent.objects.filter(verb="quality.read").count() == 1


def test_the_report_names_nobody(running, manager, page_of):
    assert "Owner of svc-one" not in page_of(manager, "reviews:campaign_report", running.pk)


def test_opening_a_question_is_noted_for_whoever_is_asked(running, browse, manager):
    item = running.items.get(identity__name="svc-two")
    path = reverse("reviews:item_detail", args=[item.pk])
    browse(manager).get(path)
    assert not item.viewings.exists()
    browse(item.assignee).get(path)
    assert [viewing.person_id for viewing in item.viewings.all()] == [item.assignee_id]


def test_the_page_costs_a_fixed_number_of_queries(running, manager, browse, django_assert_max_num_queries):
    client = browse(manager)
    path = reverse("reviews:campaign_report", args=[running.pk])
    client.get(path)
    with django_assert_max_num_queries(22):
        client.get(path)


def test_an_empty_programme_teaches_what_will_stand_there(make, page_of):
    text = page_of(make.person(Role.AUDITOR), "reviews:programme")
    assert "Nothing to report in this period" in text
    assert "measured once a day" in text


def test_the_programme_opens_with_a_period_of_ones_own_and_says_what_is_no_period(running, make, browse):
    client = browse(make.person(Role.AUDITOR))
    path = reverse("reviews:programme")
    assert "1 under way" in client.get(path).content.decode()
    assert "not measured in this period" in client.get(path, {"days": "365"}).content.decode()
    wrong = client.get(path, {"from": "soon"})
    assert wrong.status_code == 422
    assert "is not a date" in wrong.content.decode()
    assert "20 Jan 2026" in client.get(path, {"from": "2026-01-20", "to": "2026-02-20"}).content.decode()


def test_the_programmes_numbers_can_be_taken_away(running, make, browse):
    client = browse(make.person(Role.AUDITOR))
    numbers = client.get(reverse("reviews:programme_json")).json()
    sheet = b"".join(client.get(reverse("reviews:programme_csv"))).decode()
    assert numbers["now"]["running"] == 1
    assert "now.running,1\r\n" in sheet
    refused = client.get(reverse("reviews:programme_json"), {"days": "0"})
    assert refused.status_code == 422


def test_reports_are_closed_to_people_who_only_answer_and_the_rail_says_so(make, browse, page_of):
    reviewer = make.person(Role.REVIEWER)
    assert browse(reviewer).get(reverse("reviews:programme")).status_code == 403
    assert "Hidden by your role" in page_of(reviewer, "reviews:inbox")


def test_the_programme_costs_a_fixed_number_of_queries(running, make, browse, django_assert_max_num_queries):
    client = browse(make.person(Role.AUDITOR))
    path = reverse("reviews:programme")
    client.get(path)
    with django_assert_max_num_queries(22):
        client.get(path)
