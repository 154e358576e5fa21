from datetime import UTC, datetime, timedelta

import pytest

from reviews.forms.schedules import PRESETS
from reviews.policies.calendar import InvalidRule, check_rule, dates_after, dates_between
from reviews.policies.spoken import in_words

HOUR = timedelta(hours=1)


def at(year, month, day, hour=0, minute=0):
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


NEW_YEAR = at(2026, 1, 1, 8)


def dates(rule, *, start=NEW_YEAR, zone="Europe/Berlin", after=None, count=3):
    return dates_after(rule, starts_at=start, time_zone=zone, after=after or start - HOUR, count=count)


def test_nine_in_the_morning_stays_nine_when_the_clock_changes():
    start = at(2026, 3, 27, 8)  # 09:00 in Berlin, in winter
    assert dates("FREQ=DAILY", start=start) == [at(2026, 3, 27, 8), at(2026, 3, 28, 8), at(2026, 3, 29, 7)]


def test_a_time_that_the_clock_skips_happens_an_hour_later():
    start = at(2026, 3, 28, 1, 30)  # 02:30 in Berlin; on 29 March there is no 02:30
    assert dates("FREQ=DAILY", start=start)[1] == at(2026, 3, 29, 1, 30)


def test_a_time_that_the_clock_shows_twice_happens_the_first_time_only():
    start = at(2026, 10, 24, 0, 30)  # 02:30 in Berlin; on 25 October it comes twice
    assert dates("FREQ=DAILY", start=start) == [
        at(2026, 10, 24, 0, 30),
        at(2026, 10, 25, 0, 30),
        at(2026, 10, 26, 1, 30),
    ]


def test_the_first_of_every_quarter():
    found = dates("RRULE:FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=1", zone="UTC", count=5)
    assert [(date.month, date.day) for date in found] == [(1, 1), (4, 1), (7, 1), (10, 1), (1, 1)]


def test_a_rule_that_ended_has_no_next_date():
    assert dates("FREQ=DAILY;COUNT=2", count=5) == [at(2026, 1, 1, 8), at(2026, 1, 2, 8)]
    assert len(dates("FREQ=DAILY;UNTIL=20260103T080000Z", count=9)) == 3
    assert dates("FREQ=DAILY;COUNT=2", after=at(2030, 1, 1)) == []


def test_the_next_dates_of_an_old_rule_are_found():
    assert dates("FREQ=DAILY", after=at(2045, 6, 1, 12), count=1) == [at(2045, 6, 2, 7)]


def test_missed_dates_are_found_with_both_ends():
    found = dates_between(
        "FREQ=DAILY", starts_at=at(2026, 1, 1), time_zone="UTC", first=at(2026, 1, 3), last=at(2026, 1, 5)
    )
    assert found == [at(2026, 1, 3), at(2026, 1, 4), at(2026, 1, 5)]


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "every monday",
        "FREQ=FORTNIGHTLY",
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;INTERVAL=90",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=-3",
        "FREQ=DAILY;BYHOUR=25",
        "FREQ=HOURLY;INTERVAL=7;BYHOUR=25",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=5",
        "FREQ=DAILY;FREQ=WEEKLY",
        "DTSTART=20260101T000000;FREQ=DAILY",
        "FREQ=DAILY\nRDATE:20260101T000000",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMINUTE=0,30",
        "FREQ=DAILY;BYHOUR=9;BYMINUTE=0,59",
        "FREQ=DAILY;UNTIL=yesterday",
        "FREQ=DAILY;\x00",
    ],
)
def test_a_rule_that_cannot_work_is_refused_in_words(rule):
    with pytest.raises(InvalidRule) as refusal:
        check_rule(rule, starts_at=at(2026, 1, 1), time_zone="UTC", shortest=HOUR)
    assert refusal.value.field == "rrule"


@pytest.mark.parametrize("zone", ["", "Mars/Phobos", "../../etc/passwd", "Europe", "\x00"])
def test_an_unknown_time_zone_is_refused(zone):
    with pytest.raises(InvalidRule) as refusal:
        check_rule("FREQ=DAILY", starts_at=at(2026, 1, 1), time_zone=zone, shortest=HOUR)
    assert refusal.value.field == "time_zone"


def test_an_hour_apart_is_allowed_and_a_quarter_of_one_only_where_the_setting_says_so():
    check_rule("FREQ=HOURLY", starts_at=at(2026, 1, 1), time_zone="Europe/Berlin", shortest=HOUR)
    often = "FREQ=HOURLY;BYMINUTE=0,15,30,45"
    check_rule(often, starts_at=at(2026, 1, 1), time_zone="UTC", shortest=timedelta(minutes=15))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("FREQ=MONTHLY;INTERVAL=6;BYMONTHDAY=1", "Every half-year, on the 1st"),
        ("RRULE:FREQ=MONTHLY;INTERVAL=2;BYDAY=1MO", "Every 2 months, on the first Monday"),
        ("freq=weekly;byday=mo,-1fr", "Every week, on Monday and the last Friday"),
        ("FREQ=MONTHLY;BYMONTHDAY=12,22,-1", "Every month, on the 12th and the 22nd and the last day"),
        ("FREQ=DAILY;INTERVAL=1", "Every day"),
    ],
)
def test_a_rule_is_said_in_plain_words(rule, words):
    assert in_words(rule) == words


@pytest.mark.parametrize(
    "rule", ["FREQ=DAILY;COUNT=3", "FREQ=MONTHLY;BYDAY=7MO", "FREQ=MONTHLY;BYMONTHDAY=-2", "FREQ=MONTHLY;BYDAY=X", ""]
)
def test_what_has_no_words_is_not_said_wrongly(rule):
    assert in_words(rule) == ""


def test_the_choices_of_the_form_are_said_in_its_own_words():
    assert {rule: in_words(rule) for rule, _ in PRESETS if rule != "custom"} == dict(PRESETS[:-1])
