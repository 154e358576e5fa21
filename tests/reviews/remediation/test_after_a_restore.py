"""After a restore every source is held, and a person who has looked ends it."""

from datetime import timedelta

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.errors import DomainError, Forbidden
from identities.models import SyncRun
from reviews.models import Order, RestoreHold
from reviews.remediation import drain_orders
from reviews.remediation.releasing import ReleaseNeedsReason
from reviews.remediation.restored import (
    HoldEnded,
    NotReadSince,
    call_off_held,
    hold_everything,
    list_held_sources,
    release_hold,
)
from reviews.states import OrderState

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def held(make):
    """A source with a planned revocation and a planned restoration, held since NOW."""
    source = make.source(kind="push")
    for action in ("revoke", "restore"):
        identity = make.identity(source)
        Order.objects.create(source=source, identity=identity, action=action, execute_after=make.NOW)
    hold_everything(state_of=make.NOW - HOUR, now=make.NOW)
    return RestoreHold.objects.get(source=source)


def read(make, hold, began, **fields):
    facts = {"mode": "snapshot", "origin": "api", "state": "applied", "is_complete": True, "actor_id": "system:test"}
    return SyncRun.objects.create(
        **(facts | {"source": hold.source, "started_at": began, "observed_at": began} | fields)
    )


def test_nothing_is_due_at_a_held_source_not_even_what_gives_access_back(make, held):
    later = make.NOW + HOUR

    assert drain_orders(now=later) == 0
    RestoreHold.objects.update(ended_at=later, ended_by=make.person())
    assert drain_orders(now=later) == 2


@pytest.mark.parametrize(
    "reading",
    [None, {"began": -HOUR}, {"began": HOUR, "is_complete": False}, {"began": HOUR, "state": "held"}],
    ids=["none", "before the restore", "a delta", "one that waits"],
)
def test_a_hold_is_not_released_before_a_later_complete_reading(make, held, reading):
    if reading:
        read(make, held, make.NOW + reading.pop("began"), **reading)

    with pytest.raises(NotReadSince):
        release_hold(hold=held, reason="Looked.", actor=make.actor(make.person(Role.ADMINISTRATOR)), now=make.NOW)


def test_a_release_sends_again_and_leaves_one_record(make, held):
    read(make, held, make.NOW + HOUR)
    actor, later = make.actor(make.person(Role.CAMPAIGN_MANAGER)), make.NOW + 2 * HOUR
    before = AuditEvent.objects.count()

    release_hold(hold=held, reason="Both are still wanted.", actor=actor, now=later)

    assert AuditEvent.objects.count() == before + 1
    assert drain_orders(now=later) == 2
    with pytest.raises(HoldEnded):
        release_hold(hold=held, reason="Again.", actor=actor, now=later)


def test_calling_off_withdraws_what_was_not_sent(make, held):
    call_off_held(hold=held, reason="Done since.", actor=make.actor(make.person(Role.ADMINISTRATOR)), now=make.NOW)

    assert set(Order.objects.values_list("state", flat=True)) == {OrderState.RECALLED}


@pytest.mark.parametrize("use_case", [release_hold, call_off_held])
def test_only_those_who_run_reviews_end_a_hold_and_say_why(make, held, use_case):
    read(make, held, make.NOW + HOUR)

    with pytest.raises(Forbidden):
        use_case(hold=held, reason="Please.", actor=make.actor(make.person(Role.AUDITOR)), now=make.NOW)
    with pytest.raises(ReleaseNeedsReason):
        use_case(hold=held, reason=" ", actor=make.actor(make.person(Role.ADMINISTRATOR)), now=make.NOW)
    assert RestoreHold.objects.get().ended_at is None


def test_a_second_restore_asks_for_a_reading_after_that_one(make, held):
    read(make, held, make.NOW + HOUR)

    hold_everything(state_of=make.NOW, now=make.NOW + 2 * HOUR)

    (only,) = list_held_sources()
    assert (only.hold.pk, only.read_at, only.waiting) == (held.pk, None, 2)
    with pytest.raises(DomainError):
        release_hold(hold=held, reason="Looked.", actor=make.actor(make.person(Role.ADMINISTRATOR)), now=make.NOW)


def test_the_page_says_what_is_known_and_costs_the_same_for_many_sources(
    make, held, client, sign_in, django_assert_max_num_queries
):
    administrator = make.person(Role.ADMINISTRATOR)
    sign_in(client, administrator)
    for _ in range(20):
        make.source()
    hold_everything(state_of=make.NOW, now=make.NOW)

    with django_assert_max_num_queries(12):
        page = client.get("/orders/restored/").content.decode()

    assert page.count("not yet") == 21
    assert "2 orders" in page
    assert "The database was restored." in client.get("/orders/").content.decode()
    answer = client.post(f"/orders/restored/{held.source.slug}/release/", {f"release-{held.source.slug}-reason": "x"})
    assert answer.status_code == 409
    assert "Let the source be read first" in answer.content.decode()
