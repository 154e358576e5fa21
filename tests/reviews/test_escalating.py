"""Silent questions go on while there is time: to the right person, once, visibly."""

import threading
from datetime import timedelta

import pytest
from django.db import connection

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from reviews.decisions import decide, escalate_silent_items
from reviews.decisions.resolution import RULE_LABELS
from reviews.models import ReviewItem
from reviews.policies import InvalidPolicy, checked
from reviews.policies.escalation import Escalation
from reviews.selectors import explain_resolution

DB = pytest.mark.django_db
DAY = timedelta(days=1)
# Three quarters of two weeks are ten and a half days.
DUE = timedelta(days=10.5)


@pytest.fixture
def owner(make):
    boss = make.person(Role.REVIEWER, name="Ines Manager")
    return make.person(Role.OWNER, name="Olga Owner", manager=boss)


@pytest.mark.parametrize(
    ("rules", "is_privileged", "days"),
    [
        ({}, True, 10.5),
        ({}, False, None),
        ({"privileged_percent": 50, "privileged_days": 3}, True, 3),
        ({"privileged_percent": 50, "privileged_days": 9}, True, 7),
        ({"privileged_percent": 0}, True, None),
        ({"standard_days": 14}, False, None),
        ({"standard_days": 13}, False, 13),
    ],
    ids=lambda value: "",
)
def test_whichever_comes_first_counts_and_only_before_the_deadline(make, rules, is_privileged, days):
    at = Escalation.from_json(rules).due_at(
        is_privileged=is_privileged, opened_at=make.NOW, deadline_at=make.NOW + 14 * DAY
    )
    assert at == (None if days is None else make.NOW + days * DAY)


@pytest.mark.parametrize(
    "value",
    [
        {"privileged_percent": 100},
        {"standard_days": -1},
        {"privileged_days": "3"},
        {"standard_percent": True},
        {"x": 1},
    ],
    ids=["whole time", "negative", "text", "truth", "unknown"],
)
def test_rules_that_cannot_be_kept_are_refused(value):
    with pytest.raises(InvalidPolicy):
        checked({"escalation": value})


@DB
def test_a_privileged_question_goes_to_the_owners_manager_and_the_owner_stays_visible(make, owner, verbs):
    item = make.item(make.PRIVILEGED, owner)
    assert escalate_silent_items(now=make.NOW + DUE - timedelta(seconds=1)) == 0
    assert escalate_silent_items(now=make.NOW + DUE) == 1
    item.refresh_from_db()
    assert (item.assignee, item.state, item.escalated_at) == (owner.manager, "open", make.NOW + DUE)
    assert explain_resolution(item.resolution, RULE_LABELS)[-2:] == [
        "Asked before: Olga Owner. No answer by 12 March 2026.",
        "Manager of the owner: Ines Manager is asked.",
    ]
    assert verbs("item.") == ["item.escalated"]


@DB
def test_it_goes_once(make, owner):
    make.item(make.PRIVILEGED, owner)
    assert [escalate_silent_items(now=make.NOW + DUE + n * DAY) for n in range(3)] == [1, 0, 0]


@DB
def test_the_next_person_can_decide(make, owner):
    item = make.item(make.PRIVILEGED, owner)
    escalate_silent_items(now=make.NOW + DUE)
    item.refresh_from_db()
    now = make.NOW + DUE
    decide(item=item, version=item.version, answer="revoke", actor=make.actor(item.assignee), now=now, reason="Old.")
    item.refresh_from_db()
    assert item.state == "decided"


@DB
@pytest.mark.parametrize("trouble", ["none", "left", "holds a credential"])
def test_where_the_manager_cannot_the_campaign_manager_is_asked(make, owner, trouble):
    item = make.item(make.PRIVILEGED, owner)
    boss = owner.manager
    if trouble == "none":
        owner.manager = None
        owner.save()
    elif trouble == "left":
        boss.is_active = False
        boss.save()
    else:
        make.credential(item.identity, holder=boss)
    escalate_silent_items(now=make.NOW + DUE)
    item.refresh_from_db()
    assert item.assignee == item.campaign.manager
    assert item.resolution[-1]["rule"] == "campaign_manager"


@DB
def test_where_nobody_may_decide_the_campaign_manager_hands_it_on(make):
    manager = make.person(Role.CAMPAIGN_MANAGER)
    item = make.item(make.PRIVILEGED, manager, manager=manager)
    escalate_silent_items(now=make.NOW + DUE)
    item.refresh_from_db()
    assert (item.assignee, item.resolution[-1]["rule"]) == (manager, "nobody")


@DB
def test_what_is_not_privileged_waits_unless_the_schedule_says_otherwise(make, owner):
    make.item(owner=owner)
    assert escalate_silent_items(now=make.NOW + DUE) == 0
    make.item(owner=owner, policy={"escalation": {"standard_days": 3}})
    # The second review asks about both of the owner's grants.
    assert escalate_silent_items(now=make.NOW + 3 * DAY) == 2


@DB
def test_an_attested_question_goes_past_the_one_who_should_decide_and_never_back(make, owner):
    item = make.item(make.PRIVILEGED, owner)
    decide(item=item, version=1, answer="approve", actor=make.actor(owner), now=make.NOW, reason="Needed.")
    escalate_silent_items(now=make.NOW + DUE)
    item.refresh_from_db()
    assert (item.state, item.assignee) == ("attested", owner.manager)


@DB
def test_whoever_has_just_been_asked_gets_a_day(make, owner):
    item = make.item(make.PRIVILEGED, owner)
    just = make.NOW + DUE - timedelta(hours=1)
    decide(item=item, version=1, answer="not_mine", actor=make.actor(owner), now=just)
    assert escalate_silent_items(now=make.NOW + DUE) == 0
    assert escalate_silent_items(now=just + DAY) == 1


@DB
def test_what_is_answered_or_past_its_deadline_stays(make, owner):
    item = make.item(owner=owner, policy={"escalation": {"standard_days": 3}})
    assert escalate_silent_items(now=item.campaign.deadline_at) == 0
    decide(item=item, version=1, answer="approve", actor=make.actor(owner), now=make.NOW)
    assert escalate_silent_items(now=make.NOW + 5 * DAY) == 0


def test_workers_at_once_send_each_question_once(committed_db, make, owner):
    identity = make.identity(owner=owner)
    for _ in range(20):
        make.grant(identity, make.PRIVILEGED)
    make.campaign()
    start, problems, went = threading.Barrier(4), [], []

    def work():
        try:
            start.wait()
            went.append(escalate_silent_items(now=make.NOW + DUE))
        except Exception as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    went.append(escalate_silent_items(now=make.NOW + DUE))
    assert sum(went) == 20
    assert AuditEvent.objects.filter(verb="item.escalated").count() == 20
    assert set(ReviewItem.objects.values_list("version", flat=True)) == {2}


@DB
def test_many_questions_cost_no_query_each(make, owner, django_assert_max_num_queries):
    identity = make.identity(owner=owner)
    for _ in range(30):
        make.grant(identity, make.PRIVILEGED)
    make.campaign()
    with django_assert_max_num_queries(24):
        assert escalate_silent_items(now=make.NOW + DUE) == 30
