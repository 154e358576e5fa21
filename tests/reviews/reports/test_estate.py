"""The daily measure of the estate: what it counts, when it does not measure, and that a day counts once."""

from datetime import timedelta

import pytest

from governance.kernel.actors import Role
from reviews.decisions import decide
from reviews.models import EstateMeasure
from reviews.reports.estate import measure_estate

pytestmark = pytest.mark.django_db


@pytest.fixture
def source(make):
    found = make.source()
    make.window(found, actions=["SELECT", "INSERT", "DELETE", "TRUNCATE"], resources=["table:*/*/*"])
    return found


def row_of(source, is_privileged=False):
    return EstateMeasure.objects.get(source=source, is_privileged=is_privileged)


ONLY_READ = {
    "dialect": "postgresql",
    "statements": [{"actions": ["SELECT"], "resources": ["table:ledger/public/payments"]}],
}


def test_identities_hold_too_much_are_contained_or_cannot_be_judged(make, source):
    wide, exact, idle = (make.identity(source) for _ in range(3))
    make.grant(wide)
    make.grant(exact, ONLY_READ)
    make.grant(idle, make.PRIVILEGED)
    for each in (wide, exact):
        make.use(each, "SELECT", "table:ledger/public/payments")
    make.identity(source)
    dark = make.identity()
    make.grant(dark)

    assert measure_estate(now=make.NOW) == 2

    plain, privileged, unseen = row_of(source), row_of(source, True), row_of(dark.source)
    assert (plain.identities, plain.too_much, plain.contained, plain.not_assessable) == (2, 1, 1, 0)
    assert (privileged.identities, privileged.too_much) == (1, 1)
    assert (unseen.identities, unseen.not_assessable) == (1, 1)


def test_an_access_is_reviewed_when_people_decided_and_an_identity_when_all_of_its_accesses_are(make, source):
    owner = make.person(Role.OWNER)
    half, whole = make.identity(source, owner=owner), make.identity(source, owner=owner)
    first, _, only = make.grant(half), make.grant(half), make.grant(whole)
    campaign = make.campaign()
    for grant in (first, only):
        item = make.get_item(campaign, grant)
        decide(item=item, version=1, answer="approve", actor=make.actor(owner), now=make.NOW)
    silent = make.get_item(campaign, half.grants.exclude(pk=first.pk).get())
    silent.decisions.create(answer="revoke", decided_by_policy="revoke", decided_at=make.NOW)

    later = make.NOW + timedelta(days=100)
    source.last_success_at = later
    source.save()
    measure_estate(now=make.NOW + timedelta(hours=1))
    measure_estate(now=later)

    soon, after = EstateMeasure.objects.filter(source=source, is_privileged=False).order_by("day")
    assert (soon.grants, soon.grants_reviewed_90, soon.grants_never) == (3, 2, 1)
    assert (soon.identities, soon.identities_reviewed_90, soon.identities_never) == (2, 1, 0)
    assert (after.grants_reviewed_90, after.grants_reviewed_365) == (0, 2)


def test_a_day_counts_once_and_a_stale_picture_is_a_gap(make, source):
    make.grant(make.identity(source))
    assert measure_estate(now=make.NOW) == 1
    assert measure_estate(now=make.NOW + timedelta(hours=3)) == 0
    assert measure_estate(now=make.NOW + timedelta(days=1000)) == 0
    assert EstateMeasure.objects.count() == 2


def test_a_source_that_was_never_read_is_not_measured(make):
    make.source(last_success_at=None)
    assert measure_estate(now=make.NOW) == 0


def test_it_costs_the_same_number_of_queries_for_more_identities(make, source, django_assert_max_num_queries):
    for _ in range(12):
        make.grant(make.identity(source))
    with django_assert_max_num_queries(18):
        measure_estate(now=make.NOW)
