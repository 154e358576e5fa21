"""Silent questions are asked again: only they, once per round, up to a limit, and an answer undoes an announced end."""

import threading
from datetime import timedelta

import pytest
from django.db import connection

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from governance.kernel.errors import Forbidden
from identities.models import Grant
from reviews.campaigns.closing import close_campaign, close_due_campaigns
from reviews.campaigns.opening import open_campaign
from reviews.campaigns.rounds import (
    AskedAgain,
    NothingSilent,
    NotOver,
    TooManyRounds,
    ask_again,
    list_rounds,
    start_due_rounds,
)
from reviews.campaigns.silent import silent_items
from reviews.decisions import decide
from reviews.models import Campaign, Order
from reviews.policies import InvalidPolicy, checked
from reviews.remediation import execute_order

DB = pytest.mark.django_db
DAY = timedelta(days=1)
EXPIRES = {"deadline": {"table": {"standard": {"unused": {"unknown": {"act": "expire", "days": 30}}}}}}


@pytest.fixture
def closed(make):
    """`closed(3, 1)`: a closed review of three grants of which one was answered; its manager is `.manager`."""

    def go(grants, answered=0, **more):
        owner = make.person(Role.OWNER)
        made = [make.grant(make.identity(owner=owner)) for _ in range(grants)]
        campaign = make.campaign(**more)
        for grant in made[:answered]:
            item = make.get_item(campaign, grant)
            decide(item=item, version=1, answer="approve", actor=make.actor(owner), now=make.NOW)
        close_due_campaigns(now=campaign.deadline_at)
        campaign.refresh_from_db()
        return campaign

    return go


def opened(campaign, now):
    return open_campaign(campaign_id=campaign.pk, actor=system_actor("scheduler"), now=now)


def again(make, campaign):
    drafted = ask_again(campaign=campaign, actor=make.actor(campaign.manager), now=make.NOW + 15 * DAY)
    return opened(drafted, make.NOW + 15 * DAY)


@DB
def test_a_round_holds_only_what_nobody_answered_and_names_the_first(make, closed, verbs):
    first = closed(3, answered=1)
    second = again(make, first)
    silent = set(first.items.filter(state="expired").values_list("grant", flat=True))
    assert set(second.items.values_list("grant", flat=True)) == silent
    assert len(silent) == 2
    assert (second.state, second.round, second.first_round, second.name) == (
        "open", 2, first, "Quarterly review, round 2",
    )  # fmt: skip
    assert second.deadline_at == make.NOW + 22 * DAY
    assert verbs("campaign.")[-2:] == ["campaign.opened", "campaign.opened"]


@DB
def test_only_people_who_were_silent_are_asked(make):
    silent, quick = make.person(), make.person()
    make.grant(make.identity(owner=silent))
    answered = make.grant(make.identity(owner=quick))
    campaign = make.campaign()
    item = make.get_item(campaign, answered)
    decide(item=item, version=1, answer="approve", actor=make.actor(quick), now=make.NOW)
    close_due_campaigns(now=campaign.deadline_at)
    campaign.refresh_from_db()
    assert [item.assignee for item in again(make, campaign).items.all()] == [silent]


@DB
def test_the_third_round_asks_what_the_second_left_and_all_are_counted(make, closed):
    first = closed(3, answered=1)
    second = again(make, first)
    item = second.items.order_by("pk")[0]
    decide(item=item, version=1, answer="approve", actor=make.actor(item.assignee), now=make.NOW + 16 * DAY)
    close_due_campaigns(now=second.deadline_at)
    second.refresh_from_db()
    third = again(make, second)
    assert (third.round, third.first_round, third.items.count()) == (3, first, 1)
    counts = [(each.round, each.asked, each.decided, each.silent) for each in list_rounds(second)]
    assert counts == [(1, 3, 1, 2), (2, 2, 1, 1), (3, 1, 0, 0)]


@DB
def test_access_that_is_gone_is_not_asked_again(make, closed):
    first = closed(2)
    Grant.objects.filter(pk=first.items.first().grant_id).update(retired_at=make.NOW)
    assert again(make, first).items.count() == 1


@DB
def test_credentials_are_asked_again_too(make):
    make.credential(make.identity(owner=make.person()))
    campaign = make.campaign(item_kinds=["credential"])
    close_due_campaigns(now=campaign.deadline_at)
    campaign.refresh_from_db()
    assert again(make, campaign).items.get().kind == "credential"


@DB
def test_there_is_one_round_of_each_number(make, closed):
    first = closed(1)
    second = again(make, first)
    with pytest.raises(AskedAgain) as refusal:
        again(make, first)
    assert refusal.value.details["campaign"] == str(second.pk)


@DB
def test_nothing_is_asked_again_that_runs_or_is_answered(make, closed):
    with pytest.raises(NothingSilent):
        again(make, closed(1, answered=1))
    running = make.item().campaign
    with pytest.raises(NotOver):
        again(make, running)


