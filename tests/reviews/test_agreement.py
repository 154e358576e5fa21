"""How far decisions follow the recommendations: what counts and what does not."""

from datetime import timedelta

import pytest

from governance.kernel.permissions import Permission
from reviews.agreement import agreement_of
from reviews.campaigns.closing import close_due_campaigns
from reviews.decisions import decide, recall
from reviews.models import ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def advised(make):
    """`advised(approve=2, revoke=1)`: open questions of one person with these recommendations."""
    owner = make.person()

    def go(**wanted):
        names = [advice for advice, count in wanted.items() for _ in range(count)]
        grants = [make.grant(make.identity(owner=owner)) for _ in names]
        campaign = make.campaign()
        items = [make.get_item(campaign, grant) for grant in grants]
        for item, advice in zip(items, names, strict=True):
            item.recommendation = "" if advice == "nothing" else advice
            item.recommended_target = make.NARROWER if advice == "scope_down" else None
            item.save()
        return campaign, items

    return go


def answer(make, item, how, **more):
    return decide(
        item=item, version=1, answer=how, actor=make.actor(item.assignee), now=make.NOW, reason="Because.", **more
    )


def shown(campaign):
    return {
        line.recommendation: (line.followed, line.decided, dict(line.instead)) for line in agreement_of(campaign).lines
    }


def test_the_share_is_of_decisions_that_do_what_was_recommended(make, advised):
    campaign, items = advised(approve=3, revoke=1)
    answer(make, items[0], "approve")
    answer(make, items[1], "approve_until", until=make.NOW + timedelta(days=30))
    answer(make, items[2], "revoke")
    answer(make, items[3], "revoke")
    found = agreement_of(campaign)
    assert (found.followed, found.decided) == (3, 4)
    assert shown(campaign) == {"approve": (2, 3, {"revoke": 1}), "revoke": (1, 1, {})}


def test_scoping_down_follows_only_with_the_recommended_target(make, advised):
    campaign, items = advised(scope_down=2)
    other = make.NARROWER | {"statements": [{"actions": ["INSERT"], "resources": ["table:ledger/public/refunds"]}]}
    answer(make, items[0], "scope_down", target=Permission.from_json(make.NARROWER))
    answer(make, items[1], "scope_down", target=Permission.from_json(other))
    assert shown(campaign) == {"scope_down": (1, 2, {"another scope": 1})}


def test_where_nothing_was_recommended_nothing_can_be_followed(make, advised):
    campaign, items = advised(nothing=1, approve=1)
    for item in items:
        answer(make, item, "approve")
    found = agreement_of(campaign)
    assert (found.followed, found.decided, found.without) == (1, 1, 1)


def test_what_was_taken_back_or_passed_on_does_not_count(make, advised):
    campaign, items = advised(approve=2)
    recall(decision=answer(make, items[0], "approve"), actor=make.actor(items[0].assignee), now=make.NOW)
    answer(make, items[1], "not_mine")
    assert agreement_of(campaign).decided == 0


def test_the_deadline_policy_is_nobodys_agreement(make, advised):
    campaign, items = advised(revoke=1)
    campaign.deadline_policy = "revoke"
    campaign.save()
    close_due_campaigns(now=make.NOW + timedelta(days=20))
    assert ReviewItem.objects.get(pk=items[0].pk).state == "decided"
    assert agreement_of(campaign).decided == 0


def test_it_costs_one_query(make, advised, django_assert_num_queries):
    campaign, items = advised(approve=3)
    answer(make, items[0], "approve")
    with django_assert_num_queries(1):
        agreement_of(campaign)
