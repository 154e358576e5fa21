from datetime import timedelta

import pytest

from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from governance.kernel.permissions import Permission
from identities.models import Grant
from reviews.decisions import CampaignNotOpen, NotRecallable, decide, recall
from reviews.models import Decision, Order
from reviews.remediation.placing import TooLate

pytestmark = pytest.mark.django_db


def answer(make, item, how="revoke", by=None, **more):
    item.refresh_from_db()
    return decide(
        item=item,
        version=item.version,
        answer=how,
        actor=make.actor(by or item.assignee),
        now=make.NOW,
        reason="Because.",
        **more,
    )


def test_a_recalled_decision_asks_the_question_again_and_withdraws_its_order(make, verbs):
    item = make.item()
    decision = answer(make, item)
    taken_back = recall(decision=decision, actor=make.actor(item.assignee), now=make.NOW)
    item.refresh_from_db()
    assert (item.state, item.decided_at) == ("open", None)
    assert taken_back.recalls == decision
    assert Order.objects.get().state == "recalled"
    assert verbs("item.") == ["item.decided", "item.recalled"]
    answer(make, item, "approve")


@pytest.mark.parametrize("how", ["approve", "scope_down", "approve_until"])
def test_every_kind_of_answer_can_be_taken_back(make, how):
    item = make.item()
    more = {
        "scope_down": {"target": Permission.from_json(make.NARROWER)},
        "approve_until": {"until": make.NOW + timedelta(days=9)},
    }
    decision = answer(make, item, how, **more.get(how, {}))
    recall(decision=decision, actor=make.actor(item.assignee), now=make.NOW)
    assert Grant.objects.get(pk=item.grant_id).reviewed_at is None


def test_taking_an_approval_back_leaves_the_one_of_an_earlier_review(make):
    item = make.item()
    answer(make, item, "approve")
    later = make.get_item(make.campaign(), item.grant)
    decision = answer(make, later, "approve")
    recall(decision=decision, actor=make.actor(later.assignee), now=make.NOW)
    assert Grant.objects.get(pk=item.grant_id).reviewed_at == make.NOW


def test_what_was_sent_can_no_longer_be_taken_back(make):
    item = make.item()
    decision = answer(make, item)
    Order.objects.update(state="executing")
    with pytest.raises(TooLate):
        recall(decision=decision, actor=make.actor(item.assignee), now=make.NOW)
    item.refresh_from_db()
    assert item.state == "decided"
    assert Decision.objects.count() == 1


def test_nothing_is_taken_back_twice_or_after_the_deadline(make):
    item = make.item()
    decision = answer(make, item)
    me = make.actor(item.assignee)
    with pytest.raises(CampaignNotOpen):
        recall(decision=decision, actor=me, now=item.campaign.deadline_at)
    taken_back = recall(decision=decision, actor=me, now=make.NOW)
    for again in (decision, taken_back):
        with pytest.raises(NotRecallable):
            recall(decision=again, actor=me, now=make.NOW)


def test_only_the_person_and_the_manager_may_take_an_answer_back(make):
    item = make.item()
    decision = answer(make, item)
    for stranger in (make.person(Role.REVIEWER), make.person(Role.AUDITOR), make.person(Role.CAMPAIGN_MANAGER)):
        with pytest.raises(Forbidden):
            recall(decision=decision, actor=make.actor(stranger), now=make.NOW)
    recall(decision=decision, actor=make.actor(item.campaign.manager), now=make.NOW)


def test_a_recalled_attestation_asks_the_owner_again(make):
    item = make.item(make.PRIVILEGED)
    owner = item.assignee
    decision = answer(make, item, "approve")
    recall(decision=decision, actor=make.actor(owner), now=make.NOW)
    item.refresh_from_db()
    assert (item.state, item.assignee) == ("open", owner)


def test_an_attestation_stands_once_the_independent_reviewer_has_decided(make):
    item = make.item(make.PRIVILEGED)
    owner = item.assignee
    attestation = answer(make, item, "approve")
    final = answer(make, item, "revoke")
    with pytest.raises(NotRecallable):
        recall(decision=attestation, actor=make.actor(owner), now=make.NOW)
    recall(decision=final, actor=make.actor(final.decided_by), now=make.NOW)
    item.refresh_from_db()
    assert (item.state, item.assignee) == ("attested", final.decided_by)


def test_taking_back_does_not_wash_off_in_whose_place_somebody_answers(make):
    friend = make.person()
    item = make.item(make.PRIVILEGED)
    answer(make, item, "dont_know", named_person=friend)
    attestation = answer(make, item, "approve", by=friend)
    recall(decision=attestation, actor=make.actor(friend), now=make.NOW)
    assert answer(make, item, "approve", by=friend).is_attestation


def test_passing_on_cannot_be_taken_back(make):
    item = make.item()
    owner = item.assignee
    decision = answer(make, item, "not_mine")
    with pytest.raises(NotRecallable):
        recall(decision=decision, actor=make.actor(owner), now=make.NOW)
