"""Who answers while somebody is away: for new and for open questions, for some reviews only, and back again."""

from datetime import timedelta

import pytest

from governance.kernel.actors import Role, system_actor
from governance.kernel.errors import Forbidden
from governance.people.access import MAIL_LINK
from reviews.campaigns.opening import open_campaign
from reviews.decisions import (
    AlreadyAway,
    DelegationOver,
    DelegationRefused,
    NotAssigned,
    apply_delegations,
    create_delegation,
    decide,
    end_delegation,
    reassign_item,
    reroute_items_of,
)
from reviews.decisions.resolution import RULE_LABELS
from reviews.models import Delegation
from reviews.selectors import explain_resolution

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def away(make):
    """`away(person, delegate)`: a delegation from now for five days, by the person."""

    def build(person, delegate, start=0.0, days=5.0, by=None, **more):
        facts = {"starts_at": make.NOW + start * DAY, "ends_at": make.NOW + (start + days) * DAY, "now": make.NOW}
        return create_delegation(person=person, delegate=delegate, actor=make.actor(by or person), **(facts | more))

    return build


def fresh(item):
    item.refresh_from_db()
    return item


def answer(make, item, by, how="approve", now=None, **more):
    fresh(item)
    return decide(
        item=item, version=item.version, answer=how, actor=make.actor(by), now=now or make.NOW, reason="Fine.", **more
    )


def test_open_questions_move_on_the_start_and_unanswered_ones_come_back_on_the_end(make, away, verbs):
    owner, friend = make.person(Role.OWNER), make.person()
    identity = make.identity(owner=owner)
    grants = [make.grant(identity), make.grant(identity)]
    review = make.campaign()
    answered, waiting = (make.get_item(review, grant) for grant in grants)
    away(owner, friend, start=1)
    assert apply_delegations(now=make.NOW) == 0
    assert apply_delegations(now=make.NOW + DAY) == 2
    answer(make, answered, friend, now=make.NOW + 2 * DAY)
    assert apply_delegations(now=make.NOW + 6 * DAY) == 1
    assert fresh(waiting).assignee == owner
    assert fresh(answered).assignee == friend
    assert [step["rule"] for step in waiting.resolution] == ["owner", "stand_in", "returned"]
    assert verbs("delegation.") == ["delegation.created", "delegation.ended", "delegation.started"]
    assert verbs("item.").count("item.rerouted") == 3


def test_a_tick_that_comes_twice_changes_once(make, away, verbs):
    owner, friend = make.person(Role.OWNER), make.person()
    item = make.item(owner=owner)
    away(owner, friend)
    apply_delegations(now=make.NOW)
    version = fresh(item).version
    assert apply_delegations(now=make.NOW) == 0
    assert fresh(item).version == version
    for _ in range(2):
        apply_delegations(now=make.NOW + 6 * DAY)
    assert verbs("delegation.") == ["delegation.created", "delegation.ended", "delegation.started"]
    assert verbs("item.") == ["item.rerouted", "item.rerouted"]


def test_an_absence_that_nobody_looked_at_in_time_ends_without_moving_anything(make, away, verbs):
    owner = make.person(Role.OWNER)
    item = make.item(owner=owner)
    away(owner, make.person(), start=1)
    assert apply_delegations(now=make.NOW + 9 * DAY) == 0
    assert fresh(item).assignee == owner
    assert verbs("delegation.") == ["delegation.created", "delegation.ended"]


def test_a_new_question_goes_to_the_stand_in_and_says_why(make, away):
    owner, friend = make.person(Role.OWNER, name="Olga"), make.person(name="Fred")
    away(owner, friend)
    apply_delegations(now=make.NOW)
    item = make.item(owner=owner)
    assert item.assignee == friend
    assert explain_resolution(item.resolution, RULE_LABELS) == [
        "Owner of the identity: Olga. Is away, and has named who answers in their place.",
        "Stand-in during an absence by Olga: Fred is asked.",
    ]


