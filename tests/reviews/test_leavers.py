"""Somebody leaves: their questions move at once, and who takes over what they owned is asked, never assumed."""

from datetime import timedelta

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.people.accounts import mark_left
from reviews.campaigns.leavers import propose_successors
from reviews.decisions import decide, reroute_orphaned_items
from reviews.models import Campaign, ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def leaver(make):
    """An owner of three identities (one with a backup) who has a manager and leaves; somebody can run a review."""
    make.boss = make.person(Role.ADMINISTRATOR)
    make.runner = make.person(Role.CAMPAIGN_MANAGER)
    make.manager, make.backup = make.person(), make.person()
    make.owner = make.person(Role.OWNER, manager=make.manager)
    make.kept = make.identity(owner=make.owner, backup_owner=make.backup)
    make.other = make.identity(owner=make.owner)
    make.identity(owner=make.owner, retired_at=make.NOW)
    make.item_of = lambda identity: ReviewItem.objects.get(identity=identity, kind="ownership")
    make.leave = lambda: mark_left(user_id=make.owner.pk, left_at=make.NOW, actor=make.actor(make.boss), now=make.NOW)
    return make


def test_the_backup_or_the_manager_is_asked_and_nobody_becomes_owner_by_it(leaver, verbs):
    leaver.leave()
    [campaign] = propose_successors(now=leaver.NOW)
    assert (campaign.manager, campaign.state) == (leaver.runner, "open")
    assert leaver.item_of(leaver.kept).assignee == leaver.backup
    assert leaver.item_of(leaver.other).assignee == leaver.manager
    leaver.kept.refresh_from_db()
    assert leaver.kept.owner == leaver.owner
    assert verbs("campaign.") == ["campaign.opened"]
    item = leaver.item_of(leaver.kept)
    decide(item=item, version=1, answer="mine", actor=leaver.actor(leaver.backup), now=leaver.NOW)
    leaver.kept.refresh_from_db()
    assert leaver.kept.owner == leaver.backup


def test_a_second_look_and_another_day_ask_nothing_again(leaver):
    leaver.leave()
    for days in (0, 0, 30):
        propose_successors(now=leaver.NOW + timedelta(days=days))
    assert Campaign.objects.count() == 1
    assert ReviewItem.objects.count() == 2


def test_an_identity_about_which_somebody_is_asked_already_is_not_asked_about_twice(leaver):
    review = leaver.campaign(item_kinds=["ownership"])
    assert ReviewItem.objects.filter(campaign=review, kind="ownership").count() == 2
    leaver.leave()
    assert propose_successors(now=leaver.NOW) == []
    Campaign.objects.filter(pk=review.pk).update(state="closed")
    ReviewItem.objects.filter(campaign=review).update(state="expired")
    [campaign] = propose_successors(now=leaver.NOW)
    assert campaign.items.count() == 2


def test_who_took_over_and_leaves_in_turn_is_asked_about_again(leaver):
    leaver.leave()
    propose_successors(now=leaver.NOW)
    item = leaver.item_of(leaver.kept)
    decide(item=item, version=1, answer="mine", actor=leaver.actor(leaver.backup), now=leaver.NOW)
    mark_left(user_id=leaver.backup.pk, left_at=leaver.NOW, actor=leaver.actor(leaver.boss), now=leaver.NOW)
    [second] = propose_successors(now=leaver.NOW)
    assert [each.identity for each in second.items.all()] == [leaver.kept]


def test_nobody_is_asked_while_everybody_is_here_or_nobody_could_run_it(leaver):
    assert propose_successors(now=leaver.NOW) == []
    leaver.leave()
    for person in (leaver.boss, leaver.runner):
        person.role_assignments.all().delete()
    assert propose_successors(now=leaver.NOW) == []
    assert not Campaign.objects.exists()


def test_open_questions_of_the_leaver_move_as_well(leaver):
    grant = leaver.grant(leaver.kept)
    review = leaver.campaign(reviewer_rules=["owner", "backup"])
    leaver.leave()
    reroute_orphaned_items(now=leaver.NOW)
    assert leaver.get_item(review, grant).assignee == leaver.backup


def test_the_trail_names_nobody(leaver):
    leaver.leave()
    propose_successors(now=leaver.NOW)
    payload = AuditEvent.objects.get(verb="campaign.opened").payload
    assert "@example.org" not in payload
    assert str(leaver.owner.pk) in payload
