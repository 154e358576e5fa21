"""The quality of a real review: what is fetched, what is noted, who may read it person by person."""

from datetime import timedelta

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from governance.people.models import Team
from reviews.decisions import decide, decide_many, recall, save_draft, submit_drafts
from reviews.models import Viewing
from reviews.quality import campaign_quality, note_showing, quality_of_people
from reviews.quality.facts import given_in
from reviews.quality.measuring import sheets_of
from reviews.quality.people import teams_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def review(make):
    """`review(3)`: a campaign of so many questions to one owner, all advised to be revoked, and its items."""

    def go(number, permission=None):
        owner = make.person(Role.OWNER)
        grants = [make.grant(make.identity(owner=owner), permission) for _ in range(number)]
        campaign = make.campaign()
        campaign.items.update(recommendation="revoke")
        return campaign, [make.get_item(campaign, grant) for grant in grants]

    return go


def at(make, seconds):
    return make.NOW + timedelta(seconds=seconds)


def answer(make, item, how="approve", seconds=0, **more):
    item.refresh_from_db()
    me = make.actor(item.assignee)
    return decide(item=item, version=item.version, answer=how, actor=me, now=at(make, seconds), **more)


def test_a_review_is_measured_by_what_people_did(make, review):
    campaign, items = review(6)
    me = make.actor(items[0].assignee)
    note_showing(item_id=items[0].pk, actor=me, now=at(make, 10))
    answer(make, items[0], "approve", 40, reason="It is needed!")
    answer(make, items[1], "revoke", 60, reason="it is  needed")
    recall(decision=answer(make, items[2], "approve", 70), actor=me, now=at(make, 80))
    answer(make, items[2], "revoke", 90)
    decide_many(item_ids=[item.pk for item in items[3:5]], answer="approve", actor=me, now=at(make, 200))

    found = campaign_quality(campaign.pk, until=at(make, 1000))

    assert (found["answers"], found["single"], found["bulk"]["largest"]) == (6, 4, 2)
    assert found["time_per_decision"]["median_ms"] == 20_000
    assert found["taken_back"] == {"count": 1, "changed": 1, "same_again": 0, "not_again": 0}
    assert found["reasons"] | {"median_length": 0} == {
        "written": 2,
        "median_length": 0,
        "different": 1,
        "repeated": 1,
        "most_of_one": 2,
    }
    assert found["approved"] == {"count": 3, "of": 5}
    assert found["evidence"]["not_observable"]["against"] == 3
    assert found["opened"] == {"of": 4, "opened": 1, "people": 1, "people_without": 0}


def test_what_came_later_does_not_change_what_was_so_then(make, review):
    campaign, items = review(2)
    first = answer(make, items[0], "approve", 10)
    before = campaign_quality(campaign.pk, until=at(make, 20))
    recall(decision=first, actor=make.actor(items[0].assignee), now=at(make, 30))
    answer(make, items[1], "approve", 40)
    assert campaign_quality(campaign.pk, until=at(make, 20)) == before
    assert before["answers"] == 1
    assert before["taken_back"]["count"] == 0


def test_the_deadlines_answers_are_nobodys_work(make, review):
    campaign, items = review(1)
    items[0].decisions.create(answer="revoke", decided_by_policy="deadline", decided_at=make.NOW)
    assert campaign_quality(campaign.pk)["answers"] == 0


def test_drafts_that_are_sent_together_keep_the_times_at_which_they_were_made(make, review):
    campaign, items = review(3)
    me = make.actor(items[0].assignee)
    for number, item in enumerate(items):
        save_draft(item=item, version=item.version, actor=me, now=at(make, 30 * number), answer="approve")
    submit_drafts(actor=me, now=at(make, 900))
    times = campaign_quality(campaign.pk, until=at(make, 1000))["time_per_decision"]
    assert (times["median_ms"], times["assessed"]) == (30_000, 2)


def test_only_a_question_of_ones_own_that_is_open_is_noted_and_the_latest_look_counts(make, review, settings):
    _, (item,) = review(1)
    me = make.actor(item.assignee)
    note_showing(item_id=item.pk, actor=make.actor(make.person(Role.AUDITOR)), now=at(make, 1))
    assert not Viewing.objects.exists()
    note_showing(item_id=item.pk, actor=me, now=at(make, 2))
    note_showing(item_id=item.pk, actor=me, now=at(make, 3))
    answer(make, item, "approve", 4)
    note_showing(item_id=item.pk, actor=me, now=at(make, 5))
    assert Viewing.objects.get().shown_at == at(make, 3)

    settings.REVIEW_NOTE_VIEWINGS = False
    Viewing.objects.all().delete()
    item.state = "open"
    item.save()
    note_showing(item_id=item.pk, actor=me, now=at(make, 6))
    assert not Viewing.objects.exists()
    assert campaign_quality(item.campaign_id)["opened"] is None


def test_a_review_from_before_openings_were_noted_is_not_called_careless(make, review):
    campaign, items = review(2)
    answer(make, items[0], "approve", 4)
    assert campaign_quality(campaign.pk)["opened"] is None


def test_it_costs_a_fixed_number_of_queries(make, review, django_assert_num_queries):
    campaign, items = review(6)
    for number, item in enumerate(items):
        answer(make, item, "approve", 10 * number)
    with django_assert_num_queries(4):
        campaign_quality(campaign.pk)


def test_reading_it_by_person_leaves_one_record_and_is_for_whoever_runs_or_audits_the_review(make, review):
    campaign, items = review(1)
    answer(make, items[0], "approve", 4)
    auditor, boss = make.actor(make.person(Role.AUDITOR)), make.actor(campaign.manager)
    for reader in (auditor, boss):
        lines = quality_of_people(campaign=campaign, actor=reader, now=at(make, 9))
        assert [line.person for line in lines] == [items[0].assignee_id]
    assert AuditEvent.objects.filter(verb="quality.read", subject_id=str(campaign.pk)).count() == 2

    other_boss, peer = make.person(Role.CAMPAIGN_MANAGER), make.person(Role.REVIEWER, Role.OWNER)
    for stranger in (other_boss, peer, items[0].assignee):
        with pytest.raises(Forbidden):
            quality_of_people(campaign=campaign, actor=make.actor(stranger), now=at(make, 9))
    assert AuditEvent.objects.filter(verb="quality.read").count() == 2


def teams(make, sizes):
    """A campaign that people of these teams answered, one question each; the sizes of the lines that come of it."""
    grants = []
    for name, size in sizes.items():
        people = [make.person(Role.OWNER) for _ in range(size)]
        if name:
            Team.objects.create(name=name).members.set(people)
        grants += [make.grant(make.identity(owner=person)) for person in people]
    campaign = make.campaign()
    for number, grant in enumerate(grants):
        answer(make, make.get_item(campaign, grant), "approve", number)
    lines = teams_of(campaign, sheets_of(given_in(campaign, until=at(make, 900))))
    return {line.name: line.people for line in lines}


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ({"Red": 4}, {}),
        ({"Red": 5}, {"Red": 5}),
        ({"Red": 6, "Blue": 3, "": 2}, {"Red": 6, "Smaller teams together": 5}),
        ({"Red": 7, "Blue": 5, "Green": 1}, {"Red": 7, "Smaller teams together": 6}),
        ({"Red": 5, "Green": 1}, {}),
    ],
)
def test_no_line_is_of_fewer_than_five_people(make, sizes, shown):
    assert teams(make, sizes) == shown