def test_a_stand_in_attests_where_the_owner_would_have_and_does_not_decide_afterwards(make, away):
    owner, friend = make.person(Role.OWNER), make.person(Role.REVIEWER)
    away(owner, friend)
    apply_delegations(now=make.NOW)
    item = make.item(make.PRIVILEGED, owner=owner, independent_reviewer=friend)
    assert item.assignee == friend
    assert answer(make, item, friend).is_attestation
    assert fresh(item).assignee not in (owner, friend)


def test_a_stand_in_never_decides_on_access_of_their_own(make, away):
    creator, reviewer = make.person(), make.person(Role.REVIEWER)
    away(reviewer, creator)
    apply_delegations(now=make.NOW)
    grant = make.grant(created_by=creator)
    item = make.get_item(make.campaign(reviewer_rules=[], fallback_reviewer=reviewer), grant)
    assert item.assignee not in (creator, reviewer)
    assert "created this access" in str(item.resolution)


def test_open_questions_of_a_person_whose_stand_in_is_ruled_out_go_to_whoever_comes_next(make, away):
    owner, holder = make.person(Role.OWNER), make.person()
    item = make.item(owner=owner)
    make.credential(item.identity, holder=holder)
    away(owner, holder)
    apply_delegations(now=make.NOW)
    assert fresh(item).assignee == item.campaign.fallback_reviewer


def test_a_question_named_by_a_conflicted_person_keeps_its_conflict_through_an_absence(make, away):
    owner, named, friend = make.person(Role.OWNER), make.person(Role.REVIEWER), make.person(Role.REVIEWER)
    item = make.item(make.PRIVILEGED, owner=owner)
    away(named, friend)
    apply_delegations(now=make.NOW)
    answer(make, item, owner, "not_mine", named_person=named)
    assert fresh(item).assignee == friend
    assert answer(make, item, friend).is_attestation


def test_a_question_that_came_back_keeps_on_whose_behalf_it_is_asked(make, away):
    owner, named, friend = make.person(Role.OWNER), make.person(Role.REVIEWER), make.person(Role.REVIEWER)
    item = make.item(make.PRIVILEGED, owner=owner)
    answer(make, item, owner, "not_mine", named_person=named)
    away(named, friend)
    apply_delegations(now=make.NOW)
    apply_delegations(now=make.NOW + 6 * DAY)
    assert fresh(item).assignee == named
    assert answer(make, item, named, now=make.NOW + 6 * DAY).is_attestation


def test_only_the_reviews_and_sources_named_are_handed_over(make, away):
    owner, friend = make.person(Role.OWNER), make.person()
    here, there = make.item(owner=owner), make.item(owner=owner)
    by_source = away(owner, friend, sources=[here.identity.source_id])
    apply_delegations(now=make.NOW)
    assert (fresh(here).assignee, fresh(there).assignee) == (friend, owner)
    end_delegation(delegation=by_source, actor=make.actor(owner), now=make.NOW)
    apply_delegations(now=make.NOW)
    away(owner, friend, campaigns=[there.campaign_id])
    apply_delegations(now=make.NOW)
    assert fresh(there).assignee == friend
    assert here.campaign_id != there.campaign_id
    assert fresh(here).assignee == owner


def test_whoever_stands_in_and_leaves_for_holidays_passes_nothing_on_to_their_own_stand_in(make, away):
    owner, first, second = make.person(Role.OWNER), make.person(), make.person()
    item = make.item(owner=owner)
    away(owner, first)
    apply_delegations(now=make.NOW)
    away(first, second)
    apply_delegations(now=make.NOW)
    assert fresh(item).assignee == item.campaign.fallback_reviewer


def test_a_person_who_is_away_too_cannot_be_named(make, away):
    first, second = make.person(), make.person()
    away(first, make.person())
    with pytest.raises(DelegationRefused, match="away then as well"):
        away(second, first, start=2)
    away(second, first, start=6)


def test_two_stand_ins_at_once_are_refused_unless_they_stand_in_for_different_things(make, away):
    owner, friend = make.person(), make.person()
    some, others = make.source(), make.source()
    away(owner, friend, sources=[some.pk])
    away(owner, friend, sources=[others.pk])
    with pytest.raises(AlreadyAway):
        away(owner, make.person(), start=3)
    away(owner, make.person(), start=5)


