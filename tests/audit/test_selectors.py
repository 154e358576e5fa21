"""The trail's pages: filters, paging, one query."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from governance.audit.actions import Verb
from governance.audit.log import Subject
from governance.audit.models import AuditDetail
from governance.audit.selectors import get_event, list_events
from governance.kernel.actors import system_actor

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


def test_filters_are_values_never_sql(trail: list[UUID]) -> None:
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
