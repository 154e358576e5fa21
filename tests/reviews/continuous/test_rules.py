"""Rules for reviews between dates: who may write them, what is refused, and what the trail keeps."""

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from reviews.continuous import InvalidWatch, StaleWatch, change_watch, create_watch
from reviews.models import Trigger

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(make):
    return make.person(Role.CAMPAIGN_MANAGER)


def create(make, by, **chosen):
    values = {"trigger": Trigger.CHANGED, "fallback_reviewer": by}
    return create_watch(actor=make.actor(by), now=make.NOW, **(values | chosen))


def test_a_manager_writes_a_rule_and_answers_for_its_reviews(make, boss):
    watch = create(make, boss, scope="privileged=yes", days_to_answer=3)
    assert (watch.created_by, watch.scope, watch.days_to_answer, watch.version) == (boss, "privileged=yes", 3, 1)
    [record] = AuditEvent.objects.all()
    assert (record.verb, record.subject_kind) == ("watch.created", "watch")
    assert "@example.org" not in record.payload


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.OWNER, Role.AUDITOR])
def test_others_write_none(make, role):
    with pytest.raises(Forbidden):
        create(make, make.person(role))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trigger", "whenever"),
        ("reviewer_rules", []),
        ("reviewer_rules", ["owner", "owner"]),
        ("days_to_answer", 0),
        ("settle_minutes", 1_441),
        ("most_questions", 0),
        ("quiet_days", 10_000),
        ("scope", "no_such=thing"),
        ("scope", "owner=me"),
        ("deadline_policy", "approve"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(make, boss, field, value):
    with pytest.raises(InvalidWatch) as refusal:
        create(make, boss, **{field: value})
    assert list(refusal.value.details["fields"]) == [field]
    assert not AuditEvent.objects.exists()


def test_one_rule_for_each_trigger_and_scope(make, boss):
    create(make, boss)
    create(make, boss, scope="privileged=yes")
    with pytest.raises(InvalidWatch):
        create(make, boss)


def test_a_change_is_recorded_with_what_it_was(make, boss):
    watch = create(make, boss)
    change_watch(watch=watch, version=1, changes={"is_enabled": False}, actor=make.actor(boss), now=make.NOW)
    record = AuditEvent.objects.get(verb="watch.changed")
    assert '"old":{"is_enabled":true}' in record.payload
    assert '"new":{"is_enabled":false}' in record.payload


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(make, boss):
    watch = create(make, boss)
    change_watch(watch=watch, version=1, changes={"days_to_answer": 3}, actor=make.actor(boss), now=make.NOW)
    with pytest.raises(StaleWatch):
        change_watch(watch=watch, version=1, changes={"days_to_answer": 4}, actor=make.actor(boss), now=make.NOW)


def test_a_rule_belongs_to_its_manager(make, boss):
    watch = make.watch(created_by=boss)
    other = make.actor(make.person(Role.CAMPAIGN_MANAGER))
    with pytest.raises(Forbidden):
        change_watch(watch=watch, version=1, changes={"is_enabled": False}, actor=other, now=make.NOW)


def test_the_trigger_of_a_rule_is_fixed(make, boss):
    watch = make.watch(created_by=boss)
    with pytest.raises(InvalidWatch):
        change_watch(watch=watch, version=1, changes={"trigger": "changed"}, actor=make.actor(boss), now=make.NOW)
