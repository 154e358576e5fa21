from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.kernel.growth import Series, growing, held_series
from governance.kernel.permissions import Answer, includes, matches

SINCE = datetime(2026, 8, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=90)
BUCKET = "arn:aws:s3:::reports-17"


@dataclass(frozen=True)
class Use:
    action: str
    resource: str
    first_seen_at: datetime | None


def daily(pattern, days, action="s3:GetObject"):
    return [Use(action, f"{SINCE + timedelta(days=day):{pattern}}", SINCE + timedelta(days=day)) for day in days]


def found(uses):
    return growing(uses, since=SINCE, until=UNTIL)


@pytest.mark.parametrize(
    ("pattern", "series"),
    [
        (f"{BUCKET}/in/%Y/%m/%d.json", f"{BUCKET}/in/*.json"),
        (f"{BUCKET}/in/%Y%m%d-part0", f"{BUCKET}/in/*"),
        (f"{BUCKET}/run-%j/out.csv", f"{BUCKET}/run-*/out.csv"),
        (f"{BUCKET}/v2/%Y-%m-%d/", f"{BUCKET}/v2/*/"),
    ],
    ids=["folders", "compact", "number", "constant before"],
)
def test_files_of_each_day_are_one_series_that_outlives_the_year(pattern, series):
    assert found(daily(pattern, range(0, 90, 5))) == (Series("s3:GetObject", series, 18),)


def test_names_that_all_appeared_early_are_no_series_that_goes_on():
    assert found(daily(f"{BUCKET}/%d", range(20))) == ()


def test_names_that_all_appeared_late_may_be_one_occasion():
    assert found(daily(f"{BUCKET}/%d", range(80, 88))) == ()


def test_two_names_are_no_series():
    assert found(daily(f"{BUCKET}/%j", [1, 80])) == ()


def test_without_dates_of_first_use_nothing_is_said():
    assert found([Use("s3:GetObject", f"{BUCKET}/{number}", None) for number in range(9)]) == ()


def test_hashes_count_as_numbers():
    names = [f"{BUCKET}/obj/{number:032x}.bin" for number in range(1, 10)]
    uses = [Use("s3:PutObject", name, SINCE + timedelta(days=9 * number)) for number, name in enumerate(names)]

    assert [each.pattern for each in found(uses)] == [f"{BUCKET}/obj/*.bin"]


def test_another_action_does_not_come_along():
    uses = [*daily(f"{BUCKET}/%j", range(0, 90, 9)), Use("s3:DeleteObject", f"{BUCKET}/001", SINCE)]

    assert {each.action for each in found(uses)} == {"s3:GetObject"}


def test_only_what_is_held_as_a_whole_is_kept(permission):
    held = permission("aws", (["s3:GetObject"], [f"{BUCKET}/in/*"]))
    inside, beyond = Series("s3:GetObject", f"{BUCKET}/in/*.json", 9), Series("s3:GetObject", f"{BUCKET}/*", 9)

    assert held_series(held, [inside, beyond]) == permission("aws", (["s3:GetObject"], [inside.pattern]))


def test_a_held_condition_is_not_lost_over_a_series(permission):
    limits = {"conditions": [{"operator": "IpAddress", "key": "aws:SourceIp", "values": ["10.0.0.0/8"]}]}
    held = permission("aws", ("s3:*", f"{BUCKET}/*", limits))

    assert held_series(held, [Series("s3:GetObject", f"{BUCKET}/in/*", 9)]).is_empty


@given(
    st.sampled_from([f"{BUCKET}/a/%Y/%m/%d", f"{BUCKET}/%j.csv", f"{BUCKET}/x7/%Y%m%d/y"]),
    st.sets(st.integers(0, 89), min_size=1, max_size=12),
)
def test_a_series_holds_all_its_names_and_stays_inside_what_is_held(permission, pattern, days):
    uses, held = daily(pattern, sorted(days)), permission("aws", ("s3:*", f"{BUCKET}/*"))
    kept = held_series(held, found(uses))

    assert includes(held, kept).holds
    if not kept.is_empty:
        assert all(matches(kept, use.action, use.resource) is Answer.YES for use in uses)
