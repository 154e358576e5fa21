"""Used, unused, not observable."""

from dataclasses import dataclass
from datetime import UTC, datetime

from governance.kernel.documents import Permission
from governance.kernel.observing import UseState, Window, coverage_of, state_of, use_within

HELD = Permission.from_json({
    "dialect": "postgresql",
    "statements": [{"actions": ["SELECT", "DELETE"], "resources": ["table:led/public/pay"]}],
})  # fmt: skip


@dataclass(frozen=True)
class Use:
    action: str
    resource: str


def window(*actions, resource="table:led/*/*", day=1):
    return Window("log", datetime(2026, 5, day, tzinfo=UTC), datetime(2026, 6, day, tzinfo=UTC), actions, (resource,))


def judged(uses, *windows):
    return state_of(HELD, use_within(HELD, uses), coverage_of("postgresql", windows))


class TestState:
    def test_use_outside_of_the_permission_is_none_of_it(self):
        assert judged([Use("SELECT", "table:led/public/other")], window("SELECT", "DELETE")) is UseState.UNUSED
        assert judged([Use("SELECT", "table:led/public/pay")]) is UseState.USED

    def test_what_one_log_shows_in_part_is_not_observable(self):
        assert judged([]) is UseState.NOT_OBSERVABLE
        assert judged([], window("SELECT")) is UseState.NOT_OBSERVABLE
        assert judged([], window("SELECT"), window("DELETE")) is UseState.UNUSED

    def test_a_window_of_another_dialect_shows_nothing(self):
        assert judged([], window("SELECT", "DELETE", resource="arn:aws:s3:::pay")) is UseState.NOT_OBSERVABLE


def test_only_the_time_that_every_log_covers_counts():
    found = coverage_of("postgresql", (window("SELECT", day=3), window("DELETE", day=9), window("s3:Get", day=20)))

    assert found.since is not None and found.until is not None
    assert (found.since.day, found.until.day) == (9, 3)
