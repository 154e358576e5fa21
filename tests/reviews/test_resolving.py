"""Who is asked: named people and teams, managers upwards, and what of it stays with the question."""

import uuid

import pytest

from governance.kernel.actors import Role
from governance.people.models import Team
from reviews.campaigns.schedules import InvalidSchedule, create_schedule
from reviews.forms.reviewers import ReviewersSection
from reviews.policies import InvalidPolicy
from reviews.policies.reviewers import Reviewers

pytestmark = pytest.mark.django_db


def team_of(*people, name="Reviewers"):
    team = Team.objects.create(name=name)
    team.members.set(people)
    return team


def asked(make, identity=None, rules=("owner",), **policy):
    grant = make.grant(identity)
    return make.get_item(make.campaign(reviewer_rules=list(rules), policy={"reviewers": policy}), grant)


def outcomes(item):
    return [(step["rule"], step["outcome"]) for step in item.resolution]


def test_a_named_person_is_asked_in_their_turn(make):
    person = make.person()
    item = asked(make, rules=["owner", "person"], person=str(person.pk))
    assert item.assignee == person
    assert outcomes(item) == [("owner", "skipped"), ("person", "asked")]


def test_a_member_of_a_named_team_is_asked_and_the_team_is_kept_as_it_was(make):
    people = [make.person() for _ in range(3)]
    team = team_of(*people)
    item = asked(make, rules=["group"], team=str(team.pk))
    assert item.assignee in people
    team.members.clear()
    item.refresh_from_db()
    assert item.resolution[0]["members"] == sorted(str(person.pk) for person in people)


def test_the_owning_team_is_kept_as_it_was_too(make):
    person = make.person()
    identity = make.identity(team=team_of(person))
    item = asked(make, identity, rules=["team"])
    assert (item.assignee, item.resolution[0]["members"]) == (person, [str(person.pk)])


def test_the_load_of_a_team_spreads(make):
    people = [make.person() for _ in range(3)]
    team = team_of(*people)
    make.many_grants(60, each=1)
    review = make.campaign(reviewer_rules=["group"], policy={"reviewers": {"team": str(team.pk)}})
    assert set(review.items.values_list("assignee", flat=True)) == {person.pk for person in people}


def test_managers_are_tried_upwards_until_one_is_there(make):
    top = make.person()
    gone = make.person(manager=top, is_active=False, left_at=make.NOW)
    owner = make.person(manager=gone, is_active=False, left_at=make.NOW)
    item = asked(make, make.identity(owner=owner), rules=["owner", "manager"])
    assert item.assignee == top
    assert outcomes(item) == [("owner", "skipped"), ("manager", "skipped"), ("manager", "asked")]


def test_no_further_up_than_the_review_says(make):
    top = make.person()
    gone = make.person(manager=top, is_active=False)
    owner = make.person(manager=gone)
    item = asked(make, make.identity(owner=owner), rules=["manager"], levels=1)
    assert item.assignee == item.campaign.fallback_reviewer


def test_managers_in_a_circle_end(make):
    first = make.person(is_active=False)
    second = make.person(manager=first, is_active=False)
    first.manager = second
    first.save()
    item = asked(make, make.identity(owner=second), rules=["owner", "manager"], levels=10)
    assert item.assignee == item.campaign.fallback_reviewer


def test_a_named_person_or_team_that_is_gone_is_said_and_passed_over(make):
    item = asked(make, rules=["person", "group"], person=str(uuid.uuid4()), team=str(uuid.uuid4()))
    assert item.assignee == item.campaign.fallback_reviewer
    assert outcomes(item)[:2] == [("person", "skipped"), ("group", "skipped")]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"person": "me"}, "person"),
        ({"team": 7}, "team"),
        ({"levels": 0}, "levels"),
        ({"levels": True}, "levels"),
        ({"levels": "3"}, "levels"),
        ({"colour": "red"}, "colour"),
    ],
    ids=["no id", "a number", "no level", "a truth", "a text", "unknown"],
)
def test_what_cannot_be_kept_is_refused_by_its_field(make, value, field):
    with pytest.raises(InvalidPolicy) as refusal:
        Reviewers.from_json(value)
    assert list(refusal.value.details["fields"]) == [field]
    boss = make.person(Role.CAMPAIGN_MANAGER)
    facts = {"name": "S", "rrule": "FREQ=MONTHLY", "starts_at": make.NOW, "interval_reason": "Nothing changes here."}
    with pytest.raises(InvalidSchedule) as refused:
        create_schedule(
            **facts, fallback_reviewer=boss, policy={"reviewers": value}, actor=make.actor(boss), now=make.NOW
        )
    assert f"policy.reviewers.{field}" in refused.value.details["fields"]


def test_what_is_kept_reads_as_it_was_written():
    kept = Reviewers(person=str(uuid.uuid4()), levels=5)
    assert Reviewers.from_json(kept.to_json()) == kept
    assert Reviewers.from_json({}) == Reviewers()


def test_the_form_takes_an_address_and_shows_it_again(make):
    person, team = make.person(), team_of(make.person())
    section = ReviewersSection({"r-person": person.email.upper(), "r-team": str(team.pk), "r-levels": "2"}, prefix="r")
    assert section.is_valid(), section.errors
    kept = section.to_policy()
    assert kept == {"person": str(person.pk), "team": str(team.pk), "levels": 2}
    assert ReviewersSection.initial_of(kept)["person"] == person.email
