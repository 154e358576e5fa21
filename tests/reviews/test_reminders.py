"""One digest per person over all reviews: on the chosen days, outside quiet hours, once, and never empty."""

import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.db import connection

from governance.audit.models import AuditEvent
from reviews.campaigns.mail import plan_mail, send_due_mail
from reviews.decisions import decide
from reviews.forms.reminders import RemindersSection
from reviews.models import ReviewMail
from reviews.policies import InvalidPolicy, checked
from reviews.policies.reminders import Reminders

DB = pytest.mark.django_db
DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(autouse=True)
def _links(settings):
    settings.ROOT_URLCONF = "tests.people_urls"
    settings.PUBLIC_URL = "https://remit.example.org"


def asked(make, owner, *, days=14, name="Spring review", permission=None, **more):
    """A review with one question to the owner, its invitation out."""
    grant = make.grant(make.identity(owner=owner), permission)
    scope = f"q={grant.identity.external_id}"
    campaign = make.campaign(name=name, scope=scope, deadline_at=make.NOW + DAY * days, **more)
    send_due_mail(now=make.NOW)
    mail.outbox.clear()
    return make.get_item(campaign, grant)


def due(now, *, rules=None, zone=UTC, opened=None, deadline=None):
    opened = opened or datetime(2026, 3, 2, 9, tzinfo=UTC)
    deadline = deadline or datetime(2026, 3, 16, 9, tzinfo=UTC)
    return (rules or Reminders()).is_due(opened_at=opened, deadline_at=deadline, now=now, zone=zone)


# --- when ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "hour", "is_due"),
    [(12, 12, False), (13, 7, False), (13, 8, True), (13, 19, True), (13, 20, False), (14, 12, False), (16, 8, True)],
)
def test_people_are_reminded_three_days_before_and_on_the_day_at_decent_hours(day, hour, is_due):
    assert due(datetime(2026, 3, day, hour, tzinfo=UTC)) is is_due


def test_the_hours_are_those_of_the_zone_and_so_are_the_days():
    # 23:30 on the 12th in UTC is half past midnight on the 13th in Berlin.
    rules = Reminders(days_before=(3,), quiet_from=6, quiet_until=6)
    late = datetime(2026, 3, 12, 23, 30, tzinfo=UTC)
    assert due(late, rules=rules, zone=BERLIN)
    assert not due(late, rules=rules)


def test_quiet_hours_may_lie_within_a_day():
    rules = Reminders(days_before=(3,), quiet_from=9, quiet_until=17)
    assert [due(datetime(2026, 3, 13, hour, tzinfo=UTC), rules=rules) for hour in (8, 9, 16, 17)] == [
        True, False, False, True,
    ]  # fmt: skip


