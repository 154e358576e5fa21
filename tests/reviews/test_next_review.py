"""Which planned review asks about an identity next."""

from datetime import timedelta

import pytest

from reviews.campaigns.next_review import next_review_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def identity(make):
    return make.grant(make.identity(make.source(slug="ledger"))).identity


def test_the_first_schedule_whose_scope_holds_something_of_it_is_next(make, identity):
    make.schedule(scope="source=elsewhere", next_due_at=make.NOW)
    make.schedule(scope="source=ledger", item_kinds=["credential"], next_due_at=make.NOW + timedelta(days=1))
    wanted = make.schedule(scope="source=ledger", next_due_at=make.NOW + timedelta(days=2))
    make.schedule(next_due_at=make.NOW + timedelta(days=3))

    assert next_review_of(identity_id=identity.pk, now=make.NOW) == wanted


def test_whoever_asks_for_its_credentials_or_its_owner_asks_about_it_too(make, identity):
    owners = make.schedule(item_kinds=["ownership"], next_due_at=make.NOW + timedelta(days=2))
    assert next_review_of(identity_id=identity.pk, now=make.NOW) == owners

    make.credential(identity)
    passwords = make.schedule(item_kinds=["credential"], next_due_at=make.NOW + timedelta(days=1))
    assert next_review_of(identity_id=identity.pk, now=make.NOW) == passwords


def test_paused_and_ended_schedules_and_those_of_others_ask_nothing(make, identity):
    make.schedule(is_enabled=False)
    make.schedule(next_due_at=None)
    make.schedule(scope="source=elsewhere")

    assert next_review_of(identity_id=identity.pk, now=make.NOW) is None


def test_the_search_ends_with_the_first_that_asks(make, identity, django_assert_num_queries):
    for _ in range(20):
        make.schedule()

    with django_assert_num_queries(2):
        next_review_of(identity_id=identity.pk, now=make.NOW)
