"""When orders may run: windows that come round, freezes, and orders that go on by themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError, Forbidden
from reviews import remediation
from reviews.models import ChangeWindow, Order, OrderAction
from reviews.remediation import windows
from reviews.remediation.windows import Calendar, InvalidWindow
from reviews.states import OrderState

pytestmark = pytest.mark.django_db
MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SUNDAY = datetime(2026, 3, 8, 1, 0, tzinfo=UTC)  # 02:00 in Berlin
HOUR = timedelta(hours=1)


@pytest.fixture
def boss(make):
    return make.actor(make.person(Role.CAMPAIGN_MANAGER))


@pytest.fixture
def sundays(boss):
    def go(source=None, **more):
        values = {"name": "Sunday night", "rrule": "FREQ=WEEKLY;BYDAY=SU", "time_zone": "Europe/Berlin"}
        values |= {"starts_at": SUNDAY - timedelta(days=7), "duration_minutes": 120, "source": source}
        return windows.create_window(**(values | more), actor=boss, now=MONDAY)

    return go


@pytest.fixture
def freeze(boss):
    def go(source=None, **more):
        values = {"reason": "year end", "starts_at": MONDAY - HOUR, "ends_at": MONDAY + HOUR, "source": source}
        return windows.create_freeze(**(values | more), actor=boss, now=MONDAY)

    return go


@pytest.fixture
def planned(make):
    """`planned(source)`: an order that is due on Monday."""

    def go(source=None, **more):
        identity = make.identity(source)
        values = {"identity": identity, "source": identity.source, "action": OrderAction.QUARANTINE}
        return Order.objects.create(**(values | {"execute_after": MONDAY} | more))

    return go


def held(source, at):
    hold = Calendar(at).hold_of(source.pk)
    return hold and (hold.until, hold.reasons)


def test_without_windows_and_freezes_orders_run_at_any_time(planned):
    assert held(planned().source, MONDAY) is None
    assert remediation.drain_orders(now=MONDAY) == 1


def test_an_order_waits_for_its_window_and_goes_on_by_itself(planned, sundays):
    order = planned()
    sundays()
    assert remediation.drain_orders(now=MONDAY) == 0
    remediation.execute_order(order_id=str(order.pk), now=MONDAY)
    assert Order.objects.get().state == OrderState.PLANNED, "also when a message comes early"
    assert held(order.source, MONDAY) == (SUNDAY, ("outside the change window “Sunday night”",))
    assert held(order.source, SUNDAY) is None
    assert held(order.source, SUNDAY + 2 * HOUR)[0] == SUNDAY + timedelta(days=7), "its end is not inside"
    assert remediation.drain_orders(now=SUNDAY) == 1


def test_a_source_with_a_window_of_its_own_runs_in_that_one_only(planned, sundays):
    mine, other = planned().source, planned().source
    sundays()
    sundays(mine, name="Noon", rrule="FREQ=DAILY", starts_at=MONDAY + 3 * HOUR, time_zone="UTC")
    assert held(mine, MONDAY)[0] == MONDAY + 3 * HOUR
    assert held(other, MONDAY)[0] == SUNDAY
    assert held(mine, SUNDAY)[0] == SUNDAY.replace(hour=12)


def test_a_freeze_holds_over_an_open_window_and_both_reasons_are_said(planned, sundays, freeze):
    order = planned()
    sundays()
    freeze(starts_at=MONDAY, ends_at=SUNDAY + HOUR)
    hold = Calendar(MONDAY).hold_of(order.source_id)
    assert hold.until == SUNDAY + HOUR, "an hour of the window is left"
    assert hold.sentence == "Held until Sun 8 Mar 2026, 02:00 UTC: freeze, year end."
    freeze(starts_at=MONDAY, ends_at=SUNDAY + 5 * HOUR)
    until, reasons = held(order.source, MONDAY)
    assert until == SUNDAY + timedelta(days=7)
    assert len(reasons) == 2


def test_a_freeze_at_one_source_leaves_the_others_alone(planned, freeze):
    mine, other = planned(), planned()
    freeze(mine.source)
    assert remediation.drain_orders(now=MONDAY) == 1
    assert held(other.source, MONDAY) is None
    assert remediation.drain_orders(now=MONDAY + HOUR) == 2, "its end is not inside"


def test_a_window_that_never_opens_again_says_so(planned, sundays):
    order = planned()
    sundays(rrule="FREQ=DAILY;COUNT=1")
    assert held(order.source, MONDAY)[0] is None
    assert "no window is in sight" in Calendar(MONDAY).hold_of(order.source_id).sentence


def test_restorations_and_what_has_begun_are_not_held(planned, freeze):
    planned(action=OrderAction.RESTORE)
    planned(state=OrderState.EXECUTING, leased_until=MONDAY - HOUR)
    planned()
    freeze()
    assert remediation.drain_orders(now=MONDAY) == 2


def test_held_orders_do_not_stand_in_front_of_others(planned, freeze, monkeypatch):
    monkeypatch.setattr("reviews.remediation.executing.BATCH", 2)
    frozen = planned().source
    for _ in range(3):
        planned(frozen, execute_after=MONDAY - HOUR)
    free = planned()
    freeze(frozen)
    sent = []
    monkeypatch.setattr("governance.dispatch.after_commit", lambda name, **facts: sent.append(facts.get("order_id")))
    remediation.drain_orders(now=MONDAY)
    assert sent == [str(free.pk)]


def test_lifting_and_removing_send_on_what_was_held(planned, sundays, freeze, boss, verbs):
    planned()
    window, frozen = sundays(), freeze()
    windows.lift_freeze(freeze=frozen, actor=boss, now=MONDAY)
    assert remediation.drain_orders(now=MONDAY) == 0
    windows.remove_window(window=window, actor=boss, now=MONDAY)
    assert remediation.drain_orders(now=MONDAY) == 1
    assert verbs("freeze.") == ["freeze.created", "freeze.lifted"]
    assert verbs("window.") == ["window.created", "window.removed"]
    for again in (lambda: windows.lift_freeze(freeze=frozen, actor=boss, now=MONDAY),
                  lambda: windows.remove_window(window=window, actor=boss, now=MONDAY)):  # fmt: skip
        with pytest.raises(DomainError):
            again()


@pytest.mark.parametrize(("wrong", "field"), [
    ({"name": " "}, "name"), ({"duration_minutes": 0}, "duration_minutes"), ({"rrule": "sometimes"}, "rrule"),
    ({"time_zone": "Mars"}, "time_zone"), ({"rrule": "FREQ=SECONDLY"}, "rrule"),
], ids=str)  # fmt: skip
def test_a_window_that_cannot_be_is_refused_beside_its_field(sundays, wrong, field):
    with pytest.raises(InvalidWindow) as refused:
        sundays(**wrong)
    assert list(refused.value.details["fields"]) == [field]
    assert not ChangeWindow.objects.exists()


@pytest.mark.parametrize(("wrong", "field"), [
    ({"reason": ""}, "reason"), ({"ends_at": MONDAY - 2 * HOUR}, "ends_at"),
    ({"ends_at": MONDAY - HOUR / 2}, "ends_at"), ({"ends_at": MONDAY + timedelta(days=400)}, "ends_at"),
], ids=["no-reason", "before-start", "over", "too-long"])  # fmt: skip
def test_a_freeze_that_cannot_be_is_refused_beside_its_field(freeze, wrong, field):
    with pytest.raises(InvalidWindow) as refused:
        freeze(**wrong)
    assert list(refused.value.details["fields"]) == [field]


def test_only_managers_say_when_orders_run(make, sundays):
    window = sundays()
    with pytest.raises(Forbidden):
        windows.remove_window(window=window, actor=make.actor(make.person(Role.REVIEWER)), now=MONDAY)
