"""A protest against a lock-out opens one question about the access, asked by the rules, linked both ways."""

from datetime import timedelta

import pytest
from django.urls import reverse

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from reviews.campaigns.protesting import ask_about_protests
from reviews.decisions import decide
from reviews.models import Campaign, Order, ReviewItem
from reviews.remediation import execute_order
from reviews.remediation.watching import protest
from reviews.states import CampaignState, OrderState

pytestmark = pytest.mark.django_db
REMEDIES = {"watch_days": 7, "watch_risk": "any", "watch_environment": "any", "second_actions": []}


@pytest.fixture
def watched(make):
    """An order that locks an owned identity out, decided by its owner."""
    owner = make.person(Role.OWNER)
    grant = make.grant(make.identity(owner=owner))
    campaign = make.campaign(policy={"remedies": REMEDIES})
    item = make.get_item(campaign, grant)
    decide(item=item, version=1, answer="revoke", actor=make.actor(owner), now=make.NOW, reason="Unused.")
    plan = {"action": "revoke", "identity": "x", "grant_external_id": "y", "pre_image": {}, "removes": [], "keeps": []}
    plan |= {
        "pre_hash": "a" * 64,
        "post_hash": "b" * 64,
        "steps": [],
        "inverse": [],
        "side_effects": [],
        "irreversible": False,
    }
    Order.objects.update(state=OrderState.WATCHING, stage="lock", lock_plan=plan, plan=plan)
    return Order.objects.get()


@pytest.fixture
def protested(watched, make):
    who = make.actor(make.person(Role.REVIEWER))
    protest(order=watched, reason="The nightly job fails.", actor=who, now=make.NOW)
    return Order.objects.get(pk=watched.pk)


def test_a_protest_asks_whoever_the_rules_name_once(protested, make):
    assert ask_about_protests(now=make.NOW) == 1
    assert ask_about_protests(now=make.NOW) == 0

    order = Order.objects.get(pk=protested.pk)
    question = order.question
    assert question.pk != order.item_id
    assert (question.grant_id, question.assignee) == (order.grant_id, order.identity.owner)
    assert question.seen["protest"]["why"] == "The nightly job fails."
    campaign = question.campaign
    assert (campaign.state, campaign.manager) == (CampaignState.OPEN, order.item.campaign.manager)
    assert campaign.policy == {"remedies": order.item.campaign.policy["remedies"]}
    repetition = Order.objects.get(decision=None, restores=None)
    assert campaign.deadline_at < repetition.execute_after, "answered before the access ends by itself"
    [opened] = AuditEvent.objects.filter(verb="campaign.opened", subject_id=str(campaign.pk))
    assert str(order.pk) in opened.payload


def test_where_the_access_is_asked_about_already_no_second_question_is_opened(protested, make):
    waiting = make.get_item(make.campaign(), protested.grant)
    before = Campaign.objects.count()

    assert ask_about_protests(now=make.NOW) == 1

    assert Campaign.objects.count() == before
    assert Order.objects.get(pk=protested.pk).question == waiting
    assert AuditEvent.objects.filter(verb="order.questioned").count() == 1


def test_what_is_gone_by_then_is_not_asked(protested, make):
    protested.grant.retired_at = make.NOW
    protested.grant.save()
    assert ask_about_protests(now=make.NOW) == 0


def test_answering_the_question_decides_instead_of_the_date(protested, make):
    ask_about_protests(now=make.NOW)
    question = ReviewItem.objects.get(protested_orders=protested)
    later = make.NOW + timedelta(days=1)
    owner = make.actor(question.assignee)
    decide(item=question, version=1, answer="approve", actor=owner, now=later, reason="The job needs it.")

    repetition = Order.objects.get(decision=None, restores=None)
    execute_order(order_id=str(repetition.pk), now=repetition.execute_after)
    repetition.refresh_from_db()
    assert repetition.state == OrderState.RECALLED


def test_both_pages_lead_to_each_other(protested, make, client):
    ask_about_protests(now=make.NOW)
    question = ReviewItem.objects.get(protested_orders=protested)
    client.force_login(make.person(Role.ADMINISTRATOR))
    order_page = client.get(reverse("reviews:order_detail", args=[protested.pk])).content.decode()
    assert reverse("reviews:item_detail", args=[question.pk]) in order_page
    item_page = client.get(reverse("reviews:item_detail", args=[question.pk])).content.decode()
    assert reverse("reviews:order_detail", args=[protested.pk]) in item_page
    assert "The nightly job fails." in item_page
