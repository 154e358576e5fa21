from datetime import timedelta

import pytest

from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from governance.people.models import Team
from reviews.decisions import (
    CampaignNotOpen,
    NotEligible,
    SelfReview,
    StaleItem,
    decide,
    reassign_item,
    reroute_items_of,
    reroute_orphaned_items,
)

pytestmark = pytest.mark.django_db


def hand_on(make, item, to, by=None, **more):
    fields = {"version": item.version, "reason": "Knows better.", "now": make.NOW} | more
    return reassign_item(item=item, to=to, actor=make.actor(by or item.assignee), **fields)


def decides(make, item, by):
    item.refresh_from_db()
    return decide(item=item, version=item.version, answer="approve", actor=make.actor(by), now=make.NOW, reason="Fine.")


def test_an_item_goes_to_the_colleague_who_then_decides(make, verbs):
    item, colleague = make.item(), make.person()
    hand_on(make, item, colleague)
    item.refresh_from_db()
    assert item.assignee == colleague
    assert not decides(make, item, colleague).is_attestation
    assert verbs("item.") == ["item.decided", "item.delegated"]


def test_an_owners_delegate_on_privileged_access_attests_also_behind_a_second_hand(make):
    item, first, second = make.item(make.PRIVILEGED), make.person(), make.person()
    hand_on(make, item, first)
    item.refresh_from_db()
    hand_on(make, item, second)
    assert decides(make, item, second).is_attestation


def test_an_owner_who_is_administrator_cannot_appoint_who_decides(make):
    boss = make.person(Role.ADMINISTRATOR)
    item = make.item(make.PRIVILEGED, owner=boss)
    decides(make, item, boss)
    item.refresh_from_db()
    with pytest.raises(SelfReview):
        hand_on(make, item, make.person(Role.REVIEWER), by=boss)


def test_a_manager_who_owns_privileged_access_hands_on_an_attestation_only(make):
    manager = make.person(Role.CAMPAIGN_MANAGER)
    item = make.item(make.PRIVILEGED, manager=manager)
    item.identity.backup_owner = manager
    item.identity.save()
    friend = make.person()
    hand_on(make, item, friend, by=manager)
    assert decides(make, item, friend).is_attestation


def test_who_holds_the_credential_cannot_hand_the_decision_on(make):
    item = make.item()
    make.credential(item.identity, holder=item.assignee)
    with pytest.raises(SelfReview):
        hand_on(make, item, make.person())


@pytest.mark.parametrize("why", ["left", "holder", "creator", "same"])
def test_nobody_unfit_is_handed_an_item(make, why):
    item = make.item()
    to = item.assignee if why == "same" else make.person(is_active=why != "left")
    if why == "holder":
        make.credential(item.identity, holder=to)
    if why == "creator":
        item.grant.created_by = to
        item.grant.save()
    with pytest.raises(NotEligible):
        hand_on(make, item, to)


def test_owners_and_witnesses_are_not_handed_the_decision_on_privileged_access(make):
    item = make.item(make.PRIVILEGED)
    owner, backup = item.assignee, make.person()
    item.identity.backup_owner = backup
    item.identity.save()
    decides(make, item, owner)
    item.refresh_from_db()
    for unfit in (owner, backup):
        with pytest.raises(NotEligible):
            hand_on(make, item, unfit, by=item.campaign.manager)


def test_strangers_and_mail_links_cannot_hand_on(make):
    item = make.item()
    for stranger in (make.person(Role.REVIEWER), make.person(Role.CAMPAIGN_MANAGER), make.person(Role.AUDITOR)):
        with pytest.raises(Forbidden):
            hand_on(make, item, make.person(), by=stranger)
    with pytest.raises(Forbidden):
        reassign_item(
            item=item,
            version=item.version,
            to=make.person(),
            reason="x",
            actor=make.actor(item.assignee, "mail_link"),
            now=make.NOW,
        )


def test_handing_on_needs_the_current_state_and_a_reason_and_an_open_campaign(make):
    item = make.item()
    with pytest.raises(StaleItem):
        hand_on(make, item, make.person(), version=item.version + 1)
    with pytest.raises(NotEligible):
        hand_on(make, item, make.person(), reason=" ")
    with pytest.raises(CampaignNotOpen):
        hand_on(make, item, make.person(), now=item.campaign.deadline_at)


def test_the_items_of_somebody_who_left_go_to_whoever_comes_next(make, verbs):
    owner, fallback = make.person(), make.person(Role.REVIEWER)
    mine = [make.grant(make.identity(owner=owner)) for _ in range(3)]
    campaign = make.campaign(fallback_reviewer=fallback)
    owner.is_active, owner.left_at = False, make.NOW
    owner.save()
    assert reroute_orphaned_items(now=make.NOW + timedelta(days=1)) == 3
    items = [make.get_item(campaign, grant) for grant in mine]
    assert {item.assignee for item in items} == {fallback}
    assert "left" in items[0].resolution[-2]["why"]
    assert verbs("item.") == ["item.rerouted"] * 3
    assert reroute_items_of(person=owner, now=make.NOW) == 0


def test_rerouting_asks_as_many_queries_for_many_items_as_for_few(make, django_assert_max_num_queries):
    owner = make.person()
    team = Team.objects.create(name="T")
    team.members.add(make.person())
    for _ in range(30):
        make.grant(make.identity(owner=owner, team=team))
    make.campaign(reviewer_rules=["owner", "team"])
    owner.is_active = False
    owner.save()
    with django_assert_max_num_queries(30):
        assert reroute_items_of(person=owner, now=make.NOW) == 30


def test_decided_items_stay_with_who_decided(make):
    item = make.item()
    owner = item.assignee
    decides(make, item, owner)
    owner.is_active = False
    owner.save()
    assert reroute_orphaned_items(now=make.NOW) == 0


def test_an_item_that_nobody_may_decide_is_not_moved_for_ever(make, verbs):
    manager = make.person(Role.CAMPAIGN_MANAGER)
    item = make.item(owner=manager, manager=manager, fallback_reviewer=manager)
    manager.is_active = False
    manager.save()
    for _ in range(2):
        assert reroute_orphaned_items(now=make.NOW) == 0
    item.refresh_from_db()
    assert item.assignee == manager
    assert verbs("item.") == []
