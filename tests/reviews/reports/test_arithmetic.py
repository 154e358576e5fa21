"""Numbers of reports, computed by hand beside the code; laws by generated cases."""

from datetime import UTC, date, datetime, timedelta

import orjson
from hypothesis import given as cases
from hypothesis import strategies as st

from reviews.reports.burndown import burn_down
from reviews.reports.excess import counted
from reviews.reports.flat import flat
from reviews.reports.removal import removal_times
from reviews.reports.removed import lost

MONDAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def on(number):
    return MONDAY + timedelta(days=number)


def burnt(decided, asked=10, *, today=2, deadline=4, ended=None):
    points = burn_down(
        decided, asked, first=MONDAY, today=on(today), deadline=on(deadline), ended=None if ended is None else on(ended)
    )
    return [(point.open, point.planned) for point in points]


def test_questions_burn_down_by_the_day_and_the_line_ends_at_the_deadline():
    assert burnt({on(0): 2, on(2): 5}) == [(8, 10), (8, 8), (3, 5), (None, 3), (None, 0)]


def test_what_is_left_at_the_end_stays_and_late_days_are_shown():
    assert burnt({on(1): 4}, today=9, ended=3) == [(10, 10), (6, 8), (6, 5), (6, 3), (None, 0)]
    assert burnt({}, asked=1, today=6, deadline=4)[-2:] == [(1, 0), (1, 0)]


def test_a_review_of_nothing_or_of_one_day_has_a_line_all_the_same():
    assert burnt({}, asked=0, today=0, deadline=0) == [(0, 0)]
    assert burnt({on(0): 1}, asked=1, today=0, deadline=0) == [(0, 1)]


@cases(st.dictionaries(st.integers(0, 20).map(on), st.integers(0, 5)), st.integers(0, 25), st.integers(0, 25))
def test_what_is_open_and_what_was_answered_is_what_was_asked(decided, today, deadline):
    asked = sum(decided.values()) + 3
    points = burn_down(decided, asked, first=MONDAY, today=on(today), deadline=on(deadline))
    for point in points:
        if point.open is not None:
            assert point.open + sum(n for day, n in decided.items() if day <= point.day) == asked
        assert 0 <= point.planned <= asked
    assert [point.day for point in points] == [on(n) for n in range(len(points))]


HOUR = 3600


def test_the_median_is_of_what_was_verified_and_the_rest_stands_beside_it():
    others = {
        ("applied", False): 1,
        ("failed", False): 2,
        ("recalled", False): 1,
        ("recalled", True): 1,
        ("planned", True): 1,
        ("reappeared", False): 1,
    }
    assert removal_times([HOUR, 5 * HOUR, 3 * HOUR], others) == {
        "total": 10,
        "verified": 3,
        "verified_median": 3 * HOUR,
        "verified_p90": 5 * HOUR,
        "of_all_median": None,
        "pending": {"applied": 1, "failed": 2, "reappeared": 1},
        "not_verified": 4,
        "dated": 1,
        "withdrawn": 2,
    }


def test_half_of_everything_is_said_once_half_is_verified():
    assert removal_times([HOUR, 2 * HOUR], {("applied", False): 1})["of_all_median"] == 2 * HOUR
    assert removal_times([], {})["of_all_median"] is None
    assert removal_times([], {("task", False): 1})["verified_median"] is None


@cases(
    st.lists(st.integers(0, 10**7)),
    st.dictionaries(st.tuples(st.sampled_from(["applied", "recalled", "planned"]), st.booleans()), st.integers(1, 9)),
)
def test_every_order_is_counted_once(took, others):
    found = removal_times(took, others)
    parts = found["verified"] + found["not_verified"] + found["dated"] + found["withdrawn"]
    assert parts == found["total"] == len(took) + sum(others.values())
    assert sum(found["pending"].values()) == found["not_verified"]


def test_an_identity_is_contained_when_nothing_that_was_too_much_is_left():
    rows = [
        (True, True, False, False),
        (True, False, True, True),
        (False, False, False, False),
        (False, False, True, True),
        (True, False, False, False),
        (False, False, True, False),
    ]
    assert counted(rows) == {
        "identities": 6,
        "before": {"too_much": 3, "contained": 1, "not_assessable": 2},
        "after": {"too_much": 1, "contained": 3, "not_assessable": 2},
    }
    assert counted([])["identities"] == 0


@cases(st.lists(st.tuples(*[st.booleans()] * 4)))
def test_states_add_up(rows):
    found = counted(rows)
    for when in ("before", "after"):
        assert sum(found[when].values()) == found["identities"] == len(rows)


def test_a_narrowing_loses_the_classes_that_its_target_no_longer_gives():
    target = orjson.dumps(
        {"dialect": "postgresql", "statements": [{"actions": ["SELECT"], "resources": ["table:ledger/public/a"]}]}
    )
    assert lost(["read", "write", "destructive"], target) == {"write", "destructive"}
    assert lost(["read"], target) == frozenset()
    assert lost(["read", "admin"], b'{"dialect": "no such"}') == frozenset()


def test_a_report_becomes_rows_of_a_spreadsheet():
    figures = {"a": {"b": 1, "c": None}, "days": [{"day": MONDAY, "open": 2}], "rows": [{"n": 3}], "at": NOON}
    assert dict(flat(figures)) == {
        "a.b": 1,
        "a.c": None,
        "days.2026-03-02.day": "2026-03-02",
        "days.2026-03-02.open": 2,
        "rows.1.n": 3,
        "at": "2026-03-02T12:00:00+00:00",
    }
