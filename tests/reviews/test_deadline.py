from datetime import timedelta

import pytest

from governance.audit.models import AuditEvent
from identities.models import Grant
from reviews.deadline import expire_due_approvals
from reviews.decisions import decide

pytestmark = pytest.mark.django_db


@pytest.fixture
def approved(make):
    item = make.item()
    until = make.NOW + timedelta(days=10)
    decide(
        item=item,
        version=1,
        answer="approve_until",
        until=until,
        reason="Until the move.",
        actor=make.actor(item.assignee),
        now=make.NOW,
    )
    return item.grant


def lapses():
    return [event.payload for event in AuditEvent.objects.filter(verb="approval.lapsed")]


def test_an_approval_stands_until_its_date_and_lapses_once(make, approved):
    assert expire_due_approvals(now=make.NOW + timedelta(days=9)) == 0
    assert expire_due_approvals(now=make.NOW + timedelta(days=10)) == 1
    assert expire_due_approvals(now=make.NOW + timedelta(days=11)) == 0
    [payload] = lapses()
    assert '"why":"date_reached"' in payload
    grant = Grant.objects.get(pk=approved.pk)
    assert (grant.reviewed_at, grant.reviewed_digest, grant.approved_until) == (None, None, None)


def test_an_approval_lapses_when_the_access_becomes_another(make, approved):
    make.change_grant(approved, make.NARROWER)
    assert expire_due_approvals(now=make.NOW) == 1
    [payload] = lapses()
    assert '"why":"access_changed"' in payload


def test_other_grants_cost_nothing_and_are_left_alone(make, approved, django_assert_max_num_queries):
    make.change_grant(make.grant(), make.NARROWER)
    with django_assert_max_num_queries(8):
        assert expire_due_approvals(now=make.NOW) == 0
