"""One question outside of any schedule: who may ask, who is asked, and that asking decides nothing."""

import pytest

from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Forbidden
from governance.kernel.permissions import Permission
from governance.people.models import ApiToken
from reviews.campaigns.asking import AskedAlready, NothingHeld, WhyTooLong, ask_about
from reviews.campaigns.closing import close_campaign
from reviews.decisions import SelfReview, TargetNotInside, decide
from reviews.models import Campaign, Order, ReviewItem
from reviews.selectors import visible_items

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(make):
    return make.person(Role.OWNER)


@pytest.fixture
def grant(make, owner):
    return make.grant(make.identity(owner=owner))


@pytest.fixture
def ask(make, grant):
    """`ask(by=person, about=grant, proposal=…)`"""

    def go(by=None, about=None, proposal=None, **more):
        by = by or make.actor(make.person(Role.REVIEWER))
        target = Permission.from_json(proposal or make.NARROWER)
        return ask_about(grant=about or grant, proposal=target, actor=by, now=make.NOW, **more)

    return go


def test_the_owner_is_asked_one_question_with_the_proposal(make, ask, grant, owner):
    asker = make.person(Role.REVIEWER)

    item = ask(by=make.actor(asker), why="Only read since March.")

    assert (item.campaign.state, item.campaign.items.count(), item.campaign.manager) == ("open", 1, asker)
    assert (item.grant, item.assignee, item.state) == (grant, owner, "open")
    assert item.seen["proposal"]["target"] == make.NARROWER
    assert (item.seen["proposal"]["why"], item.seen["proposal"]["by"]) == ("Only read since March.", str(asker.pk))
    assert item.campaign.frozen["population"]


def test_asking_orders_nothing_and_the_answer_does(make, ask, owner):
    item = ask()
    assert not Order.objects.exists()

    target = Permission.from_json(item.seen["proposal"]["target"])
    decide(item=item, version=1, answer="scope_down", target=target, actor=make.actor(owner), now=make.NOW)

    assert Order.objects.get().action == "narrow"


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER])
def test_these_roles_may_ask(make, ask, role):
    assert ask(by=make.actor(make.person(role))).state == "open"


@pytest.mark.parametrize("role", [Role.OWNER, Role.AUDITOR, None])
def test_others_may_not(make, ask, role):
    with pytest.raises(Forbidden):
        ask(by=make.actor(make.person(*([role] if role else []))))
    assert not Campaign.objects.exists()


def test_a_program_asks_in_the_name_of_whoever_issued_its_token(make, ask, make_token):
    token: ApiToken = make_token({"reviews:write"})[0]
    program = Actor(kind=ActorKind.API_CLIENT, id=str(token.pk), label="t", scopes=frozenset({"reviews:write"}))
    lesser = Actor(kind=ActorKind.API_CLIENT, id=str(token.pk), label="t", scopes=frozenset({"reviews:read"}))

    with pytest.raises(Forbidden):
        ask(by=lesser)
    assert ask(by=program).campaign.manager == token.created_by


def test_holders_of_a_credential_do_not_propose(make, ask, grant):
    holder = make.person(Role.REVIEWER)
    make.credential(grant.identity, holder=holder)
    with pytest.raises(SelfReview):
        ask(by=make.actor(holder))


def test_the_creator_of_the_access_does_not_propose(make, ask, owner):
    creator = make.person(Role.REVIEWER)
    with pytest.raises(SelfReview):
        ask(by=make.actor(creator), about=make.grant(make.identity(owner=owner), created_by=creator))


def test_who_owns_privileged_access_and_asks_only_attests(make, ask):
    both = make.person(Role.OWNER, Role.REVIEWER)
    other = make.person(Role.REVIEWER)
    privileged = make.grant(make.identity(owner=both), make.PRIVILEGED)

    item = ask(by=make.actor(both), about=privileged)
    target = Permission.from_json(make.NARROWER)
    decide(
        item=item, version=1, answer="scope_down", target=target, actor=make.actor(both), now=make.NOW, reason="Enough."
    )

    item.refresh_from_db()
    assert (item.state, item.assignee) == ("attested", other)
    assert not Order.objects.exists()


def test_without_an_owner_whoever_asks_answers(make, ask):
    asker = make.person(Role.REVIEWER)
    assert ask(by=make.actor(asker), about=make.grant(make.identity())).assignee == asker


def test_a_question_that_waits_already_is_named_and_none_is_added(make, ask):
    first = ask()
    with pytest.raises(AskedAlready) as refusal:
        ask()
    assert refusal.value.details["item"] == str(first.pk)
    assert ReviewItem.objects.count() == 1


def test_an_answered_question_is_no_obstacle(make, ask, owner):
    first = ask()
    decide(item=first, version=1, answer="approve", actor=make.actor(owner), now=make.NOW)
    assert ask().pk != first.pk


@pytest.mark.parametrize("wrong", ["HELD", "PRIVILEGED"])
def test_a_proposal_that_is_no_proved_narrowing_is_refused(make, ask, wrong):
    with pytest.raises(TargetNotInside):
        ask(proposal=getattr(make, wrong))
    assert not Campaign.objects.exists()


def test_what_the_source_no_longer_holds_is_not_asked_about(make, ask, grant):
    grant.versions.update(seen_until=make.NOW)
    with pytest.raises(NothingHeld):
        ask()


@pytest.mark.parametrize("why", ["x" * 4001, "a\x00b"])
def test_a_reason_that_cannot_be_kept_is_refused(ask, why):
    with pytest.raises(WhyTooLong):
        ask(why=why)


def test_a_reviewer_sees_what_they_asked_and_no_other_question_of_a_manager(make, ask):
    asker = make.actor(make.person(Role.REVIEWER))
    item, other = ask(by=asker), make.item(manager=make.person(Role.CAMPAIGN_MANAGER))
    assert list(visible_items(asker)) == [item]
    assert other not in visible_items(asker)


def test_it_closes_like_any_other_review(make, ask):
    manager = make.actor(make.person(Role.CAMPAIGN_MANAGER))
    item = ask(by=manager)
    assert close_campaign(campaign=item.campaign, actor=manager, now=make.NOW).state == "closing"
