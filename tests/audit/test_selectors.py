"""The trail's pages: filters, paging, one query."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from governance.audit.actions import Verb
from governance.audit.log import Record, Subject, record_many
from governance.audit.models import AuditDetail
from governance.audit.selectors import get_event, list_events, list_sealed
from governance.kernel.actors import Actor, system_actor

MakeEvent = Callable[..., UUID]


@pytest.fixture
def trail(db: None, make_event: MakeEvent, now: datetime) -> list[UUID]:
    """Three events, an hour apart, sealed within the test's transaction."""
    events = [
        make_event(reason="first", personal={"ip": "192.0.2.1"}),
        make_event(
            verb=Verb.ORDER_SENT,
            subject=Subject("order", "7", "Order 7"),
            now=now + timedelta(hours=1),
            actor=system_actor("drain"),
        ),
        make_event(
            verb=Verb.ORDER_FAILED, subject=Subject("order", "7"), now=now + timedelta(hours=2), outcome="failed"
        ),
    ]
    connection.check_constraints()
    return events


def found(**filters: Any) -> list[UUID]:
    return [row.event_id for row in list_events(**filters).rows]


def test_the_newest_comes_first(trail: list[UUID]) -> None:
    assert found() == trail[::-1]


def test_each_filter_filters(trail: list[UUID], now: datetime) -> None:
    _, second, third = trail
    assert found(verb="order.sent") == [second]
    assert found(verb="order") == [third, second]
    assert found(verb="no.such_verb") == []
    assert found(actor_id="system:drain") == [second]
    assert found(subject_kind="order", subject_id="7") == [third, second]
    assert found(outcome="failed") == [third]
    assert found(since=now + timedelta(hours=1), until=now + timedelta(hours=2)) == [second]
    assert found(verb="order", outcome="success") == [second]


