"""Keyset pages: complete, in order, both ways, and deaf to cursors that are not ours."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.core import signing
from django.db import connection
from django.test.utils import CaptureQueriesContext

from governance.people.models import User
from governance.web.keyset import stretches
from governance.web.pagination import LAST, BadCursor, SortKey, paginate

BY_NAME = (SortKey("name"), SortKey("pk"))
LAST_OUT_FIRST = (SortKey("left_at", descending=True, nullable=True), SortKey("pk"))
FIRST_OUT_FIRST = (SortKey("left_at", nullable=True), SortKey("pk", descending=True))
CROSSED = (SortKey("name", descending=True), SortKey("left_at", nullable=True), SortKey("pk"))


@pytest.fixture
def people(db: None) -> list[User]:
    """Thirteen people, some with the same name, some who left."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return User.objects.bulk_create(
        User(
            id=uuid.UUID(int=number),
            email=f"p{number}@example.org",
            name=f"Name {number % 4}",
            is_active=number % 3 == 0,
            left_at=None if number % 3 == 0 else start + timedelta(days=number // 2),
        )
        for number in range(13)
    )


def walk(keys: tuple[SortKey, ...], size: int) -> tuple[list[User], str]:
    """All rows from front to back, and the cursor back from the last page."""
    seen, cursor, back = [], "", ""
    for _ in range(50):
        page = paginate(User.objects.all(), keys, cursor=cursor, size=size)
        seen += page.rows
        back = page.previous_cursor
        if not page.next_cursor:
            return seen, back
        cursor = page.next_cursor
    raise AssertionError("the list never ends")


@pytest.mark.parametrize("size", [1, 3, 4, 13, 50])
@pytest.mark.parametrize(
    "keys",
    [
        BY_NAME,
        LAST_OUT_FIRST,
        FIRST_OUT_FIRST,
        CROSSED,
        (SortKey("name", descending=True), SortKey("pk", descending=True)),
    ],
)
def test_every_row_appears_exactly_once_in_order(people: list[User], keys: tuple[SortKey, ...], size: int) -> None:
    seen, _ = walk(keys, size)

    whole = paginate(User.objects.all(), keys, size=100).rows
    assert seen == whole
    assert len(seen) == len(people)


@pytest.mark.parametrize("keys", [BY_NAME, LAST_OUT_FIRST, FIRST_OUT_FIRST, CROSSED])
def test_walking_back_shows_the_same_rows(people: list[User], keys: tuple[SortKey, ...]) -> None:
    forward, cursor = walk(keys, 4)

    backward: list[User] = forward[-1:]
    while cursor:
        page = paginate(User.objects.all(), keys, cursor=cursor, size=4)
        backward = page.rows + backward
        cursor = page.previous_cursor

    assert backward == forward


def test_empty_values_stand_last_in_both_directions(people: list[User]) -> None:
    for descending in (False, True):
        keys = (SortKey("left_at", descending=descending, nullable=True), SortKey("pk"))
        rows = paginate(User.objects.all(), keys, size=100).rows
        assert [row.left_at is None for row in rows] == sorted(row.left_at is None for row in rows)


def test_a_page_costs_one_query_and_never_counts(people: list[User]) -> None:
    cursor = paginate(User.objects.all(), BY_NAME, size=4).next_cursor

    with CaptureQueriesContext(
        connection,
    ) as queries:
        paginate(User.objects.all(), BY_NAME, cursor=cursor, size=4)

    assert len(queries) == 1
    assert "COUNT" not in queries[0]["sql"].upper()


def test_a_row_inserted_before_the_cursor_moves_nothing(people: list[User], make_user: Callable[..., User]) -> None:
    first = paginate(User.objects.all(), BY_NAME, size=4)
    expected = paginate(User.objects.all(), BY_NAME, cursor=first.next_cursor, size=4).rows

    make_user(name="Name")

    assert paginate(User.objects.all(), BY_NAME, cursor=first.next_cursor, size=4).rows == expected


def test_a_tampered_cursor_is_refused(people: list[User]) -> None:
    cursor = paginate(User.objects.all(), BY_NAME, size=4).next_cursor
    flipped = cursor[:5] + ("A" if cursor[5] != "A" else "B") + cursor[6:]

    for wrong in (flipped, cursor[:-3], "", "x", "\x00", "a:b:c", cursor.split(":")[0]):
        if wrong:
            with pytest.raises(BadCursor):
                paginate(User.objects.all(), BY_NAME, cursor=wrong, size=4)


def test_a_cursor_of_another_order_is_refused(people: list[User]) -> None:
    cursor = paginate(User.objects.all(), BY_NAME, size=4).next_cursor

    with pytest.raises(BadCursor):
        paginate(User.objects.all(), LAST_OUT_FIRST, cursor=cursor, size=4)


def test_something_else_that_we_signed_is_no_cursor(people: list[User]) -> None:
    with pytest.raises(BadCursor):
        paginate(User.objects.all(), BY_NAME, cursor=signing.dumps({"user": 1}), size=4)
    with pytest.raises(BadCursor):
        paginate(User.objects.all(), BY_NAME, cursor=signing.dumps({"user": 1}, salt="remit.keyset"), size=4)


@pytest.mark.parametrize("keys", [BY_NAME, LAST_OUT_FIRST, FIRST_OUT_FIRST, CROSSED])
@pytest.mark.parametrize("is_gathered", [False, True])
def test_the_end_can_be_entered_directly(people: list[User], keys: tuple[SortKey, ...], is_gathered: bool) -> None:
    forward, _ = walk(keys, 4)

    page = paginate(User.objects.all(), keys, cursor=LAST, size=4, is_gathered=is_gathered)

    assert page.rows == forward[-4:]
    assert page.next_cursor == ""
    before = paginate(User.objects.all(), keys, cursor=page.previous_cursor, size=4, is_gathered=is_gathered)
    assert before.rows == forward[-8:-4]


def test_one_condition_enters_the_index_at_the_right_place(people: list[User]) -> None:
    """Not "this column or that one", which PostgreSQL answers by passing everything before."""
    (stretch,) = stretches(User, BY_NAME, ["Name 2", str(uuid.UUID(int=2))], backwards=False)

    sql = str(User.objects.filter(stretch.condition).query)

    assert '("people_user"."name", "people_user"."id") > (' in sql
    assert " OR " not in sql


def test_ties_of_a_crossed_order_are_read_as_a_stretch_of_their_own(people: list[User]) -> None:
    keys = (SortKey("name", descending=True), SortKey("pk"))

    found = list(stretches(User, keys, ["Name 2", str(uuid.UUID(int=2))], backwards=False))

    assert [" OR " in str(User.objects.filter(each.condition).query) for each in found] == [False, False]