def test_an_administrator_does_it_for_somebody_and_says_why(make, away):
    boss, owner, friend = make.person(Role.ADMINISTRATOR), make.person(), make.person()
    with pytest.raises(DelegationRefused, match="Say why"):
        away(owner, friend, by=boss)
    assert away(owner, friend, by=boss, reason="Ill since Monday.").created_by == boss
    with pytest.raises(Forbidden):
        away(owner, friend, by=friend, reason="Because.")
    with pytest.raises(Forbidden):
        create_delegation(
            person=owner, delegate=friend, starts_at=make.NOW, ends_at=make.NOW + DAY, now=make.NOW,
            actor=make.actor(owner, MAIL_LINK),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"days": 0}, "ends_at"),
        ({"start": -9}, "ends_at"),
        ({"days": 400}, "ends_at"),
        ({"reason": "x" * 1001}, "reason"),
    ],
    ids=["no time at all", "over already", "longer than a year", "too long a reason"],
)
def test_dates_and_texts_that_make_no_sense_are_refused(make, away, more, field):
    with pytest.raises(DelegationRefused) as refusal:
        away(make.person(), make.person(), **more)
    assert field in refusal.value.details["fields"]
    assert not Delegation.objects.exists()


def test_nobody_stands_in_for_themself_and_nobody_who_left_stands_in(make, away):
    person, gone = make.person(), make.person(is_active=False)
    for delegate in (person, gone):
        with pytest.raises(DelegationRefused):
            away(person, delegate)


def test_ending_early_brings_back_what_is_unanswered_and_only_once(make, away):
    owner, friend = make.person(Role.OWNER), make.person()
    item = make.item(owner=owner)
    delegation = away(owner, friend)
    apply_delegations(now=make.NOW)
    with pytest.raises(Forbidden):
        end_delegation(delegation=delegation, actor=make.actor(make.person()), now=make.NOW, reason="x")
    end_delegation(delegation=delegation, actor=make.actor(friend), now=make.NOW)
    apply_delegations(now=make.NOW)
    assert fresh(item).assignee == owner
    with pytest.raises(DelegationOver):
        end_delegation(delegation=delegation, actor=make.actor(owner), now=make.NOW)


def test_what_the_stand_in_handed_on_or_already_lost_is_left_alone(make, away):
    owner, friend, third = make.person(Role.OWNER), make.person(), make.person()
    handed, lost = make.item(owner=owner), make.item(owner=owner)
    away(owner, friend)
    apply_delegations(now=make.NOW)
    fresh(handed)
    reassign_item(
        item=handed, version=handed.version, to=third, reason="Knows.", actor=make.actor(friend), now=make.NOW
    )
    friend.is_active = False
    friend.save()
    reroute_items_of(person=friend, now=make.NOW)
    apply_delegations(now=make.NOW + 6 * DAY)
    assert fresh(handed).assignee == third
    assert fresh(lost).assignee == lost.campaign.fallback_reviewer
    with pytest.raises(NotAssigned):
        answer(make, handed, friend)


def test_a_reviewer_who_comes_back_having_left_for_good_is_not_asked(make, away):
    owner, friend = make.person(Role.OWNER), make.person()
    item = make.item(owner=owner)
    away(owner, friend)
    apply_delegations(now=make.NOW)
    owner.is_active = False
    owner.save()
    apply_delegations(now=make.NOW + 6 * DAY)
    assert fresh(item).assignee == item.campaign.fallback_reviewer


def test_an_opening_asks_for_absences_once_however_many_questions(make, away, django_assert_max_num_queries):
    owner = make.person(Role.OWNER)
    away(owner, make.person())
    apply_delegations(now=make.NOW)
    make.many_grants(200)
    campaign = make.campaign(is_open=False)
    with django_assert_max_num_queries(60):
        open_campaign(campaign_id=campaign.pk, actor=system_actor("scheduler"), now=make.NOW)