@pytest.fixture
def long_trail(db: None, actor: Actor, now: datetime) -> None:
    """Forty events in three bulk writes that share times, the last of them with the earliest time."""
    for batch, minutes in enumerate((10, 20, 0)):
        record_many(
            Record(
                verb=[Verb.ITEM_DECIDED, Verb.ORDER_SENT, Verb.ORDER_FAILED][(n + n // 5) % 3],
                actor=[actor, system_actor("drain")][n % 2],
                subject=Subject(["item", "order"][n // 3 % 2], str(n % 4)),
                now=now + timedelta(minutes=minutes + n // 7),
            )
            for n in range(13 + batch % 2)
        )
    connection.check_constraints()


def everything() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.seq, e.occurred_at, e.ordinal, e.verb, e.actor_id, e.subject_kind, e.subject_id "
            "FROM audit_auditlink l JOIN audit_auditevent e ON e.id = l.event_id"
        )
        return cursor.fetchall()


def walk(read: Callable[..., Any], **wanted: Any) -> list[int]:
    """The seals on all pages; fails when the pages do not end."""
    seen, before = [], None
    for _ in range(200):
        page = read(before=before, limit=3, **wanted)
        seen += [row.seq for row in page.rows]
        before = page.next_before
        if before is None:
            return seen
    raise AssertionError("the pages do not end")


WANTED = [
    {},
    {"verb": "item.decided"},
    {"verb": "order"},
    {"actor_id": "system:drain"},
    {"subject_kind": "order"},
    {"subject_kind": "item", "subject_id": "2"},
    {"verb": "order", "actor_id": "system:drain"},
    {"verb": "order.sent", "actor_id": "system:drain", "subject_kind": "order", "subject_id": "3"},
    {"actor_id": "nobody"},
    {"verb": "no.such_verb"},
    {"verb": "item.decided", "outcome": "failed"},
    {"verb": "order", "outcome": "success"},
    {"outcome": "success"},
]


def is_wanted(row: tuple[Any, ...], wanted: dict[str, str]) -> bool:
    _, _, _, verb, actor_id, kind, subject_id = row
    return (
        wanted.get("verb", verb) in (verb, verb.split(".")[0])
        and wanted.get("actor_id", actor_id) == actor_id
        and wanted.get("subject_kind", kind) == kind
        and wanted.get("subject_id", subject_id) == subject_id
        and wanted.get("outcome", "success") == "success"
    )


@pytest.mark.parametrize("wanted", WANTED, ids=str)
@pytest.mark.parametrize(("looked_through", "few"), [(10_000, 2_000), (2, 3), (5, 1)])
def test_the_pages_together_are_exactly_what_fits_in_order(
    long_trail: None, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, str], looked_through: int, few: int
) -> None:
    monkeypatch.setattr("governance.audit.selectors.LOOKED_THROUGH", looked_through)
    monkeypatch.setattr("governance.audit.selectors.FEW", few)
    fitting = [row for row in everything() if is_wanted(row, wanted)]

    by_time = [row[0] for row in sorted(fitting, key=lambda row: (row[1], row[2]), reverse=True)]
    by_seal = sorted((row[0] for row in fitting), reverse=True)

    assert walk(list_events, **wanted) == by_time
    assert walk(list_sealed, **wanted) == by_seal


@pytest.mark.parametrize("read", [list_events, list_sealed])
def test_times_bound_both_lists(long_trail: None, now: datetime, read: Callable[..., Any]) -> None:
    since, until = now + timedelta(minutes=1), now + timedelta(minutes=11)

    expected = {row[0] for row in everything() if since <= row[1] < until}

    assert set(walk(read, since=since, until=until)) == expected
    assert set(walk(read, since=since, until=until, verb="order")) < expected


def test_a_search_that_stops_early_says_so(long_trail: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("governance.audit.selectors.LOOKED_THROUGH", 4)
    monkeypatch.setattr("governance.audit.selectors.FEW", 1)
    wanted = {"verb": "item.decided", "outcome": "failed"}

    for read in (list_events, list_sealed):
        page = read(**wanted)
        assert page.rows == []
        assert page.is_cut_short and page.next_before


def test_a_late_commit_is_first_among_seals_and_in_its_place_among_times(long_trail: None) -> None:
    # The last batch carries the earliest time.
    assert list_sealed(limit=1).rows[0].seq == 40
    assert list_events(limit=1).rows[0].seq == 27


def test_a_rare_kind_is_found_through_its_own_index(long_trail: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off")
    with CaptureQueriesContext(connection) as queries:
        list_events(subject_kind="unicorn")
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {queries[0]['sql']}")
        plan = " ".join(line for (line,) in cursor.fetchall())

    assert "Index Scan Backward using audit_event_kind" in plan


def test_filters_are_values_never_sql(trail: list[UUID]) -> None:
    assert [row.event_id for row in list_sealed(actor_id="' OR true --").rows] == []
    assert found(subject_id="'; DROP TABLE x; --") == []
    assert found(verb="%") == []


def test_pages_follow_each_other_without_overlap(trail: list[UUID]) -> None:
    one = list_events(limit=2)
    two = list_events(limit=2, before=one.next_before)

    assert [row.event_id for row in one.rows + two.rows] == trail[::-1]
    assert two.next_before is None


def test_a_page_is_one_query(trail: list[UUID], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        list_events()
    with django_assert_num_queries(1):
        list_events(verb="order")
    with django_assert_num_queries(2):  # where the search stopped, if it did
        list_events(subject_kind="order", verb="order")
    with django_assert_num_queries(1):
        list_sealed()


def test_a_row_is_ready_to_print(trail: list[UUID], now: datetime) -> None:
    row = get_event(trail[0])

    assert row is not None
    assert (row.verb, row.description) == ("item.decided", "A reviewer decided on a question.")
    assert (row.occurred_at, row.reason, row.personal) == (now, "first", {"ip": "192.0.2.1"})
    assert (row.subject_label, row.new, row.old) == ("Item 1", {"answer": "revoke"}, {})
    assert (row.auth_method, row.request_id, row.is_erased) == ("password+totp", "req-1", False)
    assert len(row.hash) == 64


def test_an_erased_detail_is_shown_as_erased(trail: list[UUID], now: datetime) -> None:
    AuditDetail.objects.update(salt=None, text=None, erased_at=now)

    row = get_event(trail[0])

    assert row is not None
    assert (row.is_erased, row.reason, row.personal) == (True, "", {})


def test_an_unknown_event_is_none(db: None) -> None:
    assert get_event(uuid4()) is None
