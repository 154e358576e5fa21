"""What stands in the inbox beside the questions: who sees it, how often, and when it goes away."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from reviews.decisions import ask_remark, reply_to_remark
from reviews.models import Brake, Freeze, Order, OrderAction, OrderHold
from reviews.remediation.releasing import release_brake
from reviews.remediation.urgency import release_urgently
from reviews.states import OrderState
from tests.looking import faults_in_every_look

ROWS = pytest.mark.django_db


@pytest.fixture
def talk(make, reviewer):
    """`talk("Who uses it?")`: the reviewer asks the owner, and by default gets a reply."""
    owner = make.person(Role.OWNER, name="Olga Brandt")
    grant = make.grant(make.identity(owner=owner, name="svc-ledger"))
    campaign = make.campaign(
        fallback_reviewer=reviewer, reviewer_rules=[], deadline_at=timezone.now() + timedelta(days=9)
    )
    item = make.get_item(campaign, grant)

    def go(text="Who uses it?", reply="The month-end run."):
        now = timezone.now()
        remark = ask_remark(item=item, asked=owner, text=text, actor=make.actor(reviewer), now=now)
        if reply:
            reply_to_remark(remark=remark, text=reply, actor=make.actor(owner), now=now)
        return item

    go.owner, go.item = owner, item
    return go


@pytest.fixture
def waiting(make):
    """`waiting(3)`: orders that wait for a second person, at one source."""
    identity = make.identity(name="svc-queue")

    def go(number):
        facts = {"identity": identity, "source": identity.source, "action": OrderAction.REVOKE}
        facts |= {"execute_after": timezone.now(), "state": OrderState.AWAITING_SECOND}
        return Order.objects.bulk_create(Order(**facts) for _ in range(number))

    return go


def count_for(browse, person):
    return browse(person).get(reverse("reviews:inbox_count")).content.decode()


@ROWS
def test_a_reply_stands_in_the_inbox_of_whoever_asked_until_they_open_its_question(talk, reviewer, browse, page_of):
    item = talk()
    assert "reply" not in count_for(browse, talk.owner)
    assert "1 reply to you" in count_for(browse, reviewer)
    for address in ({}, {"show": "replies"}):
        text = page_of(reviewer, "reviews:inbox", **address)
        assert "Replies to you" in text
        assert "The month-end run." in text
        assert f"/reviews/items/{item.pk}/#talk-title" in text
    assert "month-end" not in page_of(talk.owner, "reviews:inbox")

    browse(talk.owner).get(reverse("reviews:item_detail", args=[item.pk]))
    assert "1 reply to you" in count_for(browse, reviewer), "somebody else's look changes nothing"
    browse(reviewer).get(reverse("reviews:item_detail", args=[item.pk]))

    assert "reply" not in count_for(browse, reviewer)
    assert "Replies to you" not in page_of(reviewer, "reviews:inbox")
    assert "No new reply" in page_of(reviewer, "reviews:inbox", show="replies")
    talk("And why?", "Because of the audit.")
    assert "1 reply to you" in count_for(browse, reviewer), "a further one is news again"


@ROWS
def test_the_part_of_the_page_that_looks_by_itself_does_not_count_as_a_look(talk, reviewer, browse):
    item = talk()
    headers = {"HX-Request": "true", "HX-Target": "item-state"}
    browse(reviewer).get(reverse("reviews:item_detail", args=[item.pk]), headers=headers)
    assert "1 reply to you" in count_for(browse, reviewer)


@ROWS
def test_a_reply_to_a_question_that_one_may_not_see_any_more_is_in_no_group(talk, reviewer, make, browse):
    item = talk()
    item.assignee = make.person(Role.REVIEWER)
    item.save()
    assert "reply" not in count_for(browse, reviewer)


@ROWS
def test_a_review_that_is_over_takes_its_replies_along(talk, reviewer, browse):
    campaign = talk().campaign
    campaign.state = "closing"
    campaign.save()
    assert count_for(browse, reviewer) == ""


@ROWS
def test_what_one_is_asked_counts_and_has_a_list_of_its_own(talk, browse, page_of):
    for number in range(22):
        talk(f"Question {number}?", reply="")
    assert "22 asked of you" in count_for(browse, talk.owner)
    first = page_of(talk.owner, "reviews:inbox")
    assert "Question 19?" in first
    assert "Question 20?" not in first
    assert 'href="?show=asked"' in first
    assert "Question 21?" in page_of(talk.owner, "reviews:inbox", show="asked")


@pytest.fixture
def everything(make, waiting):
    """Two orders, a brake that one person released, and an order that one person wants to send past a freeze."""
    waiting(2)
    first, identity = make.person(Role.ADMINISTRATOR, name="First Hand"), make.identity(name="svc-payments")
    facts = {"identity": identity, "source": identity.source, "action": OrderAction.REVOKE}
    facts |= {"execute_after": make.NOW, "plan": {"pre_hash": "a" * 64}}
    held, hurried = (Order.objects.create(**facts) for _ in range(2))
    brake = Brake.objects.create(scope="all", budget=1, tripped_at=make.NOW)
    OrderHold.objects.create(order=held, brake=brake, held_at=make.NOW)
    release_brake(brake=brake, reason="Fine by me.", actor=make.actor(first), now=timezone.now())
    now = timezone.now()
    Freeze.objects.create(reason="year end", starts_at=now - timedelta(hours=1), ends_at=now + timedelta(days=2))
    release_urgently(order=hurried, reason="Charged twice.", actor=make.actor(first), now=now)
    return {"brake": brake, "hurried": hurried, "first": first}


@ROWS
def test_everything_that_waits_for_a_second_person_is_one_group(everything, make, browse, page_of):
    second = make.person(Role.ADMINISTRATOR)
    assert "4 for your release" in count_for(browse, second)
    assert "4 things wait for your release." in page_of(second, "reviews:inbox")
    text = page_of(second, "reviews:inbox", show="releases")
    assert f"/orders/brakes/{everything['brake'].pk}/" in text
    assert "Fine by me." in text
    assert f"/orders/{everything['hurried'].pk}/" in text
    assert "Charged twice." in text
    assert text.count("svc-queue") == 2


@ROWS
def test_nobody_sees_what_they_may_not_release(everything, make, browse, page_of):
    assert "2 for your release" in count_for(browse, everything["first"]), "not what they released already"
    assert "3 for your release" in count_for(browse, make.person(Role.REVIEWER)), "reviewers release no brake"
    for role in (Role.OWNER, Role.AUDITOR):
        person = make.person(role)
        assert count_for(browse, person) == ""
        assert "Nothing waits for your release" in page_of(person, "reviews:inbox", show="releases")


@ROWS
def test_many_orders_come_in_pages_and_are_counted_up_to_a_hundred(waiting, make, browse, page_of):
    second = make.person(Role.REVIEWER)
    waiting(120)
    text = page_of(second, "reviews:inbox", show="releases")
    assert text.count("data-row") == 50
    assert "100+" in text
    assert "cursor=" in text
    assert "100+ for your release" in count_for(browse, second)
    last = page_of(second, "reviews:inbox", show="releases", cursor="last")
    assert last.count("data-row") == 50
    bad = browse(second).get(reverse("reviews:inbox"), {"show": "releases", "cursor": "x"})
    assert bad.status_code == 400


@ROWS
@pytest.mark.parametrize("address", [{}, {"show": "replies"}, {"show": "releases"}, {"show": "asked"}], ids=str)
def test_more_of_it_costs_no_further_queries(talk, waiting, everything, make, browse, address):
    administrator = make.person(Role.ADMINISTRATOR)
    item = talk(reply="")

    def asked(number):
        for n in range(number):
            now = timezone.now()
            remark = ask_remark(item=item, asked=talk.owner, text=f"{n}?", actor=make.actor(administrator), now=now)
            reply_to_remark(remark=remark, text="Yes.", actor=make.actor(talk.owner), now=now)
        waiting(number)
        client = browse(administrator)
        client.get(reverse("reviews:inbox"), address)
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("reviews:inbox"), address)
        return len(queries)

    few = asked(1)
    assert asked(12) == few
    assert few <= 17


@pytest.mark.browser
def test_the_groups_are_accessible_in_every_look_and_reached_by_their_numbers(site, talk, everything, make, visit):
    me = make.person(Role.ADMINISTRATOR, Role.REVIEWER, name="Ada Lund")
    talk.item.assignee = me
    talk.item.save()
    now = timezone.now()
    for number in range(7):
        remark = ask_remark(
            item=talk.item, asked=talk.owner, text=f"What is run {number} for?", actor=make.actor(me), now=now
        )
        reply_to_remark(remark=remark, text="The month-end of payroll.", actor=make.actor(talk.owner), now=now)
    page = visit(me, "/inbox/")
    page.locator(".inbox-count:not(:empty)").wait_for()
    assert page.locator(".inbox-count").inner_text().startswith("12")
    assert faults_in_every_look(page, "inbox-groups") == []
    page.get_by_role("link", name="Replies to you 7").click()
    page.get_by_role("heading", name="Replies to you").wait_for()
    assert faults_in_every_look(page, "inbox-replies") == []
    page.get_by_role("link", name="Waiting for your release 4").click()
    page.get_by_role("heading", name="Waiting for your release").wait_for()
    assert faults_in_every_look(page, "inbox-releases") == []
    page.goto(site + f"/reviews/items/{talk.item.pk}/")
    page.goto(site + "/inbox/")
    page.locator(".inbox-count:not(:empty)").wait_for()
    assert page.locator(".inbox-count").inner_text().startswith("5")
    assert page.get_by_role("link", name="Replies to you").count() == 0