def test_nobody_is_reminded_past_the_deadline_or_on_the_day_of_the_opening():
    assert not due(datetime(2026, 3, 16, 10, tzinfo=UTC))
    opened = datetime(2026, 3, 13, 8, tzinfo=UTC)
    assert not due(datetime(2026, 3, 13, 12, tzinfo=UTC), opened=opened)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"days_before": [-1]}, "days_before"),
        ({"days_before": [3, 3]}, "days_before"),
        ({"days_before": [366]}, "days_before"),
        ({"days_before": [True]}, "days_before"),
        ({"days_before": "3"}, "days_before"),
        ({"days_before": list(range(11))}, "days_before"),
        ({"quiet_from": 24}, "quiet_from"),
        ({"quiet_until": "8"}, "quiet_until"),
        ({"daily": True}, "daily"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rules_that_cannot_be_kept_are_refused(value, field):
    with pytest.raises(InvalidPolicy) as refusal:
        checked({"reminders": value})
    assert set(refusal.value.details["fields"]) == {f"reminders.{field}"}


def test_the_form_reads_days_as_people_write_them():
    form = RemindersSection({"reminders-days_before": "0, 7,3 "}, prefix="reminders")
    assert form.is_valid()
    assert checked({"reminders": form.to_policy()})["reminders"]["days_before"] == [7, 3, 0]
    assert not RemindersSection({"reminders-days_before": "soon"}, prefix="reminders").is_valid()
    never = RemindersSection({"reminders-days_before": ""}, prefix="reminders")
    assert never.is_valid()
    assert never.to_policy() == {"days_before": []}
    absent = RemindersSection({}, prefix="reminders")
    assert absent.is_valid()
    assert absent.to_policy() == {}


# --- what ---------------------------------------------------------------------------------------------------------


@DB
def test_one_digest_lists_every_review_the_nearest_deadline_first(make, verbs):
    owner = make.person()
    asked(make, owner, days=20, name="Later <review>")
    asked(make, owner, days=14, name="Sooner", permission=make.PRIVILEGED)
    assert send_due_mail(now=make.NOW + DAY * 11) == 1
    [message] = mail.outbox
    html = message.alternatives[0].content
    assert message.to == [owner.email]
    assert message.subject == "Reminder: 2 questions about access, the first until 16 March 2026"
    assert message.body.index("Sooner: 1 question, 1 privileged") < message.body.index("Later <review>: 1 question")
    assert "Later &lt;review&gt;" in html
    assert "https://remit.example.org/m/" in message.body
    assert verbs("mail.")[-1] == "mail.sent"


@DB
def test_a_person_gets_one_a_day_whichever_reviews_are_the_reason(make):
    owner = make.person()
    asked(make, owner, days=14)
    asked(make, owner, days=11)
    # Three days before the one is the day of the other.
    assert send_due_mail(now=make.NOW + DAY * 11 - timedelta(minutes=30)) == 1
    assert send_due_mail(now=make.NOW + DAY * 11 + timedelta(hours=4)) == 0
    assert send_due_mail(now=make.NOW + DAY * 14 - timedelta(minutes=30)) == 1


@DB
def test_who_has_answered_everything_hears_nothing(make):
    item = asked(make, make.person())
    decide(item=item, version=1, answer="approve", actor=make.actor(item.assignee), now=make.NOW)
    assert send_due_mail(now=make.NOW + DAY * 11) == 0
    assert not ReviewMail.objects.filter(kind="digest").exists()


@DB
def test_what_is_answered_between_writing_and_sending_is_dropped(make):
    item = asked(make, make.person())
    plan_mail(now=make.NOW + DAY * 11)
    decide(item=item, version=1, answer="approve", actor=make.actor(item.assignee), now=make.NOW)
    assert send_due_mail(now=make.NOW + DAY * 11) == 0
    assert ReviewMail.objects.get(kind="digest").is_dropped


@DB
def test_a_schedule_chooses_its_days_and_its_clock(make):
    schedule = make.schedule(time_zone="Pacific/Auckland")
    rules = {"reminders": {"days_before": [5], "quiet_from": 20, "quiet_until": 8}}
    asked(make, make.person(), schedule=schedule, policy=rules)
    # The deadline is 22:00 on the 16th in Auckland; at 19:30 UTC on the 10th it is 8:30 on the 11th there.
    assert send_due_mail(now=datetime(2026, 3, 10, 18, 30, tzinfo=UTC)) == 0
    assert send_due_mail(now=datetime(2026, 3, 10, 19, 30, tzinfo=UTC)) == 1


@DB
def test_a_short_review_needs_no_reminder_before_its_last_day(make):
    asked(make, make.person(), days=2)
    assert send_due_mail(now=make.NOW + DAY) == 0


@DB
def test_the_digest_has_a_name_that_stays_when_it_is_sent_again(make, monkeypatch):
    asked(make, make.person())
    moment = make.NOW + DAY * 11

    def dies(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr("reviews.campaigns.mail._mark_sent", dies)
        with pytest.raises(KeyboardInterrupt):
            send_due_mail(now=moment)
    assert send_due_mail(now=moment + timedelta(minutes=5)) == 0
    assert send_due_mail(now=moment + timedelta(minutes=11)) == 1
    first, second = mail.outbox
    assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]
    assert AuditEvent.objects.filter(verb="mail.sent").count() == 2


def test_workers_at_once_send_one_digest_each(committed_db, make):
    owners = [make.person() for _ in range(4)]
    for owner in owners:
        asked(make, owner)
    start, problems = threading.Barrier(4), []

    def work():
        try:
            start.wait()
            send_due_mail(now=make.NOW + DAY * 11)
        except Exception as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sorted(message.to[0] for message in mail.outbox) == sorted(owner.email for owner in owners)


@DB
def test_a_person_in_many_reviews_costs_no_query_per_review(make, django_assert_max_num_queries):
    owner = make.person()
    for number in range(8):
        asked(make, owner, name=f"Review {number}")
    with django_assert_max_num_queries(8):
        plan_mail(now=make.NOW + DAY * 11)
