"""The span of a report, the one before it, and the points of its trend."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given as cases
from hypothesis import strategies as st

from reviews.reports.period import NoSuchPeriod, Period, period_of

TODAY = date(2026, 3, 31)
ZONE = ZoneInfo("Europe/Berlin")


def asked(first="", last="", days=""):
    return period_of(first=first, last=last, days=days, today=TODAY, zone=ZONE)


def test_a_quarter_until_today_is_the_usual_one_and_the_one_before_touches_it():
    period = asked()
    assert (period.days, period.last, period.first) == (91, TODAY, date(2025, 12, 31))
    assert (period.before.days, period.before.last) == (91, date(2025, 12, 30))


def test_its_days_begin_at_midnight_of_its_clock_also_when_that_changes():
    period = asked(first="2026-03-29", last="2026-03-29")
    assert period.starts_at == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert period.ends_at == datetime(2026, 3, 29, 22, tzinfo=UTC)


def test_a_short_one_is_shown_by_the_week_and_a_long_one_by_the_month():
    assert asked(days="14").points() == [date(2026, 3, 24), TODAY]
    assert asked(first="2025-11-15", last="2026-03-31").points() == [
        date(2025, 11, 30), date(2025, 12, 31), date(2026, 1, 31), date(2026, 2, 28), TODAY
    ]  # fmt: skip
    assert asked(first="2025-11-15", last="2026-03-20").points()[-1] == date(2026, 3, 20)


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [
        ("2026-04-01", "2026-03-01", ""),
        ("2026-04-01", "", ""),
        ("", "2026-03-01", ""),
        ("soon", "", ""),
        ("0001-01-01", "2026-01-01", ""),
        ("2020-01-01", "2026-01-01", ""),
        ("", "", "0"),
        ("", "", "-3"),
        ("", "", "0000911234"),
        ("", "", "9999"),
        ("", "", "٣"),
    ],
)
def test_what_is_no_period_is_refused_with_a_sentence(first, last, days):
    with pytest.raises(NoSuchPeriod) as refusal:
        asked(first, last, days)
    assert refusal.value.message.endswith(".")


@cases(st.dates(date(2020, 1, 1), date(2026, 12, 31)), st.integers(0, 1000))
def test_points_rise_and_end_with_the_period(first, length):
    period = Period(first, first + timedelta(days=length), ZONE)
    points = period.points()
    assert points == sorted(set(points))
    assert points[-1] == period.last
    assert points[0] >= period.first
    assert period.before.ends_at == period.starts_at
