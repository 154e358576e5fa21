"""What people approved and nothing has touched since may be carried over: marked, sampled, and not for ever."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from identities.models import Grant
from reviews.campaigns.opening import open_campaign
from reviews.campaigns.unchanged import weighed
from reviews.decisions import decide
from reviews.models import Decision
from reviews.policies import InvalidPolicy, checked
from reviews.policies.carrying import Carrying

pytestmark = pytest.mark.django_db
ON = {"carrying": {"is_on": True, "sample_percent": 0}}


@pytest.fixture
def owner(make):
    return make.person(Role.OWNER)


@pytest.fixture
def grant(make, owner):
    return make.grant(make.identity(owner=owner))


@pytest.fixture
def review(make):
    """`review(policy, days)`: a review of everything, opened so many days after NOW."""

    def go(policy=ON, days=0, **more):
        at = make.NOW + timedelta(days=days)
        draft = make.campaign(is_open=False, policy=policy, deadline_at=at + timedelta(days=14), **more)
        return open_campaign(campaign_id=draft.pk, actor=system_actor("scheduler"), now=at)

    return go


def answer(make, item, how="approve", days=0, **more):
    item.refresh_from_db()
    now = make.NOW + timedelta(days=days, hours=1)
    me = make.actor(item.assignee)
    decision = decide(item=item, version=item.version, answer=how, actor=me, now=now, reason="Because.", **more)
    return answer(make, item, how, days, **more) if decision.is_attestation else decision


@pytest.fixture
def approved(make, review, grant):
    """Asked and approved by a person in the first review."""
    return answer(make, make.get_item(review(), grant))


def second(make, review, grant, policy=ON, days=90):
    return make.get_item(review(policy, days), grant)


def test_an_unchanged_approval_is_carried_with_its_original(make, review, grant, approved):
    item = second(make, review, grant)

    [decision] = item.decisions.all()
    assert (item.state, item.decided_at, item.version) == ("decided", make.NOW + timedelta(days=90), 1)
    assert (decision.answer, decision.decided_by, decision.decided_by_policy) == ("approve", None, "carrying")
    assert (decision.carries, decision.generation, bytes(decision.digest)) == (approved, 1, approved.digest)
    assert item.campaign.frozen["carrying"]["carried"] == 1
    grant.refresh_from_db()
    assert grant.reviewed_at == make.NOW + timedelta(days=90)


def test_each_carried_decision_has_its_record(make, review, grant, approved):
    item = second(make, review, grant)
    record = AuditEvent.objects.get(verb="item.carried")
    assert record.subject_id == str(item.pk)
    assert f'"carries":"{approved.pk}"' in record.payload


def test_nothing_is_carried_unless_somebody_switched_it_on(make, review, grant, approved):
    item = second(make, review, grant, policy={})
    assert item.state == "open"
    assert "carrying" not in item.campaign.frozen


def test_it_is_not_carried_twice_in_a_row(make, review, grant, approved):
    second(make, review, grant, days=30)
    assert second(make, review, grant, days=60).state == "open"


def test_it_is_carried_as_often_as_the_rules_say_always_from_the_persons_decision(make, review, grant, approved):
    rules = {"carrying": {"is_on": True, "sample_percent": 0, "generations": 2}}
    second(make, review, grant, rules, days=30)
    again = second(make, review, grant, rules, days=60)
    assert (again.decisions.get().carries, again.decisions.get().generation) == (approved, 2)
    assert second(make, review, grant, rules, days=90).state == "open"


def test_the_age_counts_from_the_persons_decision(make, review, grant, approved):
    assert second(make, review, grant, days=181).state == "open"


def new_content(make, grant, owner):
    make.change_grant(grant, make.NARROWER)


def same_content_again(make, grant, owner):
    make.change_grant(grant, make.HELD)


def another_owner(make, grant, owner):
    grant.identity.owner = make.person(Role.OWNER)
    grant.identity.save()


def no_owner(make, grant, owner):
    grant.identity.owner = None
    grant.identity.save()


def owner_left(make, grant, owner):
    owner.left_at, owner.is_active = make.NOW, False
    owner.save()


def another_environment(make, grant, owner):
    grant.identity.environment = "production"
    grant.identity.save()


def another_use(make, grant, owner):
    make.window(grant.source)
    make.use(grant.identity, "SELECT", "table:ledger/public/payments")


def disabled(make, grant, owner):
    grant.identity.status = "disabled"
    grant.identity.save()


def approval_lapsed(make, grant, owner):
    Grant.objects.filter(pk=grant.pk).update(reviewed_at=None, reviewed_digest=None)


def decider_holds_a_credential(make, grant, owner):
    make.credential(grant.identity, holder=owner)


@pytest.mark.parametrize(
    "change",
    [
        new_content,
        same_content_again,
        another_owner,
        no_owner,
        owner_left,
        another_environment,
        another_use,
        disabled,
        approval_lapsed,
        decider_holds_a_credential,
    ],
    ids=lambda change: change.__name__,
)
def test_whatever_changed_is_asked_again(make, review, grant, owner, approved, change):
    change(make, grant, owner)
    assert second(make, review, grant).state == "open"


@pytest.mark.parametrize(
    ("how", "more"), [("approve_until", {"until": 300}), ("revoke", {})], ids=["approve_until", "revoke"]
)
def test_only_plain_approvals_are_carried(make, review, grant, how, more):
    until = {"until": make.NOW + timedelta(days=more["until"])} if more else {}
    answer(make, make.get_item(review(), grant), how, **until)
    assert second(make, review, grant).state == "open"


def test_what_a_policy_decided_is_not_carried(make, review, grant, approved):
    Decision.objects.filter(pk=approved.pk).update(decided_by=None, decided_by_policy="revoke_unused")
    assert second(make, review, grant).state == "open"


def test_privileged_access_is_asked_again_unless_the_rules_say_otherwise(make, review, owner):
    privileged = make.grant(make.identity(owner=owner), make.PRIVILEGED)
    answer(make, make.get_item(review(), privileged))
    assert second(make, review, privileged, days=30).state == "open"
    answer(make, second(make, review, privileged, days=40), days=40)
    assert second(make, review, privileged, {"carrying": {**ON["carrying"], "privileged": True}}, days=60).state == (
        "decided"
    )


def test_a_sample_is_asked_anyway_and_can_be_drawn_again(make, review, owner):
    grants = [make.grant(make.identity(owner=owner)) for _ in range(40)]
    first = review()
    for grant in grants:
        answer(make, make.get_item(first, grant))
    campaign = review({"carrying": {"is_on": True, "sample_percent": 50}}, 30)

    frozen = campaign.frozen["carrying"]
    rules = Carrying.from_json(campaign.policy["carrying"])
    drawn = {grant.pk for grant in grants if rules.is_sampled(frozen["seed"], str(grant.pk))}
    assert {item.grant_id for item in campaign.items.filter(state="open")} == drawn
    assert (frozen["carried"], frozen["sampled"]) == (40 - len(drawn), len(drawn))
    assert 0 < len(drawn) < 40
    opened = AuditEvent.objects.filter(verb="campaign.opened").order_by("occurred_at").last()
    assert frozen["seed"] in opened.payload


def test_carrying_many_costs_as_many_queries_as_carrying_few(make, review, owner):
    def opened_with(number, days):
        with CaptureQueriesContext(connection) as spent:
            campaign = review(days=days)
        assert campaign.frozen["carrying"]["carried"] == number
        return len(spent)

    def approve_all(days):
        for item in review({}, days).items.filter(state="open"):
            answer(make, item, days=days)

    source = make.source()
    make.grant(make.identity(source, owner=owner))
    approve_all(0)
    few = opened_with(1, 1)
    for _ in range(12):
        make.grant(make.identity(source, owner=owner))
    approve_all(2)
    assert opened_with(13, 3) <= few


def test_what_a_reviewer_weighs_is_what_is_compared(make, review, grant, approved):
    assert weighed(second(make, review, grant)) == weighed(approved.item)


@pytest.mark.parametrize(
    "wrong",
    [
        {"is_on": "yes"},
        {"max_age_days": 0},
        {"generations": 6},
        {"sample_percent": 101},
        {"sample_percent": 1.5},
        {"privileged": 1},
        {"other": 1},
    ],
    ids=str,
)
def test_rules_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InvalidPolicy):
        checked({"carrying": wrong})


def test_rules_are_read_as_they_were_written():
    rules = Carrying(is_on=True, max_age_days=30, generations=2, sample_percent=5, privileged=True)
    assert Carrying.from_json(rules.to_json()) == rules
