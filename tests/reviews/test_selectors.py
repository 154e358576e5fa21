from datetime import timedelta

import pytest

from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import NotFound
from reviews import selectors
from reviews.decisions import decide
from reviews.decisions.resolution import RULE_LABELS
from reviews.models import Campaign, Order

pytestmark = pytest.mark.django_db


def client(*scopes):
    return Actor(kind=ActorKind.API_CLIENT, id="x", label="API token", scopes=frozenset(scopes))


@pytest.mark.parametrize(
    ("who", "sees"),
    [
        ("assignee", True),
        ("manager", True),
        ("administrator", True),
        ("auditor", True),
        ("other_manager", False),
        ("reviewer", False),
        ("owner_of_something_else", False),
        ("nobody", False),
        ("client", True),
        ("client_without_scope", False),
    ],
)
def test_who_sees_an_item(make, who, sees):
    item = make.item()
    actors = {
        "assignee": lambda: make.actor(item.assignee),
        "manager": lambda: make.actor(item.campaign.manager),
        "administrator": lambda: make.actor(make.person(Role.ADMINISTRATOR)),
        "auditor": lambda: make.actor(make.person(Role.AUDITOR)),
        "other_manager": lambda: make.actor(make.person(Role.CAMPAIGN_MANAGER)),
        "reviewer": lambda: make.actor(make.person(Role.REVIEWER)),
        "owner_of_something_else": lambda: make.actor(make.person(Role.OWNER)),
        "nobody": lambda: make.actor(make.person()),
        "client": lambda: client("reviews:read"),
        "client_without_scope": lambda: client("inventory:read"),
    }
    actor = actors[who]()
    if sees:
        assert selectors.access_item(actor=actor, item_id=item.pk) == item
        return
    with pytest.raises(NotFound) as refused:
        selectors.access_item(actor=actor, item_id=item.pk)
    with pytest.raises(NotFound) as absent:
        selectors.access_item(actor=actor, item_id=item.campaign_id)
    assert refused.value.message == absent.value.message


def test_who_attested_still_sees_the_item(make):
    item = make.item(make.PRIVILEGED)
    owner = make.actor(item.assignee)
    decision = decide(item=item, version=1, answer="approve", actor=owner, now=make.NOW, reason="x")
    assert selectors.access_item(actor=owner, item_id=item.pk).state == "attested"
    assert selectors.access_decision(actor=owner, decision_id=decision.pk) == decision


@pytest.mark.parametrize(
    ("role", "sees"),
    [
        (Role.ADMINISTRATOR, True),
        (Role.AUDITOR, True),
        (Role.CAMPAIGN_MANAGER, False),
        (Role.REVIEWER, False),
        (Role.OWNER, False),
    ],
)
def test_who_sees_a_campaign_of_somebody_else(make, role, sees):
    campaign = make.item().campaign
    actor = make.actor(make.person(role))
    assert list(selectors.list_campaigns(actor=actor)) == ([campaign] if sees else [])
    assert selectors.access_campaign(actor=make.actor(campaign.manager), campaign_id=campaign.pk) == campaign


@pytest.mark.parametrize(
    ("role", "sees"),
    [
        (Role.ADMINISTRATOR, True),
        (Role.AUDITOR, True),
        (Role.CAMPAIGN_MANAGER, True),
        (Role.REVIEWER, False),
        (Role.OWNER, False),
    ],
)
def test_who_sees_schedules(make, role, sees):
    schedule = make.schedule()
    assert list(selectors.list_schedules(actor=make.actor(make.person(role)))) == ([schedule] if sees else [])


@pytest.mark.parametrize(
    ("role", "sees"),
    [
        (Role.ADMINISTRATOR, True),
        (Role.AUDITOR, True),
        (Role.REVIEWER, True),
        (Role.CAMPAIGN_MANAGER, False),
        (Role.OWNER, False),
    ],
)
def test_who_sees_an_order_of_somebody_else(make, role, sees):
    item = make.item()
    decide(item=item, version=1, answer="revoke", actor=make.actor(item.assignee), now=make.NOW)
    order = Order.objects.get()
    assert list(selectors.list_orders(actor=make.actor(make.person(role)))) == ([order] if sees else [])
    for own in (item.assignee, item.campaign.manager):
        assert selectors.access_order(actor=make.actor(own), order_id=order.pk) == order
    if not sees:
        with pytest.raises(NotFound):
            selectors.access_order(actor=make.actor(make.person(role)), order_id=order.pk)


def test_the_inbox_shows_privileged_items_first_then_the_nearest_deadline(make):
    owner = make.person()
    plain, strong = make.grant(make.identity(owner=owner)), make.grant(make.identity(owner=owner), make.PRIVILEGED)
    late, soon = make.campaign(), make.campaign(deadline_at=make.NOW + timedelta(days=2))
    shown = list(selectors.list_inbox(actor=make.actor(owner)))
    expected = [(soon, strong), (late, strong), (soon, plain), (late, plain)]
    assert shown == [make.get_item(campaign, grant) for campaign, grant in expected]


def test_the_inbox_holds_only_what_can_be_answered(make):
    item = make.item()
    me = make.actor(item.assignee)
    decide(item=item, version=1, answer="approve", actor=me, now=make.NOW)
    make.item(owner=item.assignee)
    Campaign.objects.update(state="closing")
    assert list(selectors.list_inbox(actor=me)) == []
    assert list(selectors.list_inbox(actor=client("reviews:read"))) == []


def test_progress_is_counted_in_one_query(make, django_assert_num_queries):
    campaign = make.item().campaign
    with django_assert_num_queries(1):
        progress = selectors.campaign_progress(campaign)
    assert (progress["open"], progress["undecided"], progress["total"], progress["escalated"]) == (1, 1, 1, 0)


def test_the_trace_is_told_in_sentences_with_names(make):
    fallback = make.person(name="Ada")
    grant = make.grant(make.identity(owner=make.person(name="Grace", is_active=False)))
    item = make.get_item(make.campaign(fallback_reviewer=fallback), grant)
    assert selectors.explain_resolution(item.resolution, RULE_LABELS) == [
        "Owner of the identity: Grace. Has left or cannot sign in.",
        "Fallback reviewer: Ada is asked.",
    ]


def test_what_was_given_back_counts_once(make):
    item = make.item()
    decide(
        item=item, version=item.version, answer="revoke", reason="gone", actor=make.actor(item.assignee), now=make.NOW
    )
    order = Order.objects.get()
    Order.objects.filter(pk=order.pk).update(state="restored")
    same = {"source": order.source, "identity": order.identity, "grant": order.grant, "item": order.item}
    Order.objects.create(**same, action="restore", state="verified", restores=order, execute_after=make.NOW)
    counts = selectors.order_progress(item.campaign)
    assert {state: count for state, count in counts.items() if count} == {"restored": 1, "total": 1}