@DB
def test_after_so_many_rounds_somebody_has_to_decide(make, closed):
    campaign = closed(1)
    for _ in range(5):
        campaign = again(make, campaign)
        close_campaign(campaign=campaign, actor=make.actor(campaign.manager), now=make.NOW + 16 * DAY)
        close_due_campaigns(now=make.NOW + 16 * DAY)
        campaign.refresh_from_db()
    assert campaign.round == 6
    with pytest.raises(TooManyRounds):
        again(make, campaign)


@DB
@pytest.mark.parametrize("role", sorted(set(Role) - {Role.ADMINISTRATOR}))
def test_others_do_not_ask_again(make, closed, role):
    with pytest.raises(Forbidden):
        ask_again(campaign=closed(1), actor=make.actor(make.person(role)), now=make.NOW)


# --- by themselves ------------------------------------------------------------------------------------------------


@DB
def test_rounds_follow_by_themselves_up_to_the_limit(make, closed):
    campaign = closed(1, policy={"rounds": {"automatic": 1, "days": 5}})
    now = make.NOW + 15 * DAY
    assert [start_due_rounds(now=now), start_due_rounds(now=now)] == [1, 0]
    second = opened(Campaign.objects.get(round=2), now)
    assert second.deadline_at == now + 5 * DAY
    close_due_campaigns(now=second.deadline_at)
    assert start_due_rounds(now=second.deadline_at) == 0
    assert campaign.later_rounds.count() == 1


@DB
def test_without_a_rule_nothing_follows_by_itself(make, closed):
    closed(1)
    assert start_due_rounds(now=make.NOW + 15 * DAY) == 0


@pytest.mark.parametrize(
    "value",
    [{"automatic": 6}, {"automatic": -1}, {"automatic": True}, {"days": 0}, {"days": "7"}, {"x": 1}],
    ids=["six", "negative", "truth", "no days", "text", "unknown"],
)
def test_rules_that_cannot_be_kept_are_refused(value):
    with pytest.raises(InvalidPolicy):
        checked({"rounds": value})


def test_two_who_ask_at_once_make_one_round(committed_db, make, closed):
    campaign, start, problems = closed(1), threading.Barrier(3), []
    manager = make.actor(campaign.manager)

    def work():
        try:
            start.wait()
            ask_again(campaign=campaign, actor=manager, now=make.NOW + 15 * DAY)
        except Exception as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(problem) for problem in problems] == [AskedAgain, AskedAgain]
    assert Campaign.objects.filter(round=2).count() == 1
    assert AuditEvent.objects.filter(verb="campaign.created").count() == 1


# --- an announced end ---------------------------------------------------------------------------------------------


@pytest.fixture
def ending(make):
    """A closed review whose one access ends in thirty days, because nobody answered."""
    source = make.source()
    make.window(source)
    make.grant(make.identity(source, owner=make.person()))
    campaign = make.campaign(deadline_policy="table", policy=EXPIRES)
    close_due_campaigns(now=campaign.deadline_at)
    campaign.refresh_from_db()
    return campaign


@DB
@pytest.mark.parametrize(("answer", "state"), [("approve", "recalled"), (None, "executing")], ids=["kept", "silent"])
def test_keeping_it_in_the_next_round_withdraws_the_end(make, ending, monkeypatch, answer, state):
    from reviews.remediation import executing

    monkeypatch.setattr(executing, "_carry_out", lambda order: None)
    monkeypatch.setattr(executing, "_open_task", lambda order, now: None)
    second = again(make, ending)
    item = second.items.get()
    if answer:
        now = make.NOW + 16 * DAY
        decide(item=item, version=1, answer=answer, actor=make.actor(item.assignee), now=now)
    order = Order.objects.get()
    execute_order(order_id=str(order.pk), now=order.execute_after)
    order.refresh_from_db()
    assert order.state == state


@DB
def test_an_earlier_approval_does_not_withdraw_it(make):
    source = make.source()
    make.window(source)
    grant = make.grant(make.identity(source, owner=make.person()))
    earlier = make.get_item(make.campaign(), grant)
    decide(item=earlier, version=1, answer="approve", actor=make.actor(earlier.assignee), now=make.NOW)
    campaign = make.campaign(deadline_policy="table", policy=EXPIRES)
    close_due_campaigns(now=campaign.deadline_at)
    order = Order.objects.get()
    execute_order(order_id=str(order.pk), now=order.execute_after)
    order.refresh_from_db()
    assert order.state != "recalled"


@DB
def test_a_question_that_changed_hands_often_is_silent_once(make):
    item = make.item(make.PRIVILEGED)
    for _ in range(2):
        item.refresh_from_db()
        me = make.actor(item.assignee)
        decide(item=item, version=item.version, answer="dont_know", actor=me, now=make.NOW)
    close_due_campaigns(now=item.campaign.deadline_at)
    assert silent_items(item.campaign).count() == 1
