"""Why an interval is short enough: approved by somebody else, and again when it gets longer."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from reviews.campaigns.reasoning import ApprovedAlready, OwnReasoning, approve_interval
from reviews.campaigns.schedules import StaleSchedule, change_schedule, create_schedule
from reviews.models import IntervalReasoning
from reviews.selectors import reasoning_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def author(make):
    return make.person(Role.CAMPAIGN_MANAGER, name="Ada Ownsworth")


@pytest.fixture
def other(make):
    return make.person(Role.ADMINISTRATOR, name="Ravi Menon")


@pytest.fixture
def schedule(make, author):
    facts = {"name": "S", "rrule": "FREQ=MONTHLY", "starts_at": make.NOW, "interval_reason": "Nothing changes here."}
    return create_schedule(**facts, fallback_reviewer=author, actor=make.actor(author), now=make.NOW)


@pytest.fixture
def approved(make, schedule, other):
    approve_interval(schedule=schedule, version=1, actor=make.actor(other), now=make.NOW)
    return schedule


def change(make, schedule, by, **changes):
    later = make.NOW + timedelta(hours=schedule.version)
    return change_schedule(
        schedule=schedule, version=schedule.version, changes=changes, actor=make.actor(by), now=later
    )


def test_who_wrote_it_and_who_approved_it_is_kept(schedule, approved, author, other, make):
    found = reasoning_of(schedule)
    assert (found.written_by, found.approved_by, found.approved_at) == (author, other, make.NOW)
    assert found.reason == "Nothing changes here."


def test_nobody_approves_their_own_reason(make, schedule, author, verbs):
    with pytest.raises(OwnReasoning):
        approve_interval(schedule=schedule, version=1, actor=make.actor(author), now=make.NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        IntervalReasoning.objects.update(approved_by=author, approved_at=make.NOW)
    assert verbs() == ["schedule.created"]


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.OWNER, Role.AUDITOR], ids=str)
def test_only_who_may_plan_approves(make, schedule, role):
    with pytest.raises(Forbidden):
        approve_interval(schedule=schedule, version=1, actor=make.actor(make.person(role)), now=make.NOW)


def test_an_approval_is_given_once_and_for_what_was_read(make, schedule, approved, author, other):
    with pytest.raises(ApprovedAlready):
        approve_interval(schedule=schedule, version=1, actor=make.actor(other), now=make.NOW)
    changed = change(make, schedule, author, rrule="FREQ=YEARLY")
    with pytest.raises(StaleSchedule):
        approve_interval(schedule=changed, version=1, actor=make.actor(other), now=make.NOW)


@pytest.mark.parametrize(
    ("changes", "stands"),
    [
        ({"rrule": "FREQ=YEARLY"}, False),
        ({"rrule": "FREQ=MONTHLY;INTERVAL=2"}, False),
        ({"rrule": "FREQ=DAILY;COUNT=1"}, False),
        ({"interval_reason": "Nothing ever changes here."}, False),
        ({"rrule": "FREQ=WEEKLY"}, True),
        ({"rrule": "FREQ=MONTHLY;BYMONTHDAY=1"}, True),
        ({"time_zone": "Europe/Berlin"}, True),
        ({"duration_days": 3}, True),
        ({"scope": "privileged=yes"}, True),
    ],
    ids=str,
)
def test_it_is_asked_again_when_the_interval_gets_longer_or_the_words_change(make, approved, author, changes, stands):
    changed = change(make, approved, author, **changes)
    assert (reasoning_of(changed).approved_by_id is not None) is stands


def test_shorter_and_back_to_what_was_approved_needs_no_new_approval(make, approved, author):
    changed = change(make, approved, author, rrule="FREQ=WEEKLY")
    assert reasoning_of(change(make, changed, author, rrule="FREQ=MONTHLY")).approved_by_id is not None


def test_whoever_made_it_longer_is_its_author_now(make, approved, other, author):
    changed = change(make, approved, other, rrule="FREQ=YEARLY")
    with pytest.raises(OwnReasoning):
        approve_interval(schedule=changed, version=changed.version, actor=make.actor(other), now=make.NOW)
    approve_interval(schedule=changed, version=changed.version, actor=make.actor(author), now=make.NOW)
    assert list(IntervalReasoning.objects.order_by("written_at").values_list("approved_by", flat=True)) == [
        other.pk,
        author.pk,
    ]


def test_a_schedule_from_before_is_approved_by_somebody_other_than_its_manager(make, author, other):
    schedule = make.schedule(created_by=author)
    with pytest.raises(OwnReasoning):
        approve_interval(schedule=schedule, version=1, actor=make.actor(author), now=make.NOW)
    approve_interval(schedule=schedule, version=1, actor=make.actor(other), now=make.NOW)
    assert reasoning_of(schedule).approved_by == other


def test_a_program_approves_in_the_name_of_a_person_and_with_the_version_it_read(make, schedule, client, make_token):
    headers = {"authorization": f"Bearer {make_token({'reviews:read', 'reviews:write'})[1]}"}
    path = f"/api/v1/schedules/{schedule.pk}/"
    read = client.get(path, headers=headers)
    assert read.json()["interval_approval"]["approved_by"] is None
    assert client.post(f"{path}approve/", headers=headers).status_code == 428
    done = client.post(f"{path}approve/", headers=headers | {"if-match": read["ETag"]})
    assert done.status_code == 200
    assert done.json()["interval_approval"]["approved_by"] is not None


def test_the_page_offers_it_to_others_only_and_shows_who_did(make, schedule, author, other, client, sign_in):
    path = reverse("reviews:schedule_detail", args=[schedule.pk])
    assert b"Approve this reason" not in sign_in(client, author, method="password+totp").get(path).content
    browser = sign_in(client, other, method="password+totp")
    assert b"Approve this reason" in browser.get(path).content
    browser.post(reverse("reviews:schedule_approve", args=[schedule.pk]), {"version": "1"})
    page = browser.get(path).content.decode()
    assert "Approve this reason" not in page
    assert "by Ravi Menon" in page
